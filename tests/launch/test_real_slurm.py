"""Jobs on a real SLURM of one node: requeued, cancelled, past their time limit, refused and pruned. Skipped where none is installed."""

import json
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
from jobs import FAKE, job

from finecomb import cli
from finecomb.launch import slurm, workers
from finecomb.launch.job_queue import Listed
from finecomb.launch.launcher import launch, launch_feed
from finecomb.launch.policy import Policy
from finecomb.launch.slurm import Slurm, SlurmBackend
from finecomb.runs import index
from finecomb.runs.directory import RunDirectory

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(slurm, "ASK_EVERY", 0.5)


@pytest.fixture
def fake_worker(monkeypatch):
    monkeypatch.setattr(workers, "WORKER", FAKE)


def options(**more):
    return Slurm(**{"timeout_min": 10, "cpus_per_task": 1, **more})


def number_of(run: RunDirectory) -> str:
    return json.loads((run.logs / "slurm.json").read_text())["job"]


class Disturbed(Listed):
    """Jobs to each of which something is done once it has logged a step."""

    def __init__(self, jobs, actions):
        super().__init__(jobs)
        self.actions = {frozen.run.path: action for frozen, action in zip(jobs, actions, strict=True)}

    def stop(self, job, lines):
        action = self.actions.pop(job.run.path, None)
        return action is not None and action(number_of(job.run)) is True


def test_four_jobs_of_which_one_is_requeued_one_cancelled_and_one_past_its_time_limit(slurm_cluster, fake_worker, tmp_path):
    steps = [30, 60, 60, 450]
    jobs = [job(tmp_path, lr / 10, steps=count, pause=0.1) for lr, count in enumerate(steps)]
    threads = []

    def requeue(number):
        threads.append(threading.Thread(target=slurm_cluster.requeue, args=(number,)))
        threads[-1].start()

    actions = [
        lambda number: None,
        requeue,
        lambda number: slurm_cluster.ask("scancel", number),
        # Shorter than the time before the limit at which the worker gets SIGTERM, so that it gets it at SLURM's next look.
        lambda number: slurm_cluster.ask("scontrol", "update", f"JobId={number}", "TimeLimit=1"),
    ]
    outcomes = launch_feed(Disturbed(jobs, actions), Policy(4, backend=SlurmBackend(options())))
    for thread in threads:
        thread.join()
    assert [outcome.state for outcome in outcomes] == ["finished", "finished", "interrupted", "interrupted"]
    assert "CANCELLED" in outcomes[2].error
    assert "time limit" in outcomes[3].error
    assert [outcome.run.status().attempt for outcome in outcomes] == [1, 2, 1, 1]
    assert all(len(outcome.run.metrics()) > 0 for outcome in outcomes)
    submitted = slurm_cluster.jobs()

    left = steps[3] - len(outcomes[3].run.metrics())
    assert 0 < left < steps[3]
    again = launch(jobs, Policy(4, backend=SlurmBackend(options())))
    assert [outcome.state for outcome in again] == ["finished"] * 4
    assert [outcome.reused for outcome in again] == [True, True, False, False]
    assert [outcome.notes[:1] for outcome in again[2:]] == [("resumed",)] * 2
    assert [outcome.run.status().attempt for outcome in again] == [1, 2, 2, 2]
    assert [[line["step"] for line in outcome.run.metrics()] for outcome in again] == [list(range(1, count + 1)) for count in steps]
    assert slurm_cluster.jobs() == submitted + 2


def test_a_job_that_the_cluster_can_never_start_says_why_it_waits_and_is_taken_off_the_queue(
    slurm_cluster, fake_worker, tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr("finecomb.launch.attempt.NOTED_AFTER", 1.0)
    frozen = job(tmp_path)
    frozen.config.trainer.num_nodes = 2
    outcome = launch([frozen], Policy(1, timeout=4.0, backend=SlurmBackend(options())))[0]
    assert outcome.state == "interrupted"
    assert "PENDING (PartitionNodeLimit)" in capfd.readouterr().err
    assert slurm_cluster.state(number_of(frozen.run)) == "CANCELLED"
    refused = launch([job(tmp_path, 0.1)], Policy(1, backend=SlurmBackend(options(mem_gb=1000.0))))[0]
    assert (refused.state, refused.user_error) == ("failed", True)
    assert "sbatch refused the job" in refused.error


def test_a_search_prunes_one_job_which_resumes_by_itself(slurm_cluster, fake_worker, tmp_path):
    jobs = [job(tmp_path, lr / 10, steps=count, pause=0.1) for lr, count in enumerate([10, 60])]
    outcomes = launch_feed(Disturbed(jobs, [lambda number: None, lambda number: True]), Policy(2, backend=SlurmBackend(options())))
    assert [outcome.state for outcome in outcomes] == ["finished", "pruned"]
    assert outcomes[1].run.state() == "pruned"
    assert 0 < len(outcomes[1].run.metrics()) < 60
    again = launch(jobs, Policy(2, backend=SlurmBackend(options())))
    assert [(outcome.state, len(outcome.run.metrics())) for outcome in again] == [("finished", 10), ("finished", 60)]


def test_a_command_started_again_waits_for_the_job_that_runs(slurm_cluster, fake_worker, tmp_path):
    frozen = job(tmp_path, steps=30, pause=0.1)
    worker = SlurmBackend(options()).start(frozen, frozen.run.lock().acquire(), 1)
    outcome = launch([frozen], Policy(1, backend=SlurmBackend(options())), sweep=True)[0]
    assert (outcome.state, outcome.run.status().attempt) == ("finished", 1)
    assert worker.poll() == 0


def test_a_multirun_trains_and_resumes_what_was_requeued(slurm_cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "".join(f"words {row}\t{row % 2}\n" for row in range(60)))
    words = ["hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=2", "model=tiny", "logger=none", "trainer.log_every_n_steps=1"]
    words += ["dataset=files", "dataset.files.train=train.tsv", "batch.size=4", "trainer.max_epochs=8", "seed=1,2"]
    requeued = []

    def requeue() -> None:
        from conftest import until

        def runs() -> list[RunDirectory]:
            found = [RunDirectory(entry.path) for entry in index.entries(tmp_path / "runs")]
            return [run for run in found if run.metrics() and run.result() is None]

        until(lambda: bool(runs()), 120)
        requeued.append(runs()[0])
        slurm_cluster.requeue(number_of(requeued[0]))

    thread = threading.Thread(target=requeue)
    thread.start()
    assert cli.main(["train", "-m", *words]) == 0
    thread.join()
    found = [RunDirectory(entry.path) for entry in index.entries(tmp_path / "runs")]
    assert [run.state() for run in found] == ["finished"] * 2
    assert sorted(run.status().attempt for run in found) == [1, 2]
    assert requeued[0].status().attempt == 2
    lines = [[line["step"] for line in run.metrics() if "train/loss" in line] for run in found]
    assert lines[0] == lines[1] == sorted(set(lines[0]))
