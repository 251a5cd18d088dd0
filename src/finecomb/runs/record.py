"""run.json: what identifies a run and what it was made from, written before training. The one place that reads and writes the file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from finecomb.config import renamed
from finecomb.core import atomic, files

# Written only where they are set: a study gives a role, the launcher pieces, a later logger its mirror.
_OPTIONAL = ("role", "pieces", "mirrored")


@dataclass(frozen=True)
class PreparedInput:
    """The prepared data of a run: its folder, the key of its recipe, and the hash of its content."""

    directory: str = ""
    key: str = ""
    content_hash: str = ""


@dataclass(frozen=True)
class ModelInput:
    """The weights of a run, as in `finecomb.learning.model.ModelSource`; directory is None for a tiny random model."""

    directory: str | None = None
    sha256: str = ""
    model_type: str = ""
    hub_id: str | None = None


@dataclass(frozen=True)
class Inputs:
    """Data and weights of a run."""

    data: PreparedInput = field(default_factory=PreparedInput)
    model: ModelInput = field(default_factory=ModelInput)


@dataclass(frozen=True)
class RunRecord:
    """What is known of a run before it trains.

    Attributes:
        created: Seconds since 1970.
        choices: Group to option, None for a group without one.
        overrides: As on the command line.
        group: The study, search or question of several runs that it belongs to.
        job_type: The tuning method, or the arm of a study.
        plugins: Folders with plug-ins (`--config-dir`).
        role: `trial` or `confirm` for a run of a study.
        pieces: Micro-batches for each batch, where an earlier attempt ran out of memory with those of the config.
        mirrored: Names of the loggers to which the finished run was mirrored later.
    """

    fingerprint: str
    name: str
    created: float = field(default_factory=time.time)
    inputs: Inputs = field(default_factory=Inputs)
    choices: dict[str, str | None] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    group: str | None = None
    job_type: str | None = None
    seed: int | None = None
    plugins: list[str] = field(default_factory=list)
    role: str | None = None
    pieces: int | None = None
    mirrored: list[str] = field(default_factory=list)

    def updated(self, later: RunRecord) -> RunRecord:
        """This record as a later command describes the same run: identity, time of creation and what is set here alone are kept."""
        return replace(
            later,
            fingerprint=self.fingerprint,
            name=self.name,
            created=self.created,
            group=later.group or self.group,
            role=later.role or self.role,
            pieces=later.pieces or self.pieces,
            mirrored=later.mirrored or self.mirrored,
        )


def write(path: Path, record: RunRecord) -> None:
    """Write run.json atomically."""
    plain = asdict(record)
    atomic.write_json(path, {name: value for name, value in plain.items() if value or name not in _OPTIONAL})


def read(path: Path) -> RunRecord:
    """Read a run.json of this or an earlier version, with choices and overrides under their present names.

    Raises ConfigError naming the file when it cannot be read.
    """
    written = files.read_json(path)
    name, _, fingerprint = path.parent.name.rpartition("-")
    known: dict[str, Any] = {"fingerprint": fingerprint, "name": name, "created": 0.0}
    known |= {key: value for key, value in written.items() if key in RunRecord.__dataclass_fields__ and value is not None}
    inputs = known.get("inputs", {})
    choices = known.get("choices", {})
    return RunRecord(
        **known
        | {
            "inputs": Inputs(_known(PreparedInput, inputs.get("data")), _known(ModelInput, inputs.get("model"))),
            "choices": renamed.current_choices(choices),
            "overrides": renamed.current_overrides(known.get("overrides", []), choices),
        }
    )


def _known(cls: type[Any], values: Mapping[str, Any] | None) -> Any:
    """A part of the inputs, without keys that other versions may have written."""
    return cls(**{key: value for key, value in (values or {}).items() if key in cls.__dataclass_fields__})
