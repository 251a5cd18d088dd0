"""From a dataset's config to data that is ready to train on: read, clean, carve splits, encode labels, cache by content."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from finecomb.assets import lock
from finecomb.assets.cache import PREPARED, in_use, mark_used, remove, staging
from finecomb.config import plugins
from finecomb.config.computing import raised
from finecomb.config.schema import annotator as annotator_schema
from finecomb.config.schema import augmenter as augmenter_schema
from finecomb.config.schema import cleaner as cleaner_schema
from finecomb.config.schema import dataset as dataset_schema
from finecomb.config.schema import sampler as sampler_schema
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.paths import existing
from finecomb.data import annotator as annotators
from finecomb.data import cleaner as cleaners
from finecomb.data import dataset as datasets
from finecomb.data.dataset import labels, split, tag_schemes
from finecomb.data.dataset.kinds import KINDS
from finecomb.data.dataset.manifest import MANIFEST, Manifest
from finecomb.data.dataset.prepared import PreparedFolder, content_hash, open_prepared, read_rows, write
from finecomb.data.dataset.rows import Rows
from finecomb.data.engine import Engine, LocalEngine
from finecomb.data.prepare import after_split, balance, labeling, reading_tasks
from finecomb.data.prepare.reading_tasks import Reading
from finecomb.data.shards import remove_orphans

# Goes up when the same input and config give other rows.
VERSION = 2
# Tables beside the rows.
DROPPED, SCORES, SECONDS, ANNOTATIONS = "dropped.parquet", "scores.parquet", "seconds.parquet", "annotations.parquet"
NO_LABELS = "none"


@in_use()
def prepare(
    dataset: dataset_schema.Dataset,
    cleaner: cleaner_schema.Cleaner,
    annotator: annotator_schema.Annotator | None = None,
    *,
    augmenter: augmenter_schema.Augmenter | None = None,
    sampler: sampler_schema.Sampler | None = None,
    task_variant: str | None,
    engine: Engine | None = None,
    score: annotators.Score | None = None,
) -> PreparedFolder:
    """Make the rows a task trains on, or find them in the cache.

    task_variant: a key of config.schema.task.FACTS; it says what a label is. None: the rows are only cleaned and need no labels.
    engine: what tasks run on, left open; None: processes of this machine. It never changes the rows.
    score: how a finished run is asked for labels (annotator=run).
    Raises ConfigError for everything wrong with the input; nothing but cache is left behind.
    """
    facts = plugins.task_facts(task_variant) if task_variant is not None else None
    kind = NO_LABELS if task_variant is None else facts.kind if facts is not None else "class"
    has = dataset_schema.label_kind(dataset)
    if has != NO_LABELS or annotator is None or annotator.name == "none":
        _check_kind(dataset.name, has, kind, task_variant)
    balancing = balance.build(augmenter, sampler)
    if isinstance(dataset, dataset_schema.Prepared):
        return _reuse(dataset, balancing, kind, task_variant)
    recipe = cleaners.build(cleaner)
    annotator = annotator or annotator_schema.Annotator("none")
    annotate = annotators.build(annotator, score=score)
    source = datasets.build(dataset, unlabeled=annotate is not None)
    inputs = source.inputs()
    identity = (*recipe.identity, *plugins.code("cleaner", cleaner.name))
    identity = identity if annotate is None else (*identity, annotators.identity(annotator))
    key = _key(dataset, (*identity, *balancing.identity), inputs, kind)
    directory = PREPARED.path(key)
    with lock(key):
        if (cached := _cached(directory)) is not None:
            return cached
        remove_orphans()
        running = engine or LocalEngine()
        try:
            read = reading_tasks.read(
                source, _key(dataset, () if annotate is None else ("labels may lack",), inputs, kind, ("split", "limit")), kind, running
            )
            held_out = split.missing(read.splits, dataset.split)
            before, after = recipe.around(held_out)
            cleaned = before.run(read.splits, running)
            _refuse_changes(cleaned, kind)
            with staging() as stage:
                late = functools.partial(after_split.run, after, held_out=held_out, engine=running, folder=stage)
                splits, manifest, beside = _make(dataset, cleaned, late, annotate, balancing, read, kind, stage)
                write(directory, splits, dataclasses.replace(manifest, key=key, files=inputs), beside)
        finally:
            if engine is None:
                running.close()
    return open_prepared(directory)


def _reuse(dataset: dataset_schema.Prepared, balancing: balance.Balancing, kind: str, task_variant: str | None) -> PreparedFolder:
    """A folder that was prepared before: as it is, or with fewer rows, or balanced."""
    if not dataset.path:
        raise ConfigError(
            Problem("dataset=prepared needs a folder", "dataset.path", hint="dataset.path=DIR, a folder that finecomb prepared")
        )
    given = open_prepared(existing(Path(dataset.path), "dataset.path").absolute())
    _check_kind(given.directory.name, given.label_kind, kind, task_variant)
    before, limits = given.manifest, dataclasses.asdict(dataset.limit)
    balance.refuse_twice(before, balancing, dataset.limit.train)
    if not balancing and all(limit is None or limit >= before.rows.get(name, 0) for name, limit in limits.items()):
        return given
    key = hashlib.sha256(
        json.dumps([VERSION, given.content_hash, limits, *balancing.identity, *raised("reading")], sort_keys=True).encode()
    ).hexdigest()[:32]
    directory = PREPARED.path(key)
    with lock(key):
        if (cached := _cached(directory)) is not None:
            return cached
        splits, limiting = split.limited(read_rows(given), dataset.limit)
        balanced = balancing.run(splits, given.label_names)
        manifest = dataclasses.replace(
            before,
            **_record(balanced.splits, kind, given.label_names),
            funnel=before.funnel + limiting + balanced.funnel,
            examples=before.examples + balanced.examples,
            records=before.records | balanced.records,
            key=key,
        )
        write(directory, balanced.splits, manifest)
    return open_prepared(directory)


def _check_kind(name: str, has: str, kind: str, task_variant: str | None) -> None:
    if has in (kind, "any") or kind == NO_LABELS:
        return
    if has == NO_LABELS:
        hint = "train on rows that have labels; or let an annotator give them when they are prepared: annotator=labeling_functions"
        raise ConfigError(Problem(f"the rows of dataset={name} have no labels, the task needs {kind!r}", f"task {task_variant}", hint=hint))
    fits = [name for name, facts in plugins.all_task_facts().items() if facts.kind == has]
    raise ConfigError(Problem(f"the labels of dataset={name} are of kind {has!r}, the task needs {kind!r}", f"task {task_variant}",
                            allowed=f"task: {', '.join(fits)}"))  # fmt: skip


def _refuse_changes(cleaned: cleaners.Cleaned, kind: str) -> None:
    """Refuse steps that changed texts into which labels point."""
    changes: Counter[str] = Counter()
    for entry in cleaned.funnel if kind in dataset_schema.ALIGNED else ():
        changes[entry["step"]] += entry["changed"]
    changed = {step: count for step, count in changes.items() if count}
    if changed:
        counts = ", ".join(f"{step} {count:,}" for step, count in changed.items())
        what = f"the cleaner changed texts ({counts}), and labels of kind {kind!r} point into the text"
        hint = "leave them out: " + " ".join(f"cleaner.steps.{step}=null" for step in changed)
        raise ConfigError(Problem(what, f"cleaner.steps.{next(iter(changed))}", "steps that only drop rows; or cleaner=none", hint))


def _key(dataset: dataset_schema.Dataset, recipe: tuple[Any, ...], inputs: dict[str, str], kind: str, later: tuple[str, ...] = ()) -> str:
    """Hash of the inputs' content and of every value that shapes the rows; paths are not among them. later: values that do not yet."""
    values = {
        field.name: value if not dataclasses.is_dataclass(value) else _as_before(value)
        for field in dataclasses.fields(dataset)
        if field.metadata.get("identity", True) and field.name not in later
        for value in (getattr(dataset, field.name),)
        # So that rows prepared before the option existed are found again.
        if field.name != "tag_scheme" or value != field.metadata["before"]
    }
    also = plugins.code("dataset", dataset.name) + raised("reading")
    facts = [VERSION, values, recipe, inputs, kind, *also]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()[:32]


