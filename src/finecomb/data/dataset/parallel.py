"""Parallel texts as corpora for translation are handed around: two files of lines for each split, one for each language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finecomb.assets import hash_file
from finecomb.config.schema.dataset import ParallelText
from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.core.paths import existing
from finecomb.data.dataset.broken import NO_LABEL, NO_TEXT, SHOWN
from finecomb.data.dataset.compressed import COMPRESSED
from finecomb.data.dataset.rows import SPLITS, Rows
from finecomb.data.dataset.source_protocol import Raw
from finecomb.data.dataset.text_file import lines_of, read_text


class ParallelTextSource:
    """Reads the files of a folder; the id of a row is its line."""

    def __init__(self, config: ParallelText) -> None:
        self._config = config
        self._found: dict[str, list[Path]] | None = None

    def _files(self) -> dict[str, list[Path]]:
        """The two files of each split."""
        if self._found is None:
            self._check()
            folder = existing(Path(str(self._config.path)), "dataset.path")
            names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
            found = {split: _pair(folder, names, self._config.stems[split], self._config.languages) for split in self._config.stems}
            # A split that the folder does not have is made of train; half a split is an error.
            if problems := [problem for split, (files, missing) in found.items() if files or split == "train" for problem in missing]:
                raise ConfigError(problems)
            self._found = {split: files for split, (files, _) in found.items() if files}
        return self._found

    def _check(self) -> None:
        config = self._config
        problems = []
        if config.path is None:
            hint = "give dataset.path=FOLDER"
            problems.append(Problem(f"dataset={config.name} needs the folder of its files", "dataset.path", hint=hint))
        if len(config.languages) != 2:
            what = f"dataset.languages={config.languages}: two languages are needed"
            problems.append(Problem(what, "dataset.languages", hint="that of the sources and that of the targets: [en,de]"))
        for split in config.stems:
            if split not in SPLITS:
                problems.append(Problem(f"dataset.stems.{split}: there is no such split", "dataset.stems", ", ".join(SPLITS)))
        if problems:
            raise ConfigError(problems)

    def inputs(self) -> dict[str, str]:
        """The hash of each file."""
        return {
            f"{split}/{side}": hash_file(path) for split, files in self._files().items() for side, path in zip("st", files, strict=True)
        }

    def read(self, kind: str) -> Raw:
        """The rows of each split; a line that is empty on either side is skipped and reported."""
        rejected: list[dict[str, Any]] = []
        splits = {split: [self._rows(split, files, rejected)] for split, files in self._files().items()}
        read = {split: len(rows.text) for split, (rows,) in splits.items()}
        funnel = [_entry(split, read[split], [row["reason"] for row in rejected if row["split"] == split]) for split in splits]
        return Raw(splits, str(self._config.path), self._config.license, funnel=[entry for entry in funnel if entry], rejected=rejected)

    def _rows(self, split: str, files: list[Path], rejected: list[dict[str, Any]]) -> Rows:
        source, target = (lines_of(read_text(path, self._config.encoding)) for path in files)
        if len(source) != len(target):
            what = f"{files[0].name} has {len(source):,} lines and {files[1].name} has {len(target):,}: they are not parallel"
            raise ConfigError(
                Problem(what, str(files[0].parent), hint="each line of one file must be the translation of that line of the other")
            )
        kept = []
        for line, (given, translated) in enumerate(zip(source, target, strict=True), start=1):
            if given.strip() and translated.strip():
                kept.append((line, given, translated))
                continue
            reason, shown = (NO_LABEL, given) if given.strip() else (NO_TEXT, translated)
            rejected.append({"split": split, "file": files[0].name, "line": line, "reason": reason, "text": shown[:SHOWN]})
        lines, texts, labels = (list(column) for column in zip(*kept, strict=True)) if kept else ([], [], [])
        return Rows([f"{split}:{line}" for line in lines], texts, None, labels, None, lines, files[0].name)


def _entry(split: str, kept: int, reasons: list[str]) -> dict[str, Any] | None:
    """The funnel's entry, where any row is missing."""
    if not reasons:
        return None
    counts = {reason: reasons.count(reason) for reason in sorted(set(reasons))}
    return {"step": "read", "split": split, "rows_in": kept + len(reasons), "rows_out": kept, "changed": 0, "reasons": counts}


def _pair(folder: Path, names: list[str], stem: str, languages: list[str]) -> tuple[list[Path], list[Problem]]:
    """The files STEM.LANGUAGE of both languages, compressed or not, and the problem of each that is missing."""
    files, problems = [], []
    for language in languages:
        name = next((each for each in (f"{stem}.{language}{suffix}" for suffix in ("", *COMPRESSED)) if each in names), None)
        if name is not None:
            files.append(folder / name)
            continue
        listed, needed = ", ".join(names[:20]), f"{stem}.{language}"
        guess = nearest(needed, names)
        hint = f"did you mean {guess}? set dataset.stems or dataset.languages" if guess else "set dataset.stems and dataset.languages"
        problems.append(Problem(f"there is no {needed} in {folder}", "dataset.path", listed, hint))
    return files, problems
