"""`finecomb annotate export` and `import`: rows to a labeling tool and back."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finecomb.cli.annotate.rows import add_columns, print_notes, read_rows, settle_bad, write_file
from finecomb.cli.arguments import listed, parser_of
from finecomb.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from finecomb.labeling.documents import Document
    from finecomb.labeling.formats import Options


def _formats_text() -> str:
    from finecomb.labeling.formats import FORMATS

    return "\n\nformats:\n" + "\n".join(f"  {name:<18} {each.about}" for name, each in FORMATS.items())


def _add_format(parser: argparse.ArgumentParser) -> None:
    from finecomb.labeling.formats import FORMATS
    from finecomb.labeling.offsets import COUNTS

    parser.add_argument("--format", required=True, choices=list(FORMATS), help="form of the tool's file")
    parser.add_argument(
        "--offsets", choices=COUNTS, help="how the tool counts (default: as it is known to: doccano utf-16, others code-points)"
    )
    parser.add_argument("--output", required=True, help="file to write")


def export(args: list[str]) -> int:
    """Write rows for a labeling tool."""
    examples = """  finecomb annotate export reviews.csv --format label_studio --labels good,bad --output tasks.json
  finecomb annotate export prepared/mine --split train --format doccano --output rows.jsonl
  finecomb annotate export labels/ann.jsonl --format conll --scheme bioes --tokens characters --output tags.conll
  finecomb annotate export queue.jsonl --format prodigy --spans PER,ORG --output tasks.jsonl"""
    about = "rows to a labeling tool; labels that nobody has confirmed go as suggestions, answers as answers"
    parser = parser_of("annotate export", about, examples + _formats_text())
    parser.add_argument("rows", nargs="+", help="CSV, TSV, JSON lines, Parquet, or a folder of finecomb prepare")
    _add_format(parser)
    parser.add_argument("--labels", help="classes to offer, beside those that occur")
    parser.add_argument("--spans", help="labels of spans to offer, beside those that occur")
    parser.add_argument(
        "--tokens", default="words", help="tokens of CoNLL and Prodigy: words, characters, whitespace, or a pattern (default: words)"
    )
    parser.add_argument("--scheme", default="iob2", choices=("iob2", "bioes"), help="tags of CoNLL (default: iob2)")
    add_columns(parser)
    given = parser.parse_args(args)
    from finecomb.labeling.formats import FORMATS

    documents = read_rows(given.rows, given)
    written = FORMATS[given.format].write(documents, _options(given))
    settle_bad(written.refused, skip=given.skip_bad, done="nothing was written")
    print_notes(written.notes)
    output = Path(given.output)
    for suffix, text in written.beside.items():
        write_file(output.with_suffix(suffix), text, given.rows)
        print(output.with_suffix(suffix))
    write_file(output, written.text, given.rows)
    print(output)
    return 0


def _options(given: argparse.Namespace, texts: Sequence[Document] | None = None) -> Options:
    from finecomb.labeling.formats import Options

    def of(name: str) -> Any:
        return getattr(given, name, None)

    usual = Options()
    return Options(
        given.offsets, of("tokens") or usual.tokens, of("scheme") or usual.scheme, listed(of("labels")) or (), listed(of("spans")) or (),
        of("field"), texts, bool(of("approved")),
    )  # fmt: skip


def import_(args: list[str]) -> int:
    """Read a labeling tool's file."""
    examples = """  finecomb annotate import export.json --format label_studio --output labels.csv
  finecomb annotate import all.jsonl --format doccano --annotator ann --output labels.csv
  finecomb annotate import tags.conll --format conll --texts tags.rows.jsonl --output spans.jsonl
  finecomb train dataset=files dataset.files.train=labels.csv"""
    about = "a labeling tool's file to a table of labels (id, text, label, annotator, origin, confidence), as CSV or JSON lines"
    parser = parser_of("annotate import", about, examples + _formats_text())
    parser.add_argument("file", help="what the tool exported")
    _add_format(parser)
    parser.add_argument("--annotator", help="who gave the answers, where the file does not say, or says otherwise")
    parser.add_argument("--field", help="which field holds the label, where there are several")
    parser.add_argument("--texts", help="the rows that were given out, for formats without ids or texts (fasttext, conll)")
    parser.add_argument(
        "--approved", action="store_true", help="every row was approved by an annotator: unchanged suggestions are answers too"
    )
    parser.add_argument("--all", action="store_true", help="keep rows without an accepted label too")
    add_columns(parser)
    given = parser.parse_args(args)
    from finecomb.core.paths import existing
    from finecomb.data.dataset.text_file import read_text
    from finecomb.labeling.documents import settled, unique
    from finecomb.labeling.formats import FORMATS

    output = Path(given.output)
    if output.suffix not in (".csv", ".jsonl"):
        raise ConfigError(Problem(f"{output.name} ends in neither .csv nor .jsonl", "--output", ".csv, .jsonl"))
    texts = read_rows([given.texts], given) if given.texts else None
    path = existing(Path(given.file), "the file to import")
    result = FORMATS[given.format].read(read_text(path, "utf-8"), str(path), _options(given, texts))
    settle_bad(result.bad, skip=given.skip_bad, done="nothing was written")
    print_notes(result.notes)
    documents = [_by(each, given) for each in (settled(result.documents) if given.format == "jsonl" else result.documents)]
    unique(documents)
    _deliver(documents, output, [given.file], every=given.all)
    return 0


def _by(document: Document, given: argparse.Namespace) -> Document:
    if document.answer is None:
        return document
    return replace(document, annotator=given.annotator or document.annotator, origin=document.origin or given.format)


def _deliver(documents: Sequence[Document], output: Path, inputs: Sequence[str], *, every: bool) -> None:
    """Write labels; say what has none and is left out, unless everything is asked for."""
    from finecomb.labeling import storage

    reasons: dict[str, int] = {}
    kept = []
    for each in documents:
        if each.answer is None:
            why = "suggestions that nobody has confirmed" if each.labels or each.spans else "not answered"
        else:
            why = {"ignore": "skipped by their annotator", "reject": "rejected"}.get(each.answer, "")
            why = why or ("" if each.labels or each.spans else "answered without any label")
        if why and not every:
            reasons[why] = reasons.get(why, 0) + 1
        else:
            kept.append(each)
    for why, number in reasons.items():
        print(f"left out: {number:,} {why} (--all keeps them)", file=sys.stderr)
    if not kept:
        raise ConfigError(Problem("no row has an accepted label", inputs[0], hint="--all keeps rows without one"))
    if twice := len(kept) - len({each.id for each in kept}):
        print_notes(
            [f"{twice:,} rows are further answers to a row that has one: finecomb annotate agreement FILE --consensus OUT makes them one"]
        )
    write_file(output, storage.write_csv(kept) if output.suffix == ".csv" else storage.write(kept), inputs)
    print(f"{len(kept):,} rows", file=sys.stderr)
    print(output)
