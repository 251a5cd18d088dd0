"""Questions and contexts as windows of tokens: which characters each token stands for, and in which windows an answer is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from finecomb.core.errors import ConfigError, Problem

VERSION = "1"

LENGTHS, STARTS, ENDS, CLS, TARGETS = "window_lengths", "starts", "ends", "cls", "answer_tokens"
"""Encoded columns. Tokens of each window; the characters of the context at which each token begins and ends (-1: not of the context); for
each window the place of CLS, and the places of the answer's first and last token (CLS where the window does not hold all of it)."""
SPANS = "spans"
"""Both characters of each token [L, 2], as `split` gives them."""
NO_WINDOW, TOO_LONG = "counted.answers_in_no_window", "counted.answers_too_long"
"""1 for an answer of which no window holds all, and for one of more tokens than an answer may have."""


@dataclass(frozen=True)
class _Window:
    """inputs: of the model, by name. characters: [L, 2]. first: the place of the context's first token. cls: the place of CLS."""

    inputs: dict[str, list[int]]
    characters: NDArray[np.int64]
    context: NDArray[np.int64]
    cls: int


@dataclass
class _Columns:
    """Encoded columns as they grow, an example at a time."""

    columns: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, **values: Any) -> None:
        """One more example."""
        for name, value in values.items():
            self.columns.setdefault(name, []).append(value)


def encode(
    tokenizer: Any,
    questions: Sequence[str],
    contexts: Sequence[str],
    answers: Sequence[Mapping[str, Any]] | None,
    max_length: int,
    *,
    stride: int,
    longest: int,
) -> dict[str, list[Any]]:
    """The windows of each question and context one after another.

    The context is never cut. A question that leaves room for no more of the context than the stride is cut at its end, and the tokens cut
    are counted. Of several answers the first is the target.

    Args:
        tokenizer: Of the fast kind, which knows characters.
        questions: Texts.
        contexts: The text of each question's answer.
        answers: `text` and `answer_start` of each; None: there are no targets.
        max_length: Tokens of a window, special ones included.
        stride: Tokens of the context that neighboring windows share.
        longest: Tokens of an answer, beyond which one is counted as too long.

    Raises:
        ConfigError: A window of max_length has no room for stride and one more token.
    """
    fitting, cut = _fitting(tokenizer, questions, max_length, stride)
    encoded = _Columns()
    if not len(questions):
        names = (*tokenizer.model_input_names, LENGTHS, STARTS, ENDS, CLS, "truncated")
        return {name: [] for name in names}
    for row, windows in enumerate(_windows(tokenizer, fitting, contexts, max_length, stride)):
        joined = {name: [token for window in windows for token in window.inputs[name]] for name in tokenizer.model_input_names}
        characters = np.concatenate([window.characters for window in windows])
        lengths, places = [len(window.characters) for window in windows], [window.cls for window in windows]
        encoded.add(**joined, **{LENGTHS: lengths, STARTS: characters[:, 0].tolist(), ENDS: characters[:, 1].tolist(), CLS: places})
        encoded.add(truncated=cut[row])
        if answers is not None:
            span = _tokens_of(windows, stride, contexts[row], answers[row])
            targets = [place for at, window in enumerate(windows) for place in _target(window, _begin(windows, at, stride), span)]
            missed = bool(answers[row]["text"]) and targets == [place for place in places for _ in range(2)]
            too_long = span is not None and span[1] - span[0] + 1 > longest
            encoded.add(**{TARGETS: targets, NO_WINDOW: [int(missed)], TOO_LONG: [int(too_long)]})
    return encoded.columns


