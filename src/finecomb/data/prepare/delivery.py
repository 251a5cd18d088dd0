"""What `finecomb prepare` leaves: rows as Parquet, every dropped row with its reason, data.json, report.html, and what training opens."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from finecomb.assets import hash_file, lock
from finecomb.assets.cache import staging
from finecomb.config.schema.dataset import Require
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.cleaner import near_index
from finecomb.data.cleaner.steps import spelling
from finecomb.data.cleaner.steps.language import identify
from finecomb.data.dataset.labels import SEVERAL
from finecomb.data.dataset.manifest import FORMAT, MANIFEST
from finecomb.data.dataset.prepared import PreparedFolder, read_rows, write_parquet
from finecomb.data.dataset.rows import Rows
from finecomb.data.engine import Engine, LocalEngine
from finecomb.data.prepare import clusters, page
from finecomb.data.prepare.leakage import joined_texts, overlap, pieces_of
from finecomb.data.prepare.preparation import SCORES, SECONDS
from finecomb.data.shards import key_of
from finecomb.data.texts import pieces

# Goes up when the same rows are reported otherwise.
VERSION = 3
CORRECTIONS, CLUSTERS, FACTS, REPORT = "corrections.tsv", "clusters.parquet", "data.json", "report.html"
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_SAMPLE = 500  # texts whose language is asked for dataset.require.languages


def deliver(prepared: PreparedFolder, target: Path, *, name: str, require: Require, engine: Engine | None = None) -> dict[str, Any]:
    """Write the folder, whole or not at all; returns what data.json holds.

    Rows are written as Parquet, which every tool reads; training maps them from the cache. Files that are there already are left when their
    content is the same. engine: compares the splits; None: processes of this machine. Raises ConfigError, after the folder was written,
    when the rows do not meet what was required.
    """
    with lock(key_of("delivery", str(target.absolute()))):
        key = key_of(VERSION, prepared.manifest.key, prepared.content_hash, name, dataclasses.asdict(require))
        if (report := _delivered(target, key)) is None:
            report, problems = _write(prepared, target, name, require, key, engine)
            if problems:
                raise ConfigError(problems)
    return report


def _delivered(target: Path, key: str) -> dict[str, Any] | None:
    """What an earlier time wrote, where it met all requirements and is whole."""
    try:
        report: dict[str, Any] = json.loads((target / FACTS).read_text(encoding="utf-8"))
        whole = all((target / f"{split}.parquet").is_file() for split in report["rows"]) and (target / REPORT).is_file()
        return report if whole and report["key"] == key and not report["requirements_not_met"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(
    prepared: PreparedFolder, target: Path, name: str, require: Require, key: str, engine: Engine | None
) -> tuple[dict[str, Any], list[Problem]]:
    splits = read_rows(prepared)
    report = facts(prepared, splits, name, engine)
    problems = missing(splits, report, require)
    report |= {"requirements_not_met": [problem.what for problem in problems], "key": key}
    with staging() as stage:
        folder = stage / "delivery"
        folder.mkdir()
        for table in prepared.directory.glob("*.parquet"):
            shutil.copy2(table, folder / table.name)
        stored = {}
        for split, rows in splits.items():
            file = folder / f"{split}.parquet"
            _write_rows(file, rows, prepared.label_kind, prepared.label_names)
            stored[file.name] = hash_file(file)
        dataclasses.replace(prepared.manifest, stored=stored, format=FORMAT).write(folder)
        (folder / FACTS).write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
        (folder / REPORT).write_text(page.page(report, _histograms(folder / SCORES)), encoding="utf-8")
        if (table := clusters.table(folder / SCORES)) is not None:
            write_parquet(folder / CLUSTERS, [table])
        _write_index(folder, prepared, splits)
        if (rows_of_map := report["corrections"]) is not None:
            (folder / CORRECTIONS).write_text(spelling.write_map(rows_of_map), encoding="utf-8")
        _put(folder, target)
    return report, problems


def _write_index(folder: Path, prepared: PreparedFolder, splits: Mapping[str, Rows]) -> None:
    """An index of near-duplicates of all rows, where the step was asked for it."""
    for record in [record for record in prepared.manifest.records.values() if record.get("write_index")][:1]:
        chunks = (
            ([f"{split}/{name}" for name in part.id], joined_texts(part.text, part.text_pair))
            for split, rows in splits.items()
            for part in (rows.take(at) for at in pieces(rows.text))
        )
        near_index.write(folder / near_index.FOLDER, chunks, record["ngram"], record["permutations"])


def _put(folder: Path, target: Path) -> None:
    """Move the folder to its place; one that `prepare` wrote before is replaced, anything else is left alone.

    A kill at any moment leaves the earlier folder whole, the new one whole, or none: both are renamed, and what is to be deleted is renamed
    first. What a kill left next to the target is removed the next time.
    """
    target = target.resolve()
    if target.exists() and not (target / MANIFEST).is_file() and any(target.iterdir()):
        what = f"{target} is there and was not written by finecomb prepare"
        raise ConfigError(Problem(what, "output", hint="name another folder"))
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.finecomb-part")
    new, old = aside / "new", aside / "old"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        try:
            os.replace(folder, new)
        except OSError:  # another file system
            shutil.copytree(folder, new)
        if target.exists():
            os.replace(target, old)
        os.replace(new, target)
    finally:
        if old.exists() and not target.exists():
            os.replace(old, target)
        shutil.rmtree(aside, ignore_errors=True)


def _write_rows(path: Path, rows: Rows, kind: str, names: list[str] | None) -> None:
    """Labels as names, so that the file says what it holds without its manifest."""
    import pyarrow as pa

    columns: dict[str, Sequence[Any]] = {"id": rows.id, "text": rows.text}
    if rows.text_pair is not None:
        columns["text_pair"] = rows.text_pair
    if kind != "none":
        columns["label"] = _named(rows.label, kind, names)
    if rows.group is not None:
        columns["group"] = rows.group
    if rows.weight is not None:
        columns["weight"] = rows.weight
    if rows.soft is not None:
        columns["soft"] = rows.soft
    columns |= rows.provenance or {}
    write_parquet(path, (pa.table({name: cells[at.start : at.stop] for name, cells in columns.items()}) for at in pieces(rows.text)))


def _named(labels: Sequence[Any], kind: str, names: list[str] | None) -> list[Any]:
    if names is None:
        return list(labels)
    return [[names[each] for each in label] for label in labels] if kind in SEVERAL else [names[label] for label in labels]


def facts(prepared: PreparedFolder, splits: Mapping[str, Rows], name: str, engine: Engine | None = None) -> dict[str, Any]:
    """What data.json holds: every step with rows and bytes in and out, reasons and seconds; overlap, clusters, labels, lengths."""
    manifest = prepared.manifest
    records = manifest.records
    steps: dict[str, dict[str, Any]] = {}
    for entry in manifest.funnel:
        step = steps.setdefault(
            entry["step"],
            {"name": entry["step"], "rows_in": 0, "rows_out": 0, "bytes_in": 0, "bytes_out": 0, "changed": 0, "reasons": {}, "splits": {}},
        )
        for key in ("rows_in", "rows_out", "bytes_in", "bytes_out", "changed"):
            step[key] += entry.get(key, 0)
        step["reasons"] = dict(Counter(step["reasons"]) + Counter(entry["reasons"]))
        kept = {"kept": entry["kept"]} if "kept" in entry else {}
        step["splits"][entry["split"]] = {key: entry.get(key) for key in ("rows_in", "rows_out", "changed", "reasons")} | kept
    seconds = _seconds(prepared.directory / SECONDS)
    for step in steps.values():
        step["seconds"] = seconds.get(step["name"])
        step["record"] = {key: value for key, value in records.get(step["name"], {}).items() if key not in ("clusters", "corrections")}
    return {
        "name": name,
        "source": manifest.source,
        "license": manifest.license,
        "content_hash": prepared.content_hash,
        "rows": manifest.rows,
        "train_rows_before_balancing": next((entry["rows_in"] for entry in manifest.funnel if entry.get("balance")), None),
        "steps": list(steps.values()),
        "label_kind": prepared.label_kind,
        "label_names": prepared.label_names,
        "label_counts": manifest.label_counts,
        "lengths": {split: _lengths(rows) for split, rows in splits.items()},
        "overlap": _overlap(prepared, engine),
        "clusters": [{"step": step, **cluster} for step, record in records.items() for cluster in record.get("clusters", [])],
        "corrections": next((record["corrections"] for record in records.values() if "corrections" in record), None),
        "examples": manifest.examples,
    }


def _overlap(prepared: PreparedFolder, engine: Engine | None) -> dict[str, Any]:
    running = engine or LocalEngine()
    try:
        parts = {split: [part for file in prepared.files(split) for part in pieces_of(file)] for split in prepared.manifest.rows}
        return overlap(parts, running)
    finally:
        if engine is None:
            running.close()


def _seconds(path: Path) -> dict[str, float]:
    import pyarrow.parquet

    return {row["step"]: row["seconds"] for row in pyarrow.parquet.read_table(path).to_pylist()} if path.is_file() else {}


def _lengths(rows: Rows) -> dict[str, Any]:
    lengths = np.fromiter(map(len, rows.text), np.int64, len(rows)) if len(rows) else np.zeros(1, np.int64)
    counts, edges = np.histogram(np.log10(np.maximum(lengths, 1)), bins=24)
    return {
        "characters": {f"{q:g}": int(np.quantile(lengths, q, method="lower")) for q in _QUANTILES},
        "histogram": {"edges": [round(10**edge, 1) for edge in edges.tolist()], "counts": counts.tolist()},
    }


def missing(splits: Mapping[str, Rows], report: Mapping[str, Any], require: Require) -> list[Problem]:
    """What the rows lack of `dataset.require`."""
    problems = []
    train = splits["train"]

    def short(key: str, what: str, wanted: Any) -> None:
        problems.append(
            Problem(what, f"dataset.require.{key}", f"wanted: {wanted}", "collect other rows, change the cleaner, or ask for less")
        )

    # Rows made of others are none that were collected.
    collected = min(len(train), report["train_rows_before_balancing"] or len(train))
    if require.rows is not None and collected < require.rows:
        short("rows", f"train has {collected:,} rows", f"at least {require.rows:,}")
    if require.languages:
        sample = train.text[:: max(1, len(train) // _SAMPLE)][:_SAMPLE]
        others = Counter(code for text in sample if len(text) >= 20 and (code := identify(text)[0]) not in require.languages)
        if others.total() > 0.05 * len(sample):
            listed = ", ".join(f"{code} {count}" for code, count in others.most_common(3))
            short(
                "languages", f"{others.total():,} of a sample of {len(sample):,} texts are in other languages ({listed})", require.languages
            )
    counts = report["label_counts"]["train"]
    if require.min_label_share is not None and counts:
        rare = min(counts, key=lambda label: counts[label])
        share = counts[rare] / max(1, sum(counts.values()))
        if share < require.min_label_share:
            short("min_label_share", f"label {rare!r} has {share:.1%} of train", f"at least {require.min_label_share:.1%}")
    if require.max_duplicate_share is not None:
        gone = sum(count for step in report["steps"] for reason, count in step["reasons"].items() if "duplicate" in reason)
        first = report["steps"][0]["rows_in"] if report["steps"] else len(train)
        if gone > require.max_duplicate_share * first:
            short("max_duplicate_share", f"{gone:,} of {first:,} rows were duplicates", f"at most {require.max_duplicate_share:.1%}")
    longest = max((len(text) for rows in splits.values() for text in rows.text), default=0)
    if require.max_characters is not None and longest > require.max_characters:
        short("max_characters", f"the longest text has {longest:,} characters", f"at most {require.max_characters:,}")
    return problems


def _histograms(path: Path) -> list[dict[str, Any]]:
    """For each score of each step the counts in 40 bins, and the bounds that were applied."""
    import pyarrow.parquet

    if not path.is_file():
        return []
    drawn: dict[tuple[str, str], dict[str, Any]] = {}
    ranges: dict[tuple[str, str], tuple[float, float]] = {}
    with pyarrow.parquet.ParquetFile(path) as file:
        for key, part in _score_parts(file):
            values = part["value"].to_numpy()
            low, high = ranges.get(key, (np.inf, -np.inf))
            ranges[key] = (min(low, values.min()), max(high, values.max()))
            bounds = {name: part[name][0].as_py() for name in ("low", "high")}
            drawn.setdefault(key, {"step": key[0], "score": key[1], "counts": 0, "edges": None, **bounds})
        for key, part in _score_parts(file):
            counts, edges = np.histogram(part["value"].to_numpy(), bins=40, range=ranges[key])
            drawn[key] |= {"counts": drawn[key]["counts"] + counts, "edges": edges}
    return [each | {name: each[name].tolist() for name in ("counts", "edges")} for each in drawn.values()]


def _score_parts(file: Any) -> Iterator[tuple[tuple[str, str], Any]]:
    """The values of each score, a part at a time; clusters are no score."""
    import pyarrow.compute as pc

    for part in clusters.parts_of(file, ["step", "score", "value", "low", "high"]):
        keys = part.group_by(["step", "score"], use_threads=False).aggregate([])
        for step, score in zip(keys["step"].to_pylist(), keys["score"].to_pylist(), strict=True):
            if score != clusters.CLUSTER:
                yield (step, score), part.filter(pc.and_(pc.equal(part["step"], step), pc.equal(part["score"], score)))
