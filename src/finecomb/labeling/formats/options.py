"""Options of reading and writing a format, and what writing returns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from finecomb.data.spans import Span
from finecomb.labeling.documents import Bad, Document, Malformed

# Field of a tool's row that holds the digest of the suggestion it was exported with.
SUGGESTION = "suggestion"


@dataclass(frozen=True)
class Options:
    """offsets: how the tool counts, None: as it is known to. tokens: a tokeniser by name or pattern. scheme: of CoNLL's tags.

    labels, spans: names that are offered, beside those that occur. field: which of several fields of a tool's file holds the label.
    texts: the rows that were given out, for forms that hold no text or no ids. approved: every row was approved by an annotator, so that an
    unchanged suggestion is an answer.
    """

    offsets: str | None = None
    tokens: str = "words"
    scheme: str = "iob2"
    labels: Sequence[str] = ()
    spans: Sequence[str] = ()
    field: str | None = None
    texts: Sequence[Document] | None = None
    approved: bool = False

    def counted(self, usual: str) -> str:
        """How offsets are counted, where the tool's own way is `usual`."""
        return self.offsets or usual

    def unchanged(self, given: Document, labels: Sequence[Any], suggested: Sequence[Any]) -> bool:
        """Whether labels or spans of a row are still those it was given out with, which nobody has approved."""
        return not self.approved and given.answer is None and sorted(labels) == sorted(suggested)


@dataclass
class Written:
    """The file; other files beside it by suffix; documents it cannot hold; and what the user should know of the rest."""

    text: str
    beside: dict[str, str] = field(default_factory=dict)
    refused: list[Bad] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def written_lines(documents: Sequence[Document], lines_of: Callable[[Document], str], notes: Sequence[str] = ()) -> Written:
    """The lines of each document; one for which `lines_of` raises Malformed is refused with the reason."""
    written, parts = Written("", notes=list(notes)), []
    for document in documents:
        try:
            parts.append(lines_of(document))
        except Malformed as error:
            written.refused.append(Bad(place(document), str(error)))
    written.text = "".join(parts)
    return written


def refuse_answers(document: Document, tool: str) -> None:
    """Raise Malformed for answers that a format without a field for answers cannot hold."""
    if document.answer in ("reject", "ignore"):
        raise Malformed(f"{tool} has no place for the answer {document.answer!r}")


def offered(documents: Sequence[Document], options: Options) -> tuple[list[str], list[str]]:
    """Names of the classes and of the spans: those that were named, then those that occur, by name."""
    labels = sorted({name for each in documents for name in each.labels} - set(options.labels))
    spans = sorted({span.label for each in documents for span in each.spans} - set(options.spans))
    return [*options.labels, *labels], [*options.spans, *spans]


def digest_of(labels: Sequence[str], spans: Sequence[Span]) -> str:
    """Digest of labels and spans in any order. A tool that does not record who looked at a row returns an untouched suggestion with it."""
    content = [sorted(labels), [[span.start, span.end, span.label] for span in sorted(spans)]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def unmarked(documents: Sequence[Document], tool: str) -> list[str]:
    """A note for formats without a field for SUGGESTION, where suggestions are among the documents."""
    count = sum(each.answer is None and bool(each.labels or each.spans) for each in documents)
    what = f"{count:,} suggestions are written like answers, because {tool} does not distinguish them"
    return [f"{what}: import with --texts, so that unchanged ones stay suggestions"] if count else []


def place(document: Document) -> str:
    """How a document that cannot be written is named."""
    return f"row {document.id}" + (f" by {document.annotator}" if document.annotator else "")
