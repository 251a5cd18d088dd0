"""Asks a finished run for the probabilities of texts: the run answers in a process of its own, because whoever asks must not need torch."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.annotator import Scores
from finecomb.launch.environment import FOREIGN

SCORER: Sequence[str] = (sys.executable, "-P", "-m", "finecomb.serving.scorer")
_AT_ONCE = 256


def score(run: Path, texts: Sequence[str], pairs: Sequence[str] | None, *, timeout: float) -> Scores:
    """Probabilities of the run's classes for each text. timeout: seconds to wait for it to load, and for each 256 texts.

    Raises ConfigError when the run cannot answer, answers something else, or does not answer in time.
    """
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [*SCORER, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, env=environment, process_group=0
        )
        answers = _Answers(process, complaints, run, timeout)
        try:
            classes = answers.next()["classes"]
            if classes is None:
                what = f"the run {run.name} does not give one class to each text"
                raise ConfigError(Problem(what, "annotator.run", "a run of task=sequence_classification"))
            rows: list[list[float]] = []
            for start in range(0, len(texts), _AT_ONCE):
                second = None if pairs is None else list(pairs[start : start + _AT_ONCE])
                answers.ask({"texts": list(texts[start : start + _AT_ONCE]), "pairs": second})
                rows += answers.next()["probabilities"]
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                _close(pipe)
    probabilities = np.array(rows, dtype=np.float64).reshape(-1, len(classes))
    if len(probabilities) != len(texts):
        raise RuntimeError(f"{len(probabilities)} answers to {len(texts)} texts")
    return Scores(list(classes), probabilities)


class _Answers:
    """Lines of the other process, each within the time limit."""

    def __init__(self, process: subprocess.Popen[bytes], complaints: IO[bytes], run: Path, timeout: float) -> None:
        self._process, self._complaints, self._run, self._timeout = process, complaints, run, timeout
        self._rest = b""

    def ask(self, question: dict[str, Any]) -> None:
        """Write a line. The process reads a whole line before it answers, so that neither waits for the other."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._ended() from error

    def next(self) -> dict[str, Any]:
        """The next line."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + self._timeout
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                what = f"the run {self._run.name} gave no answer in {self._timeout:g} seconds"
                raise ConfigError(Problem(what, "annotator.timeout", hint="give it more time, such as annotator.timeout=900"))
            if not (read := os.read(self._process.stdout.fileno(), 1 << 20)):
                raise self._ended()
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self) -> Exception:
        """What the process said before it ended: the user's error as one, else the last lines of its traceback."""
        code = self._process.wait()
        self._complaints.seek(0)
        output = self._complaints.read().decode(errors="replace").strip()
        if code == 2:
            return ConfigError(Problem(f"the run {self._run.name} cannot answer: {output}", "annotator.run"))
        return RuntimeError(f"the run {self._run.name} ended with code {code} instead of answering:\n{output[-4000:]}")


def _close(pipe: IO[bytes] | None) -> None:
    try:
        if pipe is not None:
            pipe.close()
    except BrokenPipeError:  # what was still to be written has no reader
        pass
