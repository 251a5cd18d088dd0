"""The real worker, killed: the same weights, bit for bit, as one left alone; and a full disk at the last moment."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_kill import is_alive, until

from finecomb.config.compose import compose
from finecomb.core import atomic
from finecomb.core.errors import ConfigError
from finecomb.launch.freeze import freeze
from finecomb.runs import index
from finecomb.runs.directory import RunDirectory
from finecomb.training import worker

WORDS = ["fine", "dull", "plot", "cast", "long", "short", "again"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kill")
    draw = random.Random(0)
    rows = [f"{' '.join(draw.choices(WORDS, k=draw.randint(2, 12)))} {row}\t{row % 2}\n" for row in range(400)]
    (folder / "train.tsv").write_text("text\tlabel\n" + "".join(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINECOMB_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        yield folder


def overrides(output: str, *more: str) -> list[str]:
    return [
        "dataset=files", "dataset.files.train=train.tsv", "model=tiny", "batch.size=4", "trainer.max_epochs=3", "trainer.threads=1",
        "callbacks.checkpoint.every_n_steps=3", "logger=none", f"output_dir={output}", *more,
    ]  # fmt: skip


def start(output: str) -> subprocess.Popen:
    words = [sys.executable, "-m", "finecomb", "train", *overrides(output)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def weights(run: RunDirectory) -> bytes:
    (path,) = run.artifact.glob("*.safetensors")
    return path.read_bytes()


def test_a_run_whose_group_and_whose_command_are_killed_ends_with_the_same_weights(place):
    alone = start("alone")
    assert alone.wait(180) == 0, alone.stderr.read()
    (entry,) = index.entries("alone")
    for victim, at in (("group", 20), ("command", 100)):
        command = start("killed")
        until(lambda at=at: any(RunDirectory(each.path).progress().get("step", 0) >= at for each in index.entries("killed")), 120)
        run = RunDirectory(index.entries("killed")[0].path)
        pid = run.status().pid
        if victim == "group":
            os.killpg(command.pid, signal.SIGKILL)
            os.killpg(pid, signal.SIGKILL)
        else:
            command.kill()
            until(lambda pid=pid: not is_alive(pid), 10)
    command = start("killed")
    assert command.wait(180) == 0, command.stderr.read()
    assert command.stdout.read().splitlines()[-1] == str(run.path)
    assert run.status().attempt == 3
    left_alone = RunDirectory(entry.path)
    assert weights(run) == weights(left_alone)
    assert run.result()["metrics"] == left_alone.result()["metrics"]
    lines = [[{key: value for key, value in line.items() if key != "seconds"} for line in each.metrics()] for each in (run, left_alone)]
    assert lines[0] == lines[1]


def test_a_disk_that_is_full_at_the_last_moment_leaves_a_run_to_go_on_with_and_no_half_result(place, monkeypatch):
    job = freeze(compose(overrides("full", "trainer.max_steps=4")))
    write = atomic.write_bytes

    def full_for_results(path: Path, data: bytes) -> None:
        if path.name == "result.json":
            with atomic.reported_when_full(path):
                raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write_bytes", full_for_results)
        with pytest.raises(ConfigError, match="the disk is full"):
            worker.attempt(job.run, True, time.monotonic())
    assert job.run.result() is None
    assert job.run.state() == "interrupted"
    assert not list(job.run.path.glob("**/*.tmp"))
    assert worker.attempt(job.run, True, time.monotonic()) == 0
    assert json.loads((job.run.path / "result.json").read_text())["attempts"] == 2


def test_a_full_disk_before_training_is_the_users_error_and_leaves_no_directory(place, monkeypatch):
    composition = compose(overrides("none", "seed=1"))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    freeze(compose(overrides("full")))  # data are in the cache
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="disk is full"):
        freeze(composition)
    assert not [path for path in Path("none").iterdir() if path.is_dir()]
