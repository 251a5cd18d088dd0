"""The quality rules measured for many texts at once say what a plain reading of them says, one text at a time."""

import random
import re
from collections import Counter

import pytest
import yaml

from finecomb.config.locate import conf_dir
from finecomb.data.cleaner.step import Batch
from finecomb.data.cleaner.steps import quality
from finecomb.data.cleaner.steps.quality import FineWebOptions, GopherQualityOptions, GopherRepetitionOptions
from finecomb.data.cleaner.word_arrays import chunks, scan
from finecomb.data.cleaner.word_pattern import words

PIECES = [
    *("the", "be", "to", "With", "that,", "İx", "ΤΗΣ", "我们", "的", "和", "ไทย", "a_b", "1.2", "#", "...", "…", "\n", "\n\n", "•", "-"),
    *("\u2028", "x" * 20, "\U00020001", "①", "½", "ﬁ", "\x00", "ein", "Übung", "naïve", "एक", "नमस्ते", "\U0001f600", "a a a a"),
    "one two three four five six",
]


def mixture(seed: int, count: int = 400) -> list[str]:
    draw = random.Random(seed)
    texts = ["".join(draw.choice(PIECES) + draw.choice([" ", "", " ", "\n"]) for _ in range(draw.randrange(0, 90))) for _ in range(count)]
    prose = [(conf_dir().parent / name).read_text(encoding="utf-8") for name in ("README.md", "Makefile")]
    return [*texts, "", " ", "\n\n", "word", *prose, prose[0] * 2]


def batch(texts: list[str]) -> Batch:
    return Batch("train", [str(n) for n in range(len(texts))], texts, None, [None] * len(texts))


def values(name: str, step: str) -> dict:
    return yaml.safe_load((conf_dir() / "cleaner" / f"{name}.yaml").read_text())["steps"][step]


def scores(step: quality.Rules, texts: list[str]) -> dict[str, list[float]]:
    return step.decide(batch(texts)).scores


def top(found: list[str], n: int) -> int:
    tally = Counter(zip(*(found[start:] for start in range(n)), strict=False))
    most = max(tally.values(), default=0)
    return 0 if most < 2 else most * max(sum(map(len, gram)) for gram, count in tally.items() if count == most)


def covered(found: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    inside: set[int] = set()
    for start in range(len(found) - n + 1):
        gram = tuple(found[start : start + n])
        inside |= set(range(start, start + n)) if gram in seen else set()
        seen.add(gram)
    return sum(len(found[place]) for place in inside)


def test_words_at_once_are_the_words_of_each_text():
    texts = mixture(0)
    met = set()
    for numbers, arrays in chunks(texts, size=700):
        hashes: dict[int, str] = {}
        for place, number in enumerate(numbers):
            span = range(arrays.first[place], arrays.first[place + 1])
            found = [texts[number][arrays.begins[w] - arrays.texts[place] : arrays.ends[w] - arrays.texts[place]] for w in span]
            assert found == words(texts[number])
            assert all(
                hashes.setdefault(int(key), word) == word for key, word in zip(arrays.hashes()[span.start : span.stop], found, strict=True)
            )
            met.add(number)
        assert len(hashes) == len({*hashes.values()})
    assert met == set(range(len(texts)))


def test_long_words_have_hashes_of_their_own():
    names = [f"{'a' * size}{end}" for size in range(40) for end in ("b", "c", "é", "bb")]
    assert len(set(scan([" ".join(names)]).hashes().tolist())) == len(set(names))


@pytest.mark.parametrize("seed", [1, 2])
def test_repetition(seed):
    texts = mixture(seed)
    found = scores(quality.GopherRepetition(GopherRepetitionOptions(**values("gopher", "gopher_repetition"))), texts)
    for row, text in enumerate(texts):
        own = words(text)
        size = max(1, sum(map(len, own)))
        for n in range(2, 5):
            assert found[f"top_{n}gram"][row] == pytest.approx(top(own, n) / size), (text, n)
        for n in range(5, 11):
            assert found[f"repeated_{n}grams"][row] == pytest.approx(covered(own, n) / size), (text, n)
        for name, parts in (("line", text.split("\n")), ("paragraph", re.split(r"\n{2,}", text))):
            whole = [part.strip() for part in parts if part.strip()]
            again = [part for place, part in enumerate(whole) if part in whole[:place]]
            assert found[f"duplicate_{name}s"][row] == pytest.approx(len(again) / max(1, len(whole)))
            assert found[f"duplicate_{name}_characters"][row] == pytest.approx(sum(map(len, again)) / max(1, len(text)))


def test_quality():
    texts = mixture(3)
    stop = [*values("gopher", "gopher_quality")["stop_words"], "的", "της", "With"]
    given = values("gopher", "gopher_quality") | {"language": None, "stop_words": stop}
    found = scores(quality.GopherQuality(GopherQualityOptions(**given)), texts)
    for row, text in enumerate(texts):
        own, lines, tokens = words(text), [line for line in text.splitlines() if line.strip()], text.split()
        count = max(1, len(own))
        assert found["words"][row] == len(own)
        assert found["mean_word_length"][row] == pytest.approx(sum(map(len, own)) / count)
        assert found["hashes_per_word"][row] == pytest.approx(text.count("#") / count)
        assert found["ellipses_per_word"][row] == pytest.approx(len(re.findall(r"\.\.\.|…", text)) / count)
        bullets = sum(line.lstrip().startswith(("\u2022", "-", "*")) for line in lines)
        assert found["bullet_lines"][row] == pytest.approx(bullets / max(1, len(lines)))
        assert found["ellipsis_lines"][row] == pytest.approx(sum(line.rstrip()[-3:] == "..." or line.rstrip()[-1:] == "…" for line in lines)
                                                             / max(1, len(lines)))  # fmt: skip
        letters = sum(any(map(str.isalpha, token)) for token in tokens)
        assert found["alphabetic_words"][row] == pytest.approx(letters / max(1, len(tokens)))
        assert found["stop_words"][row] == len(set(stop) & set(own)), text


def test_fineweb():
    texts = mixture(4)
    found = scores(quality.FineWeb(FineWebOptions(**values("fineweb", "fineweb"))), texts)
    for row, text in enumerate(texts):
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        again = [line for place, line in enumerate(lines) if line in lines[:place]]
        count = max(1, len(lines))
        assert found["terminal_lines"][row] == pytest.approx(sum(line.endswith(quality.TERMINAL) for line in lines) / count)
        assert found["short_lines"][row] == pytest.approx(sum(len(line) <= 30 for line in lines) / count)
        assert found["duplicate_line_characters"][row] == pytest.approx(sum(map(len, again)) / max(1, len(text.replace("\n", ""))))
        assert found["newlines_per_word"][row] == pytest.approx(text.count("\n") / max(1, len(words(text))))
