"""Hydra sweeper `optuna`: a search over what the command line leaves open, complete to n_trials, with pruning and a journal.

    finecomb train -m hydra/sweeper=optuna hydra.sweeper.n_trials=20 'optimizer.lr=tag(log, interval(1e-5, 1e-3))' tuning=full,lora

A list or choice(...) is a set of values, range(...) whole numbers (its end left out, as in Hydra's own grids), interval(...) numbers
between two bounds; tag(log, ...) or tag(int, ...) before it says how. Hydra executes this file without entering it in sys.modules, so
dataclasses here cannot have postponed annotations.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep, Transformer
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig


@dataclass
class OptunaConf:
    """n_trials: how many in all, those of earlier commands included (null with sampler=grid: all).

    sampler: tpe, gp, random or grid. pruner: none, median or hyperband. metric: null for what the task monitors on validation.
    pruner_first: validations before a trial may be stopped. pruner_eta: hyperband keeps one trial in so many. pruner_startup: whole trials
    that median waits for.
    warm_start: runs, folders of them or sweep records whose finished runs count as answers.
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


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaConf, provider="finecomb")


class OptunaSweeper(Sweeper):
    """Hands the open part of the command line to finecomb's search engine."""

    def __init__(self, **settings: Any) -> None:
        self.settings = OptunaConf(**settings)
        self.config: Optional[DictConfig] = None
        self.context: Optional[HydraContext] = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep Hydra's own settings."""
        self.config, self.context = config, hydra_context

    def sweep(self, arguments: list[str]) -> None:
        """Search. Raises UserError, and SystemExit with code 1 when a trial did not finish."""
        from finecomb.config.errors import UserError
        from finecomb.studies.search import engine, run
        from hydra_plugins.finecomb.launcher import config_dirs_of, refuse_others

        assert self.config is not None
        assert self.context is not None
        refuse_others(self.config)
        parsed = OverridesParser.create(config_loader=self.context.config_loader).parse_overrides(arguments)
        problems = [
            run.unknown(kind, given, allowed, f"hydra.sweeper.{kind}")
            for kind, given, allowed in (
                ("sampler", self.settings.sampler, engine.SAMPLERS),
                ("pruner", self.settings.pruner, engine.PRUNERS),
            )
            if given not in allowed
        ]
        if problems:
            raise UserError(problems)
        directories = config_dirs_of(self.config)
        launcher = instantiate(self.config.hydra.launcher)
        with launcher.where():
            code = run.run_search(
                self._settings(parsed, directories),
                trials=self.settings.n_trials,
                policy=launcher.policy(),
                name=self.settings.name,
                warm_start=self.settings.warm_start,
                config_dirs=directories,
            )
        if code:
            raise SystemExit(code)

    def _settings(self, parsed: Sequence[Override], directories: Sequence[Any]) -> Any:
        from finecomb.config.compose import compose
        from finecomb.config.errors import Problem, UserError
        from finecomb.config.machine import this_machine
        from finecomb.config.resolve import resolve
        from finecomb.studies.search.engine import Pruner, Settings

        fixed = tuple(str(override.input_line) for override in parsed if not override.is_sweep_override())
        space = {str(override.key_or_group): _dimension(override) for override in parsed if override.is_sweep_override()}
        if not space:
            raise UserError(
                Problem(
                    "there is nothing to search", "command line", mend="leave a value open: 'optimizer.lr=tag(log, interval(1e-5, 1e-3))'"
                )
            )
        monitor = resolve(compose(list(fixed), config_dirs=list(directories)).config, machine=this_machine()).monitor
        metric = self.settings.metric or f"validation/{monitor.metric}"
        if metric.startswith("test/"):
            raise UserError(
                Problem(f"{metric}: the test set is not for choosing", "hydra.sweeper.metric", mend="name a metric on validation")
            )
        pruner = Pruner(self.settings.pruner, self.settings.pruner_first, self.settings.pruner_eta, startup=self.settings.pruner_startup)
        return Settings(space, self.settings.sampler, metric, self.settings.mode or str(monitor.mode), self.settings.seed, pruner, fixed)


def _dimension(override: Override) -> Any:
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
