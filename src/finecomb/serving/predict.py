"""`finecomb predict RUN "some text"`: finds the run and reads the texts; the user's errors are told before torch is imported."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from finecomb.config import plugins
from finecomb.config.plain import from_plain
from finecomb.config.schema.train import Config
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset.manifest import MANIFEST, Manifest
from finecomb.runs.directory import RunDirectory
from finecomb.runs.index import locate
from finecomb.serving.questions import Questions, from_file, from_lines

OUTPUTS = ("jsonl", "tsv")


def finished_run(run: str | os.PathLike[str] | RunDirectory, output_dir: str | os.PathLike[str]) -> RunDirectory:
    """The run that is meant, which must have finished. Raises ConfigError when there is none, or it has not."""
    run_directory = run if isinstance(run, RunDirectory) else locate(Path(output_dir), os.fspath(run))
    state = run_directory.state()
    if state != "finished":
        mends = {"running": "wait until it has finished", "failed": "run it again with rerun=failed"}
        hint = mends.get(state, "ask for the run again: it goes on where it was")
        raise ConfigError(
            Problem(
                f"the run {run_directory.path.name} is {state}: it has nothing to predict with", where=str(run_directory.path), hint=hint
            )
        )
    return run_directory


def config_of(run: RunDirectory) -> Config:
    """The run's config, typed, with the plug-ins it was made with."""
    plugins.load(run.record.plugins)
    return from_plain(run.config)


def takes_pairs(config: Config) -> bool:
    """Whether a run was trained on pairs of texts."""
    if config.dataset.columns.text_pair is not None:
        return True
    folder = Path(config.dataset.path or "")
    return config.dataset.name == "prepared" and (folder / MANIFEST).exists() and "text_pair" in Manifest.read(folder).columns


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
    file: a file of texts; "-" or, without texts, nothing at all: standard input, one text in each line (pairs: separated by a tab).
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


def check(name: str, pairs_wanted: bool, texts: Sequence[str], text_pairs: Sequence[str] | None) -> None:
    """Raise ConfigError unless the run gets what it was trained on: single texts, or as many second texts as first ones."""
    if pairs_wanted and text_pairs is None:
        hint = 'give the second text too: --pair "second text", or a file with both columns'
        raise ConfigError(Problem(f"the run {name} judges pairs of texts, and got single ones", hint=hint))
    if not pairs_wanted and text_pairs is not None:
        raise ConfigError(Problem(f"the run {name} judges single texts, and got pairs", hint="leave the second text out"))
    if text_pairs is not None and len(text_pairs) != len(texts):
        raise ConfigError(
            Problem(f"{len(texts)} first texts and {len(text_pairs)} second ones", hint="give one second text for each first")
        )
    # Bytes that are no text come from the command line and from standard input as halves of surrogate pairs.
    broken = next((number for number, text in enumerate([*texts, *(text_pairs or ())], start=1) if not _encodable(text)), None)
    if broken is not None:
        raise ConfigError(_no_text(f"text {broken}"))


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_text(where: str) -> Problem:
    return Problem("bytes that are not UTF-8", where, hint="convert them first: iconv -f latin1 -t utf-8")


def _questions(
    config: Config, texts: Sequence[str], pairs: Sequence[str], file: str | None, text_column: str | None, pair_column: str | None
) -> Questions:
    if texts and file is not None:
        raise ConfigError(Problem("both texts and a file are given", hint="give one of them"))
    if texts:
        return Questions(list(texts), list(pairs) or None)
    if file not in (None, "-"):
        columns = config.dataset.columns
        return from_file(Path(str(file)), columns, pairs=takes_pairs(config), text=text_column, text_pair=pair_column)
    if file is None and sys.stdin.isatty():
        raise ConfigError(Problem("no text to predict", hint="give texts in quotes, --file FILE, or lines on standard input"))
    try:
        text = sys.stdin.read()
    except UnicodeDecodeError as error:
        raise ConfigError(_no_text("standard input")) from error
    lines = list(enumerate(text.split("\n"), start=1))
    return from_lines(lines, pairs=takes_pairs(config), where="standard input")


def _write_jsonl(answers: Sequence[dict[str, Any]], stream: TextIO) -> None:
    for answer in answers:
        stream.write(json.dumps(answer, ensure_ascii=False) + "\n")


def _write_tsv(answers: Sequence[dict[str, Any]], stream: TextIO) -> None:
    """A header and a line for each answer; probabilities stand in a column for each class, labels of a set are separated by |."""
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    for position, answer in enumerate(answers):
        row = {key: value for key, value in answer.items() if key != "probabilities"}
        row |= {f"probability_{name}": value for name, value in answer.get("probabilities", {}).items()}
        if isinstance(row.get("label"), list):
            row["label"] = "|".join(row["label"])
        if position == 0:
            writer.writerow(row)
        writer.writerow(row.values())


def _warn_of_truncation(answers: Sequence[dict[str, Any]], max_length: int) -> None:
    cut = [answer["truncated"] for answer in answers if answer["truncated"]]
    if cut:
        longer = f"{len(cut)} of {len(answers)} texts are longer than batch.max_length={max_length}"
        print(f"{longer}; {sum(cut)} tokens were cut off", file=sys.stderr)
