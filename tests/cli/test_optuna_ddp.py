"""Two processes for each job, inside -m, with a search that prunes: once, for real."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from finecomb import cli
from finecomb.runs import index, wandb_folder
from finecomb.runs.directory import RunDirectory
from finecomb.studies.wandb_sweep import words
from finecomb.studies.wandb_sweep.sweep_file import read

BASE = [
    "dataset=files",
    "dataset.files.train=train.tsv",
    "model=tiny",
    "trainer.precision=32-true",
    "trainer.threads=1",
    "batch.size=10",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("optuna")
    draw = random.Random(0)
    lines = [f"{'good' if row % 2 else 'bad'} {draw.choice(['plot', 'cast', 'film'])} {row}\t{row % 2}\n" for row in range(120)]
    (made / "train.tsv").write_text("text\tlabel\n" + "".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_BASE_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("NETRC", str(made / "no-netrc"))
        patch.setenv("FINECOMB_CACHE", str(made / "cache"))
        patch.chdir(made)
        yield made


@pytest.mark.slow
def test_a_search_over_jobs_of_two_processes_prunes_and_mirrors_each_once(folder, capsys):
    search = ["hydra/sweeper=optuna", "hydra.sweeper.sampler=grid", "hydra.sweeper.pruner=median", "hydra.sweeper.pruner_startup=1"]
    arguments = ["train", "-m", *search, "hydra.sweeper.n_trials=null", "trainer=ddp", "trainer.accelerator=cpu", *BASE]
    arguments += ["trainer.max_epochs=12", "optimizer.lr=1e-2,1e-9", "monitor.metric=loss", "hydra.sweeper.mode=min"]
    assert cli.main(arguments) == 0
    found = {RunDirectory(each.path).config["optimizer"]["lr"]: RunDirectory(each.path) for each in index.entries(folder / "runs")}
    assert {rate: run.state() for rate, run in found.items()} == {1e-2: "finished", 1e-9: "pruned"}
    for run in found.values():
        assert sorted(path.name for path in run.logs.iterdir()) == ["rank0.log", "rank1.log"]
        assert not any(name.startswith("test/") for line in run.metrics() for name in line)
    assert found[1e-2].result()["training"]["world_size"] == 2
    assert 0 < max(line["epoch"] for line in found[1e-9].metrics()) < 12
    mirrored = {run.config["optimizer.lr"]: run for run in wandb_folder.runs(folder / "runs")}
    assert len(wandb_folder.runs(folder / "runs")) == 2
    for rate, run in found.items():
        assert mirrored[rate].id.startswith(run.fingerprint)
        assert mirrored[rate].config["trainer.devices"] == 2
        losses = [line["train/loss"] for line in mirrored[rate].history if "train/loss" in line]
        assert losses == pytest.approx([line["train/loss"] for line in run.metrics() if "train/loss" in line][: len(losses)])
        assert losses
    record = json.loads((folder / "runs" / "sweeps" / "latest.json").read_text())
    assert len(record["runs"]) == 2
    assert {run.group for run in mirrored.values()} == {record["id"]}
    printed = capsys.readouterr().out
    assert "pruned" in printed
    assert cli.main(arguments) == 0
    assert {rate: run.status().attempt for rate, run in found.items()} == {1e-2: 1, 1e-9: 1}


SWEEP = """
method: random
metric: {name: validation/accuracy, goal: maximize}
command: ["${env}", "${interpreter}", -m, finecomb, train, "${args_no_hyphens}"]
parameters:
  tuning: {values: [lora]}
  optimizer.lr: {values: [0.001]}
"""


@pytest.mark.slow
def test_a_wandb_agent_drives_the_same_command_and_stops_it_early(folder):
    """As the agent does it: its own argv, its environment, no standard input, a process group of its own, and SIGTERM to end it."""
    (folder / "sweep.yaml").write_text(SWEEP)
    sweep, _ = read(folder / "sweep.yaml")
    given = {"tuning": "lora", "optimizer.lr": 0.001}
    argv = words.argv(sweep, given)
    assert argv[:2] == ["/usr/bin/env", "python"]
    (folder / "params.yaml").write_text("".join(f"{key}:\n  value: {value}\n" for key, value in given.items()))
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SWEEP_ID": "abc123", "WANDB_RUN_ID": "run0001x"}
    environment |= {"WANDB_SWEEP_PARAM_PATH": str(folder / "params.yaml"), "WANDB_DIR": str(folder)}
    environment["PATH"] = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    command = [*argv, *BASE, "trainer.max_epochs=500", "output_dir=agent"]
    child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 90
        while not (metrics := list(folder.glob("agent/*/metrics.jsonl"))) or len(metrics[0].read_text().splitlines()) < 4:
            assert time.monotonic() < deadline
            assert child.poll() is None, child.stderr.read()
            time.sleep(0.2)
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=60)
    finally:
        child.kill()
    (entry,) = index.entries(folder / "agent")
    assert (child.returncode, entry.state) == (0, "pruned")
    (mirrored,) = wandb_folder.runs(folder / "agent")
    assert mirrored.id == "run0001x"
    assert mirrored.config["tuning.name"] == "lora"
    assert mirrored.config["tuning.r"] == 8  # the sweep's own key, tuning, has not taken the group's place
    assert mirrored.config["optimizer.lr"] == 0.001
    assert mirrored.exit_code is not None
