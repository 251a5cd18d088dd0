"""Forms in which labeling tools take and give rows: each is read into documents and written from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from finecomb.labeling import storage
from finecomb.labeling.documents import Document, Imported
from finecomb.labeling.formats import argilla, conll, doccano, fasttext, label_studio, prodigy
from finecomb.labeling.formats.options import Options, Written


@dataclass(frozen=True)
class Format:
    """A form of rows. beside: what is written beside the file, by suffix."""

    read: Callable[[str, str, Options], Imported]
    write: Callable[[Sequence[Document], Options], Written]
    about: str


FORMATS = {
    "label_studio": Format(label_studio.read, label_studio.write, "Label Studio: tasks as JSON, and the labeling config as XML beside it"),
    "doccano": Format(doccano.read, doccano.write, "doccano: JSON lines with label"),
    "doccano_relations": Format(doccano.read, doccano.write_entities, "doccano: JSON lines with entities"),
    "fasttext": Format(fasttext.read, fasttext.write, "fastText: __label__NAME text (classes only)"),
    "argilla": Format(argilla.read, argilla.write, "Argilla: records with fields, suggestions, responses"),
    "prodigy": Format(prodigy.read, prodigy.write, "Prodigy: JSON lines with tokens, spans, answer"),
    "conll": Format(conll.read, conll.write, "CoNLL-2003: a token and its tag in each line (spans only)"),
    "jsonl": Format(
        lambda text, file, options: storage.read(text, file),
        lambda documents, options: Written(storage.write(documents)),
        "finecomb's own JSON lines, which hold everything",
    ),
}

__all__ = ["FORMATS", "Format", "Options", "Written"]
