from types import SimpleNamespace

import pytest

from finecomb.data.dataset.manifest import Manifest
from finecomb.launch.freeze import Frozen
from finecomb.runs import directory
from finecomb.runs.record import Inputs, PreparedInput, RunRecord
from finecomb.runs.result import typed
from finecomb.studies.summary import funnel_lines, print_data_summary, truncation_line

MANIFEST = Manifest(
    rows={"train": 80, "test": 15}, label_kind="class", label_names=[], label_counts={}, columns=["text"], content_hash="",
    funnel=[
        {"step": "read", "split": "train", "rows_in": 100, "rows_out": 100, "changed": 0, "reasons": {}},
        {"step": "whitespace", "split": "train", "rows_in": 100, "rows_out": 100, "changed": 7, "reasons": {}},
        {"step": "duplicates", "split": "train", "rows_in": 100, "rows_out": 95, "changed": 0, "reasons": {"duplicate": 5}},
    ],
)  # fmt: skip


def test_every_row_that_is_dropped_or_changed_is_told_with_its_reason_and_no_other_step():
    lines = [" ".join(line.split()) for line in funnel_lines(MANIFEST, "mine")]
    assert lines == ["data mine: train 80, test 15", "whitespace train 100 7 changed", "duplicates train 100 -> 95 5 duplicate"]


def test_truncation_is_told_for_the_splits_that_have_any():
    counts = {"truncated_tokens": 12, "truncated_examples": 2, "examples": 9}
    encoded = {"train": counts, "test": {"truncated_tokens": 0, "truncated_examples": 0, "examples": 3}}
    result = {"config": {"batch": {"max_length": 16}}, "counts": {"encoded": encoded}}
    assert truncation_line(typed(result)) == "cut at batch.max_length=16: train 12 tokens of 2 of 9 texts"
    assert truncation_line(typed({"counts": {"encoded": {"test": encoded["test"]}}})) is None


@pytest.mark.parametrize(("max_steps", "reported"), [(31, True), (30, False), (7, False), (-1, False)])
def test_max_steps_that_max_epochs_do_not_reach_are_reported_before_training(tmp_path, capsys, max_steps, reported):
    # 3 epochs of 80 examples in batches of 8 are 30 steps.
    MANIFEST.write(tmp_path)
    trainer = SimpleNamespace(max_epochs=3, max_steps=max_steps)
    config = SimpleNamespace(dataset=SimpleNamespace(name="mine"), batch=SimpleNamespace(size=8), trainer=trainer, rerun=None)
    record = RunRecord("0" * 12, "run", inputs=Inputs(PreparedInput(str(tmp_path))))
    run = directory.create(tmp_path / "runs", {}, record)
    job = Frozen(run, config, record, label="run")
    print_data_summary([job, job])
    lines = [line for line in capsys.readouterr().err.splitlines() if "max_steps" in line]
    expected = "trainer.max_steps=31 is not reached: trainer.max_epochs=3 ends training after 30 steps (data mine, batch.size=8)"
    assert lines == ([expected] if reported else [])
