"""The published quality rules for web text, each by its thresholds: Gopher, C4, FineWeb. Implementations of them disagree; ours are named.

Gopher: Rae et al. 2021 (arXiv:2112.11446), appendix A1.1, tables of quality and repetition. C4: Raffel et al. 2020 (JMLR 21), section 2.2.
FineWeb: Penedo et al. 2024 (arXiv:2406.17557), section 3.5. Words are those of `words.py`: runs of letters and digits, so that a mark of
punctuation is no word, other than where texts are cut by a tokenizer made for one language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from finecomb.config.schema.base import option
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.cleaner.repetition import repeated_characters
from finecomb.data.cleaner.step import Batch, Decision, Scorer, Step
from finecomb.data.cleaner.word_arrays import WordArrays, chunks
from finecomb.data.scripts import UNSPACED

Measured = dict[str, Any]
TERMINAL = (".", "!", "?", '"', "'", "\u201d", "\u3002", "\uff01", "\uff1f", "\u2026")
_BULLETS = ("\u2022", "\u2023", "\u25e6", "\u25cf", "-", "*")
_CITATION = re.compile(r"\[\d{1,4}\]|\[edit\]|\[citation needed\]")
_SENTENCE = re.compile(r"[.!?]+(?:[\"')\]]*)(?:\s|$)")
_BAD_LINES = ("javascript", "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_TOUCHING = re.compile(rf"[^\W{UNSPACED}]")


class Rules(Scorer):
    """Measures each text and drops it by the first rule that it breaks. `rules`: name of the score -> (least, most, reason)."""

    def __init__(self) -> None:
        self._rules: dict[str, tuple[float | None, float | None, str]] = {}

    def measure_texts(self, texts: Sequence[str], arrays: WordArrays) -> Measured:
        """The scores of some texts, whose words are in `arrays`: for each score a number for each text."""
        raise NotImplementedError

    def measure(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """The scores of all rules."""
        scores = {score: np.zeros(len(batch)) for score in self._rules}
        for numbers, arrays in chunks(batch.text):
            measured = self.measure_texts([batch.text[number] for number in numbers], arrays)
            for score, values in scores.items():
                values[numbers] = measured[score]
        return dict(scores)

    def judge(self, batch: Batch, measured: Mapping[str, NDArray[Any]]) -> Decision:
        """All scores are kept; the reason is the first rule broken."""
        drop: dict[int, str] = {}
        for score, (low, high, reason) in reversed(self._rules.items()):
            least, most = -np.inf if low is None else low, np.inf if high is None else high
            drop |= dict.fromkeys(np.flatnonzero((measured[score] < least) | (measured[score] > most)).tolist(), reason)
        return Decision(drop, scores={score: measured[score].tolist() for score in self._rules})

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """Least and most of each score."""
        return {score: (low, high) for score, (low, high, _) in self._rules.items()}


@dataclass
class GopherQualityOptions:
    """Gopher's quality rules (arXiv:2112.11446)."""

    language: Optional[str] = option("language the stop words are of: mostly other texts are refused; null: do not ask")
    min_words: int = option("least number of words", low=0)
    max_words: int = option("most words", low=1)
    min_mean_word_length: float = option("least mean word length", low=0)
    max_mean_word_length: float = option("greatest mean word length", low=0)
    max_symbols_per_word: float = option("most hash signs for each word, and most ellipses", low=0)
    max_bullet_lines: float = option("greatest share of lines that begin with a bullet", low=0, high=1)
    max_ellipsis_lines: float = option("greatest share of lines that end in an ellipsis", low=0, high=1)
    min_alphabetic_words: float = option("least share of words with a letter", low=0, high=1)
    min_stop_words: int = option("least number of different stop words, as they are written", low=0)
    stop_words: list[str] = option("the stop words")


