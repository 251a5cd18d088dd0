"""Rows that `finecomb annotate` takes: a table, JSON lines, or a prepared folder, as documents; and a model's answers to them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finecomb.core.errors import ConfigError, Problem, nearest

if TYPE_CHECKING:
    from finecomb.labeling.documents import Bad, Document

_OWN = ("id", "text", "label", "spans", "annotator", "answer", "origin", "confidence", "time")


def add_columns(parser: argparse.ArgumentParser) -> None:
    """The flags that say which column is what."""
    parser.add_argument("--text-column", default="text", help="column of the text (default: text)")
    parser.add_argument("--id-column", help="column of the id (default: id, or else rows are counted)")
    parser.add_argument("--label-column", help="column of the label (default: label, where there is one)")
    parser.add_argument("--split", default="train", help="which split of a prepared folder (default: train)")
    parser.add_argument("--skip-bad", action="store_true", help="leave out rows that cannot be read or written, and say which")


def print_notes(notes: Sequence[str]) -> None:
    """Notes on standard error."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def settle_bad(bad: Sequence[Bad], *, skip: bool, done: str) -> None:
    """Tell what was left out, or, unless it may be skipped, raise the user's error."""
    from finecomb.labeling.documents import refuse

    if bad and not skip:
        raise refuse(bad, done)
    for each in bad[:20]:
        print(f"left out: {each.where}: {each.why}", file=sys.stderr)
    if bad:
        print(f"{len(bad):,} left out", file=sys.stderr)


def read_rows(paths: Sequence[str], given: argparse.Namespace) -> list[Document]:
    """Documents of all files, each annotator's last word on each row.

    Raises:
        ConfigError: a file, a column or a row cannot be read, an id stands for two texts or occurs twice.
    """
    from finecomb.labeling.documents import settled, unique

    kept = settled(document for path in paths for document in read_file(Path(path), given))
    unique(kept)
    return kept


def read_file(path: Path, given: argparse.Namespace) -> list[Document]:
    """Documents of one file, or of a split of a prepared folder, in its order."""
    from finecomb.core.paths import existing
    from finecomb.data.dataset.table import format_of
    from finecomb.labeling.documents import imported

    path = existing(path, "rows")
    if path.is_dir():
        path = _of_folder(path, given.split)
    rows = _json_lines(path) if format_of(path) == "jsonl" else _table(path, given)
    result = imported(rows, lambda row, number, _: [_document(row, number, given)], "finecomb", first=0)
    settle_bad(result.bad, skip=given.skip_bad, done="nothing was written")
    if not result.documents:
        raise ConfigError(Problem("there are no rows", str(path)))
    return result.documents


def _of_folder(folder: Path, split: str) -> Path:
    path = folder / f"{split}.parquet"
    if not path.is_file():
        there = ", ".join(sorted(each.name for each in folder.glob("*.parquet"))) or "no Parquet files"
        raise ConfigError(
            Problem(f"{folder} holds no {path.name}", "rows", there, "name a folder of finecomb prepare, and --split, or a file")
        )
    return path


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    from finecomb.data.dataset.text_file import read_text
    from finecomb.labeling.documents import items

    yield from items(read_text(path, "utf-8"), str(path))


