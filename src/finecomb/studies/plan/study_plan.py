"""What a study asks: reads study.yaml into arms, columns, seeds and a tuning budget, and lists the jobs that answer it.

name: tuning_methods                       # the folder's name unless given
question: Which way of tuning is best ...?
base: [dataset=movie_reviews, ...]         # overrides of every job; a mapping key: value is the same
arms: {full: tuning=full, ...}             # name: overrides; or name: {overrides, seeds, space}
grid, zip, list, ablate: [...]             # blocks that add arms (finecomb.studies.plan.blocks)
columns: {sst2: {overrides: dataset=sst2, metric: accuracy}}   # the table's columns; without it there is one
seeds: [1, 2, 3]                           # or a number n, meaning 0 to n - 1
metric: accuracy                           # without the split; default: what the task monitors
baseline: full                             # what the other arms are compared with; best: the best of each column
references: [majority, tfidf_logistic, {name, scores: {sst2: 94.8}, spread: {...}, source}]
tune: {trials: 4, search: grid, seed: 0, space: {optimizer.lr: auto}, spaces: {arm or pattern: {...}}}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.studies.analysis import references
from finecomb.studies.plan.blocks import BLOCKS, Draft, expand, override_list
from finecomb.studies.plan.study_file import StudyFile

ONE_COLUMN = ""
KEYS = ("name", "question", "base", "arms", *BLOCKS, "columns", "seeds", "metric", "baseline", "references", "tune")
SEARCHES = ("grid", "random", "tpe", "gp")
# Searches whose next setting depends on earlier answers.
ASKED = ("tpe", "gp")


@dataclass(frozen=True)
class Column:
    """A column of the table, most often a data set. metric: without the split; None: what the task monitors."""

    name: str
    overrides: tuple[str, ...] = ()
    metric: str | None = None


@dataclass(frozen=True)
class Arm:
    """A row of the table. space: what is searched for it, dotted key to values, empty without tuning."""

    name: str
    overrides: tuple[str, ...]
    seeds: tuple[int, ...]
    space: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tune:
    """The same budget for each arm and column: a number of trials, or seconds of training. seed: that of every trial."""

    trials: int | None
    seconds: float | None
    search: str
    seed: int


@dataclass(frozen=True)
class Reference:
    """A row beside the arms: `fitted` here (majority, tfidf_logistic), or `published`, with scores in percent or as printed."""

    name: str
    kind: str
    scores: Mapping[str, float] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class StudyPlan:
    """A question, its arms, its seeds and its tuning budget."""

    name: str
    question: str
    path: Path
    base: tuple[str, ...]
    arms: tuple[Arm, ...]
    columns: tuple[Column, ...]
    metric: str | None
    baseline: str
    references: tuple[Reference, ...]
    tune: Tune | None

    def cells(self) -> Iterator[tuple[Arm, Column]]:
        """Every arm in every column."""
        return ((arm, column) for column in self.columns for arm in self.arms)

    def overrides(self, arm: Arm, column: Column) -> list[str]:
        """What every job of a cell has: base, column, arm."""
        return [*self.base, *column.overrides, *arm.overrides]


@dataclass(frozen=True)
class Job:
    """One training of a study. role: trial (chooses, never sees the test set) or confirm (is reported). trial: its number."""

    arm: str
    column: str
    role: str
    seed: int
    overrides: tuple[str, ...]
    trial: int | None = None
    chosen: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What live tables call it."""
        place = f"{self.column} {self.arm}" if self.column else self.arm
        return f"{place} trial {self.trial}: {' '.join(self.chosen)}" if self.role == "trial" else f"{place} seed {self.seed}"


def locate(word: str, folder: Path = Path("experiments")) -> Path:
    """The study.yaml that a user means by a name or a path. Raises ConfigError when there is none."""
    given = Path(word)
    for path in (given, given / "study.yaml", folder / word / "study.yaml"):
        if path.is_file():
            return path
    known = sorted(path.parent.name for path in folder.glob("*/study.yaml"))
    guess = nearest(word, known)
    hint = f"did you mean {guess}?" if guess else "name a folder in experiments/, or a path to a study.yaml"
    raise ConfigError(Problem(f"there is no study {word}", where=str(folder / word / "study.yaml"), allowed=", ".join(known), hint=hint))


