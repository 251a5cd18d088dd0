"""`manifest.json` of a prepared folder: what the rows are, where they came from, and what was done to them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finecomb.core.errors import ConfigError, Problem

MANIFEST = "manifest.json"
FORMAT = 3
# Entries of the manifest and columns of the rows under their name of format 1.
NAMES_OF_FORMAT_1 = {"licence": "license"}


@dataclass(frozen=True)
class Manifest:
    """What a prepared folder says of itself; equal for equal rows, whoever prepared them.

    Attributes:
        rows: Number of rows of each split.
        label_kind: "class" (a label is an index), "classes" and "tags" (a list of indices), "number" (a float), "none", or one of the kinds
            whose labels are texts ("target", "completion") or JSON ("messages", "answers").
        label_names: The classes in order; None for numbers and for rows without labels.
        label_counts: Rows of each class, by split.
        columns: Of the rows, in order.
        content_hash: Of all rows and label names; equal content gives equal hashes, wherever it comes from.
        hashes: Of the rows of each split.
        key: Names the folder in the cache; "" outside it.
        source: What was read, as the source names itself.
        license: As stated by the source.
        files: Content of each input file, by name.
        funnel: Rows in and out of each step and split, with reasons; see `cleaner.Cleaned`.
        examples: Some rows that were dropped or changed.
        records: What each step found out about the corpus.
        unmapped: Rows whose label belongs to no class.
        straddling_groups: Groups with rows in several splits.
        stored: sha256 of each file of rows, by its name in the folder.
        format: Of the folder. In format 3 a delivered folder holds rows as Parquet; earlier ones hold them as Arrow too.
    """

    rows: dict[str, int]
    label_kind: str
    label_names: list[str] | None
    label_counts: dict[str, dict[str, int]]
    columns: list[str]
    content_hash: str
    hashes: dict[str, str] = field(default_factory=dict)
    key: str = ""
    source: str = ""
    license: str = ""
    files: dict[str, str] = field(default_factory=dict)
    funnel: list[dict[str, Any]] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    unmapped: int = 0
    straddling_groups: int = 0
    stored: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @staticmethod
    def read(folder: Path) -> Manifest:
        """Read the manifest of a folder, of this format or an earlier one; entries that are unknown here are passed over.

        Raises:
            ConfigError: The folder has none, or it is damaged.
        """
        path = folder / MANIFEST
        if not path.is_file():
            hint = "name a folder that finecomb prepared; for other files use dataset=files dataset.files.train=FILE"
            raise ConfigError(Problem(f"{folder} is not a prepared dataset: it has no {MANIFEST}", "dataset.path", hint=hint))
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
            entries |= {new: entries.pop(old) for old, new in NAMES_OF_FORMAT_1.items() if old in entries}
            return Manifest(**{each.name: entries[each.name] for each in dataclasses.fields(Manifest) if each.name in entries})
        except (ValueError, AttributeError, TypeError) as error:
            raise ConfigError(damaged(path)) from error

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        (folder / MANIFEST).write_text(json.dumps(vars(self), indent=1, ensure_ascii=False), encoding="utf-8")


def damaged(file: Path) -> Problem:
    """A file of a prepared folder that is not what was written."""
    return Problem(f"{file.name} is damaged: it is not what was written", str(file), hint=f"remove {file.parent} and prepare again")
