"""The engine when a worker process is killed, and with many tasks."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from finecomb.core import machine
from finecomb.core.errors import ConfigError, Problem
from finecomb.data import engine as engines
from finecomb.data.engine import LocalEngine
from finecomb.data.ray_engine import RayEngine


def write_result(spec: dict[str, Any]) -> None:
    """Write a result; the process of a task that is to die kills itself first, as often as the spec says."""
    deaths = Path(f"{spec['path']}.deaths")
    seen = len(deaths.read_text()) if deaths.exists() else 0
    if seen < spec.get("dies", 0):
        deaths.write_text("x" * (seen + 1))
        os.kill(os.getpid(), signal.SIGKILL)
    Path(spec["path"]).write_text("done")


def tasks(folder: Path, count: int, **deaths: int) -> list[dict[str, Any]]:
    return [{"name": f"t{n}", "path": str(folder / str(n)), "dies": deaths.get(f"t{n}", 0)} for n in range(count)]


def run(specs: list[dict[str, Any]]) -> None:
    engine = LocalEngine(2)
    try:
        engine.run(write_result, specs, size=1 << 30, what="testing")
    finally:
        engine.close()


def test_tasks_of_a_killed_worker_are_repeated(tmp_path):
    specs = tasks(tmp_path, 20, t3=1)
    run(specs)
    assert all(Path(spec["path"]).read_text() == "done" for spec in specs)


def test_a_task_that_kills_its_worker_each_time_is_one_error_that_names_it_and_memory(tmp_path):
    with pytest.raises(ConfigError) as raised:
        run(tasks(tmp_path, 4, t2=100))
    (problem,) = raised.value.problems
    assert problem.where == "task t2"
    assert "memory" in problem.hint
    assert (tmp_path / "2.deaths").read_text() == "xxx"


def test_few_tasks_are_submitted_at_a_time_however_many_there_are(monkeypatch):
    open_now, most = [0], [0]

    class Pool(ThreadPoolExecutor):
        def __init__(self, workers, *_):
            super().__init__(workers)

        def submit(self, *args):
            open_now[0] += 1
            most[0] = max(most[0], open_now[0])
            future = super().submit(*args)
            future.add_done_callback(lambda _: open_now.__setitem__(0, open_now[0] - 1))
            return future

    monkeypatch.setattr(engines, "ProcessPoolExecutor", Pool)
    done: list[int] = []
    engine = LocalEngine(2)
    engine.run(lambda spec: done.append(spec["n"]), [{"n": n} for n in range(300)], size=1 << 30, what="testing")
    engine.close()
    assert sorted(done) == list(range(300))
    assert most[0] <= 2 * engines.AHEAD


def test_an_error_of_a_task_ends_all_and_is_raised_as_it_is(tmp_path):
    specs = [{"path": str(tmp_path / "no folder" / "x")}, *tasks(tmp_path, 3)]
    with pytest.raises(FileNotFoundError):
        run(specs)


def refuse(spec: dict[str, Any]) -> None:
    raise ConfigError(Problem(f"refused {spec['name']}", "here", hint="a hint"))


def test_the_users_error_comes_back_from_another_process_with_its_problems():
    engine = LocalEngine(2)
    with pytest.raises(ConfigError) as raised:
        engine.run(refuse, [{"name": "a"}, {"name": "a"}], size=1 << 30, what="testing")
    engine.close()
    assert raised.value.problems == [Problem("refused a", "here", hint="a hint")]


def test_ray_that_is_not_installed_is_the_users_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError) as raised:
        RayEngine()
    assert raised.value.problems[0].hint == "pip install 'finecomb[ray]'"


def test_workers_follow_the_quota_of_the_control_group(monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    real = Path.read_text
    monkeypatch.setattr(Path, "is_file", lambda path: str(path) == "/sys/fs/cgroup/cpu.max")
    monkeypatch.setattr(Path, "read_text", lambda path, *a, **k: "300000 100000\n" if path.name == "cpu.max" else real(path, *a, **k))
    assert LocalEngine().workers == 3


def test_similarities_are_computed_where_the_system_reports_no_affinity(monkeypatch):
    import numpy as np

    from finecomb.data.cleaner.lsh import Rows

    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    rows = Rows([(np.zeros((1, 2), np.uint64), np.array([2, 4, 2, 4], np.uint64), np.array([0, 2, 4]))])
    assert rows.similarities(np.array([0]), np.array([1])).tolist() == [1.0]
