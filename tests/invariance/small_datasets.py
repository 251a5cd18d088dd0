"""Small local copies of shipped data sets, in the form that each of them has."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from finecomb.config.compose import compose
from finecomb.config.schema.dataset import Columns
from finecomb.config.sources import options, values_of

COUNTS = {"train": 60, "validation": 20, "test": 20}


def written(folder: Path, name: str) -> str:
    """What `dataset.path` has to name for the data set to be read from made-up data."""
    folder.mkdir(parents=True, exist_ok=True)
    if name in OWN_FORMS:
        return str(OWN_FORMS[name](folder))
    values = values_of(options("dataset")[name])
    if values["label_kind"] in ROWS:
        return str(_json_lines(folder, values, ROWS[values["label_kind"]]))
    return str(table(folder, name))


def table(folder: Path, name: str) -> Path:
    """A CSV file for each split of a data set with labels in one column, with the columns its config names."""
    config = compose([f"dataset={name}"]).config.dataset
    folder.mkdir(parents=True, exist_ok=True)
    labels = [str(n / 10) for n in range(50)] if config.label_kind == "number" else [str(n) for n in range(len(config.label_names or "12"))]
    columns = [config.columns.text, *([config.columns.text_pair] if config.columns.text_pair else []), str(config.columns.label)]
    for split, rows in COUNTS.items():
        with (folder / f"{split.replace('validation', 'dev')}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            for row in range(rows):
                writer.writerow([*(f"{split} sentence {row} {column}" for column in columns[:-1]), labels[row % len(labels)]])
    return folder


def _json_lines(folder: Path, values: dict[str, Any], make: Callable[[Columns, list[str], int], dict[str, Any]]) -> Path:
    columns = Columns(**values["columns"])
    files = values.get("names") or {split: f"{split}.jsonl" for split in COUNTS}
    for place, (split, file) in enumerate(files.items()):
        rows = []
        # A data set that is one file may be nearly all test.
        for number in range(1000 * place, 1000 * place + (COUNTS[split] if len(files) > 1 else 200)):
            row = make(columns, values["label_names"] or ["O", "B-x"], number)
            row |= {name: f"{split} {number}" for name in (columns.id, columns.group) if name}
            rows.append(_nested(row))
        (folder / file.removesuffix(".gz")).write_text("".join(json.dumps(row) + "\n" for row in rows))
        if file.endswith(".gz"):
            (folder / file).write_bytes(gzip.compress((folder / file.removesuffix(".gz")).read_bytes()))
    return folder


def _nested(row: dict[str, Any]) -> dict[str, Any]:
    """Values named `a.b` inside objects."""
    whole: dict[str, Any] = {}
    for name, value in row.items():
        outer, dot, inner = name.partition(".")
        if dot:
            whole.setdefault(outer, {})[inner] = value
        else:
            whole[name] = value
    return whole


def _answers(columns: Columns, names: list[str], number: int) -> dict[str, Any]:
    context = f"The story number {number} is by Ann."
    answer = {"text": [str(number)], "answer_start": [context.index(str(number))]}
    return {columns.question: "Which number?", columns.context: context, columns.answers: answer}


def _messages(columns: Columns, names: list[str], number: int) -> dict[str, Any]:
    turns = (("user", f"What is film {number}?"), ("assistant", f"It is number {number}."))
    return {columns.messages: [{"role": role, "content": content} for role, content in turns]}


# A row by what the label is: columns of the data set, names of its labels, number of the row.
ROWS: dict[str, Callable[[Columns, list[str], int], dict[str, Any]]] = {
    "none": lambda columns, names, number: {columns.text: f"a text with the number {number}"},
    "tags": lambda columns, names, number: {columns.tokens: ["Number", f"n{number}", "ends"], columns.tags: ["O", names[1], "O"]},
    "target": lambda columns, names, number: {columns.source: f"a source with the number {number}", columns.target: f"target {number}"},
    "completion": lambda columns, names, number: {columns.prompt: f"def f{number}():\n", columns.completion: f"    return {number}\n"},
    "answers": _answers,
    "messages": _messages,
}


def _shop_reviews(folder: Path) -> Path:
    for label in ("neg", "pos"):
        (folder / f"{label}.txt").write_text("".join(f"{label} sentence {row}\n" for row in range(60)))
    return folder


def _ratings(folder: Path) -> Path:
    (folder / "ratings.txt").write_text("".join(f"{row}_1\t{(row % 2) * 4 - 2}\tsentence {row}\n" for row in range(100)))
    return folder / "ratings.txt"


def _brown(folder: Path) -> Path:
    for text in range(20):
        (folder / f"ca{text:02}").write_text("".join(f"\tThe/at word{text}x{row}/nn ./.\n" for row in range(4)))
    return folder


def _bbc(folder: Path) -> Path:
    for topic in ("business", "tech"):
        (folder / topic).mkdir(exist_ok=True)
        for row in range(40):
            (folder / topic / f"{row:03}.txt").write_text(f"Headline {topic} {row}\n\nThe body of article {row} in {topic}.\n")
    return folder


def _quoref(folder: Path) -> Path:
    examples = [{"input": f"Passage: Story {row} is by Ann{row}. \nQuestion: Who wrote it?", "target": [f"Ann{row}."]} for row in range(60)]
    (folder / "task.json").write_text(json.dumps({"examples": examples}))
    return folder / "task.json"


def _functions(folder: Path) -> Path:
    for module in range(20):
        functions = "".join(f'def f{module}x{row}():\n    """Return {row}."""\n    return {row}\n' for row in range(4))
        (folder / f"module{module}.py").write_text(functions)
    return folder


def _catalogue(folder: Path) -> Path:
    messages = "".join(f'msgid "file number {row}"\nmsgstr "Datei Nummer {row}"\n\n' for row in range(60))
    (folder / "de.po").write_text('msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n' + messages)
    return folder


def _captions(folder: Path) -> Path:
    for split, count in (("train", 60), ("val", 20), ("test", 20), ("test_2016_flickr", 20)):
        for language in ("en", "de"):
            (folder / f"{split}.{language}").write_text("".join(f"{language} {split} {row}\n" for row in range(count)))
    return folder


def _classes(folder: Path) -> Path:
    for split, count in COUNTS.items():
        (folder / f"{split}.txt").write_text("".join(f"{row % 5} sentence {split} {row}\n" for row in range(count)))
    return folder


def _tweets(folder: Path) -> Path:
    def lines() -> Iterator[str]:
        for row in range(60):
            yield f"the\tO\nfilm{row}\tB-movie\n\t\n"

    (folder / "ner.txt").write_text("".join(lines()))
    return folder


def _questions(folder: Path) -> Path:
    for split, count in (("train", 60), ("test", 20)):
        (folder / f"{split}.csv").write_text(
            "text,category\n" + "".join(f"{split} question {row},intent{row % 3}\n" for row in range(count))
        )
    return folder


OWN_FORMS: dict[str, Callable[[Path], Path]] = {
    "shop_reviews": _shop_reviews, "movie_reviews": _ratings, "nyt_editorials": _ratings, "brown_pos": _brown, "bbc_topics": _bbc,
    "bbc_headlines": _bbc, "quoref": _quoref, "python_functions": _functions, "po_files": _catalogue, "multi30k": _captions,
    "parallel": _captions,
    "sst5": _classes, "wnut16": _tweets, "banking77": _questions,
}  # fmt: skip


def kind_of(name: str) -> str:
    """What a label of a shipped data set is."""
    return str(values_of(options("dataset")[name])["label_kind"])
