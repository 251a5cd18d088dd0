"""Reads the offline folders of W&B, which hold nothing but a log: LevelDB's framing around protobuf records.

W&B offers no function for it; the records' classes are its own (`wandb.proto`), and fields we do not know are passed over. A log that a
crash cut short is read as far as it goes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finecomb.config import renamed
from finecomb.core.errors import ConfigError, Problem

_BLOCK, _HEADER = 32768, 7
_MAGIC = b":W&B"
_WHOLE, _LAST = 1, 4


@dataclass
class WandbRun:
    """One W&B run. config: dotted keys, as finecomb logs them. history: one dict a logged line. exit_code: None while it has not ended."""

    id: str = ""
    name: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def state(self) -> str:
        """finished, failed, or running, which is also what a killed run is left as."""
        return "running" if self.exit_code is None else "finished" if self.exit_code == 0 else "failed"

    def last(self) -> dict[str, Any]:
        """The last value of everything logged, and the summary where it says more."""
        return {key: value for line in self.history for key, value in line.items()} | self.summary


def is_folder(path: Path) -> bool:
    """Whether it is the folder of one W&B run."""
    return path.is_dir() and any(path.glob("*.wandb"))


def find(path: Path) -> list[Path]:
    """Folders of W&B runs: the path itself, or those in it, in its wandb/, or in run directories of it."""
    if is_folder(path):
        return [path]
    patterns = ("*run-*", "wandb/*run-*", "*/wandb/*run-*")
    return sorted({found for pattern in patterns for found in path.glob(pattern) if is_folder(found) and not found.is_symlink()})


def runs(path: Path) -> list[WandbRun]:
    """The W&B runs found there, by id."""
    return sorted(map(read, find(path)), key=lambda run: run.id)


def read(folder: Path) -> WandbRun:
    """The W&B run of one folder. Raises ConfigError when it holds no log of W&B's."""
    from wandb.proto import wandb_internal_pb2 as protobuf

    run = WandbRun()
    for path in sorted(folder.glob("*.wandb")):
        for content in _records(path):
            record: Any = protobuf.Record()
            record.ParseFromString(content)
            _add(run, record)
    run.config = renamed.current_flat(run.config)
    return run


def _add(run: WandbRun, record: Any) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        found = record.run
        run.id, run.name, run.project = found.run_id, found.display_name, found.project
        run.group, run.job_type, run.tags = found.run_group, found.job_type, list(found.tags)
        run.config |= _values(found.config.update, drop="_wandb")
    elif kind == "config":
        run.config |= _values(record.config.update, drop="_wandb")
    elif kind == "history":
        run.history.append(_values(record.history.item))
    elif kind == "summary":
        run.summary |= _values(record.summary.update, drop="_wandb")
    elif kind == "exit":
        run.exit_code = record.exit.exit_code


def _values(items: Any, drop: str = "") -> dict[str, Any]:
    keyed = ((item.key or ".".join(item.nested_key), item) for item in items)
    return {key: json.loads(item.value_json) for key, item in keyed if key != drop}


def _records(path: Path) -> Iterator[bytes]:
    """Payloads of the log, put together from their pieces."""
    content, at, parts = path.read_bytes(), _HEADER, b""
    if content[:4] != _MAGIC:
        raise ConfigError(Problem(f"{path.name} is no log of W&B", str(path), hint="name a folder such as wandb/offline-run-..."))
    while at + _HEADER <= len(content):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + _HEADER])
        piece = content[at + _HEADER : at + _HEADER + length]
        if len(piece) < length or (kind == 0 and length == 0):
            return
        parts += piece
        at += _HEADER + length
        if kind in (_WHOLE, _LAST):
            yield parts
            parts = b""
