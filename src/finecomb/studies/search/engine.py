"""A search that outlives its process: what has been asked and answered stands in a journal, beside the record of its sweep.

Optuna samples, prunes and keeps the journal. Ours is what its users miss: a search asked again for N trials is completed to N, trials of a
killed command are handed out again under their number, and a search with another space is refused rather than mixed up.
"""

from __future__ import annotations

import json
import os
import socket
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finecomb.core.errors import ConfigError, Problem
from finecomb.runs.lock import Owner, waited_for
from finecomb.studies.search import space as spaces
from finecomb.studies.search.space import Space

if TYPE_CHECKING:
    import optuna

SAMPLERS = ("tpe", "gp", "random", "grid")
PRUNERS = ("none", "median", "hyperband", "bands")
JOURNAL = "journal.log"
_EARLIER = "earlier run"  # marks answers that the search did not ask for


@dataclass(frozen=True)
class Pruner:
    """When a trial is stopped early. first: reports before any may be. eta: hyperband keeps one in eta. most: reports of a whole trial.

    bands is W&B's hyperband: at these numbers of reports a trial must be among the best 1/eta of all that came so far. strict: it must be
    so by its latest report, else by its best up to there.
    """

    name: str = "none"
    first: int = 1
    eta: int = 3
    most: int | None = None
    startup: int = 4
    bands: tuple[int, ...] = ()
    strict: bool = False