class GopherQuality(Rules):
    """Gopher's quality rules: number and mean length of words, symbols, bullets, ellipses, alphabetic words, stop words.

    Hash signs and ellipses are tested each by itself. Stop words count as they are written: `The` is not `the`.
    """

    VERSION = 2
    MEASURED_BY = ("stop_words",)

    def __init__(self, config: GopherQualityOptions) -> None:
        super().__init__()
        self.language, self._stop = config.language, set(config.stop_words)
        self._rules = {
            "words": (config.min_words, config.max_words, "number of words"),
            "mean_word_length": (config.min_mean_word_length, config.max_mean_word_length, "mean word length"),
            "hashes_per_word": (None, config.max_symbols_per_word, "too many hash signs"),
            "ellipses_per_word": (None, config.max_symbols_per_word, "too many ellipses"),
            "bullet_lines": (None, config.max_bullet_lines, "too many bullet lines"),
            "ellipsis_lines": (None, config.max_ellipsis_lines, "too many lines end in an ellipsis"),
            "alphabetic_words": (config.min_alphabetic_words, None, "too few words with a letter"),
            "stop_words": (config.min_stop_words, None, "too few stop words"),
        }

    def measure_texts(self, texts: Sequence[str], arrays: WordArrays) -> Measured:
        """Numbers and shares as the paper defines them; different stop words are counted."""
        count = np.maximum(1, arrays.counts)
        with_letter, tokens = arrays.tokens_with_letter()
        lines = [_shares_of_lines(text) for text in texts]
        return {
            "words": arrays.counts,
            "mean_word_length": arrays.sums(arrays.lengths) / count,
            "hashes_per_word": np.array([text.count("#") for text in texts]) / count,
            "ellipses_per_word": np.array([text.count("...") + text.count("\u2026") for text in texts]) / count,
            "bullet_lines": [bullets for bullets, _ in lines],
            "ellipsis_lines": [ellipses for _, ellipses in lines],
            "alphabetic_words": with_letter / np.maximum(1, tokens),
            "stop_words": [sum(_holds(text, word) for word in self._stop) for text in texts],
        }


def _shares_of_lines(text: str) -> tuple[float, float]:
    """Shares of the lines, without blank ones, that begin with a bullet and that end in an ellipsis."""
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    count = max(1, len(lines))
    return sum(line.startswith(_BULLETS) for line in lines) / count, sum(line.endswith(("...", "\u2026")) for line in lines) / count


def _holds(text: str, word: str) -> bool:
    """Whether a word is in a text as it is written, with no letter or digit touching it."""
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        before, after = text[start - 1 : start] if start else "", text[end : end + 1]
        if not (_touches(before, word[0]) or _touches(after, word[-1])):
            return True
        start = text.find(word, start + 1)
    return False


def _touches(outside: str, inside: str) -> bool:
    """Whether two neighbouring characters belong to one word."""
    return bool(outside) and _TOUCHING.match(outside) is not None and _TOUCHING.match(inside) is not None


@dataclass
class GopherRepetitionOptions:
    """Gopher's repetition rules (arXiv:2112.11446), as shares."""

    max_duplicate_lines: float = option("of lines", low=0, high=1)
    max_duplicate_paragraphs: float = option("of paragraphs", low=0, high=1)
    max_duplicate_line_characters: float = option("of characters, in duplicated lines", low=0, high=1)
    max_duplicate_paragraph_characters: float = option("of characters, in duplicated paragraphs", low=0, high=1)
    max_top_ngram_characters: list[float] = option("of characters, in the most frequent 2-, 3- and 4-gram")
    max_repeated_ngram_characters: list[float] = option("of characters, in repeated 5- to 10-grams")


class GopherRepetition(Rules):
    """Gopher's repetition rules: duplicated lines and paragraphs, the most frequent and all repeated n-grams, as shares of characters."""

    VERSION = 2

    def __init__(self, config: GopherRepetitionOptions) -> None:
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
                raise ConfigError(Problem(f"{len(given)} shares, where {count} are needed", where, hint="one for each length of n-gram"))
        for n, most in zip(range(2, 5), config.max_top_ngram_characters, strict=True):
            self._rules[f"top_{n}gram"] = (None, most, f"the most frequent {n}-gram")
        for n, most in zip(range(5, 11), config.max_repeated_ngram_characters, strict=True):
            self._rules[f"repeated_{n}grams"] = (None, most, f"repeated {n}-grams")

    def measure_texts(self, texts: Sequence[str], arrays: WordArrays) -> Measured:
        """Lines and paragraphs without those that are blank."""
        size = np.maximum(1, arrays.sums(arrays.lengths))
        scores: Measured = {name: [] for name in list(self._rules)[:4]}
        for text in texts:
            lines, characters = _repeated([line for line in map(str.strip, text.split("\n")) if line])
            paragraphs, of_paragraphs = _repeated([part for part in map(str.strip, text.split("\n\n")) if part])
            size_of_text = max(1, len(text))
            for name, value in zip(scores, (lines, paragraphs, characters / size_of_text, of_paragraphs / size_of_text), strict=True):
                scores[name].append(value)
        found = repeated_characters(arrays, range(2, 5), range(5, 11))
        return scores | {name: characters / size for name, characters in found.items()}


