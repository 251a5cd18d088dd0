"""From paths to arms: finds run directories, reads what a table needs of each, and groups them by everything but the seed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from finecomb.config import renamed
from finecomb.config.fields import Field, fields_of
from finecomb.config.fingerprint import canonical
from finecomb.config.plain import flatten
from finecomb.config.plugins import schemas
from finecomb.config.schema.base import UNSET
from finecomb.config.schema.task import variant_of
from finecomb.config.schema.train import GROUPS, Config
from finecomb.core import files
from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.runs.directory import RunDirectory
from finecomb.runs.index import locate
from finecomb.runs.record import PreparedInput, RunRecord
from finecomb.runs.result import RunResult


@dataclass(frozen=True)
class ComparedRun:
    """What a table needs of one run. `identity` is its flat config without the seed and without what cannot change a result."""

    path: Path
    seed: int
    state: str
    config: dict[str, Any]
    identity: dict[str, Any]
    record: RunRecord
    result: RunResult | None
    provenance: dict[str, Any] | None

    @property
    def task(self) -> str:
        """The task's variant, a key of the task facts."""
        return variant_of(self.config["task"])

    @property
    def data(self) -> PreparedInput:
        """The run's prepared data: folder and content hash."""
        return self.record.inputs.data

    @property
    def label_names(self) -> list[str]:
        """The classes in their order, as far as the result says."""
        return list(self.result.label_counts.get("train", ())) if self.result else []

    def predictions(self, split: str) -> Path | None:
        """The file of predictions on `split`, when the run is finished and has one."""
        path = self.path / "predictions" / f"{split}.parquet"
        return path if self.state == "finished" and path.exists() else None

    def recorded(self, metric: str) -> float | None:
        """A metric as the run itself recorded it (`test/accuracy`)."""
        return self.result.metric(metric) if self.result else None


@dataclass
class Arm:
    """Runs that differ in the seed alone, and the words that set them apart from the table's other arms."""

    label: str
    runs: list[ComparedRun] = field(default_factory=list)


def find(paths: Sequence[str]) -> list[Path]:
    """Run directories named by run directories, folders of them, or a sweep's record; each once, in a stable order.

    Raises ConfigError naming every path that is neither.
    """
    if not paths:
        raise ConfigError(Problem("nothing to compare", hint="name run directories, a folder of them, or a sweep: finecomb compare runs"))
    problems: list[Problem] = []
    found: dict[Path, Path] = {}
    for text in paths:
        try:
            found.update({path.resolve(): path for path in _find(Path(text))})
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return sorted(found.values(), key=lambda path: (path.name, str(path)))


def _find(path: Path) -> list[Path]:
    if path.suffix == ".json" and path.is_file():
        return _sweep(path)
    if (path / "run.json").is_file():
        return [path]
    if path.is_dir():
        runs = [each.parent for each in path.glob("*/run.json") if not each.parent.name.startswith(".")]
        if runs:
            return runs
        raise ConfigError(Problem(f"{path} holds no run directories", hint="name the folder that output_dir= was set to, or a run in it"))
    if path.exists():
        raise ConfigError(Problem(f"{path} is no run directory", hint="name run directories, a folder of them, or a sweep's .json record"))
    siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    close = nearest(path.name, siblings)
    if close is None and path.name == str(path):
        # A bare word may be the name, fingerprint or beginning of a run in the usual folder.
        return [locate("runs", path.name).path]
    hint = f"did you mean {path.parent / close}?" if close else "see `finecomb runs` for the runs there are"
    raise ConfigError(Problem(f"there is no {path}", hint=hint))


def _sweep(path: Path) -> list[Path]:
    """The runs of a sweep's record, which lies in <output_dir>/sweeps."""
    record = files.read_json(path)
    runs = [path.parent.parent / str(name) for name in record.get("runs", [])]
    missing = [str(run) for run in runs if not (run / "run.json").is_file()]
    if missing or not runs:
        what = (
            f"the sweep {path.stem} names runs that are not there: {', '.join(missing)}" if runs else f"the sweep {path.stem} has no runs"
        )
        raise ConfigError(Problem(what, where=str(path), hint="run it again, or name the runs to compare"))
    return runs


