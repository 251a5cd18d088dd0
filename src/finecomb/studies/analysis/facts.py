"""study.json: the question of a study and its setting, beside the tables of its runs. The one place that reads and writes the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finecomb.core import atomic, files
from finecomb.studies.plan.study_plan import Reference, Tune

VERSION = 2


@dataclass(frozen=True)
class ColumnFacts:
    """A column of a study: task, data and model, None before a run has finished.

    labels: the classes in their order, None for numbers. metrics: of a comparison, which may have several.
    """

    name: str
    overrides: list[str]
    metric: str
    metrics: list[str] | None = None
    task: str | None = None
    dataset: str | None = None
    model: str | None = None
    model_note: str | None = None
    labels: list[str] | None = None


@dataclass(frozen=True)
class ArmFacts:
    """An arm. chosen, edges: by column, the overrides that its trials chose, and those of them at the edge of what was tried.

    by_run: its runs have several settings, so that they are numbered instead of named by their seeds.
    """

    name: str
    overrides: list[str]
    seeds: list[int]
    space: dict[str, Any]
    chosen: dict[str, list[str]]
    edges: dict[str, list[str]]
    by_run: bool = False


@dataclass(frozen=True)
class MissingRun:
    """A run that was planned and has no result."""

    column: str
    arm: str
    role: str
    seed: int
    why: str


@dataclass(frozen=True)
class StudyFacts:
    """A study, or the runs that a user compares (`of="runs"`). Nothing in it depends on where files lie.

    command: what the user typed. base: overrides that all arms share. baseline: the name of an arm, or `best`.
    """

    name: str
    question: str
    command: str
    base: list[str]
    baseline: str
    columns: list[ColumnFacts]
    arms: list[ArmFacts]
    references: list[Reference]
    tune: Tune | None
    missing: list[MissingRun]
    warnings: list[str]
    study_sha256: str | None = None
    of: str | None = None

    @property
    def is_comparison(self) -> bool:
        """Whether the runs were named by the user, and not by a study."""
        return self.of == "runs"


def write(path: Path, facts: StudyFacts) -> None:
    """Write study.json, whole or not at all."""
    plain = {"version": VERSION, **asdict(facts)}
    for column in plain["columns"]:
        _drop(column, "metrics", None)
    for arm in plain["arms"]:
        _drop(arm, "by_run", False)
    _drop(plain, "study_sha256", None)
    _drop(plain, "of", None)
    atomic.write_json(path, plain)


def _drop(plain: dict[str, Any], name: str, default: object) -> None:
    if plain[name] == default:
        del plain[name]


def read(path: Path) -> StudyFacts:
    """Read a study.json of this or an earlier version. Raises ConfigError naming the file when it cannot be read."""
    written = files.read_json(path)
    known: dict[str, Any] = {name: written[name] for name in StudyFacts.__dataclass_fields__ if name in written}
    parts = {"columns": ColumnFacts, "arms": ArmFacts, "references": Reference, "missing": MissingRun}
    known |= {name: [_of(cls, each) for each in written.get(name, [])] for name, cls in parts.items()}
    known |= {"tune": _of(Tune, written["tune"]) if written.get("tune") else None, "warnings": written.get("warnings", [])}
    return StudyFacts(**known)


def _of(cls: type[Any], plain: Mapping[str, Any]) -> Any:
    return cls(**{name: value for name, value in plain.items() if name in cls.__dataclass_fields__})
