"""`Rows`: the examples of one split while they are being prepared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

SPLITS = ("train", "validation", "test")
# url: address or file; source: which collection; time: ISO 8601; licence: as stated by the source.
PROVENANCE = ("url", "source", "time", "licence")


@dataclass(frozen=True)
class Rows:
    """Columns of equal length, one entry for each example.

    id: unique, and the same whatever is cleaned, carved or limited.
    label: a name (class), a list of names (classes) or a float (number); after encoding, indices in place of names.
    line: where the row stands in `file`, for messages: its line, or its row where a format has no lines (`unit` says which).
    provenance: where each row comes from, as far as the source knows it: columns named by PROVENANCE.
    weight: how much each row counts in training; their mean is 1. None: all alike.
    """

    id: list[str]
    text: list[str]
    text_pair: list[str] | None
    label: list[Any]
    group: list[str] | None
    line: Sequence[int]
    file: str
    unit: str = "line"
    provenance: dict[str, list[str | None]] | None = None
    weight: list[float] | None = None

    def __len__(self) -> int:
        return len(self.id)

    def take(self, indices: Sequence[int]) -> Rows:
        """These rows, in this order."""
        return replace(
            self,
            id=[self.id[i] for i in indices],
            text=[self.text[i] for i in indices],
            text_pair=None if self.text_pair is None else [self.text_pair[i] for i in indices],
            label=[self.label[i] for i in indices],
            group=None if self.group is None else [self.group[i] for i in indices],
            line=[self.line[i] for i in indices],
            provenance=None if self.provenance is None else {name: [cells[i] for i in indices] for name, cells in self.provenance.items()},
            weight=None if self.weight is None else [self.weight[i] for i in indices],
        )

    def with_texts(self, text: list[str], text_pair: list[str] | None) -> Rows:
        """The same rows with other texts."""
        return replace(self, text=text, text_pair=text_pair)

    def place(self, index: int) -> str:
        """Where a row stands, as the user is told."""
        return f"{self.file}, {self.unit} {self.line[index]}"

    def sha256(self) -> str:
        """Hash of ids, texts, labels, groups and (where there are any) weights, in this order; not of where they stood."""
        digest = hashlib.sha256()
        nothing = [None] * len(self)
        weight = [] if self.weight is None else [self.weight]
        columns = zip(self.id, self.text, self.text_pair or nothing, self.label, self.group or nothing, *weight, strict=True)
        encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
        for row in columns:
            digest.update(encode(row).encode())
            digest.update(b"\n")
        return digest.hexdigest()


def joined(chunks: Iterable[Rows]) -> Rows:
    """The rows of several chunks of one split as one. Columns that only some chunks have are empty in the others."""
    parts = list(chunks)
    if len(parts) == 1:
        return parts[0]
    names = [name for name in PROVENANCE if any(part.provenance and name in part.provenance for part in parts)]
    provenance = {name: [cell for part in parts for cell in (part.provenance or {}).get(name, [None] * len(part))] for name in names}
    paired, grouped = any(part.text_pair is not None for part in parts), any(part.group is not None for part in parts)
    return Rows(
        [each for part in parts for each in part.id],
        [each for part in parts for each in part.text],
        [each for part in parts for each in (part.text_pair or [""] * len(part))] if paired else None,
        [each for part in parts for each in part.label],
        [each for part in parts for each in (part.group or [""] * len(part))] if grouped else None,
        [each for part in parts for each in part.line],
        parts[0].file if parts else "",
        parts[0].unit if parts else "line",
        provenance or None,
    )
