"""metrics.jsonl: one JSON object on each line, appended while training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finecomb.core import atomic

# Between a metric and the group of rows that it is over, as in `test/accuracy@group=a`.
OF_GROUP = "@group="
# Over all groups of a metric, as in `test/accuracy@group.worst`.
OVER_GROUPS = ("worst", "best", "gap")


def concise(metrics: Mapping[str, float | None]) -> dict[str, float | None]:
    """The metrics without those of single groups, which may be hundreds; worst, best and gap over the groups stay."""
    return {name: value for name, value in metrics.items() if OF_GROUP not in name}


class MetricsFile:
    """Appends, reads and cuts back the lines of a run's metrics."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, values: dict[str, Any]) -> None:
        """Add one line, in a single write, so that a killed process leaves at most one broken line, the last."""
        line = json.dumps(atomic.finite(values), ensure_ascii=False) + "\n"
        with atomic.reported_when_full(self.path), self.path.open("ab") as file:
            file.write(line.encode())

    def read(self) -> list[dict[str, Any]]:
        """The whole lines, in order; none when nothing was logged yet."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return [values for values in map(_parse, text.splitlines()) if values is not None]

    def truncate(self, step: int) -> None:
        """Keep the lines up to and with `step`, whole; what was logged later will be logged again."""
        kept = [values for values in self.read() if values.get("step", 0) <= step]
        lines = "".join(json.dumps(values, ensure_ascii=False) + "\n" for values in kept)
        if self.path.exists() or kept:
            atomic.write_text(self.path, lines)

    def last(self) -> dict[str, Any]:
        """The last whole line, read from the end of the file; empty when there is none."""
        try:
            with self.path.open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - 8192))
                lines = file.read().decode("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return {}
        return next((values for values in map(_parse, reversed(lines)) if values is not None), {})


def _parse(line: str) -> dict[str, Any] | None:
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None
