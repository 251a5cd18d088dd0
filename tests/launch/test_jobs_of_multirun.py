"""Multiruns: each job is composed once, all mistakes are reported before any job starts, and Hydra's state is left alone."""

from __future__ import annotations

import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from finecomb import cli
from finecomb.config import plugins
from finecomb.config.compose import Composition
from finecomb.config.hydra_app import expand
from finecomb.config.hydra_private import Loader
from finecomb.config.locate import conf_dir
from finecomb.config.sources import options
from finecomb.core.errors import ConfigError
from finecomb.launch.freeze import Frozen
from finecomb.launch.multirun import run_multirun
from finecomb.launch.outcome import Outcome
from finecomb.runs.directory import RunDirectory
from finecomb.studies import sweep
from finecomb.studies.search import run as search_run


class Launched:
    """The batches that reached the launcher; nothing is trained."""

    def __init__(self, state: str = "finished") -> None:
        self.batches: list[list[Composition]] = []
        self.policies: list[Any] = []
        self.state = state

    @property
    def seeds(self) -> list[list[int]]:
        return [[composition.config.seed for composition in batch] for batch in self.batches]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Launched:
    found = Launched()

    def run(self: sweep.Sweep, compositions: list[Composition]) -> list[Outcome]:
        found.batches.append(list(compositions))
        found.policies.append(self.policy)
        return [Outcome(RunDirectory(tmp_path / f"run{each.config.seed}"), found.state) for each in compositions]

    monkeypatch.setattr(sweep.Sweep, "run", run)
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.chdir(tmp_path)
    return found


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each config that Hydra merges."""
    found: list[int] = []
    merge = Loader.merge

    def counted(self: Loader, *args: Any) -> Any:
        found.append(1)
        return merge(self, *args)

    monkeypatch.setattr(Loader, "merge", counted)
    return found


def _frozen(composition: Composition) -> Frozen:
    run = RunDirectory(Path("runs") / str(composition.config.optimizer.lr))
    return Frozen(**{**dict.fromkeys(each.name for each in fields(Frozen)), "run": run})


def test_one_job_is_composed_once_and_without_hydras_main(composed: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hydra.main", None)
    monkeypatch.setattr("finecomb.launch.freeze.freeze", lambda composition: composition)
    monkeypatch.setattr("finecomb.api.training.print_data_summary", lambda jobs: None)
    monkeypatch.setattr("finecomb.api.training.launch", lambda jobs, **options: [Outcome(RunDirectory(tmp_path / "one"), "finished")])
    assert cli.main(["train", "seed=3"]) == 0
    assert len(composed) == 1


def test_each_job_of_a_multirun_is_composed_once_and_nothing_else_is(launched: Launched, composed: list[int]) -> None:
    assert cli.main(["train", "-m", "seed=1,2,3", "tuning=full,lora", "hydra.launcher.slots=2"]) == 0
    assert len(composed) == 6
    assert launched.seeds == [[1, 1, 2, 2, 3, 3]]
    assert launched.policies[0].slots == 2


def test_each_trial_of_a_search_is_composed_once_and_its_fixed_part_once(
    composed: list[int], launched: Launched, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def launch_feed(feed: Any, policy: Any, **options: Any) -> list[Outcome]:
        while (job := feed.next()) is not None:
            asked.append(job)
        return []

    monkeypatch.setattr(search_run, "launch_feed", launch_feed)
    monkeypatch.setattr(search_run, "check", lambda composition, **options: composition)
    monkeypatch.setattr(search_run, "place", lambda composition, **options: _frozen(composition))
    monkeypatch.setattr(sweep.Sweep, "add", lambda self, jobs: None)
    words = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "optimizer.lr=tag(log, interval(1e-5, 1e-3))", "logger=none"]
    run_multirun(words)
    assert len(asked) == 3
    assert len(composed) == 1 + 3


def test_jobs_of_one_list_are_the_same_on_the_command_line_and_in_params() -> None:
    jobs = [["seed=1", "tuning=full"], ["seed=1", "tuning=lora"], ["seed=2", "tuning=full"], ["seed=2", "tuning=lora"]]
    assert expand(["seed=1,2", "tuning=full,lora"]) == jobs
    assert expand(['hydra.sweeper.params.seed="1,2"', "tuning=full,lora"]) == jobs
    assert expand(['hydra.sweeper.params={seed: "1,2", tuning: "full,lora"}', "hydra.launcher.slots=3"]) == jobs
    assert expand(['hydra.sweeper.params.optimizer.lr="1e-3,1e-4"']) == [["optimizer.lr=0.001"], ["optimizer.lr=0.0001"]]
    assert expand(["model=glob(roberta_*)"]) == [["model=roberta_base"], ["model=roberta_large"]]
    assert {job[0] for job in expand(["model=glob(*)"])} == {f"model={name}" for name in options("model")}
    assert expand(["seed=1"]) == [["seed=1"]]


def test_the_jobs_of_a_search_cannot_be_shown_before_it_has_begun() -> None:
    with pytest.raises(ConfigError, match="draws its jobs one after the other") as caught:
        expand(["hydra/sweeper=optuna", "optimizer.lr=interval(1e-5, 1e-3)"])
    assert "--cfg hydra" in caught.value.problems[0].hint


def test_an_interval_needs_a_search(launched: Launched) -> None:
    with pytest.raises(ConfigError, match="an interval has no end") as caught:
        run_multirun(["optimizer.lr=interval(1e-5, 1e-3)"])
    assert "hydra/sweeper=optuna" in caught.value.problems[0].hint
    assert not launched.batches


def test_the_mistakes_of_all_jobs_and_of_hydras_settings_are_reported_together(launched: Launched) -> None:
    with pytest.raises(ConfigError) as caught:
        run_multirun(["seed=1,x", "tuning=full,lorra", "hydra.launcher.slotz=2"])
    whats = [problem.what for problem in caught.value.problems]
    assert whats == [
        "hydra.launcher.slotz: there is no such key with hydra/launcher=finecomb",
        "tuning=lorra: there is no such choice",
        "seed=x is not a whole number",
    ]
    assert not launched.batches


def test_batches_start_once_all_jobs_are_known_to_be_right(launched: Launched, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[int] = []
    monkeypatch.setattr("finecomb.launch.freeze.check_all", lambda compositions: checked.append(len(compositions)))
    run_multirun(["seed=range(5)", "hydra.sweeper.max_batch_size=2"])
    assert launched.seeds == [[0, 1], [2, 3], [4]]
    assert checked == [5]
    with pytest.raises(ConfigError, match="seed=x is not a whole number"):
        run_multirun(["seed=1,2,x", "hydra.sweeper.max_batch_size=1"])
    with pytest.raises(ConfigError, match="max_batch_size=0"):
        run_multirun(["seed=1,2", "hydra.sweeper.max_batch_size=0"])
    assert len(launched.batches) == 3


def test_the_outcomes_of_the_jobs_are_returned_in_their_order(launched: Launched) -> None:
    launched.state = "failed"
    outcomes = run_multirun(["seed=3,1"])
    assert [(outcome.run.path.name, outcome.state) for outcome in outcomes] == [("run3", "failed"), ("run1", "failed")]
    assert cli.main(["train", "-m", "seed=1,2"]) == 1


def test_fail_fast_leaves_later_batches_out(launched: Launched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finecomb.launch.freeze.check_all", lambda compositions: None)
    launched.state = "failed"
    assert len(run_multirun(["seed=1,2", "hydra.sweeper.max_batch_size=1", "hydra.launcher.fail_fast=true"])) == 1
    assert launched.seeds == [[1]]


def test_one_job_needs_no_list_when_that_is_confirmed(launched: Launched) -> None:
    with pytest.raises(ConfigError, match="-m without a key that takes several values"):
        run_multirun(["seed=1"])
    assert len(run_multirun(["seed=1"], confirmed=True)) == 1


def test_a_multirun_works_in_a_thread_of_a_program_that_uses_hydra_itself(launched: Launched) -> None:
    with initialize_config_dir(str(conf_dir()), version_base=None):
        mine = GlobalHydra.instance().hydra
        thread = threading.Thread(target=run_multirun, args=(["seed=1,2"],))
        thread.start()
        thread.join()
        assert GlobalHydra.instance().hydra is mine
    assert launched.seeds == [[1, 2]]