def read(path: Path) -> ComparedRun:
    """Read one run directory."""
    run = RunDirectory(path)
    config = run.config
    hidden = not_identity()
    # A run from before a key existed counts as one with the value that such runs had.
    before = {key: known.before for key, known in _all_fields() if known.before is not UNSET}
    older = {f"{group}.name": "none" for group in ("annotator", "augmenter", "sampler")}
    settings = {key: value for key, value in flatten(config).items() if key != "seed" and key not in hidden}
    identity = older | {key: value for key, value in settings.items() if key not in before or canonical(value) != canonical(before[key])}
    provenance = path / "provenance.json"
    return ComparedRun(
        path=path,
        seed=int(config["seed"]),
        state=run.state(),
        config=config,
        identity=identity,
        record=run.record,
        result=run.outcome(),
        provenance=files.read_json(provenance) if provenance.exists() else None,
    )


def not_identity() -> set[str]:
    """Dotted keys that cannot change a result. Where content lies is not among them: the place distinguishes arms of other content."""
    return {key for key, known in _all_fields() if not known.identity and known.identity_as is UNSET}


def _all_fields() -> Iterator[tuple[str, Field]]:
    """Every dotted key that the schema of any choice has, with its field."""
    for name, known in fields_of(Config).items():
        yield name, known
        if known.nested is not None and name not in GROUPS:
            yield from _fields_below(known.nested, f"{name}.")
    for group in GROUPS:
        for cls in schemas(group).values():
            yield from _fields_below(cls, f"{group}.")


def _fields_below(cls: type, prefix: str) -> Iterator[tuple[str, Field]]:
    for name, known in fields_of(cls).items():
        yield f"{prefix}{name}", known
        below = known.nested or known.entry
        if below is not None:
            yield from _fields_below(below, f"{prefix}{name}.")


def _by_content(runs: Iterable[ComparedRun]) -> Iterable[ComparedRun]:
    """Runs as if the same content had always lain in one place: where it was in the first of them."""
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for run in runs:
        identity, inputs = dict(run.identity), run.record.inputs
        for group, content in (("dataset", inputs.data.content_hash), ("model", inputs.model.sha256)):
            if content:
                there = {key: identity.pop(key) for key in list(identity) if _is_place(key, group)}
                identity |= first.setdefault((group, content), there)
        yield replace(run, identity=identity)


def _is_place(key: str, group: str) -> bool:
    head, _, rest = key.partition(".")
    name = rest.partition(".")[0]
    known = (fields_of(cls).get(name) for cls in schemas(group).values()) if head == group else ()
    return any(each is not None and each.identity_as is not UNSET for each in known)


def group(runs: Iterable[ComparedRun]) -> list[Arm]:
    """Arms in the order in which their first run stands, each with its runs by seed."""
    arms: dict[str, Arm] = {}
    for run in _by_content(runs):
        arms.setdefault(json.dumps(run.identity, sort_keys=True), Arm("")).runs.append(run)
    ordered = list(arms.values())
    for arm, label in zip(ordered, labels([arm.runs[0].identity for arm in ordered]), strict=True):
        arm.label = label
        arm.runs.sort(key=lambda run: (run.seed, run.path.name))
    return ordered


def labels(identities: Sequence[dict[str, Any]]) -> list[str]:
    """Words for each arm: the choices that differ; then, among arms that share them, the values that differ."""
    names = [f"{group}.name" for group in GROUPS]
    varying = [key for key in names if len({identity.get(key) for identity in identities}) > 1]
    labels = [" ".join(str(identity.get(key)) for key in varying or ["tuning.name"]) for identity in identities]
    for label in set(labels):
        alike = [index for index, each in enumerate(labels) if each == label]
        keys = sorted({key for index in alike for key in identities[index]})
        differing = [key for key in keys if len({json.dumps(identities[index].get(key)) for index in alike}) > 1]
        for index in alike:
            values = [f"{key}={shown(identities[index][key])}" for key in differing if key in identities[index]]
            labels[index] = " ".join([label, *values])
    return labels


