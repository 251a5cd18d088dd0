"""`finecomb predict RUN "some text"`: finds the run and reads the texts; the user's errors are told before torch is imported."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from finecomb.config import plugins
from finecomb.config.schema.task import variant
from finecomb.config.schema.train import Config
from finecomb.core.errors import ConfigError, Problem
from finecomb.serving.finished import check, config_of, finished_run, not_text, takes_pairs
from finecomb.serving.questions import Questions, form_of, from_file, from_lines

OUTPUTS = ("jsonl", "tsv")


def predict_command(
    run: str,
    texts: Sequence[str] = (),
    *,
    pairs: Sequence[str] = (),
    file: str | None = None,
    text_column: str | None = None,
    pair_column: str | None = None,
    output: str = "jsonl",
    output_dir: str = "runs",
    device: str | None = None,
) -> None:
    """Print an answer for each text, in order, to standard output; what was truncated is told on standard error.

    run: a run directory, or a run's name or fingerprint in `output_dir`, or the beginning of either.
    texts, pairs: texts to judge, and the second text of each where the run judges pairs.
    file: a file of texts; "-" or, without texts, nothing at all: standard input, one text in each line (pairs: separated by
    a tab, or a JSON object).
    output: jsonl or tsv.

    Raises:
        ConfigError: no such run, not finished, no such file or column, a single text for a run on pairs or the reverse.
    """
    if output not in OUTPUTS:
        raise ConfigError(Problem(f"{output}: there is no such form of answers", allowed=", ".join(OUTPUTS)))
    run_directory = finished_run(run, output_dir)
    config = config_of(run_directory)
    questions = _questions(config, texts, pairs, file, text_column, pair_column)
    check(run_directory.path.name, takes_pairs(config), questions.text, questions.text_pair)
    from finecomb.serving.predictor import Predictor

    answers = Predictor(run_directory, device=device)(questions.text, questions.text_pair)
    (_write_jsonl if output == "jsonl" else _write_tsv)(answers, sys.stdout)
    _warn_of_truncation(answers, config.batch.max_length)


def _questions(
    config: Config, texts: Sequence[str], pairs: Sequence[str], file: str | None, text_column: str | None, pair_column: str | None
) -> Questions:
    if texts and file is not None:
        raise ConfigError(Problem("both texts and a file are given", hint="give one of them"))
    if texts:
        return Questions(list(texts), list(pairs) or None)
    facts = plugins.task_facts(variant(config.task))
    form = form_of(config.dataset.columns, facts.kind if facts is not None else "any", pairs=takes_pairs(config))
    if file not in (None, "-"):
        return from_file(Path(str(file)), form, text=text_column, text_pair=pair_column)
    if file is None and sys.stdin.isatty():
        raise ConfigError(Problem("no text to predict", hint="give texts in quotes, --file FILE, or lines on standard input"))
    try:
        text = sys.stdin.read()
    except UnicodeDecodeError as error:
        raise ConfigError(not_text("standard input")) from error
    lines = list(enumerate(text.split("\n"), start=1))
    return from_lines(lines, form, "standard input")


def _write_jsonl(answers: Sequence[dict[str, Any]], stream: TextIO) -> None:
    for answer in answers:
        stream.write(json.dumps(answer, ensure_ascii=False) + "\n")


def _write_tsv(answers: Sequence[dict[str, Any]], stream: TextIO) -> None:
    """A header and a line for each answer; probabilities stand in a column for each class, labels of a set are separated by |."""
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    for position, answer in enumerate(answers):
        row = {key: value for key, value in answer.items() if key != "probabilities"}
        row |= {f"probability_{name}": value for name, value in answer.get("probabilities", {}).items()}
        row = {key: _cell(value) for key, value in row.items()}
        if position == 0:
            writer.writerow(row)
        writer.writerow(row.values())


def _cell(value: Any) -> Any:
    """A value as one cell: names of a set separated by |, anything with more structure as JSON."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "|".join(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _warn_of_truncation(answers: Sequence[dict[str, Any]], max_length: int) -> None:
    cut = [answer["truncated"] for answer in answers if answer["truncated"]]
    if cut:
        longer = f"{len(cut)} of {len(answers)} texts are longer than batch.max_length={max_length}"
        print(f"{longer}; {sum(cut)} tokens were cut off", file=sys.stderr)
