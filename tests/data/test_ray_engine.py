"""The Ray engine on a local cluster of three node processes: the same bytes as locally, also when a node is killed in the middle."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import finecomb
from finecomb.core.errors import ConfigError
from finecomb.data import engine as engines
from finecomb.data.cleaner.steps.near import NearDuplicates
from finecomb.data.engine import ATTEMPTS
from finecomb.data.ray_engine import RayEngine

pytestmark = [pytest.mark.slow, pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")]

# A step of a plug-in: it notes each shard that it begins, and takes its time; on the node that is to be killed it would take for ever.
PLUGIN = """
import os, time, uuid
from dataclasses import dataclass
from pathlib import Path
from finecomb.config.schema.base import option
from finecomb.data.cleaner.step import Decision, Step

@dataclass
class LowerSchema:
    seconds: float = option("how long a shard takes on the cluster")

class Lower(Step):
    def __init__(self, config):
        self.seconds = config.seconds
    def decide(self, batch):
        if note := os.environ.get("STARTED"):
            Path(note, f"{batch.start}-{os.environ.get('VICTIM', '')}-{uuid.uuid4().hex}").touch()
            if "VICTIM" in os.environ:
                time.sleep(60)
            # A node that is slow to begin gets a shard all the same.
            end = time.monotonic() + 60
            while not list(Path(note).glob("*-victim-*")) and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(self.seconds)
        return Decision(replace={row: (text.lower(), None) for row, text in enumerate(batch.text) if text != text.lower()})

CLEANING_STEPS = {"lower": (LowerSchema, Lower)}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    for name in ("cache", "started", "plugin"):
        (folder / name).mkdir()
    (folder / "elsewhere").symlink_to(folder / "cache")
    (folder / "plugin" / "finecomb_plugin.py").write_text(PLUGIN)
    return folder


@pytest.fixture(scope="module")
def cluster(place: Path) -> Iterator[Any]:
    """Three nodes of one processor each, on the loopback address; the last finds the shared cache at another path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FINECOMB_CACHE", raising=False)
        path = os.pathsep.join([str(Path(finecomb.__file__).parents[1]), str(Path(__file__).parent)])
        own = {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "STARTED": str(place / "started"),
            "PYTHONPATH": path,
        }
        for name, value in own.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        own = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80_000_000}
        started = Cluster(initialize_head=True, head_node_args=own)
        started.victim = started.add_node(**own, env_vars={"VICTIM": "victim"})
        started.add_node(**own, env_vars={"FINECOMB_CACHE": str(place / "elsewhere")})
    try:
        yield started
    finally:
        started.shutdown()


@pytest.fixture
def engine(cluster: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayEngine]:
    monkeypatch.setenv("FINECOMB_CACHE", str(place / "cache"))
    monkeypatch.setattr(engines, "WORTH_A_PROCESS", 0)
    connected = RayEngine(cluster.address)
    assert connected.workers == 3
    yield connected
    connected.close()


def note(spec: dict[str, Any]) -> None:
    """A task; one that is to die kills its process first, as often as the spec says."""
    with Path(spec["path"]).open("a") as file:
        file.write("x")
    if len(Path(spec["path"]).read_text()) <= spec["dies"]:
        os.kill(os.getpid(), signal.SIGKILL)


def tasks(folder: Path, deaths: dict[int, int]) -> list[dict[str, Any]]:
    return [{"name": f"t{number}", "path": str(folder / str(number)), "dies": deaths.get(number, 0)} for number in range(4)]


def test_a_task_whose_worker_dies_is_repeated(engine, tmp_path):
    engine.run(note, tasks(tmp_path, {1: ATTEMPTS}), size=1, what="testing")
    assert [len((tmp_path / str(number)).read_text()) for number in range(4)] == [1, 1 + ATTEMPTS, 1, 1]


def test_a_task_that_kills_its_worker_each_time_is_the_users_error(engine, tmp_path):
    with pytest.raises(ConfigError) as raised:
        engine.run(note, tasks(tmp_path, {2: 100}), size=1, what="testing")
    assert raised.value.problems[0].where == "task t2"
    assert len((tmp_path / "2").read_text()) == 1 + ATTEMPTS


def test_an_error_of_a_task_is_raised_as_it_is(engine, tmp_path):
    with pytest.raises(FileNotFoundError):
        engine.run(note, tasks(tmp_path / "missing", {}), size=1, what="testing")


def test_a_node_that_does_not_share_the_cache_is_the_users_error(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "only here"))
    monkeypatch.setattr(engines, "WORTH_A_PROCESS", 0)
    engine = RayEngine(cluster.address)
    try:
        with pytest.raises(ConfigError, match="does not see the driver's cache"):
            engine.run(note, tasks(tmp_path, {}) * 10, size=1, what="testing")
    finally:
        engine.close()


def corpus(path: Path) -> Path:
    """2,000 texts: every tenth a copy, every seventh nearly one."""
    lines = []
    for number in range(2000):
        source = number - 5 if number % 10 == 9 else number
        words = [f"Word{(source * 31 + place * place) % 997}" for place in range(30)]
        lines.append(" ".join(words[:-1] if number % 7 == 6 else words) + (f"\\nAll rights reserved {number % 3}" if number % 2 else ""))
    path.write_text("".join(f'{{"text": "{line}", "label": "{"ab"[number % 2]}"}}\n' for number, line in enumerate(lines)))
    return path


def prepared(file: Path, place: Path, output: Path, engine: Any) -> Any:
    steps = ("cleaner.steps.length=null", "+cleaner.steps.lower={step: lower, seconds: 0.2}")
    config = finecomb.compose("dataset=files", f"dataset.files.train={file}", "cleaner=web", *steps, config_dirs=[place / "plugin"])
    data = finecomb.prepare(config, engine=engine)
    data.write(output)
    return data


def test_a_node_killed_in_the_middle_loses_nothing_and_changes_no_byte(engine, cluster, place, tmp_path, monkeypatch):
    monkeypatch.setattr("finecomb.data.shards.SHARD_BYTES", 20_000)
    monkeypatch.setattr(sys.modules[NearDuplicates.__module__], "_PART", 10_000)
    file = corpus(tmp_path / "corpus.jsonl")
    killed = threading.Event()

    def kill() -> None:
        while not list((place / "started").glob("*-victim-*")) or len(list((place / "started").iterdir())) < 5:
            time.sleep(0.02)
        cluster.remove_node(cluster.victim, allow_graceful=False)
        killed.set()

    threading.Thread(target=kill, daemon=True).start()
    far = prepared(file, place, tmp_path / "far", engine)
    assert killed.is_set()
    begun = [path.name.partition("-")[0] for path in (place / "started").iterdir()]
    assert len(begun) > len(set(begun)) > 10, "no task was lost with the node"
    assert len(list((place / "cache" / "shards" / "plan").glob("*-of-*"))) > 1, "the plan was not shared"
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    here = prepared(file, place, tmp_path / "here", None)
    assert far.content_hash == here.content_hash
    tables = sorted(path.name for path in (tmp_path / "here").glob("*.parquet") if path.name != "seconds.parquet")
    assert {"train.parquet", "test.parquet", "validation.parquet", "dropped.parquet", "scores.parquet"} <= set(tables)
    for name in tables:
        assert (tmp_path / "far" / name).read_bytes() == (tmp_path / "here" / name).read_bytes(), name


def test_an_address_where_nothing_listens_is_refused_at_once():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # taken, and not listening
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(ConfigError, match="no Ray cluster answers") as caught:
            RayEngine(address)
    assert caught.value.problems[0].where == f"--address {address}"
