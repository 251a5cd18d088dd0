"""Ctrl-C and SIGTERM while jobs run: noted, and raised at a moment where everything can be put in order."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Interruption(KeyboardInterrupt):
    """The command was asked to stop. `exit_code` is 128 and the signal's number, as shells have it."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number
        super().__init__(f"stopped by {signal.Signals(number).name}")


class Signals:
    """Notes the signals while entered. In a thread other than the main one, where Python allows no handlers, does nothing."""

    def __init__(self) -> None:
        self._received: list[int] = []
        self._before: dict[int, Any] = {}

    @property
    def impatient(self) -> bool:
        """Whether the user has asked a second time."""
        return len(self._received) > 1

    def check(self) -> None:
        """Raise Interruption when a signal has come."""
        if self._received:
            raise Interruption(self._received[0])

    def forget(self) -> None:
        """The signal has been answered, and is no reason to end by it."""
        self._received.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._received.append(number)

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in NUMBERS}
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None:
            self.check()