def _as_before(group: Any) -> dict[str, Any]:
    """The values of a group of options, without those that are what they were before the option existed."""
    given = dataclasses.asdict(group)
    return {each.name: given[each.name] for each in dataclasses.fields(group) if given[each.name] != each.metadata.get("before", given)}


def _cached(directory: Path) -> PreparedFolder | None:
    """The prepared data in the cache, or None when there is none or it is damaged and must be made again."""
    if not directory.exists():
        return None
    try:
        cached = open_prepared(directory)
    except ConfigError as error:
        print(f"prepared data in the cache is damaged and is made again: {error}", file=sys.stderr)
        remove(directory)
        return None
    mark_used(directory / MANIFEST)
    return cached


def _make(
    dataset: dataset_schema.Dataset,
    cleaned: cleaners.Cleaned,
    late: Callable[..., tuple[dict[str, Rows], cleaners.Cleaned]],
    annotate: annotators.Annotate | None,
    balancing: balance.Balancing,
    read: Reading,
    kind: str,
    stage: Path,
) -> tuple[dict[str, Rows], Manifest, dict[str, Any]]:
    """Splits, their manifest, and what stands beside them: every dropped row, every score.

    late: the steps that run once the splits exist. stage: a folder for the texts meanwhile.
    """
    funnel = read.funnel + cleaned.funnel
    rows = reading_tasks.opened(cleaned.splits, stage, cleaned.clusters)
    _refuse_empty(rows, funnel, read.source)
    labeled, labels_funnel, annotations = labeling.labeled(rows, annotate, kind)
    funnel += labels_funnel
    _refuse_empty(labeled, funnel, read.source)
    known, scheme = read.label_names, None
    if kind == "tags":
        labeled, known, scheme = tag_schemes.in_bio(labeled, dataset.tag_scheme, known)
    encoded, names = labels.encode(labeled, kind, known)
    encoded = labeling.soft_by_class(encoded, annotations, names)
    carved, splitting = split.carve(encoded, dataset.split, kind)
    if dataset.columns.group is None and kind in KINDS and "group" in KINDS[kind].defaults:
        # Groups that nobody named are for the split alone: metrics of hundreds of them are no report.
        carved = {name: dataclasses.replace(rows, group=None) for name, rows in carved.items()}
    kept, compared = late(labeling.soft_in_train_alone(carved), names=names)
    limited, limiting = split.limited(split.shuffled(kept, dataset.split.seed), dataset.limit)
    balanced = balancing.run(limited, names)
    splits = balanced.splits
    manifest = Manifest(
        **_record(splits, kind, names),
        source=read.source,
        license=read.license,
        funnel=funnel + splitting + compared.funnel + limiting + balanced.funnel,
        examples=cleaned.examples + compared.examples + balanced.examples,
        unmapped=read.unmapped,
        records=cleaned.records
        | ({"annotator": annotations.record} if annotations is not None else {})
        | ({"tags": {"scheme": scheme}} if scheme is not None else {})
        | compared.records
        | balanced.records,
    )
    cleaned = _together(cleaned, compared)
    beside = {DROPPED: _dropped(read, cleaned, balanced.dropped), SCORES: _scores(cleaned), SECONDS: [_seconds(cleaned)]}
    if annotations is not None:
        beside[ANNOTATIONS] = [labeling.annotation_table(rows["train"], annotations)]
    return splits, manifest, beside


