"""What the user sees while jobs run: a live table on a terminal, one line for each ended job elsewhere. All of it on standard error."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from finecomb.runs.directory import RunDirectory
from finecomb.runs.index import first_metric, short_error

REDRAW = 0.25  # seconds
_STYLES = {"finished": "green", "failed": "bold red", "interrupted": "yellow", "pruned": "blue", "running": "cyan"}
_MARKS = {"finished": "✓", "failed": "✗", "interrupted": "!", "pruned": "✂"}


class Board:
    """Follows jobs by their number. `show=False` prints nothing at all."""

    def __init__(self, expected: int | None, *, show: bool, console: Console | None = None) -> None:
        """expected: how many jobs there will be, None where that is not known."""
        self.console = console or Console(stderr=True, highlight=False)
        self.expected, self.show = expected, show
        self.labels: list[str] = []
        self.states: list[str] = []
        self.details: list[str] = []
        self._since: dict[int, float] = {}
        self._ended = 0
        self._drawn = 0.0
        self._live = Live(console=self.console, auto_refresh=False, transient=True) if show and self.console.is_terminal else None

    @property
    def _of(self) -> int:
        return max(len(self.labels), self.expected or 0)

    def add(self, label: str) -> None:
        """Another job; its number is that of those before it."""
        self.labels.append(label)
        self.states.append("waiting")
        self.details.append("")

    def started(self, index: int, run: RunDirectory, notes: Sequence[str]) -> None:
        """A job's worker has been started; notes: resumed, and what differs from the attempt before."""
        self.states[index] = "running"
        self._since[index] = time.monotonic()
        self.details[index] = notes[0] if notes else "starting"
        if len(notes) > 1:
            self._print(f"[yellow]![/] {escape(self.labels[index])}: resumed on other ground: {escape('; '.join(notes[1:]))}")

    def note(self, index: int, text: str) -> None:
        """Why a job waits."""
        self.details[index] = text
        self._print(f"[yellow]…[/] {escape(self.labels[index])}: {escape(text)}")

    def ended(self, index: int, run: RunDirectory, state: str, seconds: float, reused: bool, error: str | None) -> None:
        """A job has ended, or needed no work."""
        self._ended += 1
        self.states[index] = state
        self._since.pop(index, None)
        if state == "finished":
            self.details[index] = f"{'before' if reused else 'in ' + duration(seconds)}  {_metric(run)}"
        else:
            self.details[index] = f"{'before: ' if reused else ''}{short_error(error)}"
        mark = f"[{_STYLES.get(state, '')}]{_MARKS.get(state, '·')}[/]"
        count = f"{self._ended}/{self._of} " if self._of > 1 else ""
        self._print(f"{mark} {count}{escape(self.labels[index])}: {state} {escape(self.details[index])}")
        if state == "failed":
            self._print(f"    log and traceback: {escape(str(run.path))}/status.json, logs/")

    def refresh(self, running: Sequence[tuple[int, RunDirectory]]) -> None:
        """Redraw, not more often than the eye needs."""
        if self._live is None or time.monotonic() - self._drawn < REDRAW:
            return
        self._drawn = time.monotonic()
        for index, run in running:
            self.details[index] = where(run) or self.details[index]
        self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        done, failed = self.states.count("finished"), self.states.count("failed")
        title = f"{done} of {self._of} finished" + (f", {failed} failed" if failed else "") if self._of > 1 else None
        table = Table(title=title, title_justify="left", box=None, show_header=False, pad_edge=False)
        waiting = sum(state == "waiting" for state in self.states) + self._of - len(self.labels)
        for index in self._rows_that_fit():
            since = self._since.get(index)
            state = self.states[index]
            table.add_row(
                f"[{_STYLES.get(state, 'dim')}]{state}[/]",
                escape(self.labels[index]),
                duration(time.monotonic() - since) if since else "",
                escape(self.details[index]),
            )
        if waiting:
            table.add_row("[dim]waiting[/]", f"[dim]{waiting} more[/]")
        return table

    def _rows_that_fit(self) -> list[int]:
        """What runs and what failed always; then as many of the last finished as the terminal has lines for."""
        shown = [index for index, state in enumerate(self.states) if state in ("running", "failed", "interrupted")]
        finished = [index for index, state in enumerate(self.states) if state == "finished"]
        room = max(0, self.console.height - 4 - len(shown))
        return sorted([*shown, *(finished[-room:] if room else [])])

    def _print(self, text: str) -> None:
        if self.show:
            self.console.print(text, soft_wrap=True)

    def __enter__(self) -> Board:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()


def where(run: RunDirectory) -> str:
    """Where a running job is, as far as its worker has said."""
    progress = run.progress()
    if not progress:
        return ""
    step, steps = progress.get("step"), progress.get("steps")
    parts = [str(progress.get("stage", ""))]
    if step is not None:
        parts.append(f"step {step}" + (f" of {steps}" if steps else ""))
    last = run.last_metrics()
    parts += [f"{key} {value:.4g}" for key, value in last.items() if key.endswith("/loss") and isinstance(value, float)][:1]
    return "  ".join(part for part in parts if part)


def duration(seconds: float) -> str:
    """Seconds as a reader wants them: 4.2 s, 3 min 05 s, 2 h 07 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _metric(run: RunDirectory) -> str:
    name, value = first_metric(run)
    return f"{name} {value:.4f}" if name is not None and value is not None else ""
