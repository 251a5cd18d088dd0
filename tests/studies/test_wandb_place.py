"""Where a run is shown in W&B: its group is that of the question it helps to answer, and stays when arms or seeds are added."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from finecomb import cli
from finecomb.launch.freeze import freeze
from finecomb.launch.outcome import Outcome
from finecomb.runs.wandb_folder import WandbRun
from finecomb.studies import sweep as sweeping
from finecomb.studies.sweep import Sweep
from finecomb.studies.wandb_sweep import mirrored


@pytest.fixture
def groups(job, monkeypatch):
    """The groups in which the jobs of a multirun are placed; overrides with commas are swept. Nothing is trained."""
    monkeypatch.setattr(sweeping, "launch", lambda frozen, *_, **__: [Outcome(each.run, "finished", reused=True) for each in frozen])

    def of(*words):
        jobs = [[]]
        for word in words:
            key, _, values = word.partition("=")
            jobs = [[*found, f"{key}={value}"] for found in jobs for value in values.split(",")]
        sweep = Sweep(console=Console(file=io.StringIO()))
        outcomes = sweep.run([job(*found) for found in jobs])
        return {outcome.run.record.group for outcome in outcomes}

    return of


def test_a_group_stays_when_seeds_and_methods_are_added(groups, job):
    (first,) = groups("tuning=full,lora", "seed=0,1,2")
    assert first.startswith("files-tiny-")
    assert groups("tuning=full,lora", "seed=3") == {first}
    assert groups("tuning=full,lora,head", "seed=3,4") == {first}
    assert groups("tuning=head", "seed=5") == {first}
    assert groups("tuning=lora", "tuning.r=2,4", "seed=5") == {first}
    assert freeze(job("tuning=bitfit", "seed=6")).run.record.group == first


def test_settings_that_cannot_change_a_result_are_not_in_the_group(groups):
    assert groups("tuning=full,lora", "trainer.num_workers=1", "output_dir=elsewhere") == groups("tuning=full,lora")
    assert groups("tuning=full,lora", "batch.size=8") == groups("tuning=full,lora")  # as it is without saying so


def test_another_budget_or_model_is_another_group(groups):
    others = ("seed=0", "trainer.max_epochs=1", "model.architecture=gpt2", "optimizer.lr=0.1")
    found = [groups("tuning=full,lora", word) for word in others]
    assert len(set.union(*found)) == 4


def test_what_is_swept_is_not_in_the_group_so_that_its_values_can_be_added_to(groups):
    (first,) = groups("optimizer=adamw,sgd", "seed=0,1")
    assert groups("optimizer=adamw,sgd,adafactor", "seed=2") == {first}
    (rates,) = groups("optimizer.lr=0.1,0.2", "tuning=full,lora")
    assert groups("optimizer.lr=0.1,0.2,0.3", "tuning=full,lora", "seed=1") == {rates}
    assert len({first, rates}) == 2


def test_an_explicit_group_is_that_of_every_run(groups, job):
    assert groups("tuning=full,lora", "logger=wandb", "logger.group=mine", "optimizer.lr=0.1,0.2") == {"mine"}
    assert freeze(job("logger=wandb", "logger.group=mine", "seed=9"), group="a sweep").run.record.group == "mine"


def test_a_finished_run_keeps_its_group(groups, job):
    (first,) = groups("tuning=full", "seed=0")
    assert groups("tuning=full", "seed=0,1", "logger=wandb", "logger.group=later") == {first, "later"}


@pytest.fixture
def study(make_run):
    """Two reported runs of a study, and a trial at another learning rate."""
    for seed, rate, role in ((1, 1e-3, "confirm"), (2, 1e-3, "confirm"), (0, 0.5, "trial")):
        made = make_run("full", seed, optimizer__lr=rate, evaluate__test=role == "confirm")
        made.freeze(made.config, replace(made.record, group="losses", role=role))


def test_compare_of_a_study_hides_its_trials_unless_requested(study, runs, capsys):
    assert cli.main(["compare", runs, "--group", "losses"]) == 0
    printed = capsys.readouterr().out
    assert "0.5" not in printed
    assert "1 trial of losses is hidden; --trials shows it" in printed
    assert cli.main(["compare", runs, "--group", "losses", "--trials"]) == 0
    printed = capsys.readouterr().out
    assert "0.5" in printed
    assert "hidden" not in printed


def test_compare_of_a_study_in_wandb_hides_its_trials_unless_requested(monkeypatch):
    made = [
        WandbRun(
            id=str(seed), group="losses", tags=[role], config={"seed": seed, "optimizer.lr": rate}, summary={"test/loss": 0.25}, exit_code=0
        )
        for seed, rate, role in ((1, 1e-3, "confirm"), (2, 1e-3, "confirm"), (0, 0.5, "trial"))
    ]
    monkeypatch.setattr(mirrored, "read", lambda words: made)
    few, all_ = (
        mirrored.compare(["wandb:a/b"], metrics=["loss"], where={}, group="losses", state=None, trials=trials) for trials in (False, True)
    )
    assert "lr=0.5" not in few
    assert "1 trial of losses is hidden; --trials shows it" in few
    assert "lr=0.5" in all_
