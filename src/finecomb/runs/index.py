"""Many runs at once: list, filter, best, and the difference of two. Reads files and writes none; a damaged run is shown as such."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from finecomb.config.plain import flatten
from finecomb.config.plugins import lower_is_better
from finecomb.core import files
from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.runs import provenance
from finecomb.runs.directory import RunDirectory
from finecomb.runs.result import RunResult

DAMAGED = "damaged"
_RUN_NAME = re.compile(r".+-[0-9a-f]{12}$")


@dataclass(frozen=True)
class Entry:
    """What a list shows of one run. `problem` says what cannot be read of a damaged one.

    created: seconds since 1970. seconds: of training, None before the end. choices: group to option. metrics: those of result.json.
    """

    path: Path
    state: str
    created: float | None = None
    seconds: float | None = None
    seed: int | None = None
    group: str | None = None
    choices: Mapping[str, str | None] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    monitor: str | None = None
    error: str | None = None
    problem: str | None = None

    @property
    def fingerprint(self) -> str:
        """The last part of the directory's name."""
        return self.path.name.rsplit("-", 1)[-1]


def entries(output_dir: Path | str) -> list[Entry]:
    """Every run in a folder, oldest first; none when there is no such folder."""
    folder = Path(output_dir)
    if not folder.is_dir():
        return []
    paths = [path for path in folder.iterdir() if _looks_like_run(path)]
    return sorted(map(entry, paths), key=lambda found: (found.created or 0.0, found.path.name))


def _looks_like_run(path: Path) -> bool:
    if path.name.startswith(".") or not path.is_dir():
        return False
    return _RUN_NAME.match(path.name) is not None or (path / "run.json").exists()


def entry(path: Path) -> Entry:
    """One run as a list shows it; never raises for what a damaged directory holds."""
    run = RunDirectory(path)
    try:
        record, outcome = run.record, run.outcome()
        state = "finished" if outcome is not None else run.state()
        error = run.status().error if state in ("failed", "interrupted") else None
    except ConfigError as damage:
        return Entry(path, DAMAGED, problem=damage.problems[0].what)
    outcome = outcome or RunResult()
    return Entry(
        path=path,
        state=state,
        created=record.created or None,
        seconds=outcome.train_s,
        seed=record.seed,
        group=record.group,
        choices=record.choices,
        overrides=record.overrides,
        metrics=outcome.metrics,
        monitor=outcome.monitored,
        error=error,
    )


def select(
    found: Iterable[Entry], *, state: str | None = None, group: str | None = None, choices: Mapping[str, str] | None = None
) -> list[Entry]:
    """Those in this state, of this sweep, with these choices."""
    wanted = choices or {}
    return [
        each
        for each in found
        if (state is None or each.state == state)
        and (group is None or each.group == group)
        and all(each.choices.get(name) == value for name, value in wanted.items())
    ]


def locate(output_dir: Path | str, word: str) -> RunDirectory:
    """The run that a user means by a path, a name, a fingerprint, or the beginning of either.

    Raises:
        ConfigError: none or several are meant.
    """
    if (Path(word) / "run.json").exists():
        return RunDirectory(Path(word))
    folder = Path(output_dir)
    paths = sorted(path for path in folder.iterdir() if _looks_like_run(path)) if folder.is_dir() else []
    matches: Callable[[Path], bool]
    for matches in (
        lambda path: path.name == word or path.name.endswith(f"-{word}"),
        lambda path: path.name.startswith(word) or path.name.rsplit("-", 1)[-1].startswith(word),
    ):
        meant = [path for path in paths if matches(path)]
        if len(meant) == 1:
            return RunDirectory(meant[0])
        if meant:
            names = ", ".join(path.name for path in meant[:8])
            raise ConfigError(Problem(f"{word} may mean {len(meant)} runs", where=str(folder), allowed=names, hint="give more of the name"))
    guess = nearest(word, [path.name for path in paths])
    hint = f"did you mean {guess}?" if guess else "`finecomb runs` lists the runs there are"
    raise ConfigError(Problem(f"there is no run {word}", where=str(folder), hint=hint))


