"""From overrides to one typed config: our own pass over every file first, for all errors at once, then Hydra's composition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.defaults_list import DefaultsList, create_defaults_list
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.version import setbase
from omegaconf import OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from finecomb.config import changes, plugins
from finecomb.config.collect import PRIMARY, collect, is_choice
from finecomb.config.errors import Problem, UserError
from finecomb.config.fields import MISSING, fields_of, leaf_keys
from finecomb.config.plain import entry_of, flatten, from_values, to_plain
from finecomb.config.schema.augmenter import Operations
from finecomb.config.schema.derivation import Derivation
from finecomb.config.schema.train import GROUPS, Train
from finecomb.config.settings import Collected
from finecomb.config.sources import Origin, search_dirs

__all__ = ["Composition", "Origin", "check", "compose", "compose_all", "hydra_problem", "register"]


@dataclass
class Composition:
    """A composed config with what made it.

    origins: for each dotted key the file and line, or the override, that set it last; for a group, what chose it.
    choices: the option of each group and bundle. overrides: as Hydra takes them.
    plugin_dirs: folders to load before the config can be read back (`plugins.load`).
    """

    config: Train
    origins: dict[str, Origin]
    choices: dict[str, str | None]
    overrides: list[str]
    plugin_dirs: list[str] = field(default_factory=list)

    @staticmethod
    def of(config: Train) -> Composition:
        """What made a config, also of one that was changed after it was composed, or made without composing.

        Raises UserError with every value of the config that its schema does not permit.
        """
        derived = config.derivation
        choices, overrides, origins = dict(derived.choices), list(derived.overrides), dict(derived.origins)
        if flatten(to_plain(config)) != derived.values:
            choices, overrides, origins = changes.of(config)
        return Composition(config, origins, choices, overrides, list(derived.plugin_dirs))


def compose(overrides: Sequence[str], *, config_dirs: Sequence[Path] = ()) -> Composition:
    """Compose the config that the overrides ask for.

    Raises UserError with every wrong choice, key, type, bound and missing value; fields are checked against each other by `validate`, whose
    problems are added here too when there is anything else to report.
    """
    plugins.load(config_dirs)
    register()
    hydra = _Hydra()
    found = collect(overrides, hydra.defaults_list)
    problems = [*found.problems, *_missing(found)]
    if problems:
        raise UserError([*problems, *_across(found)])
    config = hydra.merge(found)
    directories = tuple(plugins.directories())
    values = flatten(to_plain(config))
    config.derivation = Derivation(found.choices, tuple(found.overrides), found.origins(), directories, values)
    return Composition.of(config)


def compose_all(jobs: Sequence[Sequence[str]], *, config_dirs: Sequence[Path] = ()) -> list[Composition]:
    """Compose each job. Raises UserError with the problems of all of them, each once."""
    compositions: list[Composition] = []
    problems: dict[Problem, None] = {}
    for overrides in jobs:
        try:
            compositions.append(compose(overrides, config_dirs=config_dirs))
        except UserError as error:
            problems |= dict.fromkeys(error.problems)
    if problems:
        raise UserError(problems)
    return compositions


def check(jobs: Sequence[Sequence[str]]) -> list[Problem]:
    """Every problem of these jobs, each told once; those between fields included. Merges nothing, so that many jobs are checked fast."""
    register()
    hydra = _Hydra()
    problems: dict[Problem, None] = {}
    for overrides in jobs:
        found = collect(overrides, hydra.defaults_list)
        problems |= dict.fromkeys([*found.problems, *_missing(found), *_across(found)])
    return list(problems)


def register() -> None:
    """Make the schemas known to Hydra: `schema/train`, and `schema/<group>/<key>` for each choice's schema."""
    store = ConfigStore.instance()
    store.store(group="schema", name="train", node=Train, package="_global_")
    for group in GROUPS:
        for key, cls in plugins.schemas(group).items():
            store.store(group=f"schema/{group}", name=key, node=cls)


