"""Known data sets that are files: fetched from a registry with a pinned hash, or read from the folder that `dataset.path` names."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from finecomb.assets import Local, fetch
from finecomb.config.schema.dataset import Files, FileSplits, KnownFiles
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.paths import existing
from finecomb.data.dataset.files import FilesSource
from finecomb.data.dataset.source_protocol import Raw


class KnownFilesSource:
    """Finds the files of each split and reads them as one's own files are read."""

    def __init__(self, config: KnownFiles) -> None:
        self._config = config
        self._fetched: Local | None = None
        self._files: FilesSource | None = None

    def inputs(self) -> dict[str, str]:
        """Format and hash of each split's file."""
        return self._reader().inputs()

    def read(self, kind: str) -> Raw:
        """The rows of all splits."""
        raw = self._reader().read(kind)
        source = self._fetched.source if self._fetched is not None else raw.source
        return dataclasses.replace(raw, source=source, license=self._config.license)

    def _reader(self) -> FilesSource:
        if self._files is None:
            folder = self._folder()
            paths = {split: str(folder / name) if folder.is_dir() else str(folder) for split, name in self._config.names.items()}
            shared = {field.name for field in dataclasses.fields(Files)} & {field.name for field in dataclasses.fields(KnownFiles)}
            values = {name: getattr(self._config, name) for name in shared} | {"path": None}
            splits = FileSplits(paths["train"], paths.get("validation"), paths.get("test"))
            self._files = FilesSource(Files(**values, files=splits, encoding="utf-8", extract=None))
        return self._files

    def _folder(self) -> Path:
        """The folder of the files, or the one file that was fetched."""
        config, names = self._config, ", ".join(self._config.names.values())
        if config.path:
            folder = existing(Path(config.path), "dataset.path")
            if missing := [name for name in config.names.values() if not (folder / name).exists()]:
                hint = f"the files are those of {config.origin}"
                raise ConfigError(Problem(f"{', '.join(missing)} not in {folder}", "dataset.path", names, hint))
            return folder
        if not config.source:
            hint = f"get the files from {config.origin}, then set dataset.path=DIR"
            raise ConfigError(Problem(f"dataset={config.name} is read from a folder", "dataset.path", names, hint))
        self._fetched = fetch(config.source, sha256=config.sha256, progress=sys.stderr.isatty())
        return self._fetched.path
