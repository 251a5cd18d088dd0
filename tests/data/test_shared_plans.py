"""Plans that several tasks share by ranges of hashes are those that one makes."""

import numpy as np
import pytest

from finecomb.config.schema import cleaner as schema
from finecomb.data.cleaner.duplicates import Duplicates
from finecomb.data.cleaner.overlap import RepeatedLines
from finecomb.data.cleaner.step import Batch, Sketch
from finecomb.data.texts import Texts

LINES = [f"line {number % 13} of some words\nown line {number % 97} here\nand number {number}" for number in range(400)]
SPLITS = {"test": LINES[:60], "validation": LINES[30:90], "train": LINES[:300] + LINES[100:]}


class Corpus:
    every = [text for texts in SPLITS.values() for text in texts]

    def text(self, row: int) -> str:
        return self.every[row]


def sketched(step):
    sketches, start = [], 0
    for split, texts in SPLITS.items():
        for at in range(0, len(texts), 70):
            some = texts[at : at + 70]
            batch = Batch(
                split, [f"{split}{at + n}" for n in range(len(some))], Texts.of(some), None, ["ab"[n % 2] for n in range(len(some))]
            )
            sketches.append(Sketch(split, start, len(some), step.sketch(batch)))
            start += len(some)
    return sketches


@pytest.mark.parametrize(
    "step", [Duplicates(schema.Duplicates(True)), Duplicates(schema.Duplicates(False)), RepeatedLines(schema.RepeatedLines(5, 2))],
    ids=["duplicates", "duplicates of each split", "repeated lines"],
)  # fmt: skip
def test_a_shared_plan_is_the_plan_of_one(step):
    sketches = sketched(step)
    alone = step.plan(sketches, Corpus())
    assert any(len(value) > 10 for value in alone.values())
    for parts in (2, 5):
        shared = [step.plan_part(sketches, part, parts) for part in range(parts)]
        together = step.join(shared, sketches, Corpus())
        assert alone.keys() == together.keys()
        for name, value in alone.items():
            assert np.array_equal(together[name], value) if isinstance(value, np.ndarray) else together[name] == value
