"""Plain text: a row in each line, a row for each file, or a row for each sentence of a CoNLL file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from finecomb.data.dataset.broken import TAGS, Broken
from finecomb.data.dataset.compressed import UNREADABLE, Damaged, whole
from finecomb.data.dataset.file_search import File
from finecomb.data.dataset.formats.piece import PIECE, How, Numbers, Table
from finecomb.data.dataset.lines import LONGEST, Decoder, bare, fault, groups

_LABEL_MARK = "__label__"
_HTML = (".html", ".htm", ".xhtml")


def text_lines(file: File, how: How) -> Iterator[Table]:
    """A text in each line; fastText's `__label__NAME text` gives a label too, where the first line has one."""
    labeled: bool | None = None
    texts: list[str] = []
    lines: list[int] = []
    numbers: list[int] = []
    broken: list[Broken] = []
    size, count = 0, Numbers()
    damaged: Damaged | None = None
    for group in groups(file, how.encoding):
        for wrong in group.broken:
            broken.append(wrong)
            count.take()
        for line, text in enumerate(group.lines, start=group.first):
            if not text or text.isspace():
                continue
            number = count.take()
            size += len(text)
            unreadable = fault(text, how.encoding, line) if group.tainted else None
            if unreadable is None and labeled is None:
                labeled = text.startswith(_LABEL_MARK)
            if unreadable is None and labeled and _LABEL_MARK not in text:
                unreadable = Broken(line, "no label", f"no {_LABEL_MARK} where the lines before have one", text)
            if unreadable is not None:
                broken.append(unreadable)
                continue
            texts.append(bare(text))
            lines.append(line)
            numbers.append(number)
        if size >= PIECE:
            yield _lines(file, texts, lines, numbers, broken, labeled=bool(labeled))
            texts, lines, numbers, broken, size = [], [], [], [], 0
        damaged = group.damaged
    if texts or broken:
        yield _lines(file, texts, lines, numbers, broken, labeled=bool(labeled))
    if damaged is not None:
        raise damaged


def _lines(file: File, texts: list[str], lines: list[int], numbers: list[int], broken: list[Broken], *, labeled: bool) -> Table:
    if not labeled:
        return Table(file.name, ["text"], lambda name: texts, lines, row=numbers, broken=broken)
    cells: dict[str, list[Any]] = {"text": [], "label": []}
    for text in texts:
        words = text.split(" ")
        labels = [word.removeprefix(_LABEL_MARK) for word in words if word.startswith(_LABEL_MARK)]
        cells["label"].append(labels if len(labels) > 1 else labels[0] if labels else None)
        cells["text"].append(" ".join(word for word in words if not word.startswith(_LABEL_MARK)))
    return Table(file.name, ["text", "label"], cells.__getitem__, lines, row=numbers, broken=broken)


def document(file: File, how: How) -> Iterator[Table]:
    """The whole file as one row. Columns: text, path, and folder, the name of the folder it lies in (a label, where files lie by class)."""
    data = whole(file, LONGEST)
    path = PurePosixPath(file.member or file.name)
    if how.extract is not None and path.suffix.lower() in _HTML:
        text = _main_text(data, file, how.extract)
    else:
        text, tainted = Decoder(how.encoding, file).decode(data, final=True)
        if tainted:
            for number, line in enumerate(text.split("\n"), start=1):
                if wrong := fault(line, how.encoding, number):
                    yield Table(file.name, ["text", "path", "folder"], lambda name: [], [], broken=[wrong])
                    return
    cells = {"text": [text], "path": [file.name], "folder": [folder_of(file)]}
    if data:
        yield Table(file.name, list(cells), cells.__getitem__, [1], row=[0])


def folder_of(file: File) -> str:
    """The name of the folder that a file lies in, by its name in the dataset or, where that names none, by its path."""
    return PurePosixPath(file.name.replace("!", "/")).parent.name or file.path.absolute().parent.name


def _main_text(data: bytes, file: File, mode: str) -> str:
    from finecomb.data.dataset.extract import extract

    extracted = extract(data, file.name, mode=mode)
    if extracted.problem is not None and not extracted.text:
        raise Damaged(UNREADABLE, f"no main text: {extracted.problem}")
    return extracted.text


def conll(file: File, how: How) -> Iterator[Table]:
    """Sentences of CoNLL-2003 and its kin (IOB1, IOB2, BIOES): a token in each line with columns, a blank line between sentences.

    Columns: tokens (the first column, as a list), text (the same with spaces between them), tags (the last column, likewise), column1 to
    columnN (each column of the file), and document: the file and the number of the `-DOCSTART-` line before the sentence, empty where
    there is none.
    """
    piece = _Sentences(file)
    size, count = 0, Numbers()
    width: int | None = None
    documents = 0
    sentence: list[list[str]] = []
    start, damaged = 1, None
    wrong: Broken | None = None

    def close() -> None:
        nonlocal sentence, wrong
        if sentence or wrong:
            number = count.take()
            if wrong is None:
                piece.add(sentence, start, number, f"{file.name}:{documents}" if documents else "")
            else:
                piece.broken.append(wrong)
        sentence, wrong = [], None

    for group in groups(file, how.encoding):
        piece.broken += group.broken
        for line, text in enumerate(group.lines, start=group.first):
            cells = text.split()
            if not cells or cells[0] == "-DOCSTART-":
                close()
                documents += bool(cells)
                continue
            start = start if sentence or wrong else line
            width = width or len(cells)
            size += len(text)
            unreadable = fault(text, how.encoding, line) if group.tainted else None
            if unreadable is None and len(cells) != width:
                unreadable = Broken(line, TAGS, f"{len(cells)} columns where the lines before have {width}", text)
            wrong = wrong or unreadable
            sentence.append(cells)
        if size >= PIECE:
            yield piece.table(width or 1)
            piece, size = _Sentences(file), 0
        damaged = group.damaged
    close()
    if piece.sentences or piece.broken:
        yield piece.table(width or 1)
    if damaged is not None:
        raise damaged


@dataclass
class _Sentences:
    """Sentences as lines of cells, those that could not be read, and where each is."""

    file: File
    sentences: list[list[list[str]]] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)

    def add(self, sentence: list[list[str]], line: int, number: int, document: str) -> None:
        self.sentences.append(sentence)
        self.documents.append(document)
        self.lines.append(line)
        self.numbers.append(number)

    def table(self, width: int) -> Table:
        places = {"tokens": 0, "text": 0, "tags": -1} | {f"column{place + 1}": place for place in range(width)}

        def column(name: str) -> list[Any]:
            if name == "document":
                return self.documents
            words = [[cells[places[name]] for cells in sentence] for sentence in self.sentences]
            return [" ".join(each) for each in words] if name in ("text", "tags") else words

        return Table(self.file.name, [*places, "document"], column, self.lines, row=self.numbers, broken=self.broken)
