"""11,855 sentences of film reviews in five classes, from local files with a class and a sentence in each line, or from the hub.

R. Socher et al., "Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank", EMNLP 2013.
"""

from __future__ import annotations

from pathlib import Path

from finecomb.assets import hash_file
from finecomb.config.schema.dataset import HubDataset
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.paths import existing
from finecomb.data.dataset.hub import HubSource, local_splits
from finecomb.data.dataset.rows import Rows
from finecomb.data.dataset.source_protocol import Raw, Source
from finecomb.data.dataset.text_file import lines_of, read_text


def build(config: HubDataset) -> Source:
    """The source of the text files in a folder, else of tables with the columns of the hub's."""
    if config.path is not None:
        files = local_splits(existing(Path(config.path), "dataset.path"), config)
        if all(file.name.endswith(".txt") for each in files.values() for file in each):
            return LabeledLinesSource(config, {split: each[0] for split, each in files.items()})
    return HubSource(config)


class LabeledLinesSource:
    """Reads the number of a class, a space and a sentence from each line."""

    def __init__(self, config: HubDataset, files: dict[str, Path]) -> None:
        self._config, self._files = config, files

    def inputs(self) -> dict[str, str]:
        """The hash of each file."""
        return {split: f"lines:{hash_file(file)}" for split, file in self._files.items()}

    def read(self, kind: str) -> Raw:
        """The sentences of each split."""
        names = list(self._config.label_names or ())
        splits = {}
        for split, file in self._files.items():
            labels, texts = [], []
            for number, line in enumerate(lines_of(read_text(file, "utf-8")), start=1):
                label, _, text = line.partition(" ")
                if not (label.isdecimal() and int(label) < len(names) and text.strip()):
                    expected = f"a number from 0 to {len(names) - 1}, a space and a sentence"
                    raise ConfigError(Problem(f"the line is not {expected}", f"{file}, line {number}"))
                labels.append(names[int(label)])
                texts.append(text)
            count = len(texts)
            splits[split] = [Rows([f"{split}:{row}" for row in range(count)], texts, None, labels, None, range(1, count + 1), file.name)]
        return Raw(splits, f"{self._config.path} (files of {self._config.hub_id})", self._config.license, names)
