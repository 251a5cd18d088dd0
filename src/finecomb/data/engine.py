"""Where tasks run: a task is a function of plain values that writes files, so that any process that sees the cache can do it.

Which process does a task, and when, changes nothing: a task writes its result at once or not at all, under a name that follows from all it
depends on, and who needs a result looks for the name. Paths in a task's values are relative to the root of the cache.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol

from finecomb.config import plugins
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.machine import cores
from finecomb.core.processes import SpawnAlone

# Below so many bytes of text a process of its own costs more than it saves.
WORTH_A_PROCESS = 4 << 20
# Tasks submitted at a time for each worker: handling a finished task then costs the same however many tasks there are.
AHEAD = 4
# Attempts at a task by itself after a worker process ended while it was running.
ATTEMPTS = 2
Task = Callable[[dict[str, Any]], None]


class Engine(Protocol):
    """Runs tasks, in this process or in others.

    The key `name` of a task's values names it in messages. A task whose process ends without a result (killed, out of memory, a lost
    node) is repeated; one that ends its process every time is the user's error.

    Attributes:
        workers: How many tasks run at the same time.
    """

    workers: int

    def run(self, work: Task, specs: Sequence[dict[str, Any]], *, size: int, what: str) -> None:
        """Do all tasks.

        Args:
            work: The task; importable in other processes.
            specs: The values of each task.
            size: Bytes of text in all, by which an engine decides whether other processes are worth their start.
            what: What the progress bar shows.

        Raises:
            ConfigError: A task ended its process each time. An error of a task is raised as it is, and ends the others.
        """

    def close(self) -> None:
        """End the processes."""


class LocalEngine:
    """Runs tasks in `workers` processes of this machine, started when the first is worth one; with one worker, in this process.

    Args:
        workers: None: one for each core.
        progress: Whether to show a progress bar on a terminal.

    Example:
        >>> config = finecomb.compose("dataset=files", "dataset.files.train=reviews.csv", "cleaner=basic")
        >>> engine = finecomb.LocalEngine(2)
        >>> data = [finecomb.prepare(config, engine=engine), finecomb.prepare(config, engine=engine)]
        >>> engine.close()
    """

    def __init__(self, workers: int | None = None, *, progress: bool = False) -> None:
        self.workers = workers or cores()
        self._pool: ProcessPoolExecutor | None = None
        self._progress = progress

    def run(self, work: Task, specs: Sequence[dict[str, Any]], *, size: int, what: str) -> None:
        """Do all tasks; see `Engine.run`."""
        with progress_bar(what, len(specs), shown=self._progress) as tick:
            if self.workers == 1 or not worth_processes(specs, size):
                for spec in specs:
                    work(spec)
                    tick()
                return
            todo = iter(specs)
            while lost := self._until_broken(work, todo, tick):
                for spec in lost:
                    self._alone(work, spec)
                    tick()

    def _until_broken(self, work: Task, todo: Iterator[dict[str, Any]], tick: Callable[[], None]) -> list[dict[str, Any]]:
        """Do tasks until none is left or a worker process ends. Returns those without a result; empty when all are done."""
        running: dict[Future[None], dict[str, Any]] = {}
        lost: list[dict[str, Any]] = []
        try:
            while True:
                for spec in islice(todo, 0 if lost else self.workers * AHEAD - len(running)):
                    try:
                        running[self._processes().submit(work, spec)] = spec
                    except BrokenProcessPool:
                        lost.append(spec)
                        break
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:  # a broken pool ends all its futures
                    spec = running.pop(future)
                    try:
                        future.result()
                        tick()
                    except BrokenProcessPool:
                        lost.append(spec)
        finally:
            for future in running:
                future.cancel()
        if lost:
            self.close()
        return lost

    def _alone(self, work: Task, spec: dict[str, Any]) -> None:
        """Repeat one task with no other running, so that a worker that ends again is known to have ended by this task."""
        for _ in range(ATTEMPTS):
            try:
                self._processes().submit(work, spec).result()
            except BrokenProcessPool:
                self.close()
            else:
                return
        raise ended_each_time(spec, "free memory, use --workers 1, or shorten texts")

    def _processes(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, SpawnAlone(), _begin, (os.getpid(), plugins.directories()))
        return self._pool

    def close(self) -> None:
        """End the processes; the next task starts new ones."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def worth_processes(specs: Sequence[dict[str, Any]], size: int) -> bool:
    """Whether tasks are many and large enough for other processes than this one."""
    return len(specs) > 1 and size >= WORTH_A_PROCESS


def ended_each_time(spec: dict[str, Any], hint: str) -> ConfigError:
    """The error for a task that no process survived."""
    what = f"the worker process of a task ended without a result, {1 + ATTEMPTS} times"
    why = "most often memory ran out and the system killed it (the kernel log shows this)"
    return ConfigError(Problem(what, f"task {spec.get('name', spec)}", hint=f"{why}: {hint}"))


@contextmanager
def progress_bar(what: str, count: int, *, shown: bool) -> Iterator[Callable[[], None]]:
    """A bar on a terminal for three tasks or more; nothing elsewhere. Yields the function to call after each task."""
    if not shown or count < 3 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        job = bar.add_task(what, total=count)
        yield lambda: bar.advance(job)


def _begin(parent: int, plugin_dirs: list[str]) -> None:
    """In a new process: load the same plug-ins, and end when the parent is gone, however it ended."""
    plugins.load(plugin_dirs)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
