"""The tasks of a recipe: one stage over one shard, the sketch of one shard, the plan of one step. Each writes a folder and nothing else.

A stage is a run of steps of which at most the first looks at the whole corpus (its plan is made by then). What it leaves of a shard:
delta.arrow (rows that stay, texts that are others, scores), dropped.arrow, measured.npz (every score of every row that a step saw) and an
account of rows, bytes, reasons, examples and seconds for each step.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from finecomb.data.cleaner.step import Batch, CorpusStep, Decision, Scorer, Sketch, Step, TextRewrite
from finecomb.data.shards import Folder, Shard, load_facts, read_arrow, save_facts, write_arrow
from finecomb.data.texts import Texts

EXAMPLES = 5
_SHOWN = 200
DELTA, DROPPED, MEASURED = "delta.arrow", "dropped.arrow", "measured.npz"
log = logging.getLogger(__name__)
SHORTENED = "parts taken out"  # of a text that stays as it is


def batch_of(table: Any, split: str, start: int = 0) -> Batch:
    """The rows of a shard as steps see them."""
    names = table.column_names
    pair = _texts(table, "text_pair") if "text_pair" in names else None
    provenance = {name.removeprefix("from:"): table.column(name).to_pylist() for name in names if name.startswith("from:")}
    scores = {name.removeprefix("score:"): table.column(name).to_numpy() for name in names if name.startswith("score:")}
    return Batch(
        split,
        table.column("id").to_pylist(),
        _texts(table, "text"),
        pair,
        decoded(table.column("label").to_pylist()),
        start,
        provenance,
        scores,
    )


def decoded(labels: Sequence[str]) -> list[Any]:
    """Labels from their JSON; the same text is read once."""
    known: dict[str, Any] = {}
    return [known[text] if text in known else known.setdefault(text, json.loads(text)) for text in labels]


def _texts(table: Any, name: str) -> Texts:
    return Texts(table.column(name).chunks).kept()


# Tasks: a step list and plain values


def sketch(step: CorpusStep, table: Any, split: str, output: Path) -> None:
    """Write what a step notes of a shard."""
    Folder(output).make(lambda folder: save_facts(folder, lambda: step.sketch(batch_of(table, split))))


def plan_part(step: CorpusStep, sketches: Sequence[Sketch], part: int, parts: int, output: Path) -> None:
    """Write a share of a step's plan."""
    Folder(output).make(lambda folder: save_facts(folder, lambda: step.plan_part(sketches, part, parts)))


def run(
    steps: Sequence[tuple[str, Step]],
    shard: Shard,
    start: int,
    *,
    state: Path | None,
    measures: Sequence[Path | None],
    whole: bool,
    output: Path,
) -> None:
    """Take one shard through the steps of a stage.

    state: folder of the plan of the first step. measures: for each step the folder of its measures, None where it measures nothing.
    whole: no row is dropped, and only steps that rewrite a text by itself change it; what the others decided is counted.
    """
    table = shard.table()
    batch = batch_of(table, shard.split, start)
    rows = np.arange(len(batch), dtype=np.int64)
    trail = _Trail(len(batch))
    for (name, step), measured in zip(steps, measures, strict=True):
        began = time.perf_counter()
        decision = _decide(step, batch, state, measured)
        spared: Mapping[str, int] = {}
        if whole:
            decision, spared = _spared(step, decision)
        after, kept = _applied(batch, name, decision)
        trail.note(name, batch, after, decision, spared, rows, time.perf_counter() - began)
        batch, rows = after, rows[kept]

    def write(folder: Path) -> dict[str, Any]:
        write_arrow(
            folder / DELTA,
            _delta(table, batch, rows, {score for name, _ in steps for score in batch.scores if score.startswith(f"{name}.")}),
        )
        return trail.write(folder) | {"rows": len(batch), "bytes": _bytes(batch)}

    Folder(output).make(write)


def _decide(step: Step, batch: Batch, state: Path | None, measured: Path | None) -> Decision:
    if isinstance(step, CorpusStep):
        assert state is not None
        return step.carry_out(batch, load_facts(state))
    if isinstance(step, Scorer) and measured is not None:
        return step.judge(batch, _cached_measure(step, batch, measured))
    return step.decide(batch)


