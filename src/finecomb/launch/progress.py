"""What the user sees while jobs run: a live table on a terminal, one line for each ended job elsewhere. All of it on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from finecomb.launch.outcome import Outcome
from finecomb.runs.directory import RunDirectory
from finecomb.runs.index import first_metric, short_error

REDRAW = 0.25  # seconds
SETTLED = 3.0  # seconds of training from which the time left is estimated; the first steps are slower than the rest
_STYLES = {"finished": "green", "failed": "bold red", "interrupted": "yellow", "pruned": "blue", "running": "cyan"}
_MARKS = {"finished": "✓", "failed": "✗", "interrupted": "!", "pruned": "✂"}


@dataclass
class _Row:
    label: str
    state: str = "waiting"
    detail: str = ""
    since: float | None = None  # when its worker was started


class LiveTable:
    """Shows jobs by their number. `show=False` prints nothing at all."""

    def __init__(self, expected: int | None, *, show: bool, console: Console | None = None) -> None:
        """expected: how many jobs there will be, None where that is not known."""
        self.console = console or Console(stderr=True, highlight=False)
        self.expected, self.show = expected, show
        self._rows: dict[int, _Row] = {}
        self._ended = 0
        self._drawn = 0.0
        self._live = Live(console=self.console, auto_refresh=False, transient=True) if show and self.console.is_terminal else None

    @property
    def _total(self) -> int:
        return max(len(self._rows), self.expected or 0)

    def _row(self, index: int, label: str) -> _Row:
        return self._rows.setdefault(index, _Row(label))

    def started(self, index: int, label: str, notes: Sequence[str]) -> None:
        """A job's worker has been started; notes: resumed, and what differs from the attempt before."""
        row = self._row(index, label)
        row.state, row.since, row.detail = "running", time.monotonic(), notes[0] if notes else "starting"
        if len(notes) > 1:
            self._print(f"[yellow]![/] {escape(label)}: resumed in another environment: {escape('; '.join(notes[1:]))}")

    def note(self, index: int, label: str, text: str) -> None:
        """Why a job waits."""
        row = self._row(index, label)
        row.state, row.since, row.detail = "waiting", None, text
        self.report(label, text)

    def report(self, label: str, text: str) -> None:
        """Print a message about a job."""
        self._print(f"[yellow]…[/] {escape(label)}: {escape(text)}")

    def ended(self, index: int, label: str, outcome: Outcome) -> None:
        """A job has ended, or needed no work."""
        self._ended += 1
        row = self._row(index, label)
        row.state, row.since = outcome.state, None
        if outcome.state == "finished":
            row.detail = f"{'before' if outcome.reused else 'in ' + duration(outcome.seconds)}  {_final_metric(outcome.run)}"
        else:
            row.detail = f"{'before: ' if outcome.reused else ''}{short_error(outcome.error)}"
        mark = f"[{_STYLES.get(outcome.state, '')}]{_MARKS.get(outcome.state, '·')}[/]"
        count = f"{self._ended}/{self._total} " if self._total > 1 else ""
        self._print(f"{mark} {count}{escape(label)}: {outcome.state} {escape(row.detail)}")
        if outcome.state == "failed":
            self._print(f"    log and traceback: {escape(str(outcome.run.path))}/status.json, logs/")

    def refresh(self, running: Sequence[tuple[int, Callable[[], str]]]) -> None:
        """Redraw at most four times a second. running: number and latest progress (empty: unknown) of each job whose worker runs."""
        if self._live is None or time.monotonic() - self._drawn < REDRAW:
            return
        self._drawn = time.monotonic()
        for index, progress in running:
            self._rows[index].detail = progress() or self._rows[index].detail
        self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        states = [row.state for row in self._rows.values()]
        done, failed = states.count("finished"), states.count("failed")
        title = f"{done} of {self._total} finished" + (f", {failed} failed" if failed else "") if self._total > 1 else None
        table = Table(title=title, title_justify="left", box=None, show_header=False, pad_edge=False)
        for row in self._rows_that_fit():
            table.add_row(
                f"[{_STYLES.get(row.state, 'dim')}]{row.state}[/]",
                escape(row.label),
                "" if row.since is None else duration(time.monotonic() - row.since),
                escape(row.detail),
            )
        if waiting := states.count("waiting") + self._total - len(states):
            table.add_row("[dim]waiting[/]", f"[dim]{waiting} more[/]")
        return table

    def _rows_that_fit(self) -> list[_Row]:
        """What runs and what failed always; then as many of the last finished as the terminal has lines for."""
        shown = [index for index, row in self._rows.items() if row.state in ("running", "failed", "interrupted")]
        finished = [index for index, row in self._rows.items() if row.state == "finished"]
        room = max(0, self.console.height - 4 - len(shown))
        return [self._rows[index] for index in sorted([*shown, *(finished[-room:] if room else [])])]

    def _print(self, text: str) -> None:
        if self.show:
            self.console.print(text, soft_wrap=True)

    def __enter__(self) -> LiveTable:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()


class Pace:
    """Seconds for each optimizer step of one attempt, validation included, measured from the first steps it reports."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None
        self._last = (0, 0.0)

    def left(self, step: int, steps: int, now: float) -> float | None:
        """Seconds until `steps` are done; None before enough steps were seen. now: seconds of a clock that only goes forward.

        A resumed attempt begins at the step of its checkpoint, so the first step that is seen counts as the beginning.
        """
        if self._first is None:
            self._first = self._last = step, now
        elif step > self._last[0]:
            self._last = step, now
        done, spent = self._last[0] - self._first[0], self._last[1] - self._first[1]
        return None if done <= 0 or spent < SETTLED else max(0.0, (steps - step) * spent / done)


def progress_text(run: RunDirectory, pace: Pace, metric: str, value: Any) -> str:
    """The latest progress of a running job: stage, steps, the value of its validation metric (before there is one, its loss), time left."""
    progress = run.progress()
    step, steps = progress.get("step"), progress.get("steps")
    parts = [str(progress.get("stage", ""))]
    if step is not None:
        parts.append(f"step {step}" + (f" of {steps}" if steps else ""))
    if isinstance(value, int | float):
        parts.append(f"{metric} {value:.4g}")
    elif progress:
        last = run.last_metrics()
        parts += [f"{key} {loss:.4g}" for key, loss in last.items() if key.endswith("/loss") and isinstance(loss, float)][:1]
    if step and steps and step < steps and (left := pace.left(step, steps, time.monotonic())) is not None:
        parts.append(f"about {duration(left)} left")
    return "  ".join(part for part in parts if part)


def duration(seconds: float) -> str:
    """Seconds as a reader wants them: 4.2 s, 3 min 05 s, 2 h 07 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _final_metric(run: RunDirectory) -> str:
    name, value = first_metric(run)
    return f"{name} {value:.4f}" if name is not None and value is not None else ""
