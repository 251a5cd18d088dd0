"""Reads the offline folders of W&B: LevelDB's log framing around protobuf records."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as protobuf

BLOCK, HEADER = 32768, 7


def records(path: Path) -> Iterator[Any]:
    content, at, parts = path.read_bytes(), HEADER, b""
    assert content[:4] == b":W&B"
    while at + HEADER <= len(content):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + HEADER])
        parts += content[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (1, 4):  # whole, or the last of several parts
            record = protobuf.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


@dataclass
class WandbRun:
    id: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int | None = None


def read(folder: Path) -> WandbRun:
    """The W&B run of one offline folder."""
    run, (path,) = WandbRun(), folder.glob("*.wandb")
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found = record.run
            run.id, run.project, run.group, run.job_type = found.run_id, found.project, found.run_group, found.job_type
            run.tags = list(found.tags)
            run.config = {item.key: json.loads(item.value_json) for item in found.config.update if item.key != "_wandb"}
        elif kind == "history":
            run.history.append({item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item})
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def runs(output_dir: Path) -> list[WandbRun]:
    """Those of every run directory, by id."""
    return sorted((read(folder) for folder in output_dir.glob("*/wandb/offline-run-*")), key=lambda run: run.id)
