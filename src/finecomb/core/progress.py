"""A progress bar of bytes on the terminal; silent when piped."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any


class Meter:
    """Shows how much of a transfer is done. With `shown=False`, or where standard error is no terminal, it does nothing."""

    def __init__(self, title: str, *, shown: bool) -> None:
        self._title = title
        self._shown = shown and sys.stderr.isatty()
        self._bar: Any = None

    def __enter__(self) -> Meter:
        if self._shown:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=None)
        return self

    def at(self, done: int, total: int | None = None) -> None:
        """So many bytes are done, of so many (None: unknown)."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
