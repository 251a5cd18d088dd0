"""The facts of a study as four files, from which every table, test and figure can be made again without a run directory.

study.json        question, arms, columns, seeds asked for, what is missing
results.parquet   one row for each run: where it stands in the study, its metrics, its cost, its code, data and machine
examples.parquet  one row for each example and reported run: label and answer
curves.parquet    training loss and validation metrics by step

The same facts give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finecomb.runs import provenance
from finecomb.runs.directory import RunDirectory
from finecomb.runs.result import RunResult
from finecomb.runs.sum_metrics import PREFIX
from finecomb.studies.analysis import facts as study_facts
from finecomb.studies.analysis.arms import ComparedRun
from finecomb.studies.analysis.facts import StudyFacts
from finecomb.studies.analysis.scores import Predictions

if TYPE_CHECKING:
    import pandas as pd

FACTS, RESULTS, EXAMPLES, CURVES = "study.json", "results.parquet", "examples.parquet", "curves.parquet"
# Columns of results.parquet that version 1 wrote under another name.
_COLUMNS_OF_VERSION_1 = {"artefact_bytes": "artifact_bytes"}
# Roles of a row: a trial chooses, a confirm run is reported, a reference was fitted here.
TRIAL, CONFIRM, REFERENCE = "trial", "confirm", "reference"


@dataclass
class Frames:
    """The question and setting, and the three tables as described above, sorted."""

    facts: StudyFacts
    results: pd.DataFrame
    examples: pd.DataFrame
    curves: pd.DataFrame


@dataclass(frozen=True)
class Place:
    """Where a run stands in a study."""

    column: str
    arm: str
    role: str
    seed: int
    trial: int | None = None
    setting: str = ""


def write(frames: Frames, folder: Path) -> None:
    """Write the four files, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    study_facts.write(folder / FACTS, frames.facts)
    for name, table in ((RESULTS, frames.results), (EXAMPLES, frames.examples), (CURVES, frames.curves)):
        temporary = folder / f".{name}.tmp"
        table.to_parquet(temporary, index=False, compression="zstd")
        temporary.replace(folder / name)


def read(folder: Path) -> Frames:
    """Read what `write` wrote. Raises ConfigError naming the file that is missing or broken."""
    import pandas as pd
    import pyarrow as pa

    from finecomb.core.errors import ConfigError, Problem

    tables = []
    for name in (RESULTS, EXAMPLES, CURVES):
        try:
            tables.append(pd.read_parquet(folder / name))
        except (OSError, pa.ArrowException) as error:
            raise ConfigError(
                Problem(f"{name} cannot be read: {error}", str(folder / name), hint="run the study again to write it")
            ) from error
    results, examples, curves = tables
    return Frames(study_facts.read(folder / FACTS), results.rename(columns=_COLUMNS_OF_VERSION_1), examples, curves)


def result_row(place: Place, run: ComparedRun) -> dict[str, Any]:
    """One row of results.parquet."""
    result = run.result or RunResult()
    row: dict[str, Any] = {
        "column": place.column,
        "arm": place.arm,
        "role": place.role,
        "trial": place.trial,
        "seed": place.seed,
        "setting": place.setting,
        "run": run.path.name,
        "state": run.state,
        "overrides": " ".join(run.record.overrides),
        "learning_rate": float(run.config["optimizer"]["lr"]),
        "train_rows": result.rows.get("train"),
        "parameters_trainable": result.trainable,
        "parameters_total": result.total,
        "stored_bytes": result.stored_bytes,
        "artifact_bytes": _bytes_below(RunDirectory(run.path).artifact),
        "train_s": result.train_s,
        "total_s": result.total_s,
        "peak_bytes": result.peak_bytes,
        "tokens_per_s": result.tokens_per_s,
        "machine": machine(run),
        "code": code(run),
        "data": run.data.content_hash[:16],
    }
    return row | {name: value for name, value in result.metrics.items() if "/" in name}


def _bytes_below(folder: Path) -> int | None:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else None


def machine(run: ComparedRun) -> str:
    """Processor or GPUs, and threads: costs are compared between equal ones only."""
    found = run.provenance or {}
    hardware = found.get("hardware", {})
    device = ", ".join(hardware.get("gpus") or []) if run.config["trainer"]["accelerator"] == "gpu" else hardware.get("processor")
    return f"{device or 'unknown'}, {found.get('threads', '?')} threads, {run.config['trainer']['precision']}"


def code(run: ComparedRun) -> str:
    """Revision and, with changes on top, a hash of them."""
    revision = provenance.revision(run.provenance or {})
    diff = run.path / "code.diff"
    return f"{revision} {hashlib.sha256(diff.read_bytes()).hexdigest()[:12]}" if "changes" in revision and diff.exists() else revision


def example_rows(place: Place, split: str, answers: Predictions) -> pd.DataFrame:
    """Rows of examples.parquet; classes as their names, lists as JSON, numbers as text that reads back exactly; sums as they are."""
    import pandas as pd

    answered = {"id": list(answers.ids), **{name: list(map(text_of, getattr(answers, name))) for name in ("label", "prediction")}}
    sums = {f"{PREFIX}{name}": list(column) for name, column in answers.sums.items()}
    table = pd.DataFrame({"column": place.column, "arm": place.arm, "seed": place.seed, "split": split, **answered, **sums})
    return table.sort_values("id", kind="stable", ignore_index=True)


def text_of(value: Any) -> str:
    """A label or answer as text."""
    if isinstance(value, str):
        return value
    return json.dumps(list(value), ensure_ascii=False) if isinstance(value, list | tuple) else repr(float(value))


def curve_rows(place: Place, run: ComparedRun, metric: str) -> list[dict[str, Any]]:
    """Training loss, and loss and metric on validation, by step."""
    wanted = ("train/loss", "validation/loss", f"validation/{metric}")
    where = {"column": place.column, "arm": place.arm, "role": place.role, "trial": place.trial, "seed": place.seed}
    rows = []
    for line in RunDirectory(run.path).metrics():
        at = {key: line.get(key) for key in ("step", "epoch")}
        rows += [{**where, **at, "name": name, "value": float(line[name])} for name in wanted if line.get(name) is not None]
    return rows


def table_of(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Rows as a table that has these columns even when it is empty; whole numbers stay whole where some are missing."""
    import pandas as pd

    table = pd.DataFrame(list(rows), columns=None if rows else list(columns))
    for name in ("trial", "seed", "train_rows", "parameters_trainable", "parameters_total", "stored_bytes", "artifact_bytes", "peak_bytes"):
        if name in table:
            table[name] = table[name].astype("Int64")
    return table
