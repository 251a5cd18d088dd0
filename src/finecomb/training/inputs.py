"""What a training is made of, before anything is built: a config without `auto`, prepared data, and where the weights are.

Whatever can go wrong for the user's reasons goes wrong here. Imported without torch, because the launcher uses it too.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finecomb.config import class_weights
from finecomb.config.resolve import resolve
from finecomb.config.schema.loss import CrossEntropy
from finecomb.config.schema.model import Model
from finecomb.config.schema.task import QuestionAnswering, variant
from finecomb.config.schema.train import Config
from finecomb.config.sources import Origin
from finecomb.config.validate import validate
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.machine import Machine

if TYPE_CHECKING:
    from finecomb.data.annotator import Score
    from finecomb.data.prepare import PreparedFolder
    from finecomb.learning.model.source import ModelSource

VERSION = "1"


@dataclass(frozen=True)
class Inputs:
    """The inputs of one training.

    Attributes:
        config: resolved.
        prepared: its data.
        source: where its weights are, with their hash.
    """

    config: Config
    prepared: PreparedFolder
    source: ModelSource


# Jobs of one command mostly share their data and model: each is prepared and hashed once.
_prepared: dict[str, PreparedFolder] = {}
_inspected: dict[str, ModelSource] = {}


def forget() -> None:
    """Read data and weights anew: a process that lives longer than one command may have changed them since."""
    _prepared.clear()
    _inspected.clear()


def find(config: Config, origins: Mapping[str, Origin], *, machine: Machine, score: Score | None) -> Inputs:
    """Validate and resolve a config, prepare its data and inspect its model.

    Args:
        config: as composed.
        origins: where its values were set, for messages.
        machine: where it will train.
        score: asks a finished run for labels (annotator=run).

    Raises:
        ConfigError: something is wrong with the config, the data or the model.
    """
    validate(config, origins)
    resolved = resolve(config, machine=machine)
    source = _inspect(resolved.model)
    if resolved.model.model_type == "auto":
        resolved = dataclasses.replace(resolved, model=dataclasses.replace(resolved.model, model_type=source.model_type))
    if "auto" in (config.model.model_type, config.trainer.devices, config.trainer.accelerator):
        validate(resolved, origins)
    prepared = _prepare(resolved, score)
    _check_against_data(resolved, prepared, origins)
    return Inputs(resolved, prepared, source)


def _prepare(config: Config, score: Score | None) -> PreparedFolder:
    from finecomb.data.prepare import prepare

    kind = variant(config.task)
    groups = config.dataset, config.cleaner, config.annotator
    key = _key(*groups, config.augmenter, config.sampler, kind)
    if key not in _prepared:
        _prepared[key] = prepare(*groups, augmenter=config.augmenter, sampler=config.sampler, task_variant=kind, score=score)
    return _prepared[key]


def _inspect(model: Model) -> ModelSource:
    from finecomb.learning.model.source import inspect

    key = _key(model)
    if key not in _inspected:
        _inspected[key] = inspect(model)
    return _inspected[key]


def _key(*parts: Any) -> str:
    plain = [dataclasses.asdict(part) if dataclasses.is_dataclass(part) and not isinstance(part, type) else part for part in parts]
    return json.dumps(plain, sort_keys=True, default=str)


def _check_against_data(config: Config, prepared: PreparedFolder, origins: Mapping[str, Origin]) -> None:
    """What only the prepared data can tell: whether there are enough rows, and whether class weights fit the classes."""
    rows, names = prepared.manifest.rows["train"], prepared.label_names
    problems = []
    if config.batch.size > rows:
        problems.append(
            Problem(
                what=f"batch.size={config.batch.size} is larger than the training data ({rows} examples)",
                where=str(origins.get("batch.size", "batch.size")),
                allowed=f"1 to {rows}",
                hint="choose a smaller batch.size or use more training data",
            )
        )
    if "soft" in prepared.columns and not isinstance(config.loss, CrossEntropy):
        problems.append(
            Problem(
                what=f"the training rows have soft labels; loss={config.loss.name} takes one class",
                where=str(origins.get("loss", "loss")),
                hint="choose loss=cross_entropy, or prepare the rows with annotator.soft=false",
            )
        )
    if isinstance(config.task, QuestionAnswering) and not config.task.no_answer:
        problems += _unanswered(prepared, str(origins.get("task.no_answer", "task.no_answer")))
    if names is not None:
        where = str(origins.get("loss.class_weights", "loss.class_weights"))
        problems += class_weights.class_problems(config.loss, names, where)
        problems += class_weights.row_problems(config.loss, prepared.manifest.label_counts["train"], names, where)
    if problems:
        raise ConfigError(problems)


def _unanswered(prepared: PreparedFolder, where: str) -> Iterator[Problem]:
    """Questions without an answer, for a task that gives every question one."""
    for split, rows in prepared.load().items():
        bare = [row for row, label in enumerate(rows["label"]) if not json.loads(label)["text"]]
        if bare:
            what = f"{len(bare):,} of {len(rows):,} questions of {split} have no answer, such as {rows[bare[0]]['text'][:100]!r}"
            yield Problem(what, where, hint="set task.no_answer=true, or leave these questions out")