def best(found: Iterable[Entry], metric: str | None = None) -> Entry:
    """The finished run with the best value of a metric; None: the metric that the runs themselves monitored, on validation.

    Raises:
        ConfigError: no finished run has the metric, or the runs monitored different ones.
    """
    finished = [each for each in found if each.state == "finished"]
    if metric is None:
        monitored = {each.monitor for each in finished if each.monitor}
        if len(monitored) > 1:
            raise ConfigError(
                Problem("these runs monitored different metrics", allowed=", ".join(sorted(monitored)), hint="name one of them")
            )
        metric = next(iter(monitored), "validation/loss")
    scored = {each.path: value for each in finished if (value := each.metrics.get(metric)) is not None}
    if not scored:
        known = sorted({name for each in finished for name in each.metrics})
        guess = nearest(metric, known)
        hint = f"did you mean {guess}?" if guess else "no finished run has a metric yet" if not known else ""
        raise ConfigError(Problem(f"no finished run has the metric {metric}", allowed=", ".join(known), hint=hint))
    sign = -1.0 if lower_is_better(metric.split("/")[-1].split("@")[0]) else 1.0
    return max((each for each in finished if each.path in scored), key=lambda each: sign * scored[each.path])


@dataclass(frozen=True)
class Difference:
    """What differs between two runs, each as name -> (value in the first, value in the second); None where one has it not."""

    config: dict[str, tuple[Any, Any]]
    metrics: dict[str, tuple[Any, Any]]
    code: dict[str, tuple[Any, Any]]
    packages: dict[str, tuple[Any, Any]]
    machine: dict[str, tuple[Any, Any]]


def difference(first: RunDirectory, second: RunDirectory) -> Difference:
    """Compare config, metrics, code, packages and machine. Raises ConfigError when a config cannot be read."""
    runs = (first, second)
    records = [_provenance(run) for run in runs]
    configs = [flatten(run.config) | _hashes(run) for run in runs]
    results = [outcome.metrics if (outcome := run.outcome()) else {} for run in runs]
    return Difference(
        config=_differing(*configs),
        metrics=_differing(*results),
        code=_differing(
            *[{"revision": provenance.revision(record), "diff": _diff(run)} for run, record in zip(runs, records, strict=True)]
        ),
        packages=_differing(*[record.get("packages") or {} for record in records]),
        machine=_differing(*[(record.get("hardware") or {}) | {"threads": record.get("threads")} for record in records]),
    )


def _hashes(run: RunDirectory) -> dict[str, Any]:
    inputs = flatten(asdict(run.record.inputs), "inputs.")
    return {key: value for key, value in inputs.items() if key.endswith(("hash", "sha256"))}


def _provenance(run: RunDirectory) -> dict[str, Any]:
    try:
        return files.read_json(run.path / "provenance.json")
    except ConfigError:
        return {}


def _diff(run: RunDirectory) -> str | None:
    """A word for the uncommitted changes, so that two different ones differ."""
    path = run.path / "code.diff"
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.exists() else None


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = [*first, *(key for key in second if key not in first)]
    return {key: (first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)}


def first_metric(run: RunDirectory) -> tuple[str | None, float | None]:
    """Name and value of what a finished run monitored on validation."""
    try:
        outcome = run.outcome()
    except ConfigError:
        return None, None
    value = outcome.metric(outcome.monitored) if outcome and outcome.monitored else None
    return (outcome.monitored, value) if outcome and value is not None else (None, None)


def short_error(error: str | None) -> str:
    """One line of an error: the last of a traceback, which names it, or the first of a message."""
    lines = [line.strip() for line in (error or "").splitlines() if line.strip()]
    if not lines:
        return ""
    return lines[-1] if lines[0].startswith("Traceback") else lines[0]