def _together(cleaned: cleaners.Cleaned, later: cleaners.Cleaned) -> cleaners.Cleaned:
    """The dropped rows, scores and seconds of the steps before and after the split."""
    dropped, scores = cleaned.dropped + later.dropped, cleaned.scores + later.scores
    return dataclasses.replace(cleaned, dropped=dropped, scores=scores, seconds=cleaned.seconds | later.seconds)


def _seconds(cleaned: cleaners.Cleaned) -> Any:
    """How long each step took; beside the manifest, which says only what is the same each time."""
    import pyarrow as pa

    return pa.table({"step": pa.array(cleaned.seconds, pa.string()), "seconds": pa.array(cleaned.seconds.values(), pa.float64())})


def _dropped(read: Reading, cleaned: cleaners.Cleaned, later: list[dict[str, Any]]) -> Iterator[Any]:
    """Every row that could not be read, that a step dropped, and that went later; labels as text."""
    import pyarrow as pa

    names = ("step", "reason", "split", "id", "text", "text_pair", "label")
    schema = pa.schema([(name, pa.string()) for name in names])
    rejected = [
        {"step": "read", "reason": each["reason"], "split": each["split"], "id": f"{each['file']}:{each['line']}", "text": each["text"]}
        for each in read.rejected
    ]
    yield _plain_table(rejected, schema)
    for split_name, parts in cleaned.dropped:
        for part in parts():
            yield part.append_column("split", pa.array([split_name] * len(part), pa.string())).select(names).cast(schema)
    yield _plain_table(
        [row | {"label": row["label"] if isinstance(row["label"], str) else json.dumps(row["label"])} for row in later], schema
    )


