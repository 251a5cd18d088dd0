"""The published quality rules for web text, each by its thresholds: Gopher, C4, FineWeb. Implementations of them disagree; ours are named.

Gopher: Rae et al. 2021 (arXiv:2112.11446), appendix A1.1, tables of quality and repetition. C4: Raffel et al. 2020 (JMLR 21), section 2.2.
FineWeb: Penedo et al. 2024 (arXiv:2406.17557), section 3.5. Words are those of `words.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from finecomb.config.errors import Problem, UserError
from finecomb.config.schema import cleaner as schema
from finecomb.data.cleaner.step import Batch, Decision, Step
from finecomb.data.cleaner.words import require_language, words

Measured = dict[str, float]
TERMINAL = (".", "!", "?", '"', "'", "\u201d", "\u3002", "\uff01", "\uff1f", "\u2026")
_BULLETS = ("\u2022", "\u2023", "\u25e6", "\u25cf", "-", "*")
_SYMBOLS = re.compile(r"#|\.\.\.|\u2026")
_CITATION = re.compile(r"\[\d{1,4}\]|\[edit\]|\[citation needed\]")
_SENTENCE = re.compile(r"[.!?]+(?:[\"')\]]*)(?:\s|$)")
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


class Rules(Step):
    """Measures each text and drops it by the first rule that it breaks. `rules`: name of the score -> (least, most, reason)."""

    language: str | None = None
    name = ""

    def __init__(self) -> None:
        self._rules: dict[str, tuple[float | None, float | None, str]] = {}

    def look(self, splits: object) -> None:
        """Rules of one language are not applied to others in silence."""
        assert isinstance(splits, dict)
        if self.language is not None:
            require_language([text for batch in splits.values() for text in batch.text], self.language, self.name)

    def measure(self, text: str) -> Measured:
        """The scores of one text."""
        raise NotImplementedError

    def decide(self, batch: Batch) -> Decision:
        """All scores are kept; the reason is the first rule broken."""
        measured = [self.measure(text) for text in batch.text]
        drop = {}
        for row, found in enumerate(measured):
            for score, (low, high, reason) in self._rules.items():
                if (low is not None and found[score] < low) or (high is not None and found[score] > high):
                    drop[row] = reason
                    break
        return Decision(drop, scores={score: [found[score] for found in measured] for score in self._rules})

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """Least and most of each score."""
        return {score: (low, high) for score, (low, high, _) in self._rules.items()}


class GopherQuality(Rules):
    """Gopher's quality rules: number and mean length of words, symbols, bullets, ellipses, alphabetic words, stop words."""

    name = "gopher_quality"

    def __init__(self, config: schema.GopherQuality) -> None:
        super().__init__()
        self.language, self._stop = config.language, {word.lower() for word in config.stop_words}
        self._rules = {
            "words": (config.min_words, config.max_words, "number of words"),
            "mean_word_length": (config.min_mean_word_length, config.max_mean_word_length, "mean word length"),
            "symbols_per_word": (None, config.max_symbols_per_word, "too many symbols"),
            "bullet_lines": (None, config.max_bullet_lines, "too many bullet lines"),
            "ellipsis_lines": (None, config.max_ellipsis_lines, "too many lines end in an ellipsis"),
            "alphabetic_words": (config.min_alphabetic_words, None, "too few words with a letter"),
            "stop_words": (config.min_stop_words, None, "too few stop words"),
        }

    def measure(self, text: str) -> Measured:
        """Numbers and shares as the paper defines them; different stop words are counted."""
        found = words(text)
        lines = [line for line in text.splitlines() if line.strip()]
        count, rows = max(1, len(found)), max(1, len(lines))
        tokens = text.split()
        return {
            "words": len(found),
            "mean_word_length": sum(map(len, found)) / count,
            "symbols_per_word": len(_SYMBOLS.findall(text)) / count,
            "bullet_lines": sum(line.lstrip().startswith(_BULLETS) for line in lines) / rows,
            "ellipsis_lines": sum(line.rstrip().endswith(("...", "\u2026")) for line in lines) / rows,
            "alphabetic_words": sum(any(map(str.isalpha, token)) for token in tokens) / max(1, len(tokens)),
            "stop_words": len(self._stop & {word.lower() for word in found}),
        }


class GopherRepetition(Rules):
    """Gopher's repetition rules: duplicated lines and paragraphs, the most frequent and all repeated n-grams, as shares of characters."""

    name = "gopher_repetition"

    def __init__(self, config: schema.GopherRepetition) -> None:
        super().__init__()
        self._rules = {
            "duplicate_lines": (None, config.max_duplicate_lines, "duplicated lines"),
            "duplicate_paragraphs": (None, config.max_duplicate_paragraphs, "duplicated paragraphs"),
            "duplicate_line_characters": (None, config.max_duplicate_line_characters, "characters in duplicated lines"),
            "duplicate_paragraph_characters": (None, config.max_duplicate_paragraph_characters, "characters in duplicated paragraphs"),
        }
        for key, count in (("max_top_ngram_characters", 3), ("max_repeated_ngram_characters", 6)):
            if len(given := getattr(config, key)) != count:
                where = f"cleaner.steps.gopher_repetition.{key}"
                raise UserError(Problem(f"{len(given)} shares, where {count} are needed", where, mend="one for each length of n-gram"))
        for n, most in zip(range(2, 5), config.max_top_ngram_characters, strict=True):
            self._rules[f"top_{n}gram"] = (None, most, f"the most frequent {n}-gram")
        for n, most in zip(range(5, 11), config.max_repeated_ngram_characters, strict=True):
            self._rules[f"repeated_{n}grams"] = (None, most, f"repeated {n}-grams")

    def measure(self, text: str) -> Measured:
        """Lines and paragraphs without those that are blank."""
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        paragraphs = [part.strip() for part in re.split(r"\n{2,}", text) if part.strip()]
        found = words(text)
        size = max(1, sum(map(len, found)))
        scores = {
            "duplicate_lines": _repeated(lines, lambda _: 1) / max(1, len(lines)),
            "duplicate_paragraphs": _repeated(paragraphs, lambda _: 1) / max(1, len(paragraphs)),
            "duplicate_line_characters": _repeated(lines, len) / max(1, len(text)),
            "duplicate_paragraph_characters": _repeated(paragraphs, len) / max(1, len(text)),
        }
        scores |= {f"top_{n}gram": _top(found, n) / size for n in range(2, 5)}
        return scores | {f"repeated_{n}grams": _covered(found, n) / size for n in range(5, 11)}


