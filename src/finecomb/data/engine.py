"""Tasks in local processes: a task is a function of plain values that writes files, so that any engine that can call it elsewhere would do.

Which process does a task, and when, changes nothing: a task writes its result at once or not at all, under a name that follows from all it
depends on, and who needs a result looks for the name.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from finecomb.config import plugins

# Below so many bytes of text a process of its own costs more than it saves.
WORTH_A_PROCESS = 4 << 20
Task = Callable[[dict[str, Any]], None]


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Engine:
    """Runs tasks in `workers` processes, started when the first is worth one; with one worker, here.

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
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.workers, context, _begin, (os.getpid(), plugins.directories()))
        waiting: set[Future[None]] = {self._pool.submit(work, spec) for spec in specs}
        try:
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    tick()
        finally:
            for future in waiting:
                future.cancel()

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
