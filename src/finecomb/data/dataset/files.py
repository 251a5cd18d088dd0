"""One's own files: `dataset=files dataset.files.train=A.csv`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from finecomb.assets import hash_file
from finecomb.config.errors import Problem, UserError
from finecomb.config.schema.dataset import Files
from finecomb.data.dataset.columns import to_rows
from finecomb.data.dataset.source import Raw
from finecomb.data.dataset.table import Table, format_of, read_table
from finecomb.data.dataset.text_file import existing


class FilesSource:
    """Reads train and, where they are given, validation and test."""

    def __init__(self, config: Files) -> None:
        self._config = config

    def _paths(self) -> dict[str, Path]:
        """The file of each split; all that are missing are told at once."""
        paths, problems = {}, []
        base = Path(self._config.path).expanduser() if self._config.path else Path()
        for split in ("train", "validation", "test"):
            name = getattr(self._config.files, split)
            if name is None:
                continue
            try:
                paths[split] = _file(existing(base / Path(name).expanduser(), f"dataset.files.{split}"), split)
            except UserError as error:
                problems += error.problems
        if problems:
            raise UserError(problems)
        return paths

    def inputs(self) -> dict[str, str]:
        """Format and hash of each file: the same bytes under another suffix may be read differently."""
        paths = self._paths()
        return {split: f"{format_of(path, self._config.format)}:{hash_file(path)}" for split, path in paths.items()}

    def read(self, kind: str) -> Raw:
        """The rows of each file."""
        config, paths = self._config, self._paths()
        tables = {split: self._table(split, path) for split, path in paths.items()}
        rows = to_rows(tables, config.columns, kind, separator=config.label_separator, unlabelled=config.columns.label is None)
        names = list(config.label_names) if config.label_names else None
        return Raw(
            {split: [mine] for split, mine in rows.items()}, ", ".join(str(path) for path in paths.values()), "the user's own", names
        )

    def _table(self, split: str, path: Path) -> Table:
        """One file; whatever is wrong with it also names the key that it was given by."""
        config = self._config
        try:
            return read_table([path], format=format_of(path, config.format), encoding=config.encoding, quotes=config.quotes)
        except UserError as error:
            raise UserError(replace(problem, where=f"{problem.where} (dataset.files.{split})") for problem in error.problems) from error


def _file(path: Path, split: str) -> Path:
    if path.is_dir():
        inside = sorted(item.name for item in path.iterdir())[:10]
        raise UserError(Problem(f"{path} is a folder", f"dataset.files.{split}", allowed=", ".join(inside), mend="name a file in it"))
    return path