def _spared(step: Step, decision: Decision) -> tuple[Decision, Mapping[str, int]]:
    """What is left of a decision about rows that all stay, and how many rows it would have dropped or cut, by reason."""
    reasons = Counter(decision.drop.values())
    replace = decision.replace
    if not isinstance(step, TextRewrite):
        reasons[SHORTENED] += len(decision.replace.keys() - decision.drop.keys())
        replace = {}
    return Decision(replace=replace, scores=decision.scores), +reasons


def _cached_measure(step: Scorer, batch: Batch, folder: Path) -> Mapping[str, NDArray[Any]]:
    """What a step measures of these texts, found by their content or computed."""
    digest = xxhash.xxh3_128()
    for texts in (batch.text, batch.text_pair):
        if texts is not None:
            for text in texts:
                raw = text.encode()
                digest.update(len(raw).to_bytes(8, "little"))
                digest.update(raw)
    path = folder / f"{digest.hexdigest()}.npz"
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        log.warning("measures in the cache are damaged and are computed again: %s (%s)", path, error)
    measured = step.measure(batch)
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
    with os.fdopen(handle, "wb") as file:
        np.savez(file, allow_pickle=False, **measured)
    os.replace(name, path)
    return measured


def _applied(batch: Batch, name: str, decision: Decision) -> tuple[Batch, NDArray[np.int64]]:
    """The batch after a decision, and which of its rows stay."""
    text, pair = batch.text, batch.text_pair
    changed = {row: new for row, new in decision.replace.items() if row not in decision.drop}
    scores = dict(batch.scores) | {f"{name}.{score}": np.asarray(values, dtype=np.float64) for score, values in decision.scores.items()}
    if changed:
        texts = list(text)
        for row, (new, _) in changed.items():
            texts[row] = new
        text = Texts.of(texts).kept()
        if pair is not None:
            pairs = list(pair)
            for row, (_, new_pair) in changed.items():
                pairs[row] = pairs[row] if new_pair is None else new_pair
            pair = Texts.of(pairs).kept()
    if not decision.drop:
        return replace(batch, text=text, text_pair=pair, scores=scores), np.arange(len(batch), dtype=np.int64)
    kept = np.setdiff1d(np.arange(len(batch), dtype=np.int64), np.fromiter(decision.drop, dtype=np.int64))
    chosen = kept.tolist()
    return replace(
        batch,
        id=[batch.id[row] for row in chosen],
        text=_taken(text, chosen),
        text_pair=None if pair is None else _taken(pair, chosen),
        label=[batch.label[row] for row in chosen],
        provenance={key: [cells[row] for row in chosen] for key, cells in batch.provenance.items()},
        scores={key: values[kept] for key, values in scores.items()},
    ), kept


def _taken(texts: Texts, rows: list[int]) -> Texts:
    import pyarrow

    return Texts([texts.arrow.take(pyarrow.array(rows, pyarrow.int64()))]).kept()


def _bytes(batch: Batch) -> int:
    import pyarrow.compute as pc

    return sum(pc.sum(pc.binary_length(texts.arrow)).as_py() or 0 for texts in (batch.text, batch.text_pair) if texts is not None)


def _delta(table: Any, batch: Batch, rows: NDArray[np.int64], scores: set[str]) -> Any:
    """What makes `batch` of `table`: rows that stay, texts that are others (null: as they were), new scores."""
    import pyarrow
    import pyarrow.compute as pc

    columns: dict[str, Any] = {"row": pyarrow.array(rows)}
    for name, texts in (("text", batch.text), ("text_pair", batch.text_pair)):
        if texts is None:
            continue
        before = (
            table.column(name).combine_chunks() if len(table) == len(rows) else table.column(name).take(columns["row"]).combine_chunks()
        )
        same = pc.equal(before, texts.arrow)
        if not pc.all(same).as_py() and len(rows):
            nothing = pyarrow.scalar(None, pyarrow.large_string())
            columns[name] = pc.if_else(same, nothing, texts.arrow)
    columns |= {f"score:{score}": pyarrow.array(batch.scores[score]) for score in sorted(scores)}
    return pyarrow.table(columns)


@dataclass
class _Dropped:
    step: str
    reason: str
    id: str
    text: str
    text_pair: str | None
    label: Any


