"""Decisions of datatrove's filters (Apache-2.0) on texts on both sides of every rule's threshold, and on parts of Python's documentation.

Run where datatrove and spaCy are installed, with the repository's root as the working folder; the tests read the file it writes:

    python -m venv datatrove-venv && datatrove-venv/bin/pip install datatrove==0.10.1 'xxhash<4' spacy numpy
    datatrove-venv/bin/python tests/data/datatrove_reference.py

Words and sentences are those of datatrove's English tokenizer (spaCy, without a model). The sample is of `pydoc_data.topics` (PSF license).
"""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("datatrove_decisions.json")
STOP = ["the", "be", "to", "of", "and", "that", "have", "with"]
PLAIN = [
    *("river", "market", "evening", "lamp", "people", "carry", "goods", "leave", "quiet", "small", "house", "water", "morning", "garden"),
    *("letter", "winter", "paper", "friend", "table", "window", "street", "summer", "picture", "school", "yellow", "corner", "bridge"),
]  # fmt: skip
NAMES = [f"{first}{last}" for first in ("bor", "kel", "min", "sta", "tur", "vel") for last in ("an", "ek", "il", "os", "um", "yra")]


def composed() -> list[str]:
    """Texts on both sides of the threshold of every rule, two of each kind on each side."""
    draw = random.Random(0)

    def words(count: int, stops: int = 3) -> list[str]:
        return [*(draw.sample(STOP, stops)), *(draw.choice(PLAIN) + draw.choice(NAMES)[:4] for _ in range(count - stops))]

    def sentence(count: int = 9) -> str:
        return " ".join(draw.choice(PLAIN + NAMES + STOP) for _ in range(count)).capitalize() + "."

    def prose(count: int = 8, end: str = "\n") -> list[str]:
        return [sentence(draw.randrange(8, 13)) + end for _ in range(count)]

    texts = []
    for side in (0, 1, 0, 1):
        texts += [
            " ".join(words(40 if side else 60)),
            " ".join(["of"] * (60 if side else 30) + words(60)) + " of the end",
            " ".join(words(60) if not side else [word * 3 for word in words(60)]),
            " ".join(words(80)) + " #" * (14 if side else 3),
            " ".join(words(80)) + " ... again" * (16 if side else 3),
            " ".join(words(100)) + " # a ... b" * 7,  # each ratio by itself is within bounds
            "\n".join([f"- {sentence()}" for _ in range(19)] + [sentence() for _ in range(1 if side else 6)]),
            "\n".join([sentence()[:-1] + "..." for _ in range(5 if side else 2)] + [sentence() for _ in range(8)]),
            " ".join(words(70) + [str(draw.randrange(100, 9999)) for _ in range(30 if side else 8)]),
            " ".join(words(60, stops=1 if side else 2)),
            "The " + " ".join(words(60, stops=1)) + " And With",  # stop words with capitals
            "".join(prose(8) + [sentence() + "\n"] * (6 if side else 2)),
            "\n\n".join([sentence() for _ in range(8)] + [sentence()] * (6 if side else 2)),
            "".join([*prose(7), *[" ".join(prose(3, "")) + "\n"] * (4 if side else 1)]),
            "\n\n".join([*prose(7, ""), *[" ".join(prose(3, ""))] * (4 if side else 1)]),
            " ".join(words(60) + ["bridge", "garden"] * 1 + [each for word in words(30) for each in (word, "great", "wonder") if side]),
        ]
        for n in range(2, 11):
            gram = " ".join(draw.sample(NAMES, n))
            times = {2: 9, 3: 7, 4: 6}.get(n, 4)
            texts.append(" ".join([each for _ in range(times if side else 1) for each in (gram, *words(3, 1))] + words(70 if side else 60)))
        texts += [
            "\n".join(sentence() if not side or number == 0 else sentence()[:-1] for number in range(14)),
            "\n".join(sentence(12) if number % 4 == 0 or (number % 2 and not side) else "Short line here." for number in range(24)),
            "".join(prose(9) + (["The same line of text.\n"] * 3 if side else ["Another line of text.\n"])),
            "\n".join(sentence(12 if not side else 2) for _ in range(12)),
            "\n".join([*prose(6, ""), "we use lorem ipsum to fill it up here." if side else "we use it to fill it up here."]),
            "\n".join([*prose(6, ""), "if (x) { return the value of it.}" if side else "if (x) return the value of it."]),
            "\n".join(prose(4 if side else 5, "")),
            "\n".join([*prose(6, ""), "no end of this line", "Two words.", "It ends...", "You must have javascript turned on."]),
            "\n".join(
                [*prose(6, ""), "Read our privacy policy with care.", f"A {'x' * (1001 if side else 1000)} word.", "So it is said.[12]"]
            ),
        ]
    return texts