def _repeated(parts: list[str]) -> tuple[float, int]:
    """Share of the parts that stood there before, and their characters."""
    different = set(parts)
    if len(different) == len(parts):
        return 0.0, 0
    return (len(parts) - len(different)) / len(parts), sum(map(len, parts)) - sum(map(len, different))


@dataclass
class FineWebOptions:
    """FineWeb's own rules (arXiv:2406.17557)."""

    min_terminal_lines: float = option("least share of lines that end in punctuation", low=0, high=1)
    short_line: int = option("a line of at most so many characters is short", low=1)
    max_short_lines: float = option("greatest share of short lines", low=0, high=1)
    max_duplicate_line_characters: float = option("greatest share of characters in duplicated lines", low=0, high=1)
    max_newlines_per_word: float = option("most line ends for each word", low=0)


class FineWeb(Rules):
    """FineWeb's own rules, beyond Gopher's and C4's: line ends, short lines, duplicated lines, words per line."""

    MEASURED_BY = ("short_line",)

    def __init__(self, config: FineWebOptions) -> None:
        super().__init__()
        self._short = config.short_line
        self._rules = {
            "terminal_lines": (config.min_terminal_lines, None, "too few lines end in punctuation"),
            "short_lines": (None, config.max_short_lines, "too many short lines"),
            "duplicate_line_characters": (None, config.max_duplicate_line_characters, "characters in duplicated lines"),
            "newlines_per_word": (None, config.max_newlines_per_word, "too many line ends"),
        }

    def measure_texts(self, texts: Sequence[str], arrays: WordArrays) -> Measured:
        """Shares of the lines that are not blank."""
        terminal, short, duplicated, ends = [], [], [], []
        for text in texts:
            lines = [line for line in map(str.strip, text.split("\n")) if line]
            count = max(1, len(lines))
            newlines = text.count("\n")
            terminal.append(sum(line.endswith(TERMINAL) for line in lines) / count)
            short.append(sum(len(line) <= self._short for line in lines) / count)
            duplicated.append(_repeated(lines)[1] / max(1, len(text) - newlines))
            ends.append(newlines)
        return {
            "terminal_lines": terminal,
            "short_lines": short,
            "duplicate_line_characters": duplicated,
            "newlines_per_word": np.array(ends) / np.maximum(1, arrays.counts),
        }


@dataclass
class C4Options:
    """C4's rules (Raffel et al. 2020)."""

    language: str = option("language the rules are of: mostly other texts are refused")
    terminal_punctuation: bool = option("lines that do not end in punctuation go")
    min_words_per_line: int = option("lines with fewer words go", low=0)
    max_word_length: int = option("lines with a longer word go", low=1)
    no_braces: bool = option("texts with a brace go: they are code")
    remove_citations: bool = option("[1], [edit] and [citation needed] go")
    min_sentences: int = option("texts with fewer sentences go", low=0)


class C4(Step):
    """C4's rules: bad lines go, then texts with placeholder text, code, or too few sentences. Its bad words are `word_list`'s task."""

    def __init__(self, config: C4Options) -> None:
        self._config, self.language = config, config.language

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
        lines = (_CITATION.sub("", text) if config.remove_citations and "[" in text else text).split("\n")
        # Phrases are looked for in the lines only where the text has one.
        phrases = [phrase for phrase in _BAD_LINES if phrase in lower]
        joined = "\n".join([line for line in map(str.strip, lines) if self._line(line, phrases)])
        count = sum(1 for _ in _SENTENCE.finditer(joined))
        return joined, "too few sentences" if count < config.min_sentences else None, count

    def _line(self, line: str, phrases: Sequence[str]) -> bool:
        config = self._config
        if config.terminal_punctuation and (not line.endswith(TERMINAL[:6]) or line.endswith("...")):
            return False
        if config.min_words_per_line and len(line.split(None, config.min_words_per_line)) < config.min_words_per_line:
            return False
        if len(line) > config.max_word_length and any(len(word) > config.max_word_length for word in line.split()):
            return False
        return not phrases or not any(phrase in lower for lower in [line.lower()] for phrase in phrases)

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """The least number of sentences."""
        return {"sentences": (self._config.min_sentences, None)}


CLEANING_STEPS = {
    "gopher_quality": (GopherQualityOptions, GopherQuality),
    "gopher_repetition": (GopherRepetitionOptions, GopherRepetition),
    "c4": (C4Options, C4),
    "fineweb": (FineWebOptions, FineWeb),
}
