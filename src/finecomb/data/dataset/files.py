"""One's own files: `dataset=files dataset.files.train=A.csv`, a folder, a pattern such as 'DIR/**/*.rst.gz', or a list of these."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from finecomb.config.schema.dataset import Files
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset.file_search import File, FileSet, find
from finecomb.data.dataset.formats.piece import How, Table
from finecomb.data.dataset.formats.plain import folder_of
from finecomb.data.dataset.row_stream import Part, Plan, Want, read_splits
from finecomb.data.dataset.rows import SPLITS
from finecomb.data.dataset.source_protocol import Raw, Source
from finecomb.data.dataset.table import format_of, known_format, pieces

# Of more files than this the manifest keeps one hash of all.
_LISTED = 1000


class FilesSource:
    """Reads train and, where they are given, validation and test."""

    def __init__(self, config: Files, *, unlabeled: bool = False) -> None:
        """unlabeled: training rows may lack a label, which is None then."""
        self._config, self._unlabeled = config, unlabeled
        self._file_sets: dict[str, FileSet] | None = None

    def _splits(self) -> dict[str, FileSet]:
        """The files of each split; all that are missing are told at once."""
        if self._file_sets is not None:
            return self._file_sets
        file_sets: dict[str, FileSet] = {}
        problems: list[Problem] = []
        base = Path(self._config.path).expanduser() if self._config.path else None
        for split in SPLITS:
            given = getattr(self._config.files, split)
            if given is None:
                continue
            try:
                file_sets[split] = self._of_format(find(given, base, f"dataset.files.{split}"), split)
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)
        self._file_sets = file_sets
        return file_sets

    def _of_format(self, file_set: FileSet, split: str) -> FileSet:
        """Of a folder's files those whose suffix names a format, where none is named; a file that was named itself must have one."""
        if self._config.format != "auto":
            return file_set
        files = [file for file in file_set.files if not file.listed or file.problem is not None or known_format(file.path) is not None]
        if not any(file.problem is None for file in files):
            inside = ", ".join(file.name for file in file_set.files[:10])
            hint = "name the format, such as dataset.format=document, or a file in it"
            raise ConfigError(Problem(f"{file_set.given}: a folder without a file of known format", f"dataset.files.{split}", inside, hint))
        for file in files:
            if file.problem is None:
                format_of(file.path)
        return replace(file_set, files=files, skipped=tuple(file.name for file in file_set.files if file not in files))

    def inputs(self) -> dict[str, str]:
        """Format and hash of each file: the same bytes under another suffix may be read differently. Names are a part of ids."""
        inputs: dict[str, str] = {}
        with ThreadPoolExecutor(4) as pool:
            for split, file_set in self._splits().items():
                hashes = [
                    self._format(file) + self._folder(file) + f":{digest}"
                    for file, digest in zip(file_set.files, pool.map(File.hash, file_set.files), strict=True)
                ]
                if file_set.single:
                    inputs[split] = hashes[0]
                    continue
                each = {f"{split}/{file.name}": digest for file, digest in zip(file_set.files, hashes, strict=True)}
                if len(each) > _LISTED:
                    listed = "".join(f"{name}\0{digest}\n" for name, digest in each.items())
                    each = {split: f"{len(each):,} files:{hashlib.sha256(listed.encode()).hexdigest()}"}
                inputs |= each
        return inputs | self._extractor()

    def _folder(self, file: File) -> str:
        """The folder's name, which is a cell of each document; a name with a folder says it already."""
        return f":{folder_of(file)}" if self._config.format == "document" and "/" not in file.name else ""

    def _extractor(self) -> dict[str, str]:
        """The version of what takes the text out of pages, where it is used."""
        if self._config.extract is None:
            return {}
        from finecomb.data.dataset.extract import made_by, require_web

        require_web(f"dataset.extract={self._config.extract}")
        return {"extract": made_by()}

    def _format(self, file: File) -> str:
        return self._config.format if file.problem is not None else format_of(file.path, self._config.format)

    def parts(self, size: int) -> list[tuple[str, Source]]:
        """Runs of files of about so many bytes: the split of each, and a source of these files alone; in order."""
        parts: list[tuple[str, Source]] = []
        for split, file_set in self._splits().items():
            sizes = np.cumsum([file.size for file in file_set.files])
            for files in np.split(np.array(file_set.files, dtype=object), np.flatnonzero(np.diff(sizes // size)) + 1):
                skipped = file_set.skipped if files[0] is file_set.files[0] else ()
                part = FilesSource(self._config, unlabeled=self._unlabeled)
                part._file_sets = {split: replace(file_set, files=files.tolist(), skipped=skipped)}
                parts.append((split, part))
        return parts

    def read(self, kind: str) -> Raw:
        """The rows of all files, as a stream."""
        config = self._config
        how = How(config.encoding, config.quotes, extract=config.extract)
        want = Want(
            config.columns, kind, config.label_separator, config.strict, config.max_rejected, config.name, {}, None, self._unlabeled,
            skip_damaged=config.damaged == "skip",
        )  # fmt: skip
        plans = {}
        for split, file_set in self._splits().items():
            parts = [Part(file.name, str(file.path), file.size, partial(self._tables, file)) for file in file_set.files]
            single = file_set.single and known_format(file_set.files[0].path) != "zip"
            plans[split] = Plan(
                parts, single, config.format == "document", how, file_set.given, f"dataset.files.{split}", skipped=file_set.skipped
            )
        funnel: list[dict[str, Any]] = []
        rejected: list[dict[str, Any]] = []
        splits = read_splits(plans, want, funnel, rejected)
        names = list(config.label_names) if config.label_names else None
        source = ", ".join(file_set.given for file_set in self._splits().values())
        return Raw(splits, source, "the user's own", names, funnel=funnel, rejected=rejected)

    def _tables(self, file: File, how: How) -> Iterator[Table]:
        return pieces(file, self._config.format, how)
