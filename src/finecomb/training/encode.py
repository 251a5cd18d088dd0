"""Tokens of every example, computed once: a memory-mapped Arrow file for each split, found again by the content it was made from."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from finecomb.config.computing import version_of
from finecomb.core import atomic
from finecomb.core.errors import ConfigError, Problem
from finecomb.learning.task import TaskRunner

VERSION = "1"
ROWS_AT_ONCE = 1024
TRUNCATED, TRUNCATED_TARGET = COUNTS = ("truncated", "truncated_target")
COUNTED = "counted."  # before the names of columns of which the counts have the sum
TARGET = "labels"  # tokens that only a decoder reads
MASK = "attention_mask"  # of a text by itself it is all ones, so it is not stored
DIGEST = b"sha256"  # in the file's metadata
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Encoded:
    """The tokens of one split.

    keys: what the tokenizer gives for each example (input_ids, and token_type_ids or the like where the model has them).
    lengths: tokens of each example after truncation, [N].
    truncated: tokens cut off each example, [N]. truncated_target: those cut off its target, [N]; None where there are no targets.
    """

    keys: list[str]
    lengths: NDArray[np.int64]
    truncated: NDArray[np.int64]
    truncated_target: NDArray[np.int64] | None
    _values: dict[str, NDArray[np.int32]]
    _offsets: dict[str, NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def sides(self) -> tuple[NDArray[np.int64], ...]:
        """Tokens of each example, and of its target where that is read by a part of the model of its own."""
        return (self.lengths, np.diff(self._offsets[TARGET])) if TARGET in self.keys else (self.lengths,)

    def features(self, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
        """Tokens and row numbers of some examples, as the task's collate takes them."""
        features: list[dict[str, Any]] = []
        for row in rows:
            # Copied, because torch takes no arrays that cannot be written to.
            feature = {key: self._values[key][self._offsets[key][row] : self._offsets[key][row + 1]].astype(np.int64) for key in self.keys}
            features.append({**feature, MASK: np.ones(self.lengths[row], np.int64), "index": int(row)})
        return features

    def counts(self) -> dict[str, int]:
        """How many tokens there are, how many were cut off, and from how many examples (nothing is lost without being counted)."""
        return {
            "examples": len(self),
            "tokens": int(self.lengths.sum()),
            "truncated_tokens": int(self.truncated.sum()),
            "truncated_examples": int((self.truncated > 0).sum()),
            **({} if self.truncated_target is None else _cut_targets(self.truncated_target)),
            **{key.removeprefix(COUNTED): int(self._values[key].sum()) for key in self.keys if key.startswith(COUNTED)},
        }


def _cut_targets(truncated: NDArray[np.int64]) -> dict[str, int]:
    return {"truncated_target_tokens": int(truncated.sum()), "truncated_targets": int((truncated > 0).sum())}


def encode(split: Any, name: str, *, content: str, tokenizer: Any, task: TaskRunner, max_length: int, cache: Path) -> Encoded:
    """Tokens of a split of a prepared dataset (datasets.Dataset), from the cache or computed into it.

    name: the split's name, for the log. content: hash of the rows and of plug-in code that encodes. cache: the folder of the files.
    Raises ConfigError when the disk is full.
    """
    path = cache / f"{_key(content, tokenizer, task, max_length)}.arrow"
    encoded = _open(path) if path.exists() else None
    if encoded is not None:
        log.info("encode %s: found in the cache (%s)", name, path)
    else:
        log.info("encode %s: %d examples, into the cache (%s)", name, len(split), path)
        _write(path, _encoded_rows(split, tokenizer, task, max_length))
        encoded = _open(path)
        if encoded is None:
            raise ConfigError(Problem(f"{path.name} is damaged, though it was just written", str(path), hint="the disk may be failing"))
    counts = encoded.counts()
    if counts["truncated_examples"]:
        log.warning(
            "encode %s: %d of %d examples are longer than batch.max_length=%d; %d tokens were cut off",
            name, counts["truncated_examples"], counts["examples"], max_length, counts["truncated_tokens"],
        )  # fmt: skip
    if counts.get("truncated_targets"):
        log.warning(
            "encode %s: %d of %d targets are longer than batch.max_target_length; %d tokens were cut off",
            name, counts["truncated_targets"], counts["examples"], counts["truncated_target_tokens"],
        )  # fmt: skip
    for counted in (key.removeprefix(COUNTED) for key in encoded.keys if key.startswith(COUNTED)):
        if counts[counted]:
            log.warning("encode %s: %s: %d of %d examples", name, counted.replace("_", " "), counts[counted], counts["examples"])
    return encoded


