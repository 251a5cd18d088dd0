"""From overrides to one typed config: our own pass over every file first, for all errors at once, then Hydra's composition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from finecomb.config import changes, hydra_settings, interpolations, plugins
from finecomb.config.collect import PRIMARY, collect, is_choice, parse
from finecomb.config.fields import MISSING, fields_of, leaf_keys
from finecomb.config.hydra_private import Loader
from finecomb.config.plain import entry_of, flatten, from_values, to_plain
from finecomb.config.schema.augmenter import Operations
from finecomb.config.schema.derivation import Derivation
from finecomb.config.schema.train import BUNDLES, GROUPS, Config
from finecomb.config.settings import Collected
from finecomb.config.sources import Origin, search_dirs
from finecomb.core.errors import ConfigError, Problem

__all__ = ["Composer", "Composition", "Origin", "compose", "hydra_problem", "register"]


@dataclass
class Composition:
    """A composed config with what made it.

    origins: for each dotted key the file and line, or the override, that set it last; for a group, what chose it.
    choices: the option of each group and bundle. overrides: of the command line.
    plugin_dirs: folders to load before the config can be read back (`plugins.load`).
    """

    config: Config
    origins: dict[str, Origin]
    choices: dict[str, str | None]
    overrides: list[str]
    plugin_dirs: list[str] = field(default_factory=list)

    @staticmethod
    def of(config: Config) -> Composition:
        """What made a config, also of one that was changed after it was composed, or made without composing.

        Raises ConfigError with every value of the config that its schema does not permit.
        """
        derived = config.derivation
        choices, overrides, origins = dict(derived.choices), list(derived.overrides), dict(derived.origins)
        if flatten(to_plain(config)) != derived.values:
            choices, overrides, origins = changes.of(config)
        return Composition(config, origins, choices, overrides, list(derived.plugin_dirs))


def compose(overrides: Sequence[str], *, config_dirs: Sequence[Path] = ()) -> Composition:
    """Compose the config that the overrides ask for.

    Raises ConfigError with every wrong choice, key, type, bound and missing value. Fields are checked against each other by `validate`,
    whose problems are added here too when there is anything else to report.
    """
    plugins.load(config_dirs)
    further = hydra_settings.read(parse(overrides, [])).problems
    return Composer().compose_all([overrides], further)[0]


class Composer:
    """Composes the jobs of one command. Each file is read once for all of them."""

    def __init__(self) -> None:
        self.loader, self._directories = loader(), search_dirs()

    def compose(self, overrides: Sequence[str]) -> Composition:
        """Compose one job; see `compose`."""
        return self.compose_all([overrides])[0]

    def compose_all(self, jobs: Sequence[Sequence[str]], further: Sequence[Problem] = ()) -> list[Composition]:
        """Compose each job once. Raises ConfigError with the problems of all of them, each once, and the further ones."""
        return [self._composition(found) for found in self._sound(jobs, further)]

    def problems(self, jobs: Sequence[Sequence[str]]) -> list[Problem]:
        """The problems of all jobs, each once and those between fields included. No job is merged, so that many are checked fast."""
        return _all_problems(self._collect(jobs))

    def merge_all(self, jobs: Sequence[Sequence[str]]) -> list[DictConfig]:
        """Return the config of each job as Hydra merges it, interpolations unresolved; raises as `compose_all` does."""
        return [self._merged(found) for found in self._sound(jobs)]

    def _collect(self, jobs: Sequence[Sequence[str]]) -> list[Collected]:
        """Read what each job selects, in the folders that its bundles name too."""
        bundles = dict.fromkeys(word for job in jobs for word in job if word.partition("=")[0] in BUNDLES)
        hydra_settings.load_search_path(parse(list(bundles), []))
        if search_dirs() != self._directories:
            self.loader, self._directories = loader(), search_dirs()
        return [collect(overrides, self.loader.defaults_list) for overrides in jobs]

    def _sound(self, jobs: Sequence[Sequence[str]], further: Sequence[Problem] = ()) -> list[Collected]:
        collected = self._collect(jobs)
        if further or any(_problems(found) for found in collected):
            raise ConfigError(dict.fromkeys([*further, *_all_problems(collected)]))
        return collected

    def _merged(self, found: Collected) -> DictConfig:
        """Raises ConfigError in Hydra's words for what our own pass does not know."""
        try:
            lines = found.for_hydra()
            parsed = OverridesParser.create().parse_overrides(lines)
            picks = [line for line, override in zip(lines, parsed, strict=True) if is_choice(override)]
            values = [override for override in parsed if not is_choice(override)]
            merged = self.loader.merge(self.loader.defaults_list(picks).defaults, values)
            for key, setting in found.values.items():
                if interpolations.has_choice(setting.value):
                    OmegaConf.update(merged, key, interpolations.with_choices(setting.value, found.choices))
            return merged
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(hydra_problem(error)) from error

    def _composition(self, found: Collected) -> Composition:
        merged = self._merged(found)
        try:
            config = cast(Config, OmegaConf.to_object(merged))
        except OmegaConfBaseException as error:
            raise ConfigError(hydra_problem(error)) from error
        config.cleaner.steps = {name: step for name, step in config.cleaner.steps.items() if step is not None}
        if isinstance(config.augmenter, Operations):
            config.augmenter.operations = {name: each for name, each in config.augmenter.operations.items() if each is not None}
        callbacks: type = type(config.callbacks)
        for name, known in fields_of(callbacks).items():
            if known.entry is not None:
                setattr(config.callbacks, name, entry_of(known.entry, getattr(config.callbacks, name), f"callbacks.{name}"))
        values, directories = flatten(to_plain(config)), tuple(plugins.directories())
        config.derivation = Derivation(found.choices, tuple(found.overrides), found.origins(), directories, values)
        return Composition.of(config)


