"""Lets Hydra find the config groups of plug-ins, so that --cfg, completion and sweeps know their choices."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class PluginSearchPath(SearchPathPlugin):
    """Adds the folders that `finecomb.config.plugins` has loaded in this process; in other Hydra apps that is none."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append behind the app's own folder, whose choices come first."""
        from finecomb.config import plugins

        for folder in plugins.conf_dirs():
            search_path.append(provider="plugin", path=f"file://{folder}")
