"""Mistakes of a first hour: each is one clear screen before anything trains, and never a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finecomb import cli
from finecomb.config import plugins


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "--resolve"], ["--resolve needs --cfg", "--cfg job --resolve"]),
        (["train", "-m"], ["-m without a key that takes several values", "seed=0,1,2", "--yes"]),
        (["train", "-m", "tuning=lora"], ["-m without a key that takes several values"]),
        (["explain", "model=bert-base-uncased"], ["did you mean model=bert_base?"]),
        (["explain", "model=FacebookAI/roberta-large"], ["did you mean model=roberta_large?"]),
        (["explain", "tuning=top-layers"], ["did you mean tuning=top_layers?"]),
        (
            ["train", "model=bert_base", "tuning=lora", "tuning.target_modules=[q_proj]"],
            ["no linear map of the layers of bert is named q_proj", "attention.self.query"],
        ),
    ],
)
def test_a_mistake_is_one_screen_and_exit_code_2(arguments: list[str], expected: list[str], capsys: Any, tmp_path: Any) -> None:
    assert cli.main(arguments) == 2
    screen = capsys.readouterr().err
    for text in expected:
        assert text in screen
    assert "Traceback" not in screen
    assert not list(tmp_path.iterdir())


def test_sweeps_may_be_named_by_the_sweepers_params(capsys: Any) -> None:
    """Hydra's own way of naming sweeps; --cfg stops before anything trains."""
    for override in ('hydra.sweeper.params={seed: "0,1"}', 'hydra.sweeper.params.seed="0,1"'):
        assert cli.main(["train", "-m", override, "--cfg", "hydra", "--package", "hydra.sweeper.params"]) == 0
        assert "seed: 0,1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "jobs"), [(["-m", "--yes"], 1), (["-m", 'hydra.sweeper.params={seed: "0,1"}'], 2), (["-m", "seed=0,1"], 2)]
)
def test_a_multirun_that_is_meant_is_let_through(arguments: list[str], jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from finecomb.launch.outcome import Outcome
    from finecomb.runs.directory import RunDirectory
    from finecomb.studies import sweep

    seen: list[Any] = []

    def run(self: Any, compositions: list[Any]) -> list[Outcome]:
        seen.extend(compositions)
        return [Outcome(RunDirectory(Path("runs") / "one"), "finished") for _ in compositions]

    monkeypatch.setattr(sweep.Sweep, "run", run)
    assert cli.main(["train", *arguments]) == 0
    assert len(seen) == jobs
