"""Processes of one's own for work on data, started without the script or notebook that called."""

from __future__ import annotations

import multiprocessing.context
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_lock = threading.Lock()


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Hide the script that runs: a spawned process would run it again, and so would need `if __name__ == "__main__"` in it."""
    with _lock:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


class _Process(multiprocessing.context.SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with _main_hidden():
            return multiprocessing.context.SpawnProcess._Popen(process_obj)


class SpawnAlone(multiprocessing.context.SpawnContext):
    """Start new interpreters that import only what a task names. What they are to do must be importable, and not in `__main__`."""

    Process = _Process
