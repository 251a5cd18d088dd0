"""57,340 sentences of 500 American texts of 1961 with parts of speech: the Brown corpus.

W. N. Francis and H. Kucera, "A Standard Corpus of Present-Day Edited American English", Brown University 1964, revised 1979.
"""

from __future__ import annotations

import re

from finecomb.config.schema.dataset import BrownPos
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset.fetched import FetchedSource
from finecomb.data.dataset.rows import Rows
from finecomb.data.dataset.source_protocol import Raw
from finecomb.data.dataset.text_file import lines_of, read_text

LICENSE = "redistribution permitted (README of the corpus); MIT (the package that holds it)"
# A text's genre is the second letter of its name: a (press) to r (humor).
_TEXT = re.compile(r"c[a-r]\d\d")
# In a headline, in a title, a cited word; and words of a foreign language.
_SUFFIXES, _FOREIGN = re.compile(r"(?:-(?:hl|tl|nc))+$"), re.compile(r"^fw-")


class BrownPosSource(FetchedSource):
    """Reads one sentence from each line that is not blank, as `word/tag word/tag`."""

    def __init__(self, config: BrownPos) -> None:
        super().__init__(config)
        self._whole = config.tagset == "full"

    def read(self, kind: str) -> Raw:
        """All sentences as train; the group is the text that a sentence is of."""
        local = self.local()
        files = sorted(file for file in local.path.iterdir() if _TEXT.fullmatch(file.name))
        if not files:
            raise ConfigError(Problem("no text of the corpus in this folder", str(local.path), allowed="files such as ca01 and cr09"))
        ids: list[str] = []
        texts: list[str] = []
        labels: list[list[str]] = []
        lines: list[int] = []
        for file in files:
            for number, line in enumerate(lines_of(read_text(file, "utf-8")), start=1):
                if not line.strip():
                    continue
                pairs = [cell.rpartition("/") for cell in line.split()]
                if not all(word and tag for word, _, tag in pairs):
                    raise ConfigError(Problem("expected word/tag, separated by spaces", f"{file.name}, line {number}"))
                ids.append(f"{file.name}:{number}")
                texts.append(" ".join(word for word, _, _ in pairs))
                labels.append([tag if self._whole else base_tag(tag) for _, _, tag in pairs])
                lines.append(number)
        groups = [identifier.partition(":")[0] for identifier in ids]
        rows = Rows(ids, texts, None, labels, groups, lines, local.path.name, files=groups)
        names = None if self._config.label_names is None else list(self._config.label_names)
        return Raw({"train": [rows]}, local.source, LICENSE, names)


def base_tag(tag: str) -> str:
    """The tag without what it says of headlines, titles, cited and foreign words: `fw-nn-tl` is `nn`."""
    return _FOREIGN.sub("", _SUFFIXES.sub("", tag)) or tag
