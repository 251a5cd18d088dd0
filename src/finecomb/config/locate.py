"""Where the shipped YAML lies: beside the sources in a repository or editable install, inside the package when installed from a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def conf_dir() -> Path:
    """The folder that holds train.yaml and the config groups."""
    for candidate in (_PACKAGE.parents[1] / "conf", _PACKAGE / "conf"):
        if (candidate / "train.yaml").is_file():
            return candidate
    raise FileNotFoundError(f"finecomb is installed without its configs: no conf/train.yaml beside {_PACKAGE.parent} or in {_PACKAGE}")
