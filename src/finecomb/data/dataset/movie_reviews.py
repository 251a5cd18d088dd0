"""10,605 sentences from film reviews, each with the mean of 20 or more human ratings in [-4, 4]; and 5,190 of newspaper editorials.

C. J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", ICWSM 2014.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from finecomb.assets import Local, fetch
from finecomb.config.schema.dataset import MovieReviews
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.paths import existing
from finecomb.data.dataset.rows import Rows
from finecomb.data.dataset.source_protocol import Raw
from finecomb.data.dataset.text_file import lines_of, read_text

LICENSE = "MIT (the package that holds it)"
_NAMES = {"binary": ["negative", "positive"], "ternary": ["negative", "neutral", "positive"]}


class MovieReviewsSource:
    """Reads the file of ratings and turns a rating into the target that the config asks for."""

    # Whether an id names an article and a sentence of it, as in 12_3.
    by_article = False

    def __init__(self, config: MovieReviews) -> None:
        self._config = config
        self._archive: Local | None = None

    def _local(self) -> Local:
        if self._archive is None:
            path = self._config.path
            sources = [f"file:{existing(Path(path), 'dataset.path')}"] if path else self._config.source
            self._archive = fetch(sources, sha256=None if path else self._config.sha256, progress=sys.stderr.isatty())
        return self._archive

    def inputs(self) -> dict[str, str]:
        """The hash of the one file."""
        return {"train": self._local().sha256}

    def read(self, kind: str) -> Raw:
        """All rows as train; a rating too near to 0 is left out of the binary target and counted."""
        local = self._local()
        rows = _parse(local.path)
        if self.by_article:
            rows = replace(rows, group=[identifier.partition("_")[0] for identifier in rows.id])
        names = self._names()
        raw: dict[str, Any] = {"source": local.source, "license": LICENSE, "label_names": names}
        if names is None:
            return Raw({"train": [rows]}, **raw)
        labels = [self._name(rating, names) for rating in rows.label]
        kept = [index for index, label in enumerate(labels) if label is not None]
        left_out = len(rows) - len(kept)
        count: dict[str, Any] = {"step": "read", "split": "train", "rows_in": len(rows), "rows_out": len(kept), "changed": 0}
        return Raw(
            {"train": [replace(rows, label=labels).take(kept)]},
            **raw,
            funnel=[count | {"reasons": {"neutral rating": left_out}}],
            unmapped=left_out,
        )

    def _names(self) -> list[str] | None:
        if self._config.target == "rating":
            return None
        default = _NAMES[self._config.target]
        names = list(self._config.label_names or default)
        if len(names) != len(default):
            given = f"dataset.label_names has {len(names)} names"
            raise ConfigError(
                Problem(given, f"dataset.target={self._config.target}", allowed=f"{len(default)} names, in the order {default}")
            )
        return names

    def _name(self, rating: float, names: list[str]) -> str | None:
        if rating == 0 or abs(rating) < self._config.neutral:
            return names[1] if len(names) == 3 else None
        return names[-1] if rating > 0 else names[0]


class NytEditorialsSource(MovieReviewsSource):
    """The same for editorials of the New York Times."""

    by_article = True


def _parse(path: Path) -> Rows:
    """Lines of id, rating and text, separated by tabs; no header, no quoting."""
    ids, ratings, texts = [], [], []
    for number, line in enumerate(lines_of(read_text(path, "utf-8")), start=1):
        cells = line.split("\t", 2)
        try:
            identifier, rating, sentence = cells[0], float(cells[1]), cells[2]
        except (IndexError, ValueError) as error:
            raise ConfigError(Problem("expected an id, a rating and a text, separated by tabs", f"{path.name}, line {number}")) from error
        ids.append(identifier)
        ratings.append(rating)
        texts.append(sentence)
    return Rows(ids, texts, None, ratings, None, range(1, len(ids) + 1), path.name)