def _key(content: str, tokenizer: Any, task: TaskRunner, max_length: int) -> str:
    libraries = [f"{name} {version(name)}" for name in ("tokenizers", "transformers")]
    modules = [f"{name} {version_of(name)}" for name in ("learning/task/encoding", "learning/model/tokenizer")]
    parts = [VERSION, content, tokenizer_hash(tokenizer), type(task).__name__, str(max_length), *libraries, *modules, *task.encoding]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def tokenizer_hash(tokenizer: Any) -> str:
    """Hash of all that decides which columns a tokenizer gives and which tokens: its model and its special tokens, not its path."""
    about = {"class": type(tokenizer).__name__, "special": {key: str(token) for key, token in sorted(tokenizer.special_tokens_map.items())}}
    about["inputs"] = list(tokenizer.model_input_names)
    about["sides"] = {"padding": tokenizer.padding_side, "truncation": tokenizer.truncation_side}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        about["vocabulary"] = tokenizer.get_vocab()
        about["settings"] = {key: str(value) for key, value in tokenizer.init_kwargs.items() if not str(key).endswith(("_file", "path"))}
    else:
        # Truncation and padding are set by each call, so they say nothing about the tokenizer.
        about["backend"] = {key: value for key, value in json.loads(backend.to_str()).items() if key not in ("truncation", "padding")}
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _encoded_rows(split: Any, tokenizer: Any, task: TaskRunner, max_length: int) -> pa.RecordBatch:
    """All rows as one record batch: what is written in one piece is read back without a copy."""
    arrays: dict[str, list[pa.Array]] = {}
    for start in range(0, len(split), ROWS_AT_ONCE):
        rows = split[start : start + ROWS_AT_ONCE]
        for key, values in task.encode(tokenizer, rows, max_length).items():
            kind = pa.int32() if key in COUNTS else pa.large_list(pa.int32())
            if key != MASK:
                arrays.setdefault(key, []).append(pa.array(values, kind))
    return pa.RecordBatch.from_pydict({key: pa.concat_arrays(pieces) for key, pieces in arrays.items()})


def _write(path: Path, rows: pa.RecordBatch) -> None:
    """Write an Arrow file that is complete or absent; several processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.file(path) as temporary:
        rows = rows.replace_schema_metadata({DIGEST: _digest(rows)})
        with pa.ipc.new_file(str(temporary), rows.schema) as writer:
            writer.write_batch(rows)


def _open(path: Path) -> Encoded | None:
    """The file's tokens; None when they are not those that were written, so that they must be computed again."""
    try:
        with pa.memory_map(str(path)) as source:
            rows = pa.ipc.open_file(source).get_batch(0)
        damaged = (rows.schema.metadata or {}).get(DIGEST) != _digest(rows)
    except (pa.ArrowException, OSError, ValueError):
        damaged = True
    if damaged:
        log.warning("encode: %s is damaged", path)
        return None
    keys = [name for name in rows.schema.names if name not in COUNTS]
    values = {key: rows.column(key).values.to_numpy() for key in keys}
    offsets = {key: rows.column(key).offsets.to_numpy() for key in keys}
    cut = {name: rows.column(name).to_numpy().astype(np.int64) for name in COUNTS if name in rows.schema.names}
    return Encoded(keys, np.diff(offsets["input_ids"]), cut[TRUNCATED], cut.get(TRUNCATED_TARGET), values, offsets)


def _digest(rows: pa.RecordBatch) -> bytes:
    """Hash of the names and values of all columns."""
    digest = hashlib.sha256(repr(rows.schema.names).encode())
    for name in rows.schema.names:
        column = rows.column(name)
        for part in [column] if name in COUNTS else [column.offsets, column.values]:
            digest.update(part.to_numpy())
    return digest.hexdigest().encode()