def _fitting(tokenizer: Any, questions: Sequence[str], max_length: int, stride: int) -> tuple[list[str], list[int]]:
    """The questions, cut where they must be, and how many tokens were cut from each."""
    room = max_length - tokenizer.num_special_tokens_to_add(pair=True) - stride - 1
    if room < 1:
        what = f"batch.max_length={max_length} leaves no room for a question beside task.stride={stride} tokens of the context"
        raise ConfigError(Problem(what, "task.stride", hint="set a smaller task.stride, or a larger batch.max_length"))
    if not len(questions):
        return [], []
    tokens = tokenizer(list(questions), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    fitting, cut = list(questions), [0] * len(questions)
    for row, spans in enumerate(tokens["offset_mapping"]):
        kept = min(len(spans), room)
        while kept < len(spans) and len(tokenizer(fitting[row], add_special_tokens=False)["input_ids"]) > room:
            fitting[row] = questions[row][: spans[kept - 1][1]]  # the end of a word cut short may be more tokens than it was
            cut[row], kept = len(spans) - kept, kept - 1
    return fitting, cut


def _windows(tokenizer: Any, questions: list[str], contexts: Sequence[str], max_length: int, stride: int) -> Iterator[list[_Window]]:
    """The windows of each question and context."""
    tokens = tokenizer(
        questions, list(contexts), truncation="only_second", max_length=max_length, stride=stride, padding=False,
        return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    windows: list[_Window] = []
    row = 0
    for at, example in enumerate(tokens["overflow_to_sample_mapping"]):
        if example != row:
            yield windows
            windows, row = [], example
        inputs = {name: tokens[name][at] for name in tokenizer.model_input_names}
        parts = np.array([-1 if part is None else part for part in tokens.sequence_ids(at)], dtype=np.int64)
        spans = np.array(tokens["offset_mapping"][at], dtype=np.int64).reshape(-1, 2)
        characters = np.where((parts == 1)[:, None], _without_space(spans, parts == 1, contexts[example]), -1)
        special = (parts == -1) & (np.array(inputs["input_ids"]) == tokenizer.cls_token_id)
        windows.append(_Window(inputs, characters, np.flatnonzero(parts == 1), int(special.argmax())))
    yield windows


def _without_space(spans: NDArray[np.int64], chosen: NDArray[np.bool_], text: str) -> NDArray[np.int64]:
    """Spans that begin at the first character that is no white space: some tokenizers count the space before a word to it."""
    trimmed = spans.copy()
    space = np.fromiter((*map(str.isspace, text), False), dtype=np.bool_)
    for at in np.flatnonzero(chosen & space[np.where(chosen, spans[:, 0], 0)]):
        start, end = trimmed[at]
        while start < end and space[start]:
            start += 1
        trimmed[at, 0] = start
    return trimmed


def _begin(windows: Sequence[_Window], at: int, stride: int) -> int:
    """Which token of the whole context a window begins with."""
    return at * (len(windows[0].context) - stride)


def _tokens_of(windows: Sequence[_Window], stride: int, context: str, answer: Mapping[str, Any]) -> tuple[int, int] | None:
    """The answer's first and last token in the whole context; None without an answer, or where no token stands for it."""
    if not answer["text"]:
        return None
    text, start = answer["text"][0], answer["answer_start"][0]
    begin, end = start + len(text) - len(text.lstrip()), start + len(text.rstrip())
    parts = [window.characters[window.context[stride if at else 0 :]] for at, window in enumerate(windows)]
    characters = np.concatenate(parts)
    covering = np.flatnonzero((characters[:, 1] > begin) & (characters[:, 0] < end) & (characters[:, 1] > characters[:, 0]))
    return (int(covering[0]), int(covering[-1])) if len(covering) else None


def _target(window: _Window, begin: int, span: tuple[int, int] | None) -> tuple[int, int]:
    """The places of the answer's first and last token in a window; of CLS where it is not all in it."""
    if span is None or span[0] < begin or span[1] >= begin + len(window.context):
        return window.cls, window.cls
    return int(window.context[span[0] - begin]), int(window.context[span[1] - begin])


def split(row: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """The windows of an encoded example: the model's inputs by name, and `SPANS`."""
    windows, at = [], 0
    for length in row[LENGTHS]:
        part = slice(at, at + int(length))
        spans = torch.stack([torch.as_tensor(row[name][part], dtype=torch.int64) for name in (STARTS, ENDS)], -1)
        windows.append({name: row[name][part] for name in names} | {SPANS: spans})
        at = part.stop
    return windows
