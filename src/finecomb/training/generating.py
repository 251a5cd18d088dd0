"""Generation in evaluation: the first examples of a split, divided among ranks, gathered by row number, each exactly once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from finecomb.config.schema.train import Config, Generate
from finecomb.core.errors import ConfigError, Problem
from finecomb.learning.generation import NOTHING, Generator, Model
from finecomb.learning.task import Batch, TaskRunner
from finecomb.learning.task.runner import TextWriter, writes_text
from finecomb.learning.tuning import Loaded, Tuned
from finecomb.runs.sum_metrics import PREFIX
from finecomb.runs.text_statistics import signatures
from finecomb.training.batching import evaluation_batches
from finecomb.training.collector import collect
from finecomb.training.examples import Taken

if TYPE_CHECKING:
    from finecomb.training.datamodule import EvaluationLoader

VERSION = "1"

GENERATED = f"{PREFIX}generated"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Generated:
    """Texts of a split.

    Attributes:
        texts: of each row; None where none was generated.
        sums: what each row adds to the sums of the metrics, by name with prefix; 0 where none was generated.
    """

    texts: list[str | None]
    sums: dict[str, list[float]]

    def sums_of(self, rows: Sequence[int] | None) -> dict[str, list[float]]:
        """The sums of some rows; None: of all."""
        return self.sums if rows is None else {name: [values[row] for row in rows] for name, values in self.sums.items()}


class Generation:
    """How a task's texts are generated, as `evaluate.generate` sets it.

    Args:
        model: tuned, or read back from an artifact.
        task: what is predicted.
        settings: of the config.
        max_new_tokens: most tokens of a text.
    """

    def __init__(self, model: Model, task: TextWriter, settings: Generate, max_new_tokens: int) -> None:
        self.task, self.settings = task, settings
        self.generator = Generator(model, settings, max_new_tokens=max_new_tokens, stops=task.stops())

    def is_due(self, epoch: int | None = None) -> bool:
        """Whether texts are generated: in the validation after an epoch, counted from 0, or, without one, in a final evaluation."""
        every = 1 if epoch is None else self.settings.every
        return self.settings.examples != 0 and every > 0 and ((epoch or 0) + 1) % every == 0

    def signatures(self) -> dict[str, str]:
        """How the metrics of texts are computed, in the words of the libraries that count."""
        return signatures(self.task.generation_metrics)

    def texts(
        self, tokenizer: Any, features: Sequence[dict[str, Any]], *, size: int, device: torch.device, rank: int = 0, world: int = 1
    ) -> list[str]:
        """The text of each of some encoded rows. size: rows in a batch. Every rank computes its share and gets all texts."""
        lengths = np.array([len(row["input_ids"]) for row in features], dtype=np.int64)

        def batches() -> Iterator[Batch]:
            for rows in evaluation_batches(lengths, size, rank=rank, world=world):
                yield Batch(self.task.prompts(tokenizer, [features[row] for row in rows]), None, torch.from_numpy(rows))

        def keep(batch: Batch) -> Tensor:
            return self.generator(batch.inputs) - NOTHING  # 0, which rows of other ranks hold, is no token

        width = self.generator.max_new_tokens
        tokens = collect(keep, batches(), rows=len(features), width=width, device=device, world=world).long() + NOTHING
        if endless := int((tokens[:, -1] != NOTHING).sum()):
            log.warning("generate: %d of %d texts are cut off at %d tokens", endless, len(features), width)
        return [self.task.text([token for token in row if token != NOTHING]) for row in tokens.tolist()]

    def of(self, loader: EvaluationLoader, device: torch.device) -> Generated:
        """Texts of the first examples of a split, and what they add to the metrics."""
        split = loader.split
        count = len(split) if self.settings.examples is None else min(self.settings.examples, len(split))
        features = split.encoded.features(np.arange(count))
        texts = self.texts(split.tokenizer, features, size=loader.size, device=device, rank=loader.rank, world=loader.world)
        sums = {GENERATED: [1.0] * count, **self.task.generation_sums(texts, Taken(split.examples, range(count)))}
        rest = len(split) - count
        return Generated([*texts, *[None] * rest], {name: [*values, *[0.0] * rest] for name, values in sums.items()})


def build(tuned: Tuned, task: TaskRunner, config: Config) -> Generation | None:
    """How the task's texts are generated while it is trained; None for a task that writes none.

    Raises:
        ConfigError: the model has no positions for the examples or for the texts.
    """
    if not writes_text(task):
        return None
    longest, room = task.longest(config.batch.max_length) + tuned.extra_positions, tuned.backbone.max_positions
    if room is not None and longest > room:
        what = f"an example with its target has up to {longest} tokens; the model has {room} positions"
        raise ConfigError(Problem(what, "batch.max_target_length", hint="lower batch.max_length or batch.max_target_length"))
    return Generation(tuned, task, config.evaluate.generate, _max_new_tokens(tuned, config))


def build_saved(loaded: Loaded, task: TaskRunner, config: Config) -> Generation | None:
    """How a finished run generates, as its artifact has it; None for a task that writes no texts."""
    if not writes_text(task):
        return None
    return Generation(loaded, task, config.evaluate.generate, int(loaded.core.generation_config.max_new_tokens))


def _max_new_tokens(tuned: Tuned, config: Config) -> int:
    limit, most = config.evaluate.generate.max_new_tokens, config.batch.max_target_length
    positions = tuned.backbone.max_positions
    if positions is None:
        return limit or most
    # A decoder reads the prompt and writes the text in the same positions.
    prompt = 0 if tuned.core.config.is_encoder_decoder else config.batch.max_length + tuned.extra_positions
    if (room := positions - prompt) < (limit or 1):
        what = f"{limit or 'some'} new tokens after a prompt of up to {prompt} in a model with {positions} positions"
        key = "evaluate.generate.max_new_tokens" if room > 0 else "batch.max_length"
        allowed = f"up to {room if room > 0 else max(positions - tuned.extra_positions - most, 1)}"
        raise ConfigError(Problem(what, key, allowed, f"lower {key}"))
    return limit or min(most, room)
