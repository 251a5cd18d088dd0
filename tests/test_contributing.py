"""The plug-in of CONTRIBUTING.md, word for word: a training from outside the repository uses its optimizer, loss, callback and metric."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
TINY = [
    "dataset=files", "dataset.files.train=data.csv", "dataset.split.test=0.3", "dataset.split.validation=0.3",
    "cleaner=none", "model=tiny", "logger=none", "batch.size=8", "trainer.max_epochs=2", "trainer.threads=1",
    "trainer.accelerator=cpu", "output_dir=runs",
]  # fmt: skip


def blocks(language: str) -> list[str]:
    """Code blocks of the section on plug-ins."""
    section = TEXT.partition("## Write a plug-in\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plug-in's files and 40 labeled rows."""
    folder = tmp_path_factory.mktemp("contributing")
    for text in (*blocks("yaml"), *blocks("python")):
        first, _, _ = text.partition("\n")
        path = folder / first.removeprefix("# ")
        assert path.suffix in (".yaml", ".py"), f"a code block that names no file: {first}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with (folder / "data.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *([f"film {n} {'good' if n % 3 else 'bad'}", str(n % 3)] for n in range(40))])
    return folder


def finecomb(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"FINECOMB_CACHE": str(place / "cache"), "FINECOMB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "finecomb", *words]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    """The run of the command in CONTRIBUTING.md, on tiny data."""
    (command,) = blocks("bash")
    program, *words = shlex.split(command)
    assert program == "finecomb"
    done = finecomb(place, *words, *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    return next((place / "runs").glob("*/result.json")).parent


def result(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "result.json").read_text())
    return content


def test_the_optimizer_of_a_plug_in_trains_at_its_familys_usual_rate(run: Path) -> None:
    assert result(run)["config"]["optimizer"] | {"name": "rmsprop", "alpha": 0.99, "lr": 5e-5} == result(run)["config"]["optimizer"]
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    moments = checkpoint["optimizer_states"][0]["state"]
    assert moments
    assert all("square_avg" in state and "exp_avg" not in state for state in moments.values()), "the state is not RMSprop's"


def test_the_loss_of_a_plug_in_is_the_recorded_one(run: Path) -> None:
    answers = pyarrow.parquet.read_table(run / "predictions" / "test.parquet").to_pydict()
    logits = torch.tensor(answers["logits"], dtype=torch.float64)
    names = list(result(run)["counts"]["label_counts"]["train"])
    log_p = logits.log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1)
    truth = torch.tensor([names.index(label) for label in answers["label"]])
    expected = torch.nn.functional.nll_loss(log_p, truth, reduction="none") - 0.1 * entropy
    np.testing.assert_allclose(answers["loss"], expected, rtol=1e-6)
    assert math.isclose(result(run)["metrics"]["test/loss"], float(expected.mean()), rel_tol=1e-6)


def test_the_callback_of_a_plug_in_is_called_in_training(run: Path) -> None:
    printed = "".join(path.read_text() for path in (run / "logs").iterdir())
    steps = result(run)["training"]["steps"]
    assert re.findall(r"^(\d+) optimizer steps$", printed, re.MULTILINE) == [str(step) for step in range(2, steps + 1, 2)]


def test_the_metric_of_a_plug_in_chooses_the_best_epoch_and_is_recorded(run: Path) -> None:
    found, answers = result(run), pyarrow.parquet.read_table(run / "predictions" / "test.parquet").to_pydict()
    assert (found["selection"]["metric"], found["selection"]["mode"]) == ("validation/mean_distance", "min")
    distances = [abs(int(label) - int(prediction)) for label, prediction in zip(answers["label"], answers["prediction"], strict=True)]
    assert found["metrics"]["test/mean_distance"] == pytest.approx(np.mean(distances))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert found["selection"]["best_value"] == min(line["validation/mean_distance"] for line in lines if "validation/mean_distance" in line)


def test_tables_and_verify_compute_the_metric_of_a_plug_in_from_the_predictions(place: Path, run: Path) -> None:
    shown = finecomb(place, "compare", str(run), "--config-dir", "my_plugin", "--metrics", "mean_distance", "--output", "table.csv")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    (row,) = csv.DictReader((place / "table.csv").open())
    assert float(row["mean_distance"]) == pytest.approx(result(run)["metrics"]["test/mean_distance"])
    assert finecomb(place, "runs", "verify", str(run), "--config-dir", "my_plugin").returncode == 0
    original = (run / "result.json").read_text()
    changed = result(run)
    changed["metrics"]["test/mean_distance"] += 0.5
    (run / "result.json").write_text(json.dumps(changed))
    wrong = finecomb(place, "runs", "verify", str(run), "--config-dir", "my_plugin")
    (run / "result.json").write_text(original)
    assert wrong.returncode == 1
    assert "test/mean_distance: recorded" in wrong.stdout