@dataclass(frozen=True)
class Settings:
    """What makes a search this search. fixed: overrides of every trial. metric: as `validation/accuracy`. mode: max or min.

    spell: writes values as overrides, where that is not our own affair (sweep.yaml).
    """

    space: Space
    sampler: str
    metric: str
    mode: str
    seed: int = 0
    pruner: Pruner = field(default_factory=Pruner)
    fixed: tuple[str, ...] = ()
    spell: Callable[[Mapping[str, Any]], Sequence[str]] | None = None

    def words(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """Optuna's parameters as overrides."""
        if self.spell is not None:
            return tuple(self.spell(spaces.values_of(self.space, params)))
        return spaces.setting(self.space, params)

    def identity(self) -> dict[str, Any]:
        """JSON values by which a journal is recognised as this search's."""
        return {
            "space": spaces.plain(self.space),
            "sampler": self.sampler,
            "metric": self.metric,
            "mode": self.mode,
            "seed": self.seed,
            "pruner": asdict(self.pruner),
            "fixed": sorted(self.fixed),
        }


@dataclass(frozen=True)
class Trial:
    """One question of a search: its number and the overrides that it adds. value: as answered, or None."""

    number: int
    setting: tuple[str, ...]
    state: str = "running"
    value: float | None = None


class Search:
    """Ask, report, tell. Safe to use from several processes on one folder."""

    def __init__(self, settings: Settings, folder: Path | None, *, trials: int | None) -> None:
        """folder: where the journal is; None keeps the search in memory. trials: how many are asked in all; None: a grid's own number.

        Raises ConfigError for a journal of another search, and for a grid without end.
        """
        self.settings, self.folder = settings, folder
        self._grid = spaces.grid(settings.space, "the search's space") if settings.sampler == "grid" else None
        self.trials = len(self._grid or ()) if trials is None else trials
        if self._grid is not None:
            self.trials = min(self.trials, len(self._grid))
        self._study = self._open()
        self._mine: dict[int, optuna.Trial] = {}

    def _open(self) -> optuna.Study:
        import optuna
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage: Any = None
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            storage = optuna.storages.JournalStorage(JournalFileBackend(str(self.folder / JOURNAL)))
        direction: Any = "maximize" if self.settings.mode == "max" else "minimize"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(
                study_name="search",
                storage=storage,
                direction=direction,
                pruner=self._pruner(),
                load_if_exists=True,
            )
        identity = json.loads(json.dumps(self.settings.identity()))
        known = study.user_attrs.get("identity")
        if known is None:
            study.set_user_attr("identity", identity)
        elif known != identity:
            raise ConfigError(_another_search(self.folder, known, identity))
        return study

    def _sampler(self, number: int) -> Any:
        """A sampler for one trial, seeded by its number: a search that was stopped goes on as it would have."""
        import optuna

        seed = (self.settings.seed * 1_000_003 + number) % 2**32
        if self.settings.sampler == "tpe":
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        if self.settings.sampler == "gp":
            return optuna.samplers.GPSampler(seed=seed, deterministic_objective=False)
        return optuna.samplers.RandomSampler(seed=seed)

    def _pruner(self) -> Any:
        import optuna

        pruner = self.settings.pruner
        if pruner.name == "median":
            return optuna.pruners.MedianPruner(n_startup_trials=pruner.startup, n_warmup_steps=pruner.first)
        if pruner.name == "hyperband":
            most: Any = pruner.most or "auto"
            return optuna.pruners.HyperbandPruner(min_resource=pruner.first, max_resource=most, reduction_factor=pruner.eta)
        return optuna.pruners.NopPruner()

    def ask(self) -> Trial | None:
        """The next trial, those of a killed command first; None when as many as wanted have been asked."""
        if self.folder is None:
            return self._ask()
        with waited_for(self.folder / "asking"):
            return self._ask()

    def _ask(self) -> Trial | None:
        import optuna

        for frozen in self._study.get_trials(deepcopy=False):
            if frozen.state == optuna.trial.TrialState.RUNNING and frozen.number not in self._mine and not _alive(frozen.user_attrs):
                return self._taken(optuna.Trial(self._study, frozen._trial_id))
        known = [each for each in self._study.get_trials(deepcopy=False) if each.state != optuna.trial.TrialState.WAITING]
        asked = sum(_EARLIER not in each.user_attrs for each in known)
        if asked >= self.trials:
            return None
        if self._grid is not None:
            done = [each.system_attrs.get("fixed_params", each.params) for each in known]
            left = next((params for params in self._grid if params not in done), None)
            if left is None:
                return None
            self._study.enqueue_trial(left)
        self._study.sampler = self._sampler(asked)
        return self._taken(self._study.ask(spaces.distributions(self.settings.space)))

    def _taken(self, trial: optuna.Trial) -> Trial:
        trial.set_user_attr("owner", asdict(Owner(os.getpid(), socket.gethostname(), time.time())))
        self._mine[trial.number] = trial
        return Trial(trial.number, self.settings.words(trial.params))

    def report(self, number: int, step: int, value: float) -> bool:
        """Note a value on the way; whether the trial should be stopped."""
        trial = self._mine[number]
        trial.report(value, step)
        return self._below_the_band(number) if self.settings.pruner.name == "bands" else bool(trial.should_prune())

    def _below_the_band(self, number: int) -> bool:
        """W&B's rule: compare at the last band that the trial has reached with every trial that has reached it too."""
        pruner, sign = self.settings.pruner, 1.0 if self.settings.mode == "max" else -1.0
        histories = {
            each.number: [sign * each.intermediate_values[step] for step in sorted(each.intermediate_values)]
            for each in self._study.get_trials(deepcopy=False)
        }
        history = histories[number]
        reached = [band for band in pruner.bands if band <= len(history)]
        if not reached:
            return False
        band = reached[-1]
        at_band = sorted((max(history[:band]) for history in histories.values() if len(history) >= band), reverse=True)
        threshold = at_band[min(len(at_band) - 1, int(len(at_band) / pruner.eta))]
        return (history[-1] if pruner.strict else max(history[:band])) < threshold

    def tell(self, number: int, state: str, value: float | None) -> None:
        """Answer a trial: finished, pruned or failed. An interrupted one is not told, and is handed out again later."""
        import optuna

        trial = self._mine.pop(number)
        states = optuna.trial.TrialState
        if state == "finished" and value is not None:
            self._study.tell(trial, value)
        elif state == "pruned":
            self._study.tell(trial, state=states.PRUNED)
        elif state != "interrupted":
            self._study.tell(trial, state=states.FAIL)

    def add(self, values: Mapping[str, Any], value: float) -> bool:
        """Count an earlier run's answer, beside the trials asked for; whether it lies in the space and is none of these trials.

        It counts once, however often the search goes on.
        """
        import optuna

        space = self.settings.space
        params = spaces.params_of(space, values)
        if params is None:
            return False
        alike = [
            each
            for each in self._study.get_trials(deepcopy=False)
            if set(each.params) == set(space) and spaces.values_of(space, each.params) == spaces.values_of(space, params)
        ]
        if alike:
            return any(_EARLIER in each.user_attrs for each in alike)
        found = spaces.distributions(space)
        self._study.add_trial(optuna.trial.create_trial(params=params, distributions=found, value=value, user_attrs={_EARLIER: True}))
        return True

    def answers(self) -> list[Trial]:
        """Every trial so far, in the order of their numbers."""
        names = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}
        found = []
        for each in self._study.get_trials(deepcopy=False):
            if set(each.params) == set(self.settings.space):
                words = self.settings.words(each.params)
                found.append(Trial(each.number, words, names[each.state.name], each.value if each.state.name == "COMPLETE" else None))
        return found


def _alive(attributes: Mapping[str, Any]) -> bool:
    """Whether the process that took a trial may still work on it."""
    owner = attributes.get("owner")
    return owner is not None and Owner(**owner).alive() is not False


def _another_search(folder: Path | None, known: Mapping[str, Any], asked: Mapping[str, Any]) -> Problem:
    differing = [key for key in asked if known.get(key) != asked[key]]
    differences = "; ".join(f"{key}: {json.dumps(known.get(key))} -> {json.dumps(asked[key])}" for key in differing)
    return Problem(
        f"the search in this folder is another one ({differences})",
        str(folder),
        hint="ask for what it was, or remove its folder to start anew",
    )