def hydra_problem(error: Exception) -> Problem:
    """What Hydra stopped at, in its own words: the first line of its message and of the cause."""
    said = [str(each).strip().split("\n")[0] for each in (error, error.__cause__) if each is not None and str(each).strip()]
    return Problem(" ".join(dict.fromkeys(said)), "Hydra", mend="`finecomb train --help` lists groups, choices and flags")


class _Hydra:
    """Hydra's loader on our folders. Each file is parsed once for the defaults list and the merge, and Hydra's own settings are left out:
    its public `compose` reads everything twice and takes two thirds longer. A test holds the results equal."""

    def __init__(self) -> None:
        setbase("1.3")
        Plugins.instance()
        path = ConfigSearchPathImpl()
        path.append("hydra", "pkg://hydra.conf")
        for number, directory in enumerate(search_dirs()):
            path.append("main" if number == 0 else "plugin", f"file://{directory}")
        path.append("schema", "structured://")
        self._loader = ConfigLoaderImpl(path)
        self._repository = CachingConfigRepository(self._loader.repository)
        self._listed: dict[tuple[str, ...], DefaultsList] = {}

    def defaults_list(self, picks: Sequence[str]) -> DefaultsList:
        """The files that these choices select, in the order in which they are merged. Raises HydraException."""
        key = tuple(picks)
        if key not in self._listed:
            parsed = OverridesParser.create().parse_overrides(list(picks))
            self._listed[key] = create_defaults_list(self._repository, PRIMARY, parsed, prepend_hydra=True, skip_missing=False)
        return self._listed[key]

    def merge(self, found: Collected) -> Train:
        """The typed config. Raises UserError in Hydra's words for what our own pass does not know."""
        try:
            parsed = OverridesParser.create().parse_overrides(found.overrides)
            listed = self.defaults_list([line for line, override in zip(found.overrides, parsed, strict=True) if is_choice(override)])
            primary = self._repository.load_config(PRIMARY)
            assert primary is not None
            with open_dict(primary.config):
                primary.config.pop("hydra", None)
            files = [item for item in listed.defaults if not (item.config_path or "").startswith("hydra/")]
            merged = self._loader._compose_config_from_defaults_list(files, self._repository)
            OmegaConf.set_struct(merged, True)
            ConfigLoaderImpl._apply_overrides_to_config([override for override in parsed if not is_choice(override)], merged)
            config: Any = OmegaConf.to_object(merged)
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(hydra_problem(error)) from error
        config.cleaner.steps = {name: step for name, step in config.cleaner.steps.items() if step is not None}
        if isinstance(config.augmenter, Operations):
            config.augmenter.operations = {name: each for name, each in config.augmenter.operations.items() if each is not None}
        for name, known in fields_of(type(config.callbacks)).items():
            if known.entry is not None:
                setattr(config.callbacks, name, entry_of(known.entry, getattr(config.callbacks, name), f"callbacks.{name}"))
        to_plain(config)
        return config  # type: ignore[no-any-return]


def _missing(found: Collected) -> list[Problem]:
    problems = []
    for key in leaf_keys(Train, found.classes) if found.classes else ():
        group, _, rest = key.partition(".")
        setting = found.values.get(key)
        if group in found.unknown or (setting is None and found.below(key)):
            continue
        if setting is None or setting.value == MISSING:
            what = f"{key} has no value"
            where = str(setting.origin) if setting else f"conf/{group}/{found.choices.get(group)}.yaml" if rest else "conf/train.yaml"
            problems.append(Problem(what, where, mend=f"give {key}=..., {_describe(key, found)}"))
    return problems


def _describe(key: str, found: Collected) -> str:
    cls: type = Train
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
    lacking = any(key not in found.values and not found.below(key) for key in leaf_keys(Train, found.classes))
    if found.unknown or set(found.classes) != set(GROUPS) or lacking:
        return []
    values = {key: None if setting.value == MISSING else setting.value for key, setting in found.values.items()}
    return problems_of(from_values(values, found.classes), found.origins())