def shown(value: Any) -> str:
    """A value of a config as labels and filters write it."""
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def by_key(found: Sequence[Arm], key: str) -> tuple[list[Arm], list[str]]:
    """Arms by the value of one key of the config, each over the same other settings and seeds; and notes on what that means.

    A setting that each value of the key has for itself alone (the learning rate that goes with a method) belongs to the key. What is left
    varies within the rows, and only those runs count that every row has a counterpart of, so that rows differ in nothing but the key.

    Raises:
        ConfigError: no config has the key, or no setting is shared by all its values.
    """
    identities = [arm.runs[0].identity for arm in found]
    key = key if any(key in identity for identity in identities) else f"{key}.name"
    values = [json.dumps(identity.get(key)) for identity in identities]
    if not any(key in identity for identity in identities):
        renamed.require_current(key.removesuffix(".name"), "--by")
        known = sorted({each for identity in identities for each in identity})
        guess = nearest(key.removesuffix(".name"), known)
        raise ConfigError(Problem(f"no config has {key.removesuffix('.name')}", "--by", hint=f"did you mean {guess}?" if guess else ""))
    inside = f"{key.removesuffix('name')}" if key.endswith(".name") else None
    free = _free(identities, values, key, inside)
    cells: dict[str, dict[str, ComparedRun]] = {}
    for arm, identity, value in zip(found, identities, values, strict=True):
        setting = json.dumps([identity.get(each) for each in free])
        cells.setdefault(value, {}).update({f"{setting} {run.seed}": run for run in arm.runs if run.state == "finished"})
    unfinished = [value for value, runs in cells.items() if not runs]
    cells = {value: runs for value, runs in cells.items() if runs} or cells
    shared = set.intersection(*map(set, cells.values()))
    name = key.removesuffix(".name")
    if not shared:
        what = f"no two values of {name} have runs with the same {', '.join(free) or 'seeds'}"
        raise ConfigError(Problem(what, "--by", hint="pick comparable runs with --where KEY=VALUE, or compare without --by"))
    arms = [
        Arm(f"{name}={shown(json.loads(value))}", [run for cell, run in sorted(runs.items()) if cell in shared])
        for value, runs in cells.items()
    ]
    notes = [f"{name}={shown(json.loads(value))} has no finished run and no row" for value in unfinished]
    return arms, notes + _notes_by(name, free, cells, shared)


def _free(identities: Sequence[dict[str, Any]], values: Sequence[str], key: str, inside: str | None) -> list[str]:
    """Keys that vary among runs of one value."""
    varying = []
    for each in sorted({known for identity in identities for known in identity} - {key}):
        if inside is not None and each.startswith(inside):
            continue
        of_value: dict[str, set[str]] = {}
        for identity, value in zip(identities, values, strict=True):
            of_value.setdefault(value, set()).add(json.dumps(identity.get(each)))
        if any(len(seen) > 1 for seen in of_value.values()):
            varying.append(each)
    return varying


def _notes_by(name: str, free: Sequence[str], cells: dict[str, dict[str, ComparedRun]], shared: set[str]) -> list[str]:
    notes = []
    if free:
        settings = len({cell.rpartition(" ")[0] for cell in shared})
        notes.append(f"rows are averages over {settings} settings of {', '.join(free)}; intervals treat these as they treat seeds")
    left_out = {value: len(runs) - len(shared) for value, runs in cells.items() if len(runs) > len(shared)}
    for value, count in left_out.items():
        notes.append(f"{name}={shown(json.loads(value))}: {count} runs have no counterpart in every other row and are not in the numbers")
    return notes
