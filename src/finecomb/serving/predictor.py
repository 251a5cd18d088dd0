"""Answers of a finished run for new texts: `Predictor(run)(["some text"])`.

A text goes the way it went in training: the rewriting steps of the run's cleaner, its tokenizer, its max_length, fp32 and eval mode. So
a text of the test split gets the recorded prediction. Steps that drop rows are left out: whoever asks gets an answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from finecomb.config import plugins
from finecomb.config.schema.model import EMBEDDED_BASE, FAMILIES
from finecomb.config.schema.task import variant
from finecomb.config.schema.train import Config
from finecomb.core.errors import ConfigError, Problem
from finecomb.data import cleaner
from finecomb.data.cleaner.step import TextRewrite
from finecomb.data.dataset.manifest import MANIFEST, Manifest
from finecomb.learning import model as models
from finecomb.learning import task as tasks
from finecomb.learning import tuning
from finecomb.learning.model.tokenizer import prepare_tokenizer
from finecomb.learning.task import Batch
from finecomb.learning.tuning.artifact import RECORD
from finecomb.runs.directory import RunDirectory
from finecomb.serving.finished import check, config_of, finished_run, takes_pairs
from finecomb.training import generating
from finecomb.training.collector import collect
from finecomb.training.encode import COUNTS
from finecomb.training.evaluate import keep_by


def _device(name: str | None) -> torch.device:
    """The device of that name; None: the GPU where there is one. Raises ConfigError when there is none of that name here."""
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        known = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise ConfigError(Problem(f"there is no device {name} here", "--device", ", ".join(known))) from error
    return device


def load_artifact(run: RunDirectory, config: Config) -> tuning.Loaded:
    """What a finished run left, in eval mode and fp32. The base weights of an adapter are fetched again when they are gone."""
    record = json.loads((run.artifact / RECORD).read_text(encoding="utf-8"))
    adapter = (run.artifact / "adapter_config.json").exists()
    here = (run.artifact / EMBEDDED_BASE).is_dir() or Path(record["base"]["directory"]).is_dir()
    base = models.inspect(config.model).directory if adapter and not here else None
    return tuning.load(run.artifact, base=base)


class Predictor:
    """A finished run, ready to predict.

    Args:
        run: A run; its directory; or, in `output_dir`, a run's name, its fingerprint, or the beginning of either.
        output_dir: Where runs are looked up by name.
        device: Where to compute, such as `cpu` or `cuda:0`; None: the GPU where there is one.

    Raises:
        ConfigError: There is no such run, or it has not finished.

    Example:
        >>> run = finecomb.train(finecomb.compose("debug=tiny", "dataset=files", "dataset.files.train=reviews.csv"))
        >>> predict = finecomb.Predictor(run)
        >>> [answer] = predict(["A film to see twice."])
        >>> sorted(answer)
        ['label', 'probabilities', 'text', 'truncated']
    """

    def __init__(
        self, run: str | os.PathLike[str] | RunDirectory, *, output_dir: str | os.PathLike[str] = "runs", device: str | None = None
    ) -> None:
        self.run = finished_run(run, output_dir)
        self.config = config_of(self.run)
        self.takes_pairs = takes_pairs(self.config)
        self.device = _device(device)
        self._loaded = load_artifact(self.run, self.config)
        self._loaded.model.to(self.device).eval()
        # A stored tokenizer forgets which inputs the architecture takes (token types of the second text, above all).
        prepare_tokenizer(self._loaded.tokenizer, FAMILIES[self._loaded.core.config.model_type], self._loaded.core.config)
        self.label_names: list[str] | None = self._loaded.record["task"]["label_names"]
        facts, most = plugins.task_facts(variant(self.config.task)), self.config.batch.max_target_length
        kind = "any" if facts is None else facts.kind
        self._task = tasks.build(self.config.task, label_kind=kind, label_names=self.label_names, max_target_length=most)
        if tasks.chooses(self._task):
            self._task.chosen = dict(self._loaded.record["task"].get("chosen", {}))
        self._task.bind(self._loaded.tokenizer, self._loaded.core.config)
        self._generation = generating.build_saved(self._loaded, self._task, self.config)
        steps = [(name, make()) for name, make in cleaner.build(self.config.cleaner).steps]
        self._rewrites = [self._recalled(name, step).rewrite for name, step in steps if isinstance(step, TextRewrite)]

    def _recalled(self, name: str, step: TextRewrite) -> TextRewrite:
        """A step as it was in training; what it had learned from the corpus is in the record of the prepared data."""
        if step.learns:
            folder = Path(self.run.record.inputs.data.directory)
            if not (folder / MANIFEST).is_file():
                what = f"the step {name} learned from the training data, whose record is gone from the cache"
                raise ConfigError(
                    Problem(what, str(folder / MANIFEST), hint="ask for the run's data again: finecomb prepare with its overrides")
                )
            step.recall(Manifest.read(folder).records.get(name, {}))
        return step

    def __call__(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Answer each text, or each pair, in the order given.

        Each answer holds `text` as it was given (and `text_pair`), what the task answers (classification: `label` and `probabilities` by
        name; regression: `value`; tasks that write texts: `prediction`), and `truncated`, the number of tokens that were cut off. A call
        with texts that differ in length computes like ones together.

        Raises:
            ConfigError: single texts for a run on pairs, or pairs for a run on single texts, or unequal numbers of them.
        """
        self._check(texts, text_pairs)
        if not texts:
            return []
        columns = self._columns(texts, text_pairs)
        encoded = self._encode(columns)
        answers = []
        given_answers = self._texts(encoded) if self._generation else self._task.answers(self._logits(encoded), columns)
        for row, given in enumerate(given_answers):
            answer: dict[str, Any] = {"text": texts[row]}
            if text_pairs is not None:
                answer["text_pair"] = text_pairs[row]
            answers.append(answer | given | {"truncated": encoded["truncated"][row]})
        return answers

    def logits(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> torch.Tensor:
        """What the task keeps of each text [N, width] in float64 (classification: logits), in the order given; errors as for a call."""
        self._check(texts, text_pairs)
        return self._logits(self._encode(self._columns(texts, text_pairs)))

    def _check(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> None:
        if isinstance(texts, str):
            raise TypeError("give a list of texts")
        check(self.run.path.name, self.takes_pairs, texts, text_pairs)

    def _columns(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> dict[str, list[str]]:
        columns = {"text": [self._cleaned(text) for text in texts]}
        if text_pairs is not None:
            columns["text_pair"] = [self._cleaned(text) for text in text_pairs]
        return columns

    def _encode(self, columns: dict[str, list[str]]) -> dict[str, list[Any]]:
        return self._task.encode(self._loaded.tokenizer, columns, self.config.batch.max_length)

    def _cleaned(self, text: str) -> str:
        for rewrite in self._rewrites:
            text = rewrite(text)
        return text

    def _logits(self, encoded: dict[str, list[Any]]) -> torch.Tensor:
        """Logits in the order of the texts."""
        lengths = [len(tokens) for tokens in encoded["input_ids"]]
        keep, width = keep_by(self._loaded.forward, self._task), self._task.width(max(lengths))
        return collect(keep, self._batches(encoded), rows=len(lengths), width=width, device=self.device)

    def _texts(self, encoded: dict[str, list[Any]]) -> list[dict[str, Any]]:
        """What the model writes for each text, in the order of the texts."""
        assert self._generation is not None
        features = self._features(encoded, range(len(encoded["input_ids"])))
        size = self.config.batch.eval_size
        texts = self._generation.texts(self._loaded.tokenizer, features, size=size, device=self.device)
        return [{"prediction": text} for text in texts]

    def _features(self, encoded: dict[str, list[Any]], rows: Iterable[int]) -> list[dict[str, Any]]:
        """Encoded texts as the task's collate takes them."""
        keys = [key for key in encoded if key not in COUNTS]
        return [{key: encoded[key][row] for key in keys} | {"index": row} for row in rows]

    def _batches(self, encoded: dict[str, list[Any]]) -> Iterator[Batch]:
        """Batches of texts of similar length."""
        order = np.argsort([-len(tokens) for tokens in encoded["input_ids"]], kind="stable")
        size = self.config.batch.eval_size
        for start in range(0, len(order), size):
            features = self._features(encoded, order[start : start + size].tolist())
            yield self._task.collate(self._loaded.tokenizer, features, None)
