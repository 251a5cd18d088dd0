"""A build backend that builds nothing.

`pip download` asks a source archive's build backend for metadata, and setuptools answers by running the archive's setup.py. We want the
file and nothing else, so assets/distribution.py puts this folder first on the path of that one pip command: the answer is the name and the
version that were asked for, and no line of the archive runs.
"""

from __future__ import annotations

import os
from pathlib import Path


class Backend:
    """The hook that pip calls (PEP 517); `__legacy__` is what it looks for where an archive has no pyproject.toml."""

    def prepare_metadata_for_build_wheel(self, metadata_directory: str, config_settings: object = None) -> str:
        """Write the least metadata pip accepts and return the folder's name."""
        name, version = os.environ["FINECOMB_DIST_NAME"], os.environ["FINECOMB_DIST_VERSION"]
        folder = Path(metadata_directory) / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        return folder.name


__legacy__ = Backend()
prepare_metadata_for_build_wheel = __legacy__.prepare_metadata_for_build_wheel
