"""`build`: plain Lightning objects of a config, which train as the worker does."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from tiny_runs import make_run, weights

from finecomb.config.compose import compose
from finecomb.config.schema.train import Config
from finecomb.core.errors import ConfigError
from finecomb.training import worker
from finecomb.training.build import build


def _config(data: Path, *overrides: str) -> Config:
    return compose(["dataset=prepared", f"dataset.path={data}", "model=tiny", "batch.size=8", *overrides]).config


def _trainer(**settings: int) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, **settings
    )


def test_a_plain_trainer_trains_what_the_worker_trains_bit_for_bit(data: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, data)
    assert worker.attempt(run, first=True, started=0.0) == 0
    module, datamodule = build(_config(data, "trainer.max_epochs=7", "trainer.precision=auto"))
    _trainer(max_epochs=2).fit(module, datamodule)
    expected, found = weights(run), module.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_what_is_ignored_is_logged_once_and_no_run_directory_is_made(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.INFO):
        # No GPU is needed for a config that names one: where to train is up to the Trainer.
        module, datamodule = build(_config(data, "trainer=gpu", "output_dir=elsewhere", "trainer.max_steps=1"))
        _trainer(max_epochs=1).fit(module, datamodule)
    lines = [record.getMessage() for record in caplog.records if "are ignored" in record.getMessage()]
    assert len(lines) == 1
    assert all(word in lines[0] for word in ("trainer", "callbacks", "logger", "monitor", "output_dir"))
    assert module.trainer.global_step == 3, "the Trainer's length, not the config's"
    assert not list(tmp_path.iterdir())


def test_a_wrong_config_is_refused_before_anything_is_built(data: Path) -> None:
    config = _config(data)
    wrong = dataclasses.replace(config, batch=dataclasses.replace(config.batch, size=100))
    with pytest.raises(ConfigError, match=r"batch\.size=100 is larger than the training data"):
        build(wrong)
