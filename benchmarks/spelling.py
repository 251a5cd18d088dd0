"""Correction of spelling on real text with real misspellings put in: precision, recall, and how many clean words are altered.

    python -m benchmarks.spelling [FOLDER ...] [--count 12000]

FOLDER: text files, as Debian's linux-doc or Python's documentation have them (`apt-get download linux-doc-6.1; dpkg -x ...`). Without any,
and besides: the film reviews and newspaper editorials that finecomb fetches. Misspellings are those of codespell's dictionary that have one
correction (fetched from the package registry, read, not installed; CC-BY-SA). Words of running text are drawn evenly and replaced until
`--count` are wrong, at most one word in twenty.

The step runs as in `cleaner=spelling`. A change is right when it gives back the word that stood there. Every other change is wrong, also
that of a word nobody touched; of those it is told how many codespell too takes for misspellings: mistakes of the authors.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.near_corpus import documents
from finecomb.assets import fetch
from finecomb.config.locate import conf_dir
from finecomb.config.sources import values_of
from finecomb.data.cleaner.corrections import corrections
from finecomb.data.cleaner.steps import spelling
from finecomb.data.cleaner.steps.spelling import SpellingOptions

CODESPELL = "dist:codespell==2.4.3!codespell_lib/data/dictionary.txt"
SHA256 = "af2505b335e8573dbd2d384d1c4ef498f4006f4ba2d6fceca01e55b91f52628a"
WORD = re.compile(r"(?<![^\s(\"'])[^\W\d_]+(?=[\s,.;:!?)\"']|$)")
HARDEST = 0.05  # share of words that may be replaced


def misspellings() -> dict[str, str]:
    """Wrong -> right, of codespell's pairs with one correction that are words of lower-case letters."""
    pairs = {}
    for line in fetch([CODESPELL], sha256=SHA256).path.read_text(encoding="utf-8").splitlines():
        wrong, _, right = line.strip().partition("->")
        if all(word.isalpha() and word.islower() and word.isascii() for word in (wrong, right)):
            pairs[wrong] = right
    return pairs


def spoilt(texts: Sequence[str], pairs: Mapping[str, str], count: int) -> tuple[list[str], list[dict[int, str]]]:
    """The texts with `count` words replaced, and for each text the words that stood there, by their number among its words."""
    wrongs = defaultdict(list)
    for wrong, right in pairs.items():
        wrongs[right].append(wrong)
    draw = random.Random(0)
    places = [
        (row, number) for row, text in enumerate(texts) for number, found in enumerate(WORD.finditer(text)) if _plain(found[0], wrongs)
    ]
    words = sum(1 for text in texts for _ in WORD.finditer(text))
    chosen = defaultdict(set)
    for row, number in draw.sample(places, min(count, len(places), int(HARDEST * words))):
        chosen[row].add(number)
    told: list[dict[int, str]] = [{} for _ in texts]
    after = list(texts)
    for row, numbers in sorted(chosen.items()):
        parts, start = [], 0
        for number, found in enumerate(WORD.finditer(texts[row])):
            if number in numbers:
                wrong = draw.choice(wrongs[found[0].lower()])
                told[row][number] = found[0]
                parts += [texts[row][start : found.start()], wrong if found[0].islower() else wrong.capitalize()]
                start = found.end()
        after[row] = "".join([*parts, texts[row][start:]])
    return after, told


def _plain(word: str, wrongs: Mapping[str, object]) -> bool:
    return word.lower() in wrongs and (word.islower() or word[1:].islower())


def measure(name: str, texts: Sequence[str], pairs: Mapping[str, str], count: int, config: SpellingOptions) -> None:
    """Spoil, correct, compare word by word, and print a line."""
    noisy, told = spoilt(texts, pairs, count)
    known = spelling.dictionary(config.dictionary)
    started = time.perf_counter()
    found = spelling.counted(noisy, known)
    counting = time.perf_counter() - started
    rows = corrections(found.lower, found.capital, frozenset(found.elsewhere - known.keys()), known, config)
    mapping = time.perf_counter() - started - counting
    step = spelling.Spelling(config)
    step.recall({"corrections": [{"wrong": row.wrong, "right": row.right} for row in rows]})
    tally: Counter[str] = Counter()
    for text, clean in zip(noisy, told, strict=True):
        before, after = WORD.findall(text), WORD.findall(step.rewrite(text))
        assert len(before) == len(after)
        tally["words"] += len(before)
        tally["spoilt"] += len(clean)
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            if old != new:
                tally["changed"] += 1
                tally["right"] += new == clean.get(number)
                tally["clean altered"] += number not in clean
                tally["authors"] += number not in clean and pairs.get(old.lower()) == new.lower()
    altered = 100 * tally["clean altered"] / max(1, tally["words"] - tally["spoilt"])
    precision, recall = tally["right"] / max(1, tally["changed"]), tally["right"] / max(1, tally["spoilt"])
    print(f"  {name}: {tally['words']:,} words, {tally['spoilt']:,} spoilt")
    print(f"    precision {precision:.4f}, recall {recall:.4f}, clean words altered {altered:.4f} %: "
          f"{tally['clean altered']:,}, of which {tally['authors']:,} were mistakes of the authors")  # fmt: skip
    print(f"    {len(found.lower):,} different words counted in {counting:.1f} s, their map made in {mapping:.1f} s")


def ratings(name: str) -> list[str]:
    """Sentences of a shipped dataset of ratings."""
    values = values_of(conf_dir() / "dataset" / f"{name}.yaml")
    lines = fetch(values["source"], sha256=values["sha256"]).path.read_text(encoding="utf-8").splitlines()
    return [line.split("\t", 2)[2] for line in lines]


def main() -> None:
    """Print a line for each corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--count", type=int, default=12_000)
    given = parser.parse_args()
    config = SpellingOptions(**values_of(conf_dir() / "cleaner" / "spelling.yaml")["steps"]["spelling"])
    pairs = misspellings()
    print(f"{len(pairs):,} misspellings with one correction")
    for folder in given.folders:
        measure(
            folder.parent.name if folder.name == "Documentation" else folder.name, documents(folder, 100_000), pairs, given.count, config
        )
    for name in ("movie_reviews", "nyt_editorials"):
        measure(name, ratings(name), pairs, given.count, config)


if __name__ == "__main__":
    main()
