"""Rates of the filters on real documents: a list of 400 words, patterns, and the published quality rules.

    python -m benchmarks.filters FOLDER [--limit 4000] [--rounds 3]

FOLDER: text files, as Debian's linux-doc has them. Rates are megabytes of UTF-8 a second of one core, the best of the rounds, for the
step alone (`decide` on batches of 1,000 texts in memory). Beside the list of words: Python's own `re` with the same 400 words, on a part.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.near_corpus import documents
from finecomb.config.locate import conf_dir
from finecomb.data.cleaner.step import Batch, Step
from finecomb.data.cleaner.steps import filters, quality, spelling
from finecomb.data.cleaner.steps.filters import LengthOptions, PatternsOptions, WordListOptions
from finecomb.data.cleaner.steps.quality import C4Options, FineWebOptions, GopherQualityOptions, GopherRepetitionOptions
from finecomb.data.texts import Texts

BATCH = 1000
PATTERNS = [r"(?i)copyright", r"[\w.+-]+@[\w-]+\.[\w.]+", r"\b\d{1,3}(?:\.\d{1,3}){3}\b", r"https?://\S+", r"lorem\s+ipsum"]


def listed(count: int) -> list[str]:
    """Rare English words, as a list of unwanted ones has them."""
    known = sorted(spelling.dictionary(None).items(), key=lambda each: -each[1])
    return random.Random(0).sample([word for word, _ in known[30_000:80_000] if len(word) > 4], count)


def rate(step: Step, batches: Sequence[Batch], megabytes: float, rounds: int) -> tuple[float, int]:
    """Best rate, and how many rows the step drops."""
    best, dropped = 0.0, 0
    for _ in range(rounds):
        started = time.process_time()
        dropped = sum(len(step.decide(batch).drop) for batch in batches)
        best = max(best, megabytes / (time.process_time() - started))
    return best, dropped


def values(name: str, step: str) -> dict[str, Any]:
    """The values of a step in a shipped recipe."""
    found: dict[str, Any] = yaml.safe_load((conf_dir() / "cleaner" / f"{name}.yaml").read_text())["steps"][step]
    return found


def main() -> None:
    """Print a line for each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    texts = documents(given.folder, given.limit)
    size = sum(len(text.encode()) for text in texts) / 1e6
    batches = [
        Batch("train", list(map(str, range(start, start + len(part)))), Texts.of(part).kept(), None, [None] * len(part))
        for start in range(0, len(texts), BATCH)
        for part in [texts[start : start + BATCH]]
    ]
    print(f"{len(texts):,} documents, {size:.1f} MB")
    words = listed(400)
    steps: list[tuple[str, Step]] = [
        ("word_list, 400 words", filters.WordList(WordListOptions(words, None, 0))),
        ("patterns, 5", filters.Patterns(PatternsOptions(PATTERNS, [], any_case=False))),
        ("length", filters.Length(LengthOptions(None, None, 10, None))),
        ("gopher_quality", quality.GopherQuality(GopherQualityOptions(**values("gopher", "gopher_quality")))),
        ("gopher_repetition", quality.GopherRepetition(GopherRepetitionOptions(**values("gopher", "gopher_repetition")))),
        ("c4", quality.C4(C4Options(**values("c4", "c4")))),
        ("fineweb", quality.FineWeb(FineWebOptions(**values("fineweb", "fineweb")))),
    ]
    for name, step in steps:
        found, dropped = rate(step, batches, size, given.rounds)
        print(f"  {name:<24} {found:8.1f} MB/s {dropped:6,} of {len(texts):,} rows dropped")
    search = re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)
    some = texts[:100]
    started = time.process_time()
    hits = sum(search.search(text) is not None for text in some)
    part = sum(len(text.encode()) for text in some) / 1e6
    print(f"  {'the list by re (100)':<24} {part / (time.process_time() - started):8.1f} MB/s {hits:6,} of {len(some):,} rows")


if __name__ == "__main__":
    main()
