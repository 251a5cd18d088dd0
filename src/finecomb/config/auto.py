"""What task=auto and loss=auto choose: the dataset names its task, and the task its loss. Known before Hydra composes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finecomb.config import plugins
from finecomb.config.fields import fields_of
from finecomb.config.schema.dataset import Prepared, kind_of_labels
from finecomb.config.schema.task import TASK_OF_KIND
from finecomb.core.errors import Problem

if TYPE_CHECKING:
    from finecomb.config.schema.train import Config
    from finecomb.config.settings import Collected

AUTO = "auto"
# Groups with such a choice, and what it most often stands for.
GROUPS = {"task": "sequence_classification", "loss": "cross_entropy"}


def chosen(found: Collected) -> dict[str, str]:
    """The choice for each group of `found.auto`, given what the command line and the files set. Notes a problem where none is known."""
    choices = dict(found.auto)
    dataset = found.classes.get("dataset")
    if "task" in choices and dataset is not None and "dataset" not in found.unknown:
        values = {name: found.values[key].value for name in fields_of(dataset) if (key := f"dataset.{name}") in found.values}
        choices["task"] = _task(_kind(dataset, values))
    task = choices.get("task") or (found.values["task.name"].value if "task.name" in found.values else None)
    if "loss" in choices and task is not None and "task" not in found.unknown:
        loss = _loss(str(task))
        if loss is None:
            what = f"loss=auto: no usual loss is known for task={task}"
            found.problems.append(Problem(what, str(found.picked.get("loss", "loss")), hint="choose one: loss=..."))
        choices["loss"] = loss or choices["loss"]
    return choices


def usual(config: Config) -> dict[str, str | None]:
    """What auto chooses for a composed config, whether or not it was chosen so."""
    return {"task": _task(_kind(type(config.dataset), vars(config.dataset))), "loss": _loss(config.task.name)}


def _kind(dataset: type, values: Mapping[str, Any]) -> str:
    """What the labels are; a folder of prepared rows records it in its manifest."""
    manifest = Path(str(values.get("path"))).expanduser() / "manifest.json"
    if issubclass(dataset, Prepared) and manifest.is_file():
        try:
            return str(json.loads(manifest.read_bytes()).get("label_kind"))
        except ValueError:
            pass  # reported when the rows are read
    return kind_of_labels(dataset, values)


def _task(label_kind: str) -> str:
    return TASK_OF_KIND.get(label_kind, GROUPS["task"])


def _loss(task: str) -> str | None:
    facts = plugins.task_facts(task)
    return facts.losses[0] if facts is not None else None