def digest(texts: list[str]) -> str:
    """A hash of texts, by which the test knows that they are those of the file."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def sample() -> list[str]:
    """Parts of Python's documentation, long enough that every rule has something to judge."""
    from pydoc_data.topics import topics

    found = []
    for name in sorted(topics):
        text = topics[name].strip()
        if len(text) > 600:
            end = text.find("\n\n", 900)
            found.append(text[: end if 0 < end < 1600 else 1200])
    return found[::3][:30]


def gopher_quality() -> dict[str, dict[str, Any]]:
    names = ("min_doc_words", "max_doc_words", "min_avg_word_length", "max_avg_word_length", "max_symbol_word_ratio")
    off = dict.fromkeys((*names, "max_bullet_lines_ratio", "max_ellipsis_lines_ratio", "max_non_alpha_words_ratio", "min_stop_words"))
    rules = {
        "words": {"min_doc_words": 50, "max_doc_words": 100_000},
        "mean_word_length": {"min_avg_word_length": 3, "max_avg_word_length": 10},
        "symbols": {"max_symbol_word_ratio": 0.1},
        "bullet_lines": {"max_bullet_lines_ratio": 0.9},
        "ellipsis_lines": {"max_ellipsis_lines_ratio": 0.3},
        "alphabetic_words": {"max_non_alpha_words_ratio": 0.8},
        "stop_words": {"min_stop_words": 2},
    }
    return {rule: off | values for rule, values in rules.items()}


def gopher_repetition() -> dict[str, dict[str, Any]]:
    off: dict[str, Any] = dict.fromkeys(("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac"))
    off |= {"top_n_grams": (), "dup_n_grams": ()}
    rules: dict[str, dict[str, Any]] = {
        "duplicate_lines": {"dup_line_frac": 0.3},
        "duplicate_paragraphs": {"dup_para_frac": 0.3},
        "duplicate_line_characters": {"dup_line_char_frac": 0.2},
        "duplicate_paragraph_characters": {"dup_para_char_frac": 0.2},
    }
    rules |= {f"top_{n}gram": {"top_n_grams": ((n, most),)} for n, most in zip(range(2, 5), (0.2, 0.18, 0.16), strict=True)}
    shares = (0.15, 0.14, 0.13, 0.12, 0.11, 0.10)
    rules |= {f"repeated_{n}grams": {"dup_n_grams": ((n, most),)} for n, most in zip(range(5, 11), shares, strict=True)}
    return {rule: off | values for rule, values in rules.items()}


def fineweb() -> dict[str, dict[str, Any]]:
    off = {"line_punct_thr": 0.0, "short_line_thr": 1.0, "char_duplicates_ratio": 1.0, "new_line_ratio": 1e9}
    rules = {
        "terminal_lines": {"line_punct_thr": 0.12},
        "short_lines": {"short_line_thr": 0.67},
        "duplicate_line_characters": {"char_duplicates_ratio": 0.01},
        "newlines_per_word": {"new_line_ratio": 0.3},
    }
    return {rule: off | values for rule, values in rules.items()}


def main() -> None:
    """Write the decisions: for each rule the numbers of the texts that it drops, and C4's answer to each text."""
    from importlib.metadata import version

    from datatrove.data import Document
    from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter

    real = sample()
    texts = composed() + real

    def dropped(step: Any) -> list[int]:
        return [number for number, text in enumerate(texts) if step.filter(Document(text=text, id="")) is not True]

    def c4(text: str) -> list[str]:
        document = Document(text=text, id="")
        answer = C4QualityFilter().filter(document)
        return ["", document.text] if answer is True else [answer[1], ""]

    steps = (("gopher_quality", GopherQualityFilter, gopher_quality), ("gopher_repetition", GopherRepetitionFilter, gopher_repetition),
             ("fineweb", FineWebQualityFilter, fineweb))  # fmt: skip
    answers = [c4(text) for text in texts]
    facts = {
        "composed": digest(composed()),
        "versions": {name: version(name) for name in ("datatrove", "spacy")},
        "sample": real,
        "dropped": {name: {rule: dropped(cls(**values)) for rule, values in rules().items()} for name, cls, rules in steps},
        "c4": [[reason, None if after == text else after] for (reason, after), text in zip(answers, texts, strict=True)],
    }
    FILE.write_text(json.dumps(facts, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
