"""What reading and writing a form of rows may be told, and what writing gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from finecomb.data.annotator.documents import Bad, Document


@dataclass(frozen=True)
class Options:
    """offsets: how the tool counts, None: as it is known to. tokens: a tokeniser by name or pattern. scheme: of CoNLL's tags.

    labels, spans: names that are offered, beside those that occur. field: which of several fields of a tool's file holds the label.
    texts: the rows that were given out, for forms that hold no text or no ids.
    """

    offsets: str | None = None
    tokens: str = "words"
    scheme: str = "iob2"
    labels: Sequence[str] = ()
    spans: Sequence[str] = ()
    field: str | None = None
    texts: Sequence[Document] | None = None

    def counted(self, usual: str) -> str:
        """How offsets are counted, where the tool's own way is `usual`."""
        return self.offsets or usual


@dataclass
class Written:
    """The file; other files beside it by suffix; documents it cannot hold; and what the user should know of the rest."""

    text: str
    beside: dict[str, str] = field(default_factory=dict)
    refused: list[Bad] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def offered(documents: Sequence[Document], options: Options) -> tuple[list[str], list[str]]:
    """Names of the classes and of the spans: those that were named, then those that occur, by name."""
    labels = sorted({name for each in documents for name in each.labels} - set(options.labels))
    spans = sorted({span.label for each in documents for span in each.spans} - set(options.spans))
    return [*options.labels, *labels], [*options.spans, *spans]


def place(document: Document) -> str:
    """How a document that cannot be written is named."""
    return f"row {document.id}" + (f" by {document.annotator}" if document.annotator else "")
