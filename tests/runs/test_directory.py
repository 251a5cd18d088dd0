import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from finecomb.core.errors import ConfigError
from finecomb.runs import directory
from finecomb.runs.directory import RunDirectory
from finecomb.runs.lock import Held, Owner, read_owner
from finecomb.runs.record import RunRecord

CONFIG = {"seed": 0, "optimizer": {"lr": 1e-05, "betas": [0.9, 0.999]}, "name": None, "text": "1e-5", "flag": False, "umlaut": "ä"}


def make(tmp_path, fingerprint="0123456789ab", **record):
    return directory.create(tmp_path / "runs", CONFIG, RunRecord(fingerprint, "lora", **record))


def test_what_is_frozen_is_read_back_with_its_types(tmp_path):
    run = make(tmp_path, choices={"tuning": "lora"})
    assert run.path.name == "lora-0123456789ab"
    assert run.config == CONFIG
    assert type(run.config["optimizer"]["lr"]) is float
    assert type(run.config["text"]) is str
    assert run.record.choices == {"tuning": "lora"}
    assert run.fingerprint == "0123456789ab"
    assert run.state() == "created"


def test_a_run_is_found_by_its_fingerprint_whatever_its_name(tmp_path):
    first = make(tmp_path)
    second = directory.create(tmp_path / "runs", {}, RunRecord("0123456789ab", "another_name"))
    assert second.path == first.path
    assert second.config == CONFIG
    assert directory.find(tmp_path / "runs", "ffffffffffff") is None


def _create(output_dir, number):
    directory.create(output_dir, CONFIG, RunRecord("0123456789ab", f"name{number}"))


def test_two_commands_that_make_one_run_at_once_make_one_directory(tmp_path):
    context = multiprocessing.get_context("spawn")
    makers = [context.Process(target=_create, args=(tmp_path / "runs", number)) for number in range(4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert [maker.exitcode for maker in makers] == [0] * 4
    assert len([path for path in (tmp_path / "runs").iterdir() if path.is_dir()]) == 1


def test_a_directory_is_made_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(RunDirectory, "freeze", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [".lock"]


def test_what_a_killed_command_left_half_made_is_cleared_away(tmp_path):
    (tmp_path / "runs" / ".new-0123456789ab-1" / "logs").mkdir(parents=True)
    make(tmp_path)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [".lock", "lora-0123456789ab"]


def test_a_place_that_cannot_be_written_is_the_users_error(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(ConfigError) as raised:
        make(tmp_path)
    assert raised.value.problems[0].where == "output_dir"


def test_states_are_true_after_a_crash(tmp_path):
    run = make(tmp_path)
    run.set_status("running")
    assert run.state() == "interrupted"  # nobody holds it
    with run.lock():
        assert run.state() == "running"
        assert run.state(ours=True) == "interrupted"
    run.set_status("finished")
    assert run.state() == "interrupted"  # said, but there is no result
    run.write_result({"metrics": {}})
    assert run.state() == "finished"


def test_a_failure_keeps_its_error_and_the_attempt_before_is_kept_aside(tmp_path):
    run = make(tmp_path)
    run.set_status("running")
    run.append_metrics({"step": 1})
    (run.checkpoints / "last.ckpt").write_text("x")
    (run.logs / "rank0.log").write_text("log")
    run.set_status("failed", error="Traceback ...")
    run.set_aside()
    assert run.state() == "created"
    assert not list(run.checkpoints.iterdir())
    assert run.metrics() == []
    assert (run.attempts / "1" / "logs" / "rank0.log").read_text() == "log"
    assert json.loads((run.attempts / "1" / "status.json").read_text())["error"] == "Traceback ..."
    assert run.set_status("running").attempt == 2


def test_setting_aside_can_be_done_again_after_a_crash_in_its_middle(tmp_path):
    run = make(tmp_path)
    run.set_status("running")
    run.set_status("failed", error="e")
    (run.attempts / "1").mkdir(parents=True)
    run.logs.rename(run.attempts / "1" / "logs")
    run.set_aside()
    assert run.state() == "created"
    assert run.logs.is_dir()


def test_a_torn_last_line_of_metrics_is_left_out(tmp_path):
    run = make(tmp_path)
    run.append_metrics({"step": 1, "train/loss": float("nan")})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "tra')
    assert run.metrics() == [{"step": 1, "train/loss": None}]
    assert run.last_metrics() == {"step": 1, "train/loss": None}


def test_metrics_go_on_from_the_checkpoints_step(tmp_path):
    run = make(tmp_path)
    for step in (10, 20, 30):
        run.append_metrics({"step": step})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4')
    run.truncate_metrics(20)
    run.append_metrics({"step": 30, "again": True})
    assert [line["step"] for line in run.metrics()] == [10, 20, 30]
    assert run.metrics()[-1]["again"]


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"'])
def test_a_broken_file_is_named_with_what_to_do(tmp_path, content):
    run = make(tmp_path)
    (run.path / "status.json").write_text(content)
    with pytest.raises(ConfigError) as raised:
        run.state()
    assert "status.json" in raised.value.problems[0].what
    assert str(run.path) in raised.value.problems[0].hint


def test_a_lock_is_refused_while_held_and_names_its_holder(tmp_path):
    run = make(tmp_path)
    with run.lock():
        assert run.is_held()
        with pytest.raises(Held) as raised:
            run.lock().acquire()
        assert raised.value.owner.alive()
    assert not run.is_held()
    with run.lock():
        pass


def test_asking_whether_a_run_is_held_is_not_in_the_way_of_taking_it(tmp_path):
    run = make(tmp_path)
    asking = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"from finecomb.runs.lock import is_held\nfrom pathlib import Path\nwhile True: is_held(Path({str(run.path / 'lock')!r}))",
        ]
    )
    try:
        time.sleep(0.5)
        for _ in range(300):
            with run.lock():
                pass
    finally:
        asking.kill()
        asking.wait()


def test_a_lock_outlives_its_taker_in_the_child_that_inherited_it(tmp_path):
    run = make(tmp_path)
    taker = f"""
import subprocess, sys
from finecomb.runs.directory import RunDirectory
lock = RunDirectory({str(run.path)!r}).lock().acquire()
quiet = subprocess.DEVNULL
child = subprocess.Popen(["sleep", "60"], pass_fds=(lock.descriptor,), stdout=quiet, stderr=quiet)
print(child.pid, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", taker], capture_output=True, text=True, check=True)
    assert run.is_held()
    assert run.owner().alive() is False
    os.kill(int(done.stdout), signal.SIGKILL)
    for _ in range(100):
        if not run.is_held():
            break
        time.sleep(0.05)
    assert not run.is_held()


def test_an_owner_on_another_machine_cannot_be_asked(tmp_path):
    assert Owner(1, "elsewhere", 0.0).alive() is None
    assert read_owner(tmp_path / "none") is None


def test_the_artifact_of_an_earlier_schema_is_found_under_its_old_name(tmp_path):
    run = directory.create(tmp_path, {}, RunRecord("0123456789ab", "run"))
    assert run.artifact == run.path / "artifact"
    run.artifact.rename(run.path / "artefact")
    (run.path / "artefact" / "finecomb.json").write_text("{}")
    assert RunDirectory(run.path).artifact == run.path / "artefact"
    run.make_folders()
    assert not (run.path / "artifact").exists()
    run.set_status("running")
    run.set_aside()
    assert (run.attempts / "1" / "artefact" / "finecomb.json").exists()
    assert run.artifact == run.path / "artifact"
    assert run.artifact.is_dir()
