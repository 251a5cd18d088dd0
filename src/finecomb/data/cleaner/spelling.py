"""Spelling: one map of corrections for the whole corpus, conservative, to be read by a person and then applied.

A word is corrected only where everything speaks for it: it is in no dictionary and rare in the corpus, and a dictionary word that is near
in letters (Damerau-Levenshtein, by SymSpell) is much more frequent in the same corpus. Blind correction of every unknown word alters one
word in ten of clean technical text, nearly all of them wrongly.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from finecomb.config.errors import Problem, UserError
from finecomb.config.schema import cleaner as schema
from finecomb.data.cleaner.step import Batch, Corpus, CorpusStep, Decision, Facts, Sketch, TextRewrite

# Whole words only: not within URLs, paths, addresses, hashtags, identifiers, numbers or hyphenated compounds.
_TOKEN = re.compile(r"(?<![\w@#/\\.:=`$<&'\u2019-])[^\W\d_]+(?![\w@/\\=`(]|['\u2019-]\w|[.:]\w)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
HEAD = "wrong\tright\tcount\tcount_right"


class Spelling(CorpusStep, TextRewrite):
    """Applies a map of corrections: that of `map`, or one built from the training texts, which the report and corrections.tsv show."""

    VERSION = 1

    def __init__(self, config: schema.Spelling) -> None:
        self._config = config
        self._map: dict[str, str] = {}
        if config.map is not None:
            self._map = read_map(Path(config.map))
        elif config.dictionary is None:
            self.language = "en"

    def sketch(self, batch: Batch) -> Facts:
        """How often each word stands in a shard; nothing where the map is given."""
        if self._config.map is not None:
            return {}
        lower, capital = _counts([*batch.text, *(batch.text_pair or ())])
        return {"lower": lower, "capital": capital}

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
        rows = map_of_counts(lower, capital, dictionary(self._config.dictionary), self._config)
        named = [{"wrong": w, "right": r, "count": c, "count_right": n} for w, r, c, n in rows]
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
    def inputs(config: schema.Spelling) -> list[Any]:
        """What the files say, whatever they are called."""
        given = [read_map(Path(config.map))] if config.map is not None else []
        return [*given, *([sorted(dictionary(config.dictionary))] if config.dictionary is not None else [])]


def build_map(texts: Iterable[str], known: Mapping[str, int], config: schema.Spelling) -> list[tuple[str, str, int, int]]:
    """Rows (wrong, right, count of wrong, count of right), the most frequent first. known: the dictionary with its frequencies."""
    return map_of_counts(*_counts(texts), known, config)


def map_of_counts(
    lower: Counter[str], capital: Counter[str], known: Mapping[str, int], config: schema.Spelling
) -> list[tuple[str, str, int, int]]:
    """The same, of the words' counts in lower case and with a capital."""
    from symspellpy import SymSpell, Verbosity

    suspects = [
        word
        for word, count in sorted(lower.items(), key=lambda each: (-each[1], each[0]))
        if word not in known and len(word) >= config.min_length and count <= config.max_count and capital[word] < count
    ]
    if not suspects:
        return []
    speller = SymSpell(max_dictionary_edit_distance=2, prefix_length=7)
    for word, frequency in known.items():
        speller.create_dictionary_entry(word, frequency)
    rows = []
    for word in suspects:
        distance = 2 if len(word) >= config.two_edits_from else 1
        # The nearest words of the whole dictionary: where one of them is rare here, another word was meant and the corpus cannot tell.
        found = speller.lookup(word, Verbosity.CLOSEST, max_edit_distance=distance)
        near = {each.term: lower[each.term] for each in found}
        right = max(near, key=lambda term: (near[term], term), default=None)
        if right is None or right[0] != word[0] or near[right] < config.min_ratio * lower[word]:
            continue
        rivals = sum(count for term, count in near.items() if term != right)
        if rivals * config.min_ratio <= near[right] and not _inflected(word, right, known, found[0].distance):
            rows.append((word, right, lower[word], near[right]))
    return rows


def _inflected(word: str, other: str, known: Mapping[str, int], distance: int) -> bool:
    """Whether a word is a dictionary word with an ending or a prefix that the list happens to miss, or two words written together."""
    if word.startswith(other) or other.startswith(word):
        return True
    stems = [word[: -len(end)] for end in ("s", "es", "ed", "er", "ers", "ing", "able", "ness", "ly", "less") if word.endswith(end)]
    stems += [f"{word[: -len(end)]}e" for end in ("ed", "er", "ers", "ing", "able") if word.endswith(end)]
    stems += [word[len(start) :] for start in ("re", "un", "non", "sub", "pre", "de", "multi", "auto", "over") if word.startswith(start)]
    stems += [word[:cut] for cut in range(len(word) - distance, len(word)) if cut > 3]
    if any(len(stem) > 2 and stem in known for stem in stems):
        return True
    return any(word[:cut] in known and word[cut:] in known for cut in range(3, len(word) - 2))


def _counts(texts: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """How often words stand in lower case, and how often with a capital."""
    lower: Counter[str] = Counter()
    capital: Counter[str] = Counter()
    for text in texts:
        for word in _TOKEN.findall(_CODE.sub(" ", text) if "`" in text else text):
            (lower if word.islower() else capital)[word.lower()] += 1
    return lower, capital


@functools.cache
def dictionary(path: str | None) -> Mapping[str, int]:
    """Words with their frequencies: the 82,765 English ones that come with symspellpy, or a file with a word on each line."""
    if path is None:
        from importlib.resources import files

        text = (files("symspellpy") / "frequency_dictionary_en_82_765.txt").read_text(encoding="utf-8-sig")
        return {word: int(count) for word, count in (line.split(" ") for line in text.splitlines() if line)}
    try:
        lines = Path(path).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        mend = "one word on each line, UTF-8; a count may follow"
        raise UserError(Problem(f"the word list cannot be read: {error}", "cleaner.steps.spelling.dictionary", mend=mend)) from error
    cells = [line.split() for line in lines if line.strip()]
    return {cell[0].lower(): int(cell[1]) if len(cell) > 1 and cell[1].isdigit() else 1 for cell in cells}


def read_map(path: Path) -> dict[str, str]:
    """A map as `write_map` writes it and a person has edited it. Raises UserError naming the line that is none."""
    try:
        lines = path.expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(Problem(f"the map of corrections cannot be read: {error}", "cleaner.steps.spelling.map")) from error
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line == HEAD or line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) < 2 or not cells[0] or not cells[1]:
            raise UserError(Problem("a line of the map has no correction", f"{path}, line {number}", mend="wrong, a tab, right"))
        found[cells[0].lower()] = cells[1]
    return found


def write_map(rows: Iterable[Mapping[str, Any]]) -> str:
    """The map as text: a line for each correction, to be edited by deleting lines or changing the second word."""
    return "\n".join([HEAD, *(f"{row['wrong']}\t{row['right']}\t{row['count']}\t{row['count_right']}" for row in rows)]) + "\n"
