"""SIGKILL at any moment, of the command, its worker or both, and the same command started again at once."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jobs import HERE

from finecomb.runs import index
from finecomb.runs.directory import RunDirectory

COMMAND = [sys.executable, str(HERE / "jobs.py")]
STEPS = 30


def start(folder: Path, steps: int = STEPS, pause: float = 0.02, *words: str) -> subprocess.Popen:
    return subprocess.Popen([*COMMAND, str(folder), str(steps), str(pause), *words], stderr=subprocess.PIPE, text=True)


def the_run(folder: Path) -> RunDirectory:
    return RunDirectory(index.entries(folder)[0].path)


def until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def steps_of(folder: Path) -> int:
    found = index.entries(folder)
    return len(RunDirectory(found[0].path).metrics()) if found else 0


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def kill(victim: str, command: subprocess.Popen, worker: int) -> None:
    if victim in ("command", "both"):
        command.kill()
    if victim in ("worker", "both"):
        os.kill(worker, signal.SIGKILL)


@pytest.mark.parametrize("victim", ["command", "worker", "both"])
def test_a_run_killed_three_times_ends_as_if_left_alone(tmp_path, victim):
    draw = random.Random(victim)
    for _ in range(3):
        at = steps_of(tmp_path) + draw.randint(1, 6)
        command = start(tmp_path)
        until(lambda at=at: steps_of(tmp_path) >= at)
        kill(victim, command, the_run(tmp_path).status().pid)
        if victim == "worker":
            assert command.wait(30) == 1
            assert "SIGKILL" in command.stderr.read()
    command = start(tmp_path)
    assert command.wait(60) == 0, command.stderr.read()
    run = the_run(tmp_path)
    assert [line["step"] for line in run.metrics()] == list(range(1, STEPS + 1))
    assert run.result()["metrics"]["steps"] == STEPS
    assert run.status().attempt == 4


def test_a_killed_command_leaves_no_worker_behind(tmp_path):
    command = start(tmp_path, 1000)
    until(lambda: steps_of(tmp_path) >= 2)
    worker = the_run(tmp_path).status().pid
    command.kill()
    until(lambda: not is_alive(worker), 10)
    until(lambda: the_run(tmp_path).state() == "interrupted", 10)


def test_a_worker_that_outlives_its_command_is_waited_for_and_never_doubled(tmp_path):
    first = start(tmp_path, 60, 0.05, "orphan")
    until(lambda: steps_of(tmp_path) >= 2)
    first.kill()
    second = start(tmp_path, 60, 0.05, "orphan")
    assert second.wait(60) == 0
    run = the_run(tmp_path)
    assert run.status().attempt == 1
    assert len(run.metrics()) == 60


def test_two_commands_for_one_run_do_not_collide(tmp_path):
    commands = [start(tmp_path, 120, 0.05) for _ in range(2)]
    codes = sorted(command.wait(60) for command in commands)
    assert codes == [0, 2]
    refused = next(command for command in commands if command.returncode == 2)
    assert "is held by process" in refused.stderr.read()
    run = the_run(tmp_path)
    assert run.status().attempt == 1
    assert len(run.metrics()) == 120


def test_sigterm_to_the_command_stops_the_worker_in_order(tmp_path):
    command = start(tmp_path, 1000)
    until(lambda: steps_of(tmp_path) >= 2)
    command.terminate()
    command.wait(30)
    assert the_run(tmp_path).status().state == "interrupted"
    assert not the_run(tmp_path).is_held()