def read(path: Path, extra: Sequence[str] = ()) -> StudyPlan:
    """Read a study; `extra` overrides are added to its base. Raises ConfigError with every problem of the file at once."""
    file = StudyFile(path)
    file.only(KEYS)
    tune, spaces = _tune(file)
    seeds = file.seeds("seeds") if "seeds" in file.content else ()
    drafts = _named_arms(file) + [arm for block in BLOCKS for arm in expand(file, block)]
    arms = _arms(file, drafts, seeds, tune, spaces)
    columns = _columns(file)
    study = StudyPlan(
        name=str(file.content.get("name") or path.resolve().parent.name),
        question=" ".join(str(file.content.get("question") or "").split()),
        path=path,
        base=(*override_list(file, "base", file.content.get("base")), *extra),
        arms=arms,
        columns=columns,
        metric=file.content.get("metric"),
        baseline=str(file.content.get("baseline") or "best"),
        references=_references(file, columns),
        tune=tune,
    )
    names = [arm.name for arm in arms]
    if arms and study.baseline not in ("best", *names):
        guess = nearest(study.baseline, names)
        file.problem(
            "baseline", f"no arm is called {study.baseline}", ", ".join(["best", *names]), f"did you mean {guess}?" if guess else ""
        )
    file.raise_problems()
    return study


def _named_arms(file: StudyFile) -> list[Draft]:
    drafts = []
    for name, given in file.mapping("arms").items():
        key = f"arms.{name}"
        if isinstance(given, Mapping) and "overrides" in given:
            file.only(("overrides", "seeds", "space"), key)
            seeds = file.seeds(f"{key}.seeds") if "seeds" in given else None
            drafts.append(Draft(str(name), override_list(file, f"{key}.overrides", given["overrides"]), seeds, given.get("space")))
        else:
            drafts.append(Draft(str(name), override_list(file, key, given)))
    return drafts


def _arms(file: StudyFile, drafts: Sequence[Draft], seeds: Sequence[int], tune: Tune | None, spaces: Mapping[str, Any]) -> tuple[Arm, ...]:
    """Arms with their seeds and spaces; the same arm from two blocks is one."""
    if not drafts:
        file.problem("arms", "the study has no arms", hint="name them under arms:, or make them by grid, zip, list or ablate")
    found: dict[str, Arm] = {}
    for draft in drafts:
        own = tuple(draft.seeds if draft.seeds is not None else seeds)
        space = draft.space or _space(spaces, draft.name)
        arm = Arm(draft.name, draft.overrides, own, space if tune else {})
        if found.setdefault(draft.name, arm) != arm:
            file.problem("arms", f"two different arms are called {draft.name}", hint="give one of them another name")
        if not own:
            file.problem("seeds", f"the arm {draft.name} has no seeds", "a list of whole numbers, or how many", "seeds: [1, 2, 3]")
        if tune and tune.seed in own:
            what = f"the arm {draft.name} would be confirmed on the seed {tune.seed}, on which its setting is chosen"
            file.problem("tune.seed", what, "a seed that is not among seeds", "a number chosen on a run is never reported on it")
        if tune and not space:
            file.problem("tune", f"nothing is searched for the arm {draft.name}", hint="tune: space: {optimizer.lr: auto}")
    if unused := [pattern for pattern in spaces if pattern != "*" and not any(fnmatchcase(name, pattern) for name in found)]:
        file.problem("tune.spaces", f"{unused[0]} is no arm of this study", ", ".join(found))
    return tuple(found.values())


def _space(spaces: Mapping[str, Any], arm: str) -> dict[str, Any]:
    """The space of an arm: of its own name, else of the first pattern (`full *`) that it fits."""
    return next((dict(space) for pattern, space in spaces.items() if fnmatchcase(arm, pattern)), {})


