"""Jobs on a cluster: submitted, found again, stopped; with SLURM's commands played by a script, and a worker without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
from jobs import FAKE, job

from finecomb import cli
from finecomb.core.errors import ConfigError
from finecomb.launch import slurm, workers
from finecomb.launch.job_queue import Listed
from finecomb.launch.launcher import launch, launch_feed
from finecomb.launch.policy import Policy
from finecomb.launch.slurm import Slurm, SlurmBackend
from finecomb.runs import index

FAKE_SLURM = Path(__file__).parents[1] / "faults" / "fake_slurm.py"


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("sbatch", "squeue", "scancel", "srun"):
        (commands / name).write_text(f'#!/bin/bash\nexec {sys.executable} {FAKE_SLURM} {name} "$@"\n')
        (commands / name).chmod(0o755)
    (tmp_path / "queue").mkdir()
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "queue"))
    monkeypatch.setenv("PATH", f"{commands}:{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.setattr(slurm, "ASK_EVERY", 0.2)
    return tmp_path / "queue"


@pytest.fixture
def fake_worker(monkeypatch):
    monkeypatch.setattr(workers, "WORKER", FAKE)


def submitted(cluster):
    return len(list(cluster.glob("*.job")))


def test_each_job_is_submitted_once_with_what_was_asked_for(cluster, fake_worker, tmp_path):
    jobs = [job(tmp_path / "runs", lr) for lr in (0.1, 0.2, 0.3)]
    wanted = Slurm(7, 3, 1, mem_gb=1.5, account="lab", setup=("export SEEN=1",), additional_parameters={"no_requeue": True, "nice": 5})
    outcomes = launch(jobs, Policy(2, backend=SlurmBackend(wanted)))
    assert [outcome.state for outcome in outcomes] == ["finished"] * 3
    script = (jobs[0].run.logs / "slurm.sh").read_text()
    for line in ("--time=7", "--cpus-per-task=3", "--gpus-per-node=1", "--mem=1536M", "--account=lab", "--no-requeue", "--nice=5"):
        assert f"#SBATCH {line}\n" in script
    assert script.index("export SEEN=1") < script.index("srun ")
    assert "qos" not in script
    launch(jobs, Policy(2, backend=SlurmBackend(wanted)))
    assert submitted(cluster) == 3


def test_a_failure_is_told_and_tried_again_as_often_as_asked(cluster, fake_worker, tmp_path):
    first, second = job(tmp_path, 0.1, fail=1), job(tmp_path, 0.2, silent_death=True)
    outcomes = launch([first, second], Policy(2, retries=1, backend=SlurmBackend(Slurm())))
    assert [outcome.state for outcome in outcomes] == ["finished", "failed"]
    assert "died before it could say so" in (outcomes[1].error or "")
    assert submitted(cluster) == 4


def test_a_job_that_leaves_the_queue_without_a_word_counts_as_interrupted(cluster, fake_worker, tmp_path):
    frozen = job(tmp_path, steps=200, pause=0.1)

    class Kills(Listed):
        def stop(self, job, lines):
            subprocess.run(["scancel", "1"], check=True)
            return False

    assert launch_feed(Kills([frozen]), Policy(1, backend=SlurmBackend(Slurm())))[0].state == "interrupted"


def test_a_search_stops_a_job_in_order(cluster, fake_worker, tmp_path):
    class Prunes(Listed):
        def stop(self, job, lines):
            return True

    outcome = launch_feed(Prunes([job(tmp_path, steps=200, pause=0.1)]), Policy(1, backend=SlurmBackend(Slurm())))[0]
    assert outcome.state == "pruned"
    assert "asked to end by SIGTERM" not in (outcome.error or "")


def test_a_command_asked_again_waits_for_the_job_it_has_in_the_queue(cluster, fake_worker, tmp_path):
    frozen = job(tmp_path, steps=20, pause=0.1)
    frozen.run.make_folders()
    first, second = (SlurmBackend(Slurm()).start(frozen, frozen.run.lock().acquire(), 1) for _ in range(2))
    assert (first.job, second.job, submitted(cluster)) == ("1", "1", 1)
    assert second.poll() is None
    assert second.wait(30)
    assert first.poll() == second.poll() == 0
    assert frozen.run.state() == "finished"


def test_what_sbatch_refuses_is_the_users_error_in_its_own_words(cluster, fake_worker, tmp_path):
    outcome = launch([job(tmp_path)], Policy(1, backend=SlurmBackend(Slurm(partition="nowhere"))))[0]
    assert (outcome.state, outcome.user_error) == ("failed", True)
    assert "invalid partition specified: nowhere" in outcome.error
    with pytest.raises(ConfigError, match="line break"):
        Slurm(comment="a\nb").script(job(tmp_path, 0.7).run, ranks=1, nodes=1, threads=1)


def test_without_slurm_the_launcher_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    words = ["hydra/launcher=submitit_slurm", "model=tiny", "seed=1,2", "dataset=files", "dataset.files.train=train.tsv"]
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "".join(f"words {row}\t{row % 2}\n" for row in range(60)))
    assert cli.main(["train", "-m", *words]) == 2
    assert "sbatch, squeue, scancel not found" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("sweeper", [[], ["hydra/sweeper=optuna", "hydra.sweeper.sampler=grid", "hydra.sweeper.n_trials=null"]])
def test_a_multirun_trains_on_the_cluster(cluster, tmp_path, monkeypatch, sweeper):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "".join(f"words {row}\t{row % 2}\n" for row in range(60)))
    words = ["hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=3", "model=tiny", "logger=none", "trainer.max_epochs=1"]
    words += ["dataset=files", "dataset.files.train=train.tsv", "optimizer.lr=1e-3,1e-4"]
    assert cli.main(["train", "-m", *words, *sweeper]) == 0
    found = index.entries(tmp_path / "runs")
    assert [entry.state for entry in found] == ["finished"] * 2
    assert submitted(cluster) == 2
    for entry in found:
        config = (entry.path / "config.yaml").read_text()
        assert "threads: 3\n" in config
        assert "precision: 32-true" in config
        assert json.loads((entry.path / "logs" / "slurm.json").read_text())["job"] in ("1", "2")