def _repeated(parts: list[str], weight: Callable[[str], int]) -> int:
    """Weight of the parts that stood there before."""
    seen: set[str] = set()
    total = 0
    for part in parts:
        total += weight(part) if part in seen else 0
        seen.add(part)
    return total


def _top(found: list[str], n: int) -> int:
    """Characters of the most frequent n-gram times its occurrences; of equally frequent ones the longest. 0 when none occurs twice."""
    tally = Counter(zip(*(found[start:] for start in range(n)), strict=False))
    if not tally:
        return 0
    most = max(tally.values())
    return 0 if most < 2 else most * max(sum(map(len, gram)) for gram, count in tally.items() if count == most)


def _covered(found: list[str], n: int) -> int:
    """Characters of words that lie in an n-gram which stood there before; each word counts once."""
    seen: set[tuple[str, ...]] = set()
    total = end = 0
    for start in range(len(found) - n + 1):
        gram = tuple(found[start : start + n])
        if gram in seen:
            first = max(start, end)
            total += sum(len(word) for word in found[first : start + n])
            end = start + n
        seen.add(gram)
    return total


class FineWeb(Rules):
    """FineWeb's own rules, beyond Gopher's and C4's: line ends, short lines, duplicated lines, words per line."""

    name = "fineweb"

    def __init__(self, config: schema.FineWeb) -> None:
        super().__init__()
        self._short = config.short_line
        self._rules = {
            "terminal_lines": (config.min_terminal_lines, None, "too few lines end in punctuation"),
            "short_lines": (None, config.max_short_lines, "too many short lines"),
            "duplicate_line_characters": (None, config.max_duplicate_line_characters, "characters in duplicated lines"),
            "newlines_per_word": (None, config.max_newlines_per_word, "too many line ends"),
        }

    def measure(self, text: str) -> Measured:
        """Shares of the lines that are not blank."""
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        rows = max(1, len(lines))
        return {
            "terminal_lines": sum(line.endswith(TERMINAL) for line in lines) / rows,
            "short_lines": sum(len(line) <= self._short for line in lines) / rows,
            "duplicate_line_characters": _repeated(lines, len) / max(1, len(text.replace("\n", ""))),
            "newlines_per_word": text.count("\n") / max(1, len(words(text))),
        }


class C4(Step):
    """C4's rules: bad lines go, then texts with placeholder text, code, or too few sentences. Its bad words are `word_list`'s task."""

    def __init__(self, config: schema.C4) -> None:
        self._config = config

    def look(self, splits: object) -> None:
        """Its sentences and phrases are English."""
        assert isinstance(splits, dict)
        require_language([text for batch in splits.values() for text in batch.text], self._config.language, "c4")

    def decide(self, batch: Batch) -> Decision:
        """Texts lose lines, or go."""
        decision = Decision(scores={"sentences": [0.0] * len(batch)})
        sentences = []
        for row, text in enumerate(batch.text):
            kept, reason, count = self._judge(text)
            sentences.append(float(count))
            if reason is not None:
                decision.drop[row] = reason
            elif kept != text:
                decision.replace[row] = (kept, None if batch.text_pair is None else batch.text_pair[row])
        decision.scores = {"sentences": sentences}
        return decision

    def _judge(self, text: str) -> tuple[str, str | None, int]:
        lower, config = text.lower(), self._config
        if "lorem ipsum" in lower:
            return text, "lorem ipsum", 0
        if config.no_braces and "{" in text:
            return text, "a brace", 0
        kept = []
        for line in text.split("\n"):
            line = _CITATION.sub("", line).strip() if config.remove_citations else line.strip()
            if self._line(line):
                kept.append(line)
        joined = "\n".join(kept)
        count = len(_SENTENCE.findall(joined))
        return joined, "too few sentences" if count < config.min_sentences else None, count

    def _line(self, line: str) -> bool:
        found, config = line.split(), self._config
        if config.terminal_punctuation and (not line.endswith(TERMINAL[:6]) or line.endswith("...")):
            return False
        if len(found) < config.min_words_per_line or any(len(word) > config.max_word_length for word in found):
            return False
        lower = line.lower()
        return "javascript" not in lower and not any(phrase in lower for phrase in _POLICY)

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """The least number of sentences."""
        return {"sentences": (self._config.min_sentences, None)}
