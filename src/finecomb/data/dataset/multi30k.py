"""30,000 captions of photographs in English, with translations: two files of a split hold the same sentences, one in each line.

D. Elliott et al., "Multi30K: Multilingual English-German Image Descriptions", VL 2016; French: D. Elliott et al., WMT 2017.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from finecomb.assets import hash_file
from finecomb.config.schema.dataset import Multi30k
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.paths import existing
from finecomb.data.dataset.hub import HubSource
from finecomb.data.dataset.rows import Rows
from finecomb.data.dataset.source_protocol import Raw, Source
from finecomb.data.dataset.text_file import lines_of, read_text

# What a split's files are called, by split.
_STEMS = {"train": ("train",), "validation": ("val", "validation", "dev"), "test": ("test_2016_flickr", "test2016", "flickr2016", "test")}


def build(config: Multi30k) -> Source:
    """The source of the local files where a folder is named, else of the hub's table, whose columns are languages."""
    if config.path is not None:
        return ParallelFilesSource(config)
    columns = dataclasses.replace(config.columns, source=config.source_language, target=config.target_language)
    return HubSource(dataclasses.replace(config, columns=columns))


class ParallelFilesSource:
    """Reads `SPLIT.LANGUAGE` or `SPLIT.LANGUAGE.gz` for both languages of each split that is there."""

    def __init__(self, config: Multi30k) -> None:
        self._config = config
        self._languages = (config.source_language, config.target_language)

    def _files(self) -> dict[str, tuple[Path, Path]]:
        folder = existing(Path(str(self._config.path)), "dataset.path")
        places = {
            split: [next(filter(None, (_file(folder, stem, language) for stem in stems)), None) for language in self._languages]
            for split, stems in _STEMS.items()
        }
        both = {split: (source, target) for split, (source, target) in places.items() if source and target}
        if "train" not in both:
            names = " and ".join(f"train.{language} or train.{language}.gz" for language in self._languages)
            there = ", ".join(sorted(item.name for item in folder.iterdir())[:12]) if folder.is_dir() else "it is a file"
            raise ConfigError(Problem("no files of the training split", f"dataset.path={folder}", f"{names}; in the folder: {there}"))
        return both

    def inputs(self) -> dict[str, str]:
        """The hash of each file."""
        files = self._files()
        return {
            f"{split}.{language}": hash_file(file) for split in files for language, file in zip(self._languages, files[split], strict=True)
        }

    def read(self, kind: str) -> Raw:
        """The pairs of sentences of each split; a pair of which one is empty is left out and counted."""
        splits, funnel = {}, []
        for split, (source, target) in self._files().items():
            texts, labels = (lines_of(read_text(file, "utf-8")) for file in (source, target))
            if len(texts) != len(labels):
                what = f"{source.name} has {len(texts):,} lines and {target.name} {len(labels):,}"
                raise ConfigError(
                    Problem(what, f"dataset.path={self._config.path}", "the same number of lines, translations of each other")
                )
            kept = [row for row in range(len(texts)) if texts[row].strip() and labels[row].strip()]
            ids = [f"{split}:{row}" for row in kept]
            lines = [row + 1 for row in kept]
            splits[split] = [Rows(ids, [texts[row] for row in kept], None, [labels[row] for row in kept], None, lines, source.name)]
            if len(kept) < len(texts):
                reasons = {"an empty sentence": len(texts) - len(kept)}
                funnel.append(
                    {"step": "read", "split": split, "rows_in": len(texts), "rows_out": len(kept), "changed": 0, "reasons": reasons}
                )
        return Raw(splits, str(self._config.path), self._config.license, funnel=funnel)


def _file(folder: Path, stem: str, language: str) -> Path | None:
    return next((file for suffix in ("", ".gz") if (file := folder / f"{stem}.{language}{suffix}").is_file()), None)
