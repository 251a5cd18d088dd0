"""Launching, with a worker that needs no torch."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
from jobs import FAKE, job

from finecomb.config.plain import to_plain
from finecomb.core.errors import ConfigError
from finecomb.launch import attempt, launcher, workers
from finecomb.launch.launcher import launch, launch_feed
from finecomb.launch.outcome import exit_code
from finecomb.launch.policy import Policy
from finecomb.launch.signals import Interruption
from finecomb.runs.directory import RunDirectory


@pytest.fixture(autouse=True)
def fake_worker(monkeypatch):
    monkeypatch.setattr(workers, "WORKER", FAKE)


def seen(run, rank=0):
    return json.loads((run.path / f"seen{rank}.json").read_text())


def test_a_finished_run_is_returned_without_training_again(tmp_path):
    first = launch([job(tmp_path)])[0]
    assert (first.state, first.reused) == ("finished", False)
    started = seen(first.run)["started"]
    again = launch([job(tmp_path)])[0]
    assert (again.state, again.reused) == ("finished", True)
    assert seen(again.run)["started"] == started
    assert exit_code([first, again]) == 0


def test_an_interrupted_run_goes_on_from_its_checkpoint_and_logs_no_step_twice(tmp_path):
    frozen = job(tmp_path, steps=6, pause=0.0)
    (frozen.run.checkpoints / "last.json").write_text('{"step": 2}')
    for step in range(1, 5):
        frozen.run.append_metrics({"step": step})
    frozen.run.set_status("running")  # as a killed worker leaves it
    outcome = launch([frozen])[0]
    assert outcome.notes[0] == "resumed"
    assert [line["step"] for line in outcome.run.metrics()] == [1, 2, 3, 4, 5, 6]
    assert "train/loss" not in outcome.run.metrics()[1]
    assert "train/loss" in outcome.run.metrics()[2]


def test_a_resumed_run_keeps_its_number_of_threads(tmp_path):
    frozen = job(tmp_path)
    config = frozen.run.config
    frozen.run.freeze({**config, "trainer": {**config["trainer"], "threads": 3}}, frozen.run.record)
    frozen.run.set_status("running")
    outcome = launch([frozen])[0]
    assert seen(outcome.run)["OMP_NUM_THREADS"] == "3"
    assert outcome.run.config["trainer"]["threads"] == 3


def test_a_failed_run_is_reported_and_runs_again_only_when_asked(tmp_path):
    first = launch([job(tmp_path, fail=1)])[0]
    assert (first.state, exit_code([first])) == ("failed", 1)
    assert "ValueError: no luck" in first.error
    again = launch([job(tmp_path, fail=1)])[0]
    assert (again.state, again.reused) == ("failed", True)
    assert again.run.status().attempt == 1
    retried = launch([job(tmp_path, fail=1, rerun="failed")])[0]
    assert (retried.state, retried.reused) == ("finished", False)
    kept = retried.run.attempts / "1"
    assert "no luck" in json.loads((kept / "status.json").read_text())["error"]
    assert (kept / "logs" / "rank0.log").read_text().startswith("the fake worker runs")
    assert retried.run.status().attempt == 2


def test_a_finished_run_runs_again_from_the_start_only_with_rerun_all(tmp_path):
    first = launch([job(tmp_path)], Policy(keep_checkpoints=True))[0]
    for rerun in (None, "failed"):
        assert launch([job(tmp_path, rerun=rerun)])[0].reused
    again = launch([job(tmp_path, rerun="all")])[0]
    assert (again.state, again.reused, again.notes) == ("finished", False, ())
    assert (again.run.path, again.run.status().attempt) == (first.run.path, 2)
    kept = again.run.attempts / "1"
    assert {"result.json", "metrics.jsonl", "logs"} <= {path.name for path in kept.iterdir()}
    steps = [line["step"] for line in again.run.metrics()]
    assert steps == [line["step"] for line in RunDirectory(kept).metrics()]


def test_rerun_all_runs_a_failed_run_again_and_resumes_an_interrupted_one(tmp_path):
    assert launch([job(tmp_path, 0.1, fail=1)])[0].state == "failed"
    assert launch([job(tmp_path, 0.1, fail=1, rerun="all")])[0].state == "finished"
    assert launch([job(tmp_path, 0.2, die=True)])[0].state == "interrupted"
    resumed = launch([job(tmp_path, 0.2, die=True, rerun="all")])[0]
    assert resumed.state == "finished"
    assert "resumed" in resumed.notes


def test_a_rerun_cut_short_while_it_moves_the_old_attempt_starts_from_the_beginning(tmp_path, monkeypatch):
    run = launch([job(tmp_path)], Policy(keep_checkpoints=True))[0].run
    real, moved = os.replace, []

    def once(source, target):
        if moved:
            raise KeyboardInterrupt
        moved.append(Path(source).name)
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("finecomb.runs.directory.os.replace", once)
        with pytest.raises(KeyboardInterrupt):
            run.set_aside()
    assert moved == ["result.json"]
    assert run.state() == "interrupted"
    assert not run.checkpoints.exists()
    outcome = launch([job(tmp_path)])[0]
    assert (outcome.state, outcome.reused) == ("finished", False)


def test_a_worker_that_dies_without_a_word_has_failed_with_the_end_of_its_log(tmp_path):
    outcome = launch([job(tmp_path, silent_death=True)])[0]
    assert outcome.state == "failed"
    assert "died before it could say so" in outcome.error
    assert outcome.run.state() == "failed"


def test_a_killed_worker_leaves_an_interrupted_run(tmp_path):
    outcome = launch([job(tmp_path, die=True)])[0]
    assert (outcome.state, exit_code([outcome])) == ("interrupted", 1)
    assert "SIGKILL" in outcome.error
    assert launch([job(tmp_path, die=True)])[0].state == "finished"


def test_the_users_error_in_a_worker_is_told_by_exit_code_2(tmp_path):
    outcome = launch([job(tmp_path, user_error=True)])[0]
    assert (outcome.error, exit_code([outcome])) == ("the labels are wrong", 2)


def test_a_full_disk_is_the_users_error_and_the_run_goes_on_once_there_is_room(tmp_path):
    outcome = launch([job(tmp_path, disk_full=True)])[0]
    assert (outcome.state, outcome.run.state(), exit_code([outcome])) == ("interrupted", "interrupted", 2)
    assert "output_dir" in outcome.error
    assert "FINECOMB_CACHE" in outcome.error
    assert launch([job(tmp_path, disk_full=True)])[0].state == "finished"


def test_jobs_go_on_after_a_failure_and_keep_their_order(tmp_path):
    jobs = [job(tmp_path, 0.1), job(tmp_path, 0.2, fail=9), job(tmp_path, 0.3)]
    outcomes = launch(jobs, Policy(slots=2))
    assert [outcome.state for outcome in outcomes] == ["finished", "failed", "finished"]
    assert [outcome.run.path for outcome in outcomes] == [frozen.run.path for frozen in jobs]
    assert exit_code(outcomes) == 1


def test_fail_fast_stops_what_runs_and_starts_nothing_more(tmp_path):
    jobs = [job(tmp_path, 0.1, steps=1000, pause=0.1), job(tmp_path, 0.2, fail=9), job(tmp_path, 0.3)]
    outcomes = launch(jobs, Policy(slots=2, fail_fast=True))
    assert [outcome.state for outcome in outcomes] == ["interrupted", "failed", "not started"]
    assert outcomes[0].run.status().state == "interrupted"
    assert outcomes[2].run.state() == "created"


def test_no_more_jobs_run_at_once_than_there_are_slots(tmp_path, monkeypatch):
    most = 0
    begin = workers.Workers.__init__

    def counted(self, run, lock, **others):
        nonlocal most
        begin(self, run, lock, **others)
        most = max(most, sum(other.run.is_held() for other in jobs))

    monkeypatch.setattr(workers.Workers, "__init__", counted)
    jobs = [job(tmp_path, lr / 10, steps=2, pause=0.05) for lr in range(5)]
    launch(jobs, Policy(slots=2))
    assert most == 2


def test_jobs_with_one_fingerprint_are_trained_once(tmp_path):
    outcomes = launch([job(tmp_path), job(tmp_path)], Policy(slots=2))
    assert [outcome.state for outcome in outcomes] == ["finished", "finished"]
    assert outcomes[0].run.status().attempt == 1


def test_ranks_of_one_job_share_one_directory_and_one_config(tmp_path):
    outcome = launch([job(tmp_path, 0.7, processes=2)])[0]
    ranks = [seen(outcome.run, rank) for rank in (0, 1)]
    assert [rank["LOCAL_RANK"] for rank in ranks] == ["0", "1"]
    assert {rank["WORLD_SIZE"] for rank in ranks} == {"2"}
    assert len({rank["MASTER_PORT"] for rank in ranks}) == 1
    assert {rank["lr"] for rank in ranks} == {0.7}
    assert {path.name for path in outcome.run.logs.iterdir()} == {"rank0.log", "rank1.log"}


def test_the_words_of_another_launcher_do_not_reach_a_worker(tmp_path, monkeypatch):
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "7")
    outcome = launch([job(tmp_path)])[0]
    assert seen(outcome.run)["LOCAL_RANK"] is None
    assert seen(outcome.run)["WORLD_SIZE"] is None


def test_a_held_run_is_the_users_error_that_names_its_holder(tmp_path):
    frozen = job(tmp_path)
    with frozen.run.lock(), pytest.raises(ConfigError, match=f"process {os.getpid()}"):
        launch([frozen])
    assert frozen.run.state() == "created"


def test_a_sweep_comes_back_to_a_held_run_at_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(launcher, "ASK_AGAIN", 0.1)
    jobs = [job(tmp_path, 0.1), job(tmp_path, 0.2)]
    lock = jobs[0].run.lock().acquire()
    threading.Timer(1.5, lock.release).start()
    outcomes = launch(jobs)
    assert [outcome.state for outcome in outcomes] == ["finished", "finished"]
    assert seen(jobs[1].run)["started"] < seen(jobs[0].run)["started"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_stop_the_workers_and_leave_an_interrupted_run(tmp_path, number):
    frozen = job(tmp_path, steps=1000, pause=0.05)
    threading.Timer(1.0, os.kill, (os.getpid(), number)).start()
    with pytest.raises(Interruption) as raised:
        launch([frozen])
    assert raised.value.exit_code == 128 + number
    assert frozen.run.status().state == "interrupted"
    assert not frozen.run.is_held()


def test_a_worker_that_does_not_stop_is_made_to(tmp_path, monkeypatch):
    monkeypatch.setattr(attempt, "PATIENCE_WITH_STOP", 0.3)
    frozen = job(tmp_path, steps=1000, pause=0.05, stubborn=True)
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    began = time.monotonic()
    with pytest.raises(Interruption):
        launch([frozen])
    assert time.monotonic() - began < 10
    assert frozen.run.state() == "interrupted"


def test_several_machines_are_refused_with_the_command_to_use(tmp_path):
    frozen = job(tmp_path)
    frozen.config.trainer.num_nodes = 2
    with pytest.raises(ConfigError) as raised:
        launch([frozen])
    assert "finecomb.training.worker" in raised.value.problems[0].hint


def test_a_damaged_run_directory_is_told_and_does_not_stop_the_others(tmp_path):
    jobs = [job(tmp_path, 0.1), job(tmp_path, 0.2)]
    (jobs[0].run.path / "status.json").write_text("{")
    outcomes = launch(jobs)
    assert [outcome.state for outcome in outcomes] == ["failed", "finished"]
    assert "status.json" in outcomes[0].error
    assert outcomes[0].user_error


def test_a_failed_job_is_started_again_as_often_as_it_may_be(tmp_path):
    lucky, unlucky = launch([job(tmp_path, fail=1), job(tmp_path, 0.4, fail=9)], Policy(retries=1))
    assert (lucky.state, lucky.run.status().attempt) == ("finished", 2)
    assert (unlucky.state, unlucky.run.status().attempt) == ("failed", 2)


def test_a_dead_worker_is_started_again_from_its_checkpoint(tmp_path):
    assert launch([job(tmp_path, die=True)])[0].state == "interrupted"
    outcome = launch([job(tmp_path, 0.4, die=True)], Policy(retries=1))[0]
    assert (outcome.state, outcome.run.status().attempt) == ("finished", 2)


def test_the_users_error_is_not_tried_again(tmp_path):
    outcome = launch([job(tmp_path, user_error=True)], Policy(retries=3))[0]
    assert (outcome.state, outcome.user_error, outcome.run.status().attempt) == ("failed", True, 1)


def test_want_of_memory_splits_the_batch_until_it_fits(tmp_path):
    frozen = job(tmp_path, batch=8, memory=3)
    outcome = launch([frozen])[0]
    assert outcome.state == "finished"
    assert outcome.run.record.pieces == 4  # of 2 examples each: 8 and 4 at once were too many
    assert outcome.run.config == to_plain(frozen.config)
    note = "computed in 4 micro-batches instead of 1 after running out of memory; with dropout, its steps differ from those in 1"
    assert note in outcome.notes
    again = launch([frozen])[0]
    assert (again.reused, again.notes) == (True, (note,))
    assert launch([job(tmp_path, batch=2, memory=3)])[0].notes == ()
    hopeless = launch([job(tmp_path, batch=4, memory=0)])[0]
    assert hopeless.state == "failed"
    assert "out of memory" in hopeless.error


def test_a_job_that_takes_too_long_is_stopped_and_goes_on_when_asked_again(tmp_path):
    outcome = launch([job(tmp_path, steps=200, pause=0.02)], Policy(timeout=1.0))[0]
    assert outcome.state == "interrupted"
    assert "1 s (timeout)" in outcome.error
    assert 0 < len(outcome.run.metrics()) < 200
    done = launch([job(tmp_path, steps=200, pause=0.02)])[0]
    assert (done.state, len(done.run.metrics())) == ("finished", 200)


def test_the_checkpoints_of_finished_runs_alone_are_dropped(tmp_path):
    kept = launch([job(tmp_path, 0.1)])[0]
    dropped, failed = launch([job(tmp_path, 0.2), job(tmp_path, 0.3, die=True)], Policy(keep_checkpoints=False))
    assert (kept.run.checkpoints / "last.json").exists()
    assert not dropped.run.checkpoints.exists()
    assert dropped.run.state() == "finished"
    assert failed.run.checkpoints.exists()
    assert launch([job(tmp_path, 0.2)], Policy(keep_checkpoints=False))[0].reused


class Search:
    """Hands out three jobs, the next depending on the answer before it, and prunes the second."""

    def __init__(self, folder):
        self.folder, self.asked, self.answers, self.seen = folder, 0, [], []

    def next(self):
        if self.asked > len(self.answers):
            return None
        self.asked += 1
        return job(self.folder, lr=0.1 * self.asked, steps=3 if self.asked != 2 else 500, pause=0.02)

    def done(self):
        return len(self.answers) == 3

    def ended(self, job, outcome):
        self.answers.append(outcome.state)

    def stop(self, job, lines):
        self.seen += [line["step"] for line in lines]
        return self.asked == 2 and lines[-1]["step"] >= 5


def test_a_feed_is_asked_answered_and_may_prune(tmp_path):
    search = Search(tmp_path)
    outcomes = launch_feed(search, Policy(slots=2))
    assert [outcome.state for outcome in outcomes] == search.answers == ["finished", "pruned", "finished"]
    assert outcomes[1].run.state() == "pruned"
    assert exit_code(outcomes) == 0
    steps = [line["step"] for line in outcomes[1].run.metrics()]
    assert 5 <= len(steps) < 500
    assert search.seen[:3] == [1, 2, 3]


def test_a_pruned_run_goes_on_when_it_is_asked_for_by_itself(tmp_path):
    pruned = launch_feed(Search(tmp_path), Policy())[1]
    frozen = job(tmp_path, lr=0.2, steps=500, pause=0.02)
    assert frozen.run.path == pruned.run.path
    before = len(pruned.run.metrics())
    outcome = launch_feed(Once(frozen, before + 3), Policy())[0]
    assert outcome.notes[0] == "resumed"
    assert len(outcome.run.metrics()) > before


class Once:
    """One job, stopped at a step."""

    def __init__(self, frozen, step):
        self.jobs, self.step = [frozen], step

    def next(self):
        return self.jobs.pop() if self.jobs else None

    def done(self):
        return not self.jobs

    def ended(self, job, outcome):
        pass

    def stop(self, job, lines):
        return lines[-1]["step"] >= self.step
