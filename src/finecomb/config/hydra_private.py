"""The functions of Hydra that are not public, each with the reason for its use; no other file imports `hydra._internal`.

`tests/config/test_hydra_private.py` pins the behavior relied on here, so that an incompatible update of Hydra fails there.
"""

from __future__ import annotations

import argparse
import copy
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.defaults_list import DefaultsList, create_defaults_list
from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.default_element import ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode
from hydra.version import VersionBase, setbase
from omegaconf import DictConfig, OmegaConf, open_dict

VERSION_BASE = "1.3"
_LOCK = threading.RLock()


@contextmanager
def _our_version_base() -> Iterator[None]:
    """Hydra keeps `version_base` in a process-wide singleton: set ours, and restore that of a program that uses Hydra itself."""
    with _LOCK:
        singleton = VersionBase.instance()
        before = singleton.version_base
        setbase(VERSION_BASE)
        try:
            yield
        finally:
            singleton.version_base = before


def arguments_parser() -> argparse.ArgumentParser:
    """The parser of Hydra's own flags. `hydra.main` reads `sys.argv` with it and offers no way to read flags beforehand."""
    return get_args_parser()


def discover_plugins() -> None:
    """Import the packages below `hydra_plugins`, once in a process."""
    with _our_version_base():
        Plugins.instance()


class _Copies(CachingConfigRepository):
    """Copies of cached files, because a merge takes nodes over without copying them; without their `hydra` blocks."""

    def __init__(self, cached: CachingConfigRepository) -> None:
        self.delegate, self.cache = cached.delegate, cached.cache

    def load_config(self, config_path: str) -> ConfigResult | None:
        loaded = super().load_config(config_path)
        if loaded is None:
            return None
        found = copy.copy(loaded)
        found.config = copy.deepcopy(loaded.config)
        if found.header.get("package") in (None, "_global_") and isinstance(found.config, DictConfig):
            with open_dict(found.config):
                found.config.pop("hydra", None)
        return found


class _ConfigLoader(ConfigLoaderImpl):
    """Leaves base files (`_base.yaml`) out of the choices that `glob` expands to."""

    def get_group_options(
        self,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        found = super().get_group_options(group_name, results_filter, config_name, overrides)
        return [name for name in found if not name.startswith("_")]


class Loader:
    """Hydra's composition on folders of config groups, where each file is parsed once for all jobs of a command.

    The public `hydra.compose` needs the process-wide `GlobalHydra`, reads every file twice and composes Hydra's own node with each job.
    """

    def __init__(self, directories: Sequence[Path], primary: str) -> None:
        """directories: the app's own folder, then further ones. primary: the name of the primary config."""
        self.primary = primary
        with _our_version_base():
            path = ConfigSearchPathImpl()
            path.append("hydra", "pkg://hydra.conf")
            for number, directory in enumerate(directories):
                path.append("main" if number == 0 else "plugin", f"file://{directory}")
            path.append("schema", "structured://")
            self._loader = _ConfigLoader(path)
            self._repository = CachingConfigRepository(self._loader.repository)
        self._listed: dict[tuple[str, ...], DefaultsList] = {}
        self._merged: dict[tuple[tuple[str | None, str | None], ...], DictConfig] = {}

    @property
    def config_loader(self) -> ConfigLoader:
        """What Hydra's sweepers and its parser of overrides (for `glob`) are given."""
        return self._loader

    def defaults_list(self, picks: Sequence[str]) -> DefaultsList:
        """Return the files that these choices select, in the order in which they are merged. Raises HydraException."""
        key = tuple(picks)
        if key not in self._listed:
            with _our_version_base():
                parsed = OverridesParser.create().parse_overrides(list(picks))
                self._listed[key] = create_defaults_list(self._repository, self.primary, parsed, prepend_hydra=True, skip_missing=False)
        return self._listed[key]

    def merge(self, files: Sequence[ResultDefault], values: Sequence[Override]) -> DictConfig:
        """Merge the files without Hydra's own node, then apply the values. Raises HydraException, OmegaConfBaseException."""
        with _our_version_base():
            ours = [item for item in files if not (item.config_path or "").startswith("hydra/")]
            key = tuple((item.config_path, item.package) for item in ours)
            if key not in self._merged:
                self._merged[key] = self._loader._compose_config_from_defaults_list(ours, _Copies(self._repository))
            merged = copy.deepcopy(self._merged[key])
            OmegaConf.set_struct(merged, True)
            ConfigLoaderImpl._apply_overrides_to_config(list(values), merged)
            return merged

    def hydra_node(self, picks: Sequence[str]) -> DictConfig:
        """Compose Hydra's own node alone (`cfg.hydra`), with these choices of its groups, as for a multirun."""
        with _our_version_base():
            # Without a name in the overrides Hydra takes that of a process-wide singleton.
            lines = [*picks, "hydra.job.name=finecomb", "hydra.mode=MULTIRUN"]
            return self._loader.load_configuration(None, lines, RunMode.MULTIRUN)

    def grid(self, lines: Sequence[str]) -> list[list[str]]:
        """Return the overrides of each job of a multirun, in the order and spelling of Hydra's own sweeper. Raises HydraException."""
        with _our_version_base():
            parsed = OverridesParser.create(self._loader).parse_overrides(list(lines))
            return BasicSweeper.split_arguments(parsed, None)[0]

    def sweeper(self, config: DictConfig, task: Any) -> Sweeper:
        """Instantiate the sweeper of `config.hydra`, and with it the launcher, as `hydra.main` does."""
        context = HydraContext(config_loader=self._loader, callbacks=Callbacks())
        with _our_version_base():
            return Plugins.instance().instantiate_sweeper(hydra_context=context, task_function=task, config=config)
