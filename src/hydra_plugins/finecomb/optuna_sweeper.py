"""Hydra sweeper `optuna`: a search over what the command line leaves open, complete to n_trials, with pruning and a journal.

    finecomb train -m hydra/sweeper=optuna hydra.sweeper.n_trials=20 'optimizer.lr=tag(log, interval(1e-5, 1e-3))' tuning=full,lora

A list or choice(...) is a set of values, range(...) whole numbers (its end left out, as in Hydra's own grids), interval(...) numbers
between two bounds; tag(log, ...) or tag(int, ...) before it says how. Hydra executes this file without entering it in sys.modules, so
dataclasses here cannot have postponed annotations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep, Transformer
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from finecomb.config.compose import Composition
    from finecomb.launch.outcome import Outcome
    from finecomb.studies.search.engine import Settings
    from finecomb.studies.search.space import Choice, Range


@dataclass
class OptunaConf:
    """n_trials: how many in all, those of earlier commands included (null with sampler=grid: all).

    sampler: tpe, gp, random or grid. pruner: none, median or hyperband. metric: null for what the task monitors on validation.
    pruner_first: validations before a trial may be stopped. pruner_eta: hyperband keeps one trial in so many. pruner_startup: whole trials
    that median waits for.
    warm_start: runs, folders of them or sweep records whose finished runs count as answers. params: what is searched, in addition to the
    command line.
    """

    _target_: str = "hydra_plugins.finecomb.optuna_sweeper.OptunaSweeper"
    n_trials: Optional[int] = 20
    sampler: str = "tpe"
    seed: int = 0
    metric: Optional[str] = None
    mode: Optional[str] = None
    pruner: str = "none"
    pruner_first: int = 1
    pruner_eta: int = 3
    pruner_startup: int = 4
    warm_start: list[str] = field(default_factory=list)
    name: Optional[str] = None
    params: dict[str, str] = field(default_factory=dict)


class OptunaSweeper(Sweeper):
    """Hands the open part of the command line to finecomb's search engine."""

    def __init__(self, **settings: Any) -> None:
        self.settings = OptunaConf(**settings)
        self.launcher: Any = None
        self.context: Optional[HydraContext] = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Instantiate the launcher, whose policy and machine the trials use."""
        self.context = hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> "list[Outcome]":
        """Search; a search that was stopped is resumed. Raises ConfigError before any trial is started."""
        from finecomb.studies.search import run

        self._check()
        with self.launcher.where():
            settings, base = self._settings(arguments)
            return run.run_search(
                settings,
                trials=self.settings.n_trials,
                policy=self.launcher.policy(),
                name=self.settings.name,
                warm_start=self.settings.warm_start,
                base=base,
            )

    def _check(self) -> None:
        from finecomb.core.errors import ConfigError
        from finecomb.studies.search import engine, run

        given = (("sampler", self.settings.sampler, engine.SAMPLERS), ("pruner", self.settings.pruner, engine.PRUNERS))
        problems = [run.unknown(kind, name, allowed, f"hydra.sweeper.{kind}") for kind, name, allowed in given if name not in allowed]
        if problems:
            raise ConfigError(problems)

    def _settings(self, arguments: Sequence[str]) -> "tuple[Settings, Composition]":
        """The search, and what its fixed part composes."""
        from finecomb.config.compose import Composer
        from finecomb.config.resolve import resolve
        from finecomb.core.errors import ConfigError, Problem
        from finecomb.core.machine import this_machine
        from finecomb.studies.search.engine import Pruner, Settings
        from finecomb.studies.search.run import without_test

        lines = [*(f"{key}={value}" for key, value in self.settings.params.items()), *arguments]
        assert self.context is not None
        parsed = OverridesParser.create(config_loader=self.context.config_loader).parse_overrides(lines)
        fixed = without_test([str(override.input_line) for override in parsed if not override.is_sweep_override()])
        space = {str(override.key_or_group): _dimension(override) for override in parsed if override.is_sweep_override()}
        if not space:
            raise ConfigError(
                Problem(
                    "there is nothing to search", "command line", hint="leave a value open: 'optimizer.lr=tag(log, interval(1e-5, 1e-3))'"
                )
            )
        composer = Composer()
        if problems := composer.problems([[*fixed, *words] for words in _samples(space)]):
            raise ConfigError(problems)
        base = composer.compose(fixed)
        monitor = resolve(base.config, machine=this_machine()).monitor
        metric = self.settings.metric or f"validation/{monitor.metric}"
        if metric.startswith("test/"):
            raise ConfigError(
                Problem(f"{metric}: the test set is not for choosing", "hydra.sweeper.metric", hint="name a metric on validation")
            )
        pruner = Pruner(self.settings.pruner, self.settings.pruner_first, self.settings.pruner_eta, startup=self.settings.pruner_startup)
        mode = self.settings.mode or str(monitor.mode)
        return Settings(space, self.settings.sampler, metric, mode, self.settings.seed, pruner, fixed), base


def _samples(space: "Mapping[str, Choice | Range]") -> list[list[str]]:
    """Settings in which each value of a list occurs, to be checked before any trial; all combinations may be too many."""
    from finecomb.config.overrides import override
    from finecomb.studies.search.space import Choice

    values = {key: each.values if isinstance(each, Choice) else (each.points() or (each.low,))[:1] for key, each in space.items()}
    first = {key: override(key, found[0]) for key, found in values.items()}
    return [list({**first, key: override(key, value)}.values()) for key, found in values.items() for value in found]


def _dimension(override: Override) -> "Choice | Range":
    from finecomb.studies.search.space import Choice, checked

    key, value = str(override.key_or_group), override.value()
    where = f"command line: {override.input_line}"
    tags = {str(tag) for tag in getattr(value, "tags", ())}
    if isinstance(value, ChoiceSweep):
        return Choice(tuple(override.sweep_iterator(Transformer.identity)))
    if isinstance(value, RangeSweep):
        whole = all(isinstance(each, int) for each in (value.start, value.stop, value.step))
        if whole and "log" not in tags and value.step == 1:
            return checked(key, float(value.start or 0), float(value.stop or 0) - 1, log=False, where=where, whole=True)
        return Choice(tuple(override.sweep_iterator(Transformer.identity)))
    assert isinstance(value, IntervalSweep)
    return checked(key, float(value.start or 0), float(value.end or 0), log="log" in tags, where=where, whole="int" in tags)