class _Trail:
    """The account of a stage over one shard, step by step."""

    def __init__(self, rows: int) -> None:
        self._steps: list[dict[str, Any]] = []
        self._dropped: list[_Dropped] = []
        self._measured: dict[str, NDArray[Any]] = {}

    def note(
        self,
        name: str,
        before: Batch,
        after: Batch,
        decision: Decision,
        spared: Mapping[str, int],
        rows: NDArray[np.int64],
        seconds: float,
    ) -> None:
        """One step. rows: place of each row of `before` in the shard. spared: rows that stay although the step decided otherwise."""
        gone = [
            _Dropped(
                name,
                reason,
                before.id[row],
                before.text[row],
                None if before.text_pair is None else before.text_pair[row],
                before.label[row],
            )
            for row, reason in sorted(decision.drop.items())
        ]
        self._dropped += gone
        number = len(self._steps)
        for score, values in decision.scores.items():
            self._measured[f"{number}:{score}"] = np.asarray(values, dtype=np.float64)
        if decision.scores:
            self._measured[f"{number}:"] = rows
        samples = _Samples(name)
        samples.add(before, decision)
        self._steps.append({
            "step": name, "rows_in": len(before), "rows_out": len(after), "bytes_in": _bytes(before), "bytes_out": _bytes(after),
            "changed": len(decision.replace.keys() - decision.drop.keys()), "reasons": dict(Counter(decision.drop.values())),
            "kept": dict(spared),
            "scores": list(decision.scores), "samples": samples.chosen(), "seconds": seconds,
        })  # fmt: skip

    def write(self, folder: Path) -> dict[str, Any]:
        """The files; returns the account."""
        import pyarrow

        text = pyarrow.large_string()
        columns = {
            name: pyarrow.array([getattr(row, name) for row in self._dropped], text)
            for name in ("step", "reason", "id", "text", "text_pair")
        }
        labels = [row.label if isinstance(row.label, str) else json.dumps(row.label) for row in self._dropped]
        write_arrow(folder / DROPPED, pyarrow.table(columns | {"label": pyarrow.array(labels, text)}))
        np.savez(folder / MEASURED, allow_pickle=False, **self._measured)
        return {"steps": self._steps}


def dropped_of(folder: Path, step: str) -> Any:
    """The rows that a step dropped, as a table."""
    import pyarrow.compute as pc

    table = read_arrow(folder / DROPPED)
    return table.filter(pc.equal(table.column("step"), step))


class _Samples:
    """Five rows for each reason, chosen by their ids alone: the same whatever the shards."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._kept: dict[str, list[tuple[str, dict[str, Any]]]] = {}

    def add(self, batch: Batch, decision: Decision) -> None:
        for row, reason in decision.drop.items():
            self._offer(batch, row, reason, None)
        for row, after in decision.replace.items():
            if row not in decision.drop:
                self._offer(batch, row, "changed", after)

    def _offer(self, batch: Batch, row: int, reason: str, after: tuple[str, str | None] | None) -> None:
        chosen = self._kept.setdefault(reason, [])
        order = hashlib.sha256(batch.id[row].encode()).hexdigest()
        if len(chosen) == EXAMPLES and order >= chosen[-1][0]:
            return
        before = (batch.text[row], None if batch.text_pair is None else batch.text_pair[row])
        example: dict[str, Any] = {"step": self._step, "reason": reason, "split": batch.split, "id": batch.id[row]}
        example |= {"before": _shown(before), "after": None if after is None else _shown(after)}
        chosen.append((order, example))
        chosen.sort(key=lambda each: each[0])
        del chosen[EXAMPLES:]

    def chosen(self) -> list[tuple[str, dict[str, Any]]]:
        """With the value they are ordered by, so that those of several shards can be merged."""
        return [each for examples in self._kept.values() for each in examples]


def merged(samples: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The five first for each reason, of the samples that several shards chose."""
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for order, example in samples:
        found.setdefault(example["reason"], []).append((order, example))
    return [
        example for reason in sorted(found) for _, example in sorted(found[reason], key=lambda each: (each[0], each[1]["split"]))[:EXAMPLES]
    ]


def _shown(texts: tuple[str, str | None]) -> str:
    return " | ".join(text if len(text) <= _SHOWN else text[:_SHOWN] + " ..." for text in texts if text is not None)
