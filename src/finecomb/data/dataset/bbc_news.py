"""2,225 articles of the BBC's news of 2004 and 2005 in five topics; each begins with its headline.

D. Greene and P. Cunningham, "Practical Solutions to the Problem of Diagonal Dominance in Kernel Document Clustering", ICML 2006.
"""

from __future__ import annotations

from pathlib import Path

from finecomb.config.schema.dataset import BbcTopics
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset.fetched import FetchedSource, read_entry
from finecomb.data.dataset.rows import Rows
from finecomb.data.dataset.source_protocol import Raw

LICENSE = "MIT (the package that holds it); the articles for research only, all rights are the BBC's"


class BbcNewsSource(FetchedSource):
    """Reads files `TOPIC/NUMBER.txt`: the headline in the first line, then the article."""

    def __init__(self, config: BbcTopics, *, headlines: bool) -> None:
        super().__init__(config)
        self._headlines = headlines

    def read(self, kind: str) -> Raw:
        """All articles as train.

        The label is the topic, of a text that begins with its headline; or the headline, of the article below it. An article without one of
        the two is left out and counted.
        """
        local = self.local()
        files = sorted(local.path.glob("*/*.txt"))
        if not files:
            raise ConfigError(Problem("no articles in this folder", str(local.path), allowed="files TOPIC/NUMBER.txt"))
        ids: list[str] = []
        texts: list[str] = []
        labels: list[str] = []
        for file in files:
            headline, _, body = _text(file).strip().partition("\n")
            headline, body = headline.strip(), "\n".join(filter(None, map(str.strip, body.split("\n"))))
            if not (headline and body):
                continue
            ids.append(f"{file.parent.name}/{file.stem}")
            texts.append(body if self._headlines else f"{headline}\n{body}")
            labels.append(headline if self._headlines else file.parent.name)
        names = None
        if not self._headlines:
            names = list(self._config.label_names or sorted({file.parent.name for file in files}))
        rows = Rows(ids, texts, None, labels, None, [1] * len(ids), local.path.name, files=[f"{identifier}.txt" for identifier in ids])
        funnel = read_entry(len(files), len(ids), {"no headline or no article": len(files) - len(ids)})
        return Raw({"train": [rows]}, local.source, LICENSE, names, funnel=funnel)


def _text(file: Path) -> str:
    """The text of an article; one of them has a pound sign in Latin-1."""
    data = file.read_bytes()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
