"""What Hydra's users asked of a sweep that can be resumed (hydra issue 3328), one test for each line of that list."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
from jobs import FAKE, HERE, job

from finecomb.launch import workers
from finecomb.launch.launcher import launch
from finecomb.runs.directory import RunDirectory
from finecomb.studies.sweep import Sweep
from finecomb.training import wandb_mirror


@pytest.fixture(autouse=True)
def fake_worker(monkeypatch):
    monkeypatch.setattr(workers, "WORKER", FAKE)


def record(folder, name="search"):
    return json.loads((folder / "sweeps" / f"{name}.json").read_text())


def sweep(folder, *jobs):
    found = Sweep()
    found.open("search", folder)
    found.add(jobs)
    return found


def test_a_sweep_has_an_identity_that_outlives_its_command(tmp_path):
    sweep(tmp_path, job(tmp_path, 0.1))
    first = record(tmp_path)
    sweep(tmp_path, job(tmp_path, 0.1))
    again = record(tmp_path)
    assert (again["id"], again["created"]) == (first["id"], first["created"]) == ("search", first["created"])
    assert (tmp_path / "sweeps" / "latest.json").resolve().name == "search.json"


def test_jobs_added_later_go_on_counting_and_none_loses_its_number(tmp_path):
    sweep(tmp_path, job(tmp_path, 0.1), job(tmp_path, 0.2))
    sweep(tmp_path, job(tmp_path, 0.3), job(tmp_path, 0.2))
    assert [(each["number"], each["overrides"]) for each in record(tmp_path)["jobs"]] == [(0, ["lr=0.1"]), (1, ["lr=0.2"]), (2, ["lr=0.3"])]
    assert len(record(tmp_path)["runs"]) == 3


def test_a_state_is_what_is_true_and_names_its_owner(tmp_path):
    frozen = job(tmp_path, steps=400, pause=0.02)
    assert frozen.run.state() == "created"
    command = subprocess.Popen([sys.executable, str(HERE / "jobs.py"), str(tmp_path), "400", "0.02"], stderr=subprocess.DEVNULL)
    try:
        while not list(tmp_path.glob("*/metrics.jsonl")):
            assert command.poll() is None
            time.sleep(0.05)
        run = next(RunDirectory(path.parent) for path in tmp_path.glob("*/metrics.jsonl"))
        assert run.state() == "running"
        assert run.owner().pid == command.pid
        assert run.owner().alive()
    finally:
        command.kill()
        command.wait()
    deadline = time.monotonic() + 10
    while run.state() == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert run.state() == "interrupted"


def test_an_interrupted_job_goes_on_with_the_same_wandb_id_and_a_clean_start_has_another(tmp_path):
    interrupted, failed = launch([job(tmp_path, die=True), job(tmp_path, 0.4, fail=1)])
    before = [wandb_mirror.run_id(outcome.run) for outcome in (interrupted, failed)]
    launch([job(tmp_path, die=True), job(tmp_path, 0.4, fail=1, rerun="failed")])
    after = [wandb_mirror.run_id(outcome.run) for outcome in (interrupted, failed)]
    assert interrupted.run.state() == failed.run.state() == "finished"
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_result_that_was_half_written_is_no_result(tmp_path):
    outcome = launch([job(tmp_path)])[0]
    (outcome.run.path / "result.json").unlink()
    (outcome.run.path / ".result.json.tmp").write_text('{"metrics": {')
    assert RunDirectory(outcome.run.path).state() == "interrupted"
    assert launch([job(tmp_path)])[0].state == "finished"


def test_two_commands_at_once_share_the_work_and_collide_nowhere(tmp_path):
    command = [sys.executable, str(HERE / "jobs.py"), str(tmp_path), "40", "0.02"]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("*/metrics.jsonl")):
        assert first.poll() is None
        time.sleep(0.02)
    found = launch([job(tmp_path, steps=40, pause=0.02), job(tmp_path, 0.7)], sweep=True)
    first.communicate()
    assert first.returncode == 0
    assert [outcome.state for outcome in found] == ["finished", "finished"]
    shared = next(outcome for outcome in found if outcome.run.config["lr"] == 0.5)
    assert shared.reused
    assert shared.run.status().attempt == 1