def _table(path: Path, given: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    from finecomb.data.dataset.table import format_of, read_table

    table = read_table([path], format=format_of(path), encoding="utf-8", quotes="auto")
    named = {"--text-column": given.text_column, "--id-column": given.id_column, "--label-column": given.label_column}
    missing = [(flag, name) for flag, name in named.items() if name is not None and name not in table.names]
    if missing:
        flag, name = missing[0]
        near = nearest(name, table.names)
        listed = ", ".join(table.names[:30])
        raise ConfigError(Problem(f"no column {name!r} in {table.file}", flag, f"its columns: {listed}", f"{flag} {near or 'NAME'}"))
    if "text_pair" in table.names:
        print_notes([f"{table.file}: the second texts of pairs are left out"])
    wanted = [name for name in table.names if name in _OWN or name in named.values()]
    cells = {name: table.column(name) for name in wanted}
    for row in range(len(table)):
        # An empty cell is no value: a table has no other way to say so. An empty answer is one that was not given.
        given_here = {name: column[row] for name, column in cells.items() if column[row] is not None and column[row] != ""}
        yield table.place(row), given_here | ({"answer": None} if "answer" in cells and "answer" not in given_here else {})


def _document(row: Mapping[str, Any], number: int, given: argparse.Namespace) -> Document:
    from finecomb.labeling.storage import from_object

    if given.text_column not in row:
        columns = ", ".join(map(str, row))
        raise ValueError(f"no {given.text_column!r} among {columns}: name the text by --text-column")
    named = {"text": given.text_column, "id": given.id_column, "label": given.label_column}
    return from_object({**row, **{name: row.get(column) for name, column in named.items() if column not in (None, name)}}, number)


def write_file(path: Path, text: str, inputs: Sequence[str]) -> None:
    """Write a file whole or not at all; never over what was read."""
    from finecomb.core.atomic import write_text

    if any(path.resolve() == Path(each).resolve() for each in inputs):
        raise ConfigError(Problem(f"{path} is what was read, and would be overwritten", "--output", hint="name another file"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise ConfigError(Problem(f"{path} cannot be written: {error.strerror}", "--output", hint="name another file")) from error


# What a model says of the rows


@dataclass(frozen=True)
class Answers:
    """For each row its probabilities and what the model would say. several: each label by itself. origin: whose answers they are."""

    probabilities: list[list[float]]
    labels: list[tuple[str, ...]]
    several: bool
    origin: str


def answers_of(source: str, rows: Sequence[Document], given: argparse.Namespace) -> Answers:
    """Answers of a finished run, computed now, or of a file: predictions of a run (Parquet) or of `finecomb predict` (JSON lines).

    Raises:
        ConfigError: there is no such run or file, a row has no answer, or answers are numbers.
    """
    path = Path(source).expanduser()
    if path.is_file():
        origin = path.stem
        answers: Sequence[Mapping[str, Any]] = matched(path, rows)
    else:
        from finecomb.serving.finished import finished_run

        run = finished_run(source, given.output_dir)
        from finecomb.serving import Predictor

        answers, origin = Predictor(run, device=given.device)([row.text for row in rows]), run.path.name
    if wrong := next((each for each in answers if not each.get("probabilities")), None):
        what = "the answers are numbers, not classes" if wrong.get("value") is not None else "an answer has no probabilities"
        raise ConfigError(Problem(what, source, hint="give a run of task=sequence_classification"))
    said = [each["prediction"] if "prediction" in each else each["label"] for each in answers]
    labels = [tuple(each) if isinstance(each, list) else (str(each),) for each in said]
    return Answers([_values(each["probabilities"]) for each in answers], labels, any(isinstance(each, list) for each in said), origin)


def _values(probabilities: Mapping[str, float] | Sequence[float]) -> list[float]:
    return [float(each) for each in (probabilities.values() if isinstance(probabilities, Mapping) else probabilities)]


def matched(path: Path, rows: Sequence[Document]) -> list[Mapping[str, Any]]:
    """The file's answer to each row, by id, or by text where answers carry no ids."""
    from finecomb.data.dataset.table import format_of, read_table

    table = read_table([path], format=format_of(path), encoding="utf-8", quotes="auto")
    key = next((name for name in ("id", "text") if name in table.names), None)
    if key is None or "probabilities" not in table.names:
        listed = ", ".join(table.names[:30])
        hint = "give RUN/predictions/test.parquet, or what finecomb predict --format jsonl prints"
        raise ConfigError(
            Problem(f"{path.name} holds no answers: id or text, and probabilities", str(path), f"its columns: {listed}", hint)
        )
    columns = {name: table.column(name) for name in (key, "probabilities", "label", "prediction", "value") if name in table.names}
    known: dict[str, Mapping[str, Any]] = {
        str(columns[key][at]): {name: column[at] for name, column in columns.items()} for at in range(len(table))
    }
    missing = [row for row in rows if (row.id if key == "id" else row.text) not in known]
    if missing:
        what = f"{len(missing):,} of {len(rows):,} rows have no answer in {path.name}, the first {missing[0].id!r}"
        raise ConfigError(Problem(what, str(path), hint=f"rows are matched by {key}; or name the run itself, which answers all of them"))
    return [known[row.id if key == "id" else row.text] for row in rows]