def _columns(file: StudyFile) -> tuple[Column, ...]:
    columns = []
    for name, given in file.mapping("columns").items():
        key = f"columns.{name}"
        if not isinstance(given, Mapping):
            given = {"overrides": given}
        file.only(("overrides", "metric"), key)
        columns.append(Column(str(name), override_list(file, f"{key}.overrides", given.get("overrides")), given.get("metric")))
    return tuple(columns) or (Column(ONE_COLUMN),)


def _references(file: StudyFile, columns: Sequence[Column]) -> tuple[Reference, ...]:
    given = file.content.get("references") or []
    found: list[Reference] = []
    names = [column.name for column in columns]
    for number, each in enumerate(given if isinstance(given, list) else [given]):
        key = f"references.{number}"
        if isinstance(each, str):
            if each not in references.SETTINGS:
                guess = nearest(each, references.SETTINGS)
                file.problem(
                    key, f"no reference is called {each}", ", ".join(references.SETTINGS), f"did you mean {guess}?" if guess else ""
                )
            found.append(Reference(each, "fitted"))
            continue
        file.only(("name", "scores", "spread", "source"), key)
        scores = each.get("scores") or {}
        if not isinstance(scores, Mapping):
            scores = {names[0]: scores}
        if not each.get("source"):
            file.problem(key, f"{each.get('name')} has no source", "paper, table and page", "a published number must be traceable")
        if unknown := [name for name in scores if name not in names]:
            file.problem(key, f"{unknown[0]} is no column of this study", ", ".join(names))
        spread = each.get("spread") or {}
        found.append(Reference(str(each.get("name")), "published", dict(scores), dict(spread), str(each.get("source", ""))))
    return tuple(found)


def _tune(file: StudyFile) -> tuple[Tune | None, dict[str, Any]]:
    """The budget, and the spaces by arm or pattern, that of all arms last."""
    given = file.mapping("tune")
    if not given:
        return None, {}
    file.only(("trials", "seconds", "search", "seed", "space", "spaces"), "tune")
    trials, seconds, search = given.get("trials"), given.get("seconds"), given.get("search", "grid")
    if (trials is None) == (seconds is None):
        file.problem("tune", "the budget of each arm is either trials or seconds", "trials: 4, or seconds: 600")
    if trials is not None and (not isinstance(trials, int) or trials < 1):
        file.problem("tune.trials", f"{trials} is no number of trials", "a whole number of at least 1")
    if seconds is not None and (not isinstance(seconds, int | float) or seconds <= 0):
        file.problem("tune.seconds", f"{seconds} is no number of seconds", "a number above 0")
    if search not in SEARCHES:
        guess = nearest(str(search), SEARCHES)
        file.problem("tune.search", f"there is no search {search}", ", ".join(SEARCHES), f"did you mean {guess}?" if guess else "")
    if seconds is not None and search != "random":
        what = f"search: {search} has a fixed number of trials"
        file.problem("tune.search", what, "search: random", "a budget of seconds needs a search without end")
    spaces = {str(name): space for name, space in file.mapping("tune.spaces").items()}
    if general := file.mapping("tune.space"):
        spaces["*"] = general
    return Tune(trials, seconds, str(search), int(given.get("seed", 0))), spaces


def confirm_jobs(study: StudyPlan, chosen: Mapping[tuple[str, str], Sequence[str]]) -> list[Job]:
    """The runs that are reported: each cell that has a setting, on each of its seeds. Without tuning every cell has one."""
    jobs = []
    for arm, column in study.cells():
        if study.tune is not None and (arm.name, column.name) not in chosen:
            continue
        setting = tuple(chosen.get((arm.name, column.name), ()))
        for seed in arm.seeds:
            overrides = (*study.overrides(arm, column), *setting, f"seed={seed}")
            jobs.append(Job(arm.name, column.name, "confirm", seed, overrides, chosen=setting))
    return jobs
