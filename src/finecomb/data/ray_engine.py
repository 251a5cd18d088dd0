"""Tasks on a Ray cluster (https://docs.ray.io): the only file that imports Ray, and the only one through which anything is pickled.

Every node needs finecomb in the driver's version and the cache on a disk that all share. A node that has FINECOMB_CACHE set finds the cache
there; the others look at the path where the driver has it.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Sequence
from itertools import islice
from typing import Any

from finecomb.assets.cache import RAY, cache_dir
from finecomb.config import plugins
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.engine import AHEAD, ATTEMPTS, Task, ended_each_time, progress_bar, worth_processes

_ANSWERS_WITHIN = 5.0  # seconds
_INSTALL = "pip install 'finecomb[ray]'"


class RayEngine:
    """Runs tasks on all processors of a Ray cluster. A task whose worker or node is lost is done again on another.

    Args:
        address: Of a running cluster, such as "10.0.0.1:6379" or "auto"; None: a cluster on this machine alone, which ends with the engine.
        workers: Most tasks at a time; None: one for each processor of the cluster.
        progress: Whether to show a progress bar on a terminal.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers at the address.

    Example:
        >>> config = finecomb.compose("dataset=files", "dataset.files.train=reviews.csv", "cleaner=basic")
        >>> engine = finecomb.RayEngine("10.0.0.1:6379")  # doctest: +SKIP
        >>> data = finecomb.prepare(config, engine=engine)  # doctest: +SKIP
    """

    def __init__(self, address: str | None = None, *, workers: int | None = None, progress: bool = False) -> None:
        self._ray = _imported(loopback=address is None or address.startswith("127."))
        self._own = not self._ray.is_initialized()
        if self._own:
            self._connect(address, workers)
        self.workers = workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._progress = progress
        self._token = RAY.path(uuid.uuid4().hex)  # by this file workers see that they share the disk
        self._token.parent.mkdir(parents=True, exist_ok=True)
        self._token.touch()
        self._checked = False

    def _connect(self, address: str | None, workers: int | None) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": None}
        if address is not None:
            _check_answers(address)
        try:
            if address is None:
                self._ray.init("local", **quiet | {"include_dashboard": False, "num_cpus": workers})
            else:
                self._ray.init(address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(_no_cluster(str(error), address)) from error

    def run(self, work: Task, specs: Sequence[dict[str, Any]], *, size: int, what: str) -> None:
        """Do all tasks; see `Engine.run`."""
        with progress_bar(what, len(specs), shown=self._progress) as tick:
            if not worth_processes(specs, size):
                for spec in specs:
                    work(spec)
                    tick()
                return
            more = (str(cache_dir()), self._token.name, plugins.directories())
            self._check_nodes(*more)
            remote = self._ray.remote(num_cpus=1, max_retries=ATTEMPTS, retry_exceptions=False)(_do)
            todo = iter(specs)
            running: dict[Any, dict[str, Any]] = {}
            try:
                while True:
                    for spec in islice(todo, self.workers * AHEAD - len(running)):
                        running[remote.remote(work, spec, *more)] = spec
                    if not running:
                        return
                    for done in self._ray.wait(list(running))[0]:
                        self._result(done, running.pop(done))
                        tick()
            finally:
                for reference in running:
                    self._ray.cancel(reference, force=True)

    def _check_nodes(self, *more: Any) -> None:
        """Refuse a cluster of which one node does not see the cache, before the first task; each task checks again."""
        if self._checked:
            return
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        check = self._ray.remote(num_cpus=0)(_do)
        nodes = [node["NodeID"] for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        on = [NodeAffinitySchedulingStrategy(node, soft=True) for node in nodes]
        for reference in [check.options(scheduling_strategy=each).remote(_nothing, {"name": "check"}, *more) for each in on]:
            self._result(reference, {"name": "check"})
        self._checked = True

    def _result(self, reference: Any, spec: dict[str, Any]) -> None:
        """Raise the task's error where it has one."""
        from ray.exceptions import NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError

        try:
            self._ray.get(reference)
        except RayTaskError as error:
            raise error.cause from error
        except (NodeDiedError, OutOfMemoryError, WorkerCrashedError) as error:
            raise ended_each_time(spec, "give the nodes more memory, or shorten texts") from error

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        self._token.unlink(missing_ok=True)
        if self._own:
            self._ray.shutdown()


def _check_answers(address: str) -> None:
    """Refuse a host and port where nothing listens; Ray itself would try for minutes. Other forms of address are left to Ray."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), _ANSWERS_WITHIN).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(_no_cluster(str(error), address)) from error


def _no_cluster(why: str, address: str | None) -> Problem:
    hint = "start one with: ray start --head; or leave --address out for a cluster on this machine"
    return Problem(f"no Ray cluster answers: {why}", f"--address {address}", hint=hint)


def _imported(loopback: bool) -> Any:
    """Ray, which is not to report statistics of its use. loopback: a cluster of this machine alone, which no other can reach."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if loopback:  # the variable's name is of the two systems where Ray does so by itself; it is read when Ray is imported
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError(Problem("Ray is not installed", "--engine ray", hint=_INSTALL)) from error
    return ray


def _nothing(spec: dict[str, Any]) -> None:
    """No work: the task of a check."""


def _do(work: Task, spec: dict[str, Any], driver_cache: str, token: str, plugin_dirs: list[str]) -> None:
    """In a process of the cluster: use the shared cache and the driver's plug-ins, then do the task."""
    os.environ.setdefault("FINECOMB_CACHE", driver_cache)
    if not RAY.path(token).exists():
        hint = "put the cache on a disk that all nodes share, and set FINECOMB_CACHE on nodes that have it at another path"
        raise ConfigError(Problem(f"a node of the cluster does not see the driver's cache: {cache_dir()}", os.uname().nodename, hint=hint))
    plugins.load(plugin_dirs)
    work(spec)