def _plain_table(rows: list[dict[str, Any]], schema: Any) -> Any:
    import pyarrow as pa

    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in schema.names}, schema=schema)


def _scores(cleaned: cleaners.Cleaned) -> Iterator[Any]:
    """Every score of every row that a step saw, as a long table."""
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    types = {"step": text, "score": text, "split": text, "id": text, "value": number, "low": number, "high": number}
    yield pa.table({name: pa.array([], kind) for name, kind in types.items()})
    for entry in cleaned.scores:
        for ids, values in entry.parts():
            columns = {name: [getattr(entry, name)] * len(ids) for name in ("step", "score", "split", "low", "high")} | {
                "id": ids,
                "value": values,
            }
            yield pa.table({name: pa.array(columns[name], kind) for name, kind in types.items()})


def _record(splits: dict[str, Rows], kind: str, names: list[str] | None) -> dict[str, Any]:
    """What the manifest says of the rows themselves."""
    train = splits["train"]
    hashes = {name: rows.sha256() for name, rows in splits.items()}
    return {
        "rows": {name: len(rows) for name, rows in splits.items()},
        "label_kind": kind,
        "label_names": names,
        "label_counts": {name: labels.counts(rows, kind, names) for name, rows in splits.items()},
        "columns": ["id", "text", *(["text_pair"] if train.text_pair is not None else []), *([] if kind == NO_LABELS else ["label"]),
                    *(["group"] if train.group is not None else []), *(["weight"] if train.weight is not None else []),
                    *(["soft"] if train.soft is not None else []),
                    *(train.provenance or {})],
        "straddling_groups": _straddling(splits),
        "hashes": hashes,
        "content_hash": content_hash(hashes, kind, names),
    }  # fmt: skip


def _refuse_empty(splits: dict[str, Rows], funnel: list[dict[str, Any]], source: str) -> None:
    problems = []
    for name, rows in splits.items():
        if len(rows) == 0:
            lost = [f"{entry['step']}: {reason} {count:,}" for entry in funnel if entry["split"] == name
                    for reason, count in entry["reasons"].items()]  # fmt: skip
            problems.append(
                Problem(
                    f"no row is left in {name}", rows.file or source, allowed="; ".join(lost), hint="check the file, or the cleaner's steps"
                )
            )
    if problems:
        raise ConfigError(problems)


def _straddling(splits: dict[str, Rows]) -> int:
    """Groups with rows in more than one split; 0 where the splits were carved here."""
    seen = [set(rows.group) - {""} for rows in splits.values() if rows.group is not None]
    return len({group for i, groups in enumerate(seen) for other in seen[i + 1 :] for group in groups & other})
