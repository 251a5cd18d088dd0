"""Law 2 and law 5: loss, metrics and predictions do not depend on the batch size, belong to the right example, and survive the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch
from harness import FAMILIES, TASKS, TUNINGS, cell_config, parts_of, prepared, tuning_overrides
from tiny_runs import make_data, make_run, tiny_config

from finecomb.training import worker
from finecomb.training.datamodule import EvaluationLoader
from finecomb.training.evaluate import Evaluation, _over_groups, evaluate
from finecomb.training.parts import Parts

# float64; measured: below 1e-14.
TOLERANCE = 1e-9


def evaluation(parts: Parts, size: int, split: str = "test") -> Evaluation:
    """Evaluate as the end of a run does."""
    return evaluate(parts.tuned, parts.task, parts.loss, EvaluationLoader(parts.data.splits[split], size), device=torch.device("cpu"))


def check_batch_sizes(parts: Parts) -> None:
    """Loss, metrics and logits are the same at any evaluation batch size."""
    one = evaluation(parts, 1)
    for size in (7, 64):
        other = evaluation(parts, size)
        assert torch.allclose(one.kept, other.kept, rtol=TOLERANCE, atol=TOLERANCE)
        assert one.metrics.keys() == other.metrics.keys()
        for name, value in one.metrics.items():
            assert value == pytest.approx(other.metrics[name], abs=TOLERANCE), name


def check_each_alone(parts: Parts) -> None:
    """Row n of the predictions is what example n gets by itself."""
    found = evaluation(parts, 4)
    split = parts.data.splits["test"]
    parts.tuned.model.eval()
    for row in range(len(split)):
        tokens = split.encoded.features(torch.tensor([row]).numpy())[0]
        inputs = {name: torch.as_tensor(tokens[name])[None] for name in parts.backbone.tokenizer.model_input_names}
        with torch.no_grad():
            alone = parts.tuned.forward(inputs)[0]
        assert torch.allclose(alone, found.kept[row], rtol=TOLERANCE, atol=TOLERANCE), f"row {row}"


@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("task", TASKS)
def test_evaluation_does_not_depend_on_the_batch_size(task: str, tuning: str, data_folder: Path) -> None:
    parts = parts_of(cell_config(data_folder, task, tuning))
    check_batch_sizes(parts)
    check_each_alone(parts)


@pytest.mark.parametrize("tuning", ["full", "prompt"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_an_example_its_own_logits(family: str, tuning: str, data_folder: Path) -> None:
    check_each_alone(parts_of(cell_config(data_folder, "pair", tuning, "model=tiny", f"model.architecture={family}")))


def test_fp32_stays_within_rounding(data_folder: Path) -> None:
    parts = parts_of(cell_config(data_folder, "single", "full"), double=False)
    one, other = evaluation(parts, 1), evaluation(parts, 64)
    assert torch.allclose(one.kept, other.kept, rtol=1e-5, atol=1e-6)  # measured: 2e-7
    assert one.metrics["loss"] == pytest.approx(other.metrics["loss"], rel=1e-6)
    assert one.metrics["accuracy"] == other.metrics["accuracy"]


def test_the_choice_of_epoch_does_not_depend_on_the_evaluation_batch_size(data_folder: Path, tmp_path: Path) -> None:
    settings = ["trainer.precision=bf16-mixed", "trainer.max_epochs=4", "monitor.metric=loss", "evaluate.test=false", "optimizer.lr=0.01"]
    curves, chosen = [], []
    for size in (1, 64):
        run = make_run(tmp_path, prepared(data_folder, "single"), *settings, f"batch.eval_size={size}", name=f"size{size}")
        assert worker.attempt(run, first=True, started=0.0) == 0
        curves.append([line["validation/loss"] for line in run.metrics() if "validation/loss" in line])
        result = run.result() or {}
        chosen.append(result["selection"]["best_epoch"])
        # The value by which the epoch was chosen is the value that is reported.
        assert result["metrics"]["validation/loss"] == result["selection"]["best_value"] == min(curves[-1])
    assert chosen[0] == chosen[1]
    assert curves[0] == pytest.approx(curves[1], rel=1e-6)  # fp32; in bf16 they differ by 1e-3


def test_metrics_of_groups_are_over_the_rows_of_the_group(tmp_path: Path) -> None:
    parts = parts_of(tiny_config(make_data(tmp_path / "data", group=True)))
    found, split = evaluation(parts, 4), parts.data.splits["test"]
    assert split.groups is not None
    targets = torch.tensor(split.labels)
    right = found.kept.argmax(1) == targets
    for group in ("a", "b"):
        rows = torch.tensor([name == group for name in split.groups])
        assert found.named("test")[f"test/accuracy@group={group}"] == pytest.approx(float(right[rows].double().mean()))
        expected = torch.nn.functional.cross_entropy(found.kept[rows], targets[rows])
        assert found.named("test")[f"test/loss@group={group}"] == pytest.approx(float(expected))
    for name, worst, best in (("accuracy", min, max), ("loss", max, min)):
        of_groups = [found.metrics[f"{name}@group={group}"] or 0.0 for group in ("a", "b")]
        over = [found.metrics[f"{name}@group.{which}"] for which in ("worst", "best", "gap")]
        assert over == [worst(of_groups), best(of_groups), max(of_groups) - min(of_groups)]


def test_metrics_over_groups_are_undefined_where_one_groups_are() -> None:
    assert _over_groups({"a": {"mcc": None}, "b": {"mcc": 0.5}}) == dict.fromkeys(("mcc@group.worst", "mcc@group.best", "mcc@group.gap"))


@pytest.mark.parametrize(("task", "tuning"), [("single", "full"), ("pair", "lora"), ("multi_label", "head"), ("regression", "prompt")])
def test_a_finished_run_leaves_predictions_by_id_and_an_artifact_that_gives_them(
    task: str, tuning: str, data_folder: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path, prepared(data_folder, task), *TASKS[task][1], *tuning_overrides(tuning))
    assert worker.attempt(run, first=True, started=0.0) == 0
    rows = pyarrow.parquet.read_table(run.predictions / "test.parquet").to_pylist()
    parts = parts_of(tiny_config(prepared(data_folder, task), *TASKS[task][1], *tuning_overrides(tuning)))
    split = parts.data.splits["test"]
    assert [row["id"] for row in rows] == split.ids
    names = parts.task.label_names
    if names is not None:
        check_labels(rows, names, run.artifact)
    result: dict[str, Any] = run.result() or {}
    assert result["reloaded"]["largest_difference"] <= 1e-5
    losses = torch.tensor([row["loss"] for row in rows], dtype=torch.float64)
    assert result["metrics"]["test/loss"] == pytest.approx(float(losses.mean()))


def check_labels(rows: list[dict[str, Any]], names: list[str], artifact: Path) -> None:
    """Labels and predictions are names, and the artifact knows them in the order of its outputs."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(artifact))
    assert [config.id2label[index] for index in range(len(names))] == names
    for row in rows:
        if isinstance(row["label"], list):
            assert row["correct"] == (set(row["label"]) == set(row["prediction"]))
        else:
            assert row["prediction"] == names[max(range(len(names)), key=row["logits"].__getitem__)]
            assert row["correct"] == (row["label"] == row["prediction"])


def test_test_is_not_evaluated_when_a_search_says_so(data_folder: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, prepared(data_folder, "single"), "evaluate.test=false")
    assert worker.attempt(run, first=True, started=0.0) == 0
    assert not any(name.startswith("test/") for name in (run.result() or {})["metrics"])
    assert not (run.predictions / "test.parquet").exists()