def loader() -> Loader:
    """Hydra's loader on the folders of finecomb and of the plug-ins loaded so far."""
    register()
    return Loader(search_dirs(), PRIMARY)


# What has been stored, so that it is not converted again for each composition.
_stored: dict[tuple[str, str], type] = {}


def register() -> None:
    """Make the schemas known to Hydra: `schema/train`, and `schema/<group>/<key>` for each choice's schema; and finecomb's own launchers
    and sweepers, after those of other packages.

    `submitit_slurm` and `optuna` are also names of Hydra's official plug-ins. Inside finecomb they are always finecomb's; importing
    `hydra_plugins.finecomb` registers nothing, so that other Hydra apps in the environment keep the official ones.
    """
    store = ConfigStore.instance()
    for group, known in hydra_settings.provided().items():
        for name, cls in known.items():
            store.store(group=group, name=name, node=cls, provider="finecomb")
    if not _stored:
        store.store(group="schema", name="train", node=Config, package="_global_")
    for group in GROUPS:
        for key, cls in plugins.schemas(group).items():
            if _stored.get((group, key)) is not cls:
                store.store(group=f"schema/{group}", name=key, node=cls)
                _stored[group, key] = cls


def hydra_problem(error: Exception) -> Problem:
    """What Hydra stopped at, in its own words: the first line of its message and of the cause."""
    said = [str(each).strip().split("\n")[0] for each in (error, error.__cause__) if each is not None and str(each).strip()]
    return Problem(" ".join(dict.fromkeys(said)), "Hydra", hint="`finecomb train --help` lists groups, choices and flags")


def _problems(found: Collected) -> list[Problem]:
    return [*found.problems, *_missing(found)]


def _all_problems(collected: Iterable[Collected]) -> list[Problem]:
    """The problems of all jobs, each once, those between fields included."""
    return list(dict.fromkeys(problem for found in collected for problem in [*_problems(found), *_across(found)]))


def _missing(found: Collected) -> list[Problem]:
    problems = []
    for key in leaf_keys(Config, found.classes) if found.classes else ():
        group, _, rest = key.partition(".")
        setting = found.values.get(key)
        if group in found.unknown or (setting is None and found.below(key)):
            continue
        if setting is None or setting.value == MISSING:
            what = f"{key} has no value"
            where = str(setting.origin) if setting else f"conf/{group}/{found.choices.get(group)}.yaml" if rest else "conf/train.yaml"
            problems.append(Problem(what, where, hint=f"give {key}=..., {_describe(key, found)}"))
    return problems


def _describe(key: str, found: Collected) -> str:
    cls: type = Config
    *parents, name = key.split(".")
    for depth, part in enumerate(parents):
        path = ".".join(parents[: depth + 1])
        cls = found.classes.get(path) or fields_of(cls)[part].nested or cls
    known = fields_of(cls)[name]
    return f"{known.help} ({known.allowed_text})"


def _across(found: Collected) -> list[Problem]:
    """Problems between fields, as far as the rest is sound enough to judge them."""
    from finecomb.config.validate import problems_of

    # A value may be left open where the file says so (???); the rules know those. A file that lacks a key cannot be judged.
    lacking = any(key not in found.values and not found.below(key) for key in leaf_keys(Config, found.classes))
    if found.unknown or set(found.classes) != set(GROUPS) or lacking:
        return []
    values = {key: None if setting.value == MISSING else setting.value for key, setting in found.values.items()}
    return problems_of(from_values(values, found.classes), found.origins())
