"""Which runs are the seeds of one arm."""

from __future__ import annotations

from pathlib import Path

from finecomb.runs.record import Inputs, ModelInput, PreparedInput, RunRecord
from finecomb.studies.analysis.arms import ComparedRun, group


def run(seed: int, path: str, content: str, weights: str = "w") -> ComparedRun:
    identity = {"tuning.name": "full", "dataset.name": "files", "dataset.path": path, "dataset.files.train": "train.csv"}
    inputs = Inputs(PreparedInput(content_hash=content), ModelInput(sha256=weights))
    return ComparedRun(Path(f"{path}-{seed}"), seed, "finished", {}, identity, RunRecord("", "", inputs=inputs), None, None)


def test_the_same_content_in_another_place_is_the_same_arm() -> None:
    [arm] = group([run(0, "here", "same"), run(1, "there", "same")])
    assert [each.seed for each in arm.runs] == [0, 1]


def test_its_place_distinguishes_arms_of_other_content() -> None:
    arms = group([run(0, "here", "one"), run(0, "there", "two"), run(1, "elsewhere", "one")])
    assert [(arm.label, len(arm.runs)) for arm in arms] == [("full dataset.path=here", 2), ("full dataset.path=there", 1)]
