"""Tasks in local processes: a task is a function of plain values that writes files, so that any engine that can call it elsewhere would do.

Which process does a task, and when, changes nothing: a task writes its result at once or not at all, under a name that follows from all it
depends on, and who needs a result looks for the name.
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
from typing import Any

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


class Engine:
    """Runs tasks in `workers` processes, started when the first is worth one; with one worker, here.

    The key `name` of a task's values names it in messages.
    When a worker process ends without a result (killed, out of memory), the tasks that were running are repeated in new processes, one
    at a time; a task whose worker ends again each time is the user's error.

    done, reused: how many tasks were computed, and how many were found done.
    """

    def __init__(self, workers: int | None = None, *, progress: bool = False) -> None:
        self.workers = workers or cores()
        self.done = self.reused = 0
        self._pool: ProcessPoolExecutor | None = None
        self._progress = progress and sys.stderr.isatty()

    def run(self, work: Task, specs: Sequence[dict[str, Any]], *, size: int, what: str, alone: bool = False) -> None:
        """Do all tasks; the first error ends them. size: bytes of text in all. alone: only this process can do them."""
        if not specs:
            return
        with self._told(what, len(specs)) as tick:
            if alone or self.workers == 1 or len(specs) == 1 or size < WORTH_A_PROCESS:
                for spec in specs:
                    work(spec)
                    tick()
            else:
                self._in_processes(work, specs, tick)
        self.done += len(specs)

    def _in_processes(self, work: Task, specs: Sequence[dict[str, Any]], tick: Callable[[], None]) -> None:
        todo = iter(specs)
        while batch := self._until_broken(work, todo, tick):
            for spec in batch:
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
        what = f"the worker process of a task ended without a result, {1 + ATTEMPTS} times"
        hint = (
            "most often memory ran out and the system killed it (the kernel log shows this): free memory, use --workers 1, or shorten texts"
        )
        raise ConfigError(Problem(what, f"task {spec.get('name', spec)}", hint=hint))

    def _processes(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, SpawnAlone(), _begin, (os.getpid(), plugins.directories()))
        return self._pool

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    @contextmanager
    def _told(self, what: str, count: int) -> Iterator[Callable[[], None]]:
        """A bar on a terminal for what takes long; silence elsewhere."""
        if not self._progress or count < 3:
            yield lambda: None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            job = bar.add_task(what, total=count)
            yield lambda: bar.advance(job)


def _begin(parent: int, plugin_dirs: list[str]) -> None:
    """In a new process: know the same plug-ins, and end when the parent is gone, however it went."""
    plugins.load(plugin_dirs)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
