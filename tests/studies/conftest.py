"""Run directories as training leaves them, with made-up numbers: real files, written as the launcher and the worker write them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from finecomb.runs.directory import RunDirectory, create
from finecomb.runs.record import Inputs, PreparedInput, RunRecord

NAMES = ["negative", "positive"]


def frozen(tuning: str, seed: int, changes: dict[str, Any]) -> dict:
    """A frozen config, cut down to what sets arms apart; `changes` set dotted keys."""
    plain: dict[str, Any] = {
        "seed": seed,
        "name": None,
        "output_dir": "runs",
        "evaluate": {"test": True},
        "dataset": {"name": "movie_reviews", "limit": {"train": 200}},
        "cleaner": {"name": "basic", "steps": {}},
        "task": {"name": "sequence_classification", "multi_label": False, "threshold": 0.5},
        "model": {"name": "all_minilm_l6_v2", "note": "sentence-tuned before any tuning here"},
        "tuning": {"name": tuning, "frozen_mode": "eval"} | ({"r": 8} if tuning == "lora" else {}),
        "optimizer": {"name": "adamw", "lr": 5e-5 if tuning == "full" else 1e-3},
        "trainer": {"name": "cpu", "accelerator": "cpu", "precision": "32-true", "num_workers": 0, "max_epochs": 2},
        "batch": {"micro_batches": 1},
    }
    for key, value in changes.items():
        *parents, last = key.split(".")
        place = plain
        for parent in parents:
            place = place[parent]
        place[last] = value
    return plain


def guesses(truth: list[int], accuracy: float, seed: int) -> list[int]:
    right = np.random.default_rng(seed).random(len(truth)) < accuracy
    return [value if hit else 1 - value for value, hit in zip(truth, right, strict=True)]


@pytest.fixture
def truth() -> list[int]:
    """True classes of 300 test examples, 60 % of them positive."""
    return (np.random.default_rng(11).random(300) < 0.6).astype(int).tolist()


@pytest.fixture
def make_run(tmp_path, truth):
    """Makes one run. `columns` replaces the predictions; finished=False leaves the run as created; further keywords change the config."""

    def make(
        tuning="full", seed=0, *, accuracy=0.9, columns=None, split="test", finished=True, data="hash of the data", directory="gone",
        commit="c0ffee", metrics=None, label_names=NAMES, folder=tmp_path / "runs", **changes,
    ) -> RunDirectory:  # fmt: skip
        plain = frozen(tuning, seed, {key.replace("__", "."): value for key, value in changes.items()})
        fingerprint = hashlib.sha256(json.dumps([plain, data, commit]).encode()).hexdigest()[:12]
        inputs = Inputs(PreparedInput(str(directory), content_hash=data))
        run = create(folder, plain, RunRecord(fingerprint, f"movie_reviews-{tuning}-seed{seed}", inputs=inputs))
        if finished:
            answers = guesses(truth, accuracy, seed=sum(map(ord, tuning)) + seed)
            if columns is None:
                columns = {"id": [f"row-{row}" for row in range(300)], "label": [NAMES[each] for each in truth]}
                columns["prediction"] = [NAMES[each] for each in answers]
                metrics = {"accuracy": float(np.mean(np.equal(truth, answers)))} if metrics is None else metrics
            finish(run, plain, columns, split, metrics or {}, commit, label_names)
        return run

    return make


def finish(run: RunDirectory, plain: dict, columns: dict, split: str, metrics: dict, commit: str, label_names: list[str]) -> None:
    pa.parquet.write_table(pa.table(columns), run.predictions / f"{split}.parquet")
    provenance = {"packages": {"torch": "2.13.0"}, "python": "3.11", "hardware": {}, "code": {"commit": commit}, "threads": 1}
    (run.path / "provenance.json").write_text(json.dumps(provenance))
    result = {
        "metrics": {f"{split}/{name}": value for name, value in metrics.items()},
        "counts": {"label_counts": {"train": dict.fromkeys(label_names, 100)}},
        "parameters": {"trainable": 22_000_000 if plain["tuning"]["name"] == "full" else 770, "stored_bytes": 90 * 2**20},
        "time": {"train_s": 40.0 + plain["seed"]},
        "memory": {"peak_bytes": 2**30 + plain["seed"]},
    }
    run.write_result(result)
    run.set_status("finished")


@pytest.fixture
def runs(tmp_path) -> str:
    """The folder in which `make_run` makes them."""
    return str(Path(tmp_path) / "runs")
