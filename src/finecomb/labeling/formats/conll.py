"""CoNLL-2003: `TOKEN -X- -X- TAG` in each line, a blank line between sentences, -DOCSTART- before each document.

It holds tokens and spans: no text, no ids, no classes. With the texts that were given out, tokens are found again in them, and ids,
white space and offsets are what they were. A sentence ends at a line end of the text that no span crosses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from finecomb.data.spans import Span
from finecomb.labeling import storage
from finecomb.labeling.documents import Bad, Document, Imported, Malformed, imported, text_lines
from finecomb.labeling.formats.options import Options, Written, refuse_answers, unmarked, written_lines
from finecomb.labeling.tokens import scheme_of, to_runs, to_tags, tokeniser

_START = "-DOCSTART-"
_SPACE = re.compile(r"\s*")


def write(documents: Sequence[Document], options: Options) -> Written:
    """A document for each row. Rows whose spans overlap or do not begin and end with tokens are refused: they have no tags."""
    tokenise = tokeniser(options.tokens)
    kept: list[Document] = []

    def lines_of(document: Document) -> str:
        tokens = tokenise(document.text)
        refuse_answers(document, "CoNLL")
        if document.labels and not document.spans:
            raise Malformed("CoNLL has no place for the class of a text")
        if not tokens:
            raise Malformed("the text has no tokens")
        if spaced := next((span.label for span in document.spans if re.search(r"\s", span.label)), None):
            raise Malformed(f"the label {spaced!r} holds white space, which parts the columns")
        tags = to_tags(document.spans, tokens, document.text, options.scheme)
        kept.append(document)
        return f"{_START} -X- -X- O\n\n" + _lines(document, tokens, tags)

    written = written_lines(documents, lines_of, unmarked(documents, "CoNLL"))
    if both := sum(bool(document.labels and document.spans) for document in documents):
        written.notes.append(f"the classes of {both:,} rows were left out: CoNLL has no place for them")
    # What the format cannot hold, in its order, to be given as the texts when it is read again. Suggested spans stay, to be compared.
    rows = [replace(document, spans=document.spans if document.answer is None else ()) for document in kept]
    written.beside[".rows.jsonl"] = storage.write(rows)
    return written


def _lines(document: Document, tokens: Sequence[tuple[int, int]], tags: Sequence[str]) -> str:
    lines = []
    for number, ((start, end), tag) in enumerate(zip(tokens, tags, strict=True)):
        if number and "\n" in document.text[tokens[number - 1][1] : start] and tag[0] not in "IE":
            lines.append("")
        lines.append(f"{document.text[start:end]} -X- -X- {tag}")
    return "\n".join(lines) + "\n\n"


@dataclass
class _Read:
    """A document as it stands in the file: sentences of tokens and tags, and the line of each token."""

    line: int
    tokens: list[list[str]] = field(default_factory=lambda: [[]])
    tags: list[list[str]] = field(default_factory=lambda: [[]])
    lines: list[int] = field(default_factory=list)


def read(text: str, file: str, options: Options) -> Imported:
    """Documents of the file: what stands between -DOCSTART- lines, or without them each sentence."""
    bad, parts = _parts(text, file)
    texts = options.texts
    if texts is not None and len(texts) != len(parts):
        why = f"{len(parts):,} documents, and {len(texts):,} texts were given out: they are matched by their order"
        return Imported(bad=[*bad, Bad(file, why)])
    scheme = scheme_of([tag for part in parts for tags in part.tags for tag in ("O", *tags)])

    def documents_of(part: _Read, number: int, left_out: Counter[str]) -> list[Document]:
        return [_document(part, number, scheme, texts[number] if texts is not None else None, options)]

    result = imported([(f"{file}, line {part.line}", part) for part in parts], documents_of, "CoNLL", first=0)
    result.bad[:0] = bad
    if scheme == "iob1":
        result.notes.append("tags are read as IOB1: I- begins a span where none is open")
    return result


def _parts(text: str, file: str) -> tuple[list[Bad], list[_Read]]:
    bad: list[Bad] = []
    parts: list[_Read] = []
    by_mark = any(line.startswith(_START) for line in text.split("\n"))
    open_part: _Read | None = None
    for where, number, line in text_lines(text, file):
        cells = [cell for cell in re.split(r"[ \t]+", line) if cell]
        if cells and cells[0].startswith(_START):
            open_part = _Read(number)
            parts.append(open_part)
        elif not cells:
            if open_part is not None and open_part.tokens[-1]:
                if by_mark:
                    open_part.tokens.append([])
                    open_part.tags.append([])
                else:
                    open_part = None
        elif len(cells) < 2:
            bad.append(Bad(where, f"a token and its tag are expected, found {line[:40]!r}"))
        else:
            if open_part is None:
                open_part = _Read(number)
                parts.append(open_part)
            open_part.tokens[-1].append(cells[0])
            open_part.tags[-1].append(cells[-1])
            open_part.lines.append(number)
    return bad, [part for part in parts if part.lines]


def _document(part: _Read, number: int, scheme: str, given: Document | None, options: Options) -> Document:
    """A document; its text is that which was given out, or its tokens with spaces between, and lines for sentences."""
    sentences = [tokens for tokens in part.tokens if tokens]
    text = given.text if given is not None else "\n".join(" ".join(tokens) for tokens in sentences)
    edges, at = [], 0
    for token in (token for tokens in sentences for token in tokens):
        space = _SPACE.match(text, at)
        start = space.end() if space else at
        if not text.startswith(token, start):
            raise Malformed(f"the token {token!r} is not what comes next in the text, which is {text[start : start + 20]!r}")
        at = start + len(token)
        edges.append((start, at))
    spans, before = [], 0
    for tags in (tags for tags in part.tags if tags):
        spans += [Span(edges[before + first][0], edges[before + last][1], label) for first, last, label in to_runs(tags, scheme)]
        before += len(tags)
    if given is None:
        return Document(f"row:{number}", text, spans=tuple(spans), answer="accept")
    unchanged = options.unchanged(given, spans, given.spans)
    return replace(given, spans=tuple(sorted(spans)), answer=None if unchanged else given.answer or "accept")
