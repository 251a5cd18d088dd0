"""fastText: `__label__NAME text` in each line. It holds classes and text, no ids, no spans, no line ends, and no spaces in a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from finecomb.labeling.documents import Document, Imported, Malformed, fault, imported, text_lines
from finecomb.labeling.formats.options import Options, Written, refuse_answers, unmarked, written_lines

_MARK = "__label__"


def write(documents: Sequence[Document], options: Options) -> Written:
    """A line for each document; what a line cannot hold is refused."""
    return written_lines(documents, _line, unmarked(documents, "fastText"))


def _line(document: Document) -> str:
    refuse_answers(document, "fastText")
    if document.spans:
        raise Malformed("fastText has no place for spans")
    if "\n" in document.text or document.text.endswith("\r"):
        raise Malformed("the text has line ends, which end a row of fastText: write it in another form")
    if document.text.startswith(_MARK) or not document.text.strip():
        raise Malformed(f"a text that is empty or begins with {_MARK} would be read as labels")
    if spaced := next((name for name in document.labels if any(character.isspace() for character in name)), None):
        raise Malformed(f"the label {spaced!r} holds white space")
    return " ".join([*(_MARK + name for name in document.labels), document.text]) + "\n"


def read(text: str, file: str, options: Options) -> Imported:
    """Documents of the lines. Ids are those of the texts that were given out, where they are given; else they count the rows."""
    by_text: dict[str, list[Document]] = {}
    for given in reversed(options.texts or ()):
        by_text.setdefault(given.text, []).append(given)

    def documents_of(row: tuple[int, str], at: int, left_out: Counter[str]) -> list[Document]:
        number, rest = row
        labels: list[str] = []
        while rest.startswith(_MARK):
            word, _, rest = rest.partition(" ")
            labels.append(word.removeprefix(_MARK))
        document = Document(f"row:{number - 1}", rest, tuple(labels), answer="accept" if labels else None)
        if options.texts is None or fault(document):
            return [document]
        if not by_text.get(rest):
            raise Malformed(f"no row of --texts has the text {rest[:40]!r}")
        given = by_text[rest].pop()
        return [replace(document, id=given.id, answer=None if options.unchanged(given, labels, given.labels) else document.answer)]

    rows = ((where, (number, line)) for where, number, line in text_lines(text, file) if line.strip())
    return imported(rows, documents_of, "fastText")
