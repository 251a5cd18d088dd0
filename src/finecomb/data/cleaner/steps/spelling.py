"""Spelling: one map of corrections for the whole corpus, conservative, to be read by a person and then applied.

A word is corrected only where everything speaks for it: it is in no dictionary and rare in the corpus, means nothing in code or in another
language there, and a dictionary word that is a likely slip away is much more frequent in the same corpus (`corrections.py`). Blind
correction of every unknown word alters one word in ten of clean technical text, nearly all of them wrongly.

Other languages need their list of words: one on each line, or a hunspell .dic. Words that stand with a capital only, as German nouns do,
cannot be told from names and are left alone.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from finecomb.config.schema.base import option
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.cleaner.corrections import corrections
from finecomb.data.cleaner.step import Batch, Corpus, CorpusStep, Decision, Facts, Sketch, TextRewrite

# Whole words only: not within URLs, paths, addresses, hashtags, identifiers, numbers or hyphenated compounds.
_TOKEN = re.compile(r"(?<![\w@#/\\.:=`$<&'\u2019-])[^\W\d_]+(?![\w@/\\=`(]|['\u2019-]\w|[.:]\w)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
# Words that mean something to a machine: parts of paths, addresses, identifiers; not of compounds and contractions.
_IN_CODE = re.compile(r"(?<!['\u2019-])[^\W\d_]+(?!['\u2019-])")
_FLAGS = re.compile(r"(?<!\\)/|\s")
_ENOUGH, _FOREIGN = 10, 0.6  # words that a text must have to be judged, and the share of the usual share of dictionary words
HEAD = "wrong\tright\tcount\tcount_right"


@dataclass
class SpellingOptions:
    """Rare misspellings are corrected by one map for the whole corpus."""

    min_length: int = option("shorter words are left alone", low=2)
    max_count: int = option("words that occur more often are left alone", low=1)
    min_ratio: int = option("the correction is at least so many times as frequent in the corpus", low=1)
    two_edits_from: int = option("words of this length on may differ in two edits", low=3)
    dictionary: Optional[str] = option("a file of words, one on each line, or hunspell's .dic; null: English, as it comes with symspellpy")
    map: Optional[str] = option("a map that was written before and perhaps edited; null: build one")


class Spelling(CorpusStep, TextRewrite):
    """Applies a map of corrections: that of `map`, or one built from the training texts, which the report and corrections.tsv show."""

    VERSION = 2
    LIBRARIES = ("symspellpy",)

    def __init__(self, config: SpellingOptions) -> None:
        self._config = config
        self._map: dict[str, str] = {}
        if config.map is not None:
            self._map = read_map(Path(config.map))
        elif config.dictionary is None:
            self.language = "en"

    def sketch(self, batch: Batch) -> Facts:
        """How often each word stands in a shard, and which stand in code; nothing where the map is given."""
        if self._config.map is not None:
            return {}
        known = dictionary(self._config.dictionary)
        found = counted([*batch.text, *(batch.text_pair or ())], known)
        return {"lower": found.lower, "capital": found.capital, "elsewhere": sorted(found.elsewhere - known.keys())}

    def plan(self, sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """The map: the given one, or built from the words of train (of all splits where there is no train)."""
        if self._config.map is not None:
            return {"corrections": [], "map": self._map}
        mine = [each for each in sketches if each.split == "train"] or sketches
        lower: Counter[str] = Counter()
        capital: Counter[str] = Counter()
        for each in mine:
            lower.update(each.facts["lower"])
            capital.update(each.facts["capital"])
        elsewhere = frozenset(word for each in mine for word in each.facts["elsewhere"])
        rows = corrections(lower, capital, elsewhere, dictionary(self._config.dictionary), self._config)
        named = [dataclasses.asdict(row) for row in rows]
        return {"corrections": named, "map": {row["wrong"]: row["right"] for row in named}}

    def carry_out(self, batch: Batch, state: Facts) -> Decision:
        """Rewrite by the map."""
        self._map = dict(state["map"])
        return TextRewrite.decide(self, batch)

    @property
    def learns(self) -> bool:  # type: ignore[override]
        """Whether the map comes from the corpus."""
        return self._config.map is None

    def recall(self, record: Mapping[str, Any]) -> None:
        """The map of an earlier run."""
        self._map = {row["wrong"]: row["right"] for row in record.get("corrections", [])}

    def rewrite(self, text: str) -> str:
        """Correct words in lower case, and words that only begin with a capital, which stays."""
        if not self._map:
            return text
        if "`" not in text:
            return _TOKEN.sub(self._corrected, text)
        parts, start = [], 0
        for code in _CODE.finditer(text):
            parts += [_TOKEN.sub(self._corrected, text[start : code.start()]), code[0]]
            start = code.end()
        return "".join([*parts, _TOKEN.sub(self._corrected, text[start:])])

    def _corrected(self, match: re.Match[str]) -> str:
        word = match[0]
        right = self._map.get(word.lower())
        if right is None or not (word.islower() or word[1:].islower()):
            return word
        return right if word.islower() else right[0].upper() + right[1:]

    def record(self, state: Facts) -> dict[str, Any]:
        """The map, the most frequent first."""
        return {"corrections": state["corrections"], "given": self._config.map is not None}

    @staticmethod
    def inputs(config: SpellingOptions) -> list[Any]:
        """What the files say, whatever they are called."""
        given = [read_map(Path(config.map))] if config.map is not None else []
        return [*given, *([sorted(dictionary(config.dictionary))] if config.dictionary is not None else [])]


@dataclass
class Counts:
    """Words of texts: in lower case and with a capital, how often; and those that stand in code or in texts of other languages."""

    lower: Counter[str]
    capital: Counter[str]
    elsewhere: set[str]


def counted(texts: Iterable[str], known: Mapping[str, int]) -> Counts:
    """Count the words of running text. A text in which dictionary words are far rarer than in the others is of another language."""
    found = Counts(Counter(), Counter(), set())
    of_texts = []
    for text in texts:
        prose = _CODE.sub(" ", text) if "`" in text else text
        tokens = _TOKEN.findall(prose)
        rest = _TOKEN.sub(" ", prose) if prose is text else " ".join([_TOKEN.sub(" ", prose), *_CODE.findall(text)])
        found.elsewhere.update(map(str.lower, _IN_CODE.findall(rest)))
        lower = [word for word in tokens if word.islower()]
        of_texts.append((tokens, len(lower), sum(word in known for word in lower)))
    usual = sum(hits for _, _, hits in of_texts) / max(1, sum(count for _, count, _ in of_texts))
    for tokens, count, hits in of_texts:
        if count >= _ENOUGH and hits < _FOREIGN * usual * count:
            found.elsewhere.update(map(str.lower, tokens))
            continue
        for word in tokens:
            (found.lower if word.islower() else found.capital)[word.lower()] += 1
    return found


@functools.cache
def dictionary(path: str | None) -> Mapping[str, int]:
    """Words with their frequencies: the 82,765 English ones that come with symspellpy, or a file with a word on each line.

    A file that ends in .dic is hunspell's: its first line is a number, flags follow a slash, and the .aff beside it names the encoding.
    """
    if path is None:
        from importlib.resources import files

        text = (files("symspellpy") / "frequency_dictionary_en_82_765.txt").read_text(encoding="utf-8-sig")
        return {word: int(count) for word, count in (line.split(" ") for line in text.splitlines() if line)}
    file = Path(path).expanduser()
    try:
        lines = file.read_text(encoding=_encoding(file)).splitlines()
    except (OSError, UnicodeDecodeError, LookupError) as error:
        hint = "one word on each line, UTF-8; a count may follow; or a .dic of hunspell with its .aff beside it"
        raise ConfigError(Problem(f"the word list cannot be read: {error}", "cleaner.steps.spelling.dictionary", hint=hint)) from error
    if file.suffix == ".dic":
        return {word: 1 for line in lines[1:] if (word := _FLAGS.split(line, maxsplit=1)[0].replace("\\/", "/").strip().lower())}
    cells = [line.split() for line in lines if line.strip()]
    return {cell[0].lower(): int(cell[1]) if len(cell) > 1 and cell[1].isdigit() else 1 for cell in cells}


def _encoding(file: Path) -> str:
    """UTF-8, unless the .aff beside a .dic says otherwise."""
    beside = file.with_suffix(".aff")
    if file.suffix == ".dic" and beside.is_file():
        for line in beside.read_bytes().splitlines()[:50]:
            if line.removeprefix(b"\xef\xbb\xbf").startswith(b"SET "):
                return line.split()[1].decode("ascii", "replace")
    return "utf-8-sig"


def read_map(path: Path) -> dict[str, str]:
    """A map as `write_map` writes it and a person has edited it. Raises ConfigError naming the line that is none."""
    try:
        lines = path.expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(Problem(f"the map of corrections cannot be read: {error}", "cleaner.steps.spelling.map")) from error
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line == HEAD or line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) < 2 or not cells[0] or not cells[1]:
            raise ConfigError(Problem("a line of the map has no correction", f"{path}, line {number}", hint="wrong, a tab, right"))
        found[cells[0].lower()] = cells[1]
    return found


def write_map(rows: Iterable[Mapping[str, Any]]) -> str:
    """The map as text: a line for each correction, to be edited by deleting lines or changing the second word."""
    return "\n".join([HEAD, *(f"{row['wrong']}\t{row['right']}\t{row['count']}\t{row['count_right']}" for row in rows)]) + "\n"


CLEANING_STEPS = {"spelling": (SpellingOptions, Spelling)}
