"""What a task needs of the data, the model and the tuning method: rules of validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from finecomb.config import plugins
from finecomb.config.schema.dataset import OF_LABEL_COLUMN, Crawl, MovieReviews, label_kind
from finecomb.config.schema.model import FAMILIES
from finecomb.config.schema.task import FLAGS, QuestionAnswering, SequenceToSequence, variant
from finecomb.config.schema.train import Config
from finecomb.config.schema.tuning import REFUSED_HEADS
from finecomb.core.errors import Problem

Where = Callable[[str], str]


def unlabeled(config: Config) -> bool:
    """Whether the rows will have no labels: none are read, and no annotator gives them. Such a corpus can only be prepared."""
    by_address = isinstance(config.dataset, Crawl) and bool(config.dataset.labels)
    kind = config.dataset.label_kind
    none_read = kind == "none" or (kind in OF_LABEL_COLUMN and config.dataset.columns.label is None and not by_address)
    return config.annotator.name == "none" and none_read


def labels(config: Config, where: Where) -> Iterator[Problem]:
    """The problem of a data set whose labels the task cannot use."""
    facts, kind = plugins.task_facts(variant(config.task)), label_kind(config.dataset)
    if facts is None or kind in facts.label_kinds:
        return
    if kind == "none":
        if unlabeled(config):
            hint = "let an annotator give labels, such as annotator=labeling_functions; or only clean the rows: finecomb prepare"
            yield Problem(f"dataset={config.dataset.name} has no labels to train on", where("dataset.label_kind"), hint=hint)
        return
    fitting = [task_text(key) for key, other in plugins.all_task_facts().items() if kind in other.label_kinds]
    yield Problem(
        f"dataset={config.dataset.name} gives {_GIVEN[kind]}; task={task_text(variant(config.task))} cannot use that",
        where("dataset.target" if isinstance(config.dataset, MovieReviews) else "dataset.label_kind"),
        ", ".join(facts.label_kinds),
        "read the texts without labels: dataset.label_kind=none" if facts.kind == "none" else f"choose task={' or task='.join(fitting)}",
    )


_GIVEN = {
    "class": "one class for each text", "classes": "any number of classes for each text", "number": "a number for each text",
    "tags": "a tag for each token", "target": "a target for each source", "completion": "a completion for each prompt",
    "messages": "conversations", "answers": "answers to questions", "any": "labels",
}  # fmt: skip


def task_text(key: str) -> str:
    """A variant of a task as a user writes it."""
    name, _, flag = key.partition(" ")
    return f"{name} {FLAGS[flag]}" if flag else name


_ARCHITECTURES = {"encoder": "an encoder", "decoder": "a decoder-only model", "encoder_decoder": "an encoder-decoder model"}


def architecture(config: Config, where: Where) -> Iterator[Problem]:
    """The problem of a model that has no head for the task."""
    facts, family = plugins.task_facts(variant(config.task)), FAMILIES.get(config.model.model_type)
    if facts is None or family is None or family.architecture in facts.architectures:
        return
    fitting = ", ".join(sorted(name for name, each in FAMILIES.items() if each.architecture in facts.architectures))
    needed = " or ".join(_ARCHITECTURES[each] for each in facts.architectures)
    what = f"task={config.task.name} needs {needed}; {config.model.model_type} is {_ARCHITECTURES[family.architecture]}"
    others = [key for key, other in plugins.all_task_facts().items() if key.partition(" ")[0] == config.task.name and other is not facts]
    serving = [key for key in others if family.architecture in plugins.all_task_facts()[key].architectures]
    hint = f"for such a model: task={task_text(serving[0])}" if serving else "choose another model, or another task"
    yield Problem(what, where("model"), f"models of {fitting}", hint)


def tuning(config: Config, where: Where) -> Iterator[Problem]:
    """The problem of a tuning method that has nothing to train under the task's head."""
    facts, name = plugins.task_facts(variant(config.task)), config.tuning.name
    if facts is not None and (reason := REFUSED_HEADS.get((name, facts.head))):
        what = f"tuning={name} cannot be used with task={config.task.name}: {reason}"
        yield Problem(what, where("tuning"), hint="choose another tuning")


def template(config: Config, where: Where) -> Iterator[Problem]:
    """The problem of a template without the places of a source and a target."""
    given = getattr(config.task, "template", None)
    if not isinstance(config.task, SequenceToSequence) or given is None:
        return
    places = [given.count(place) for place in ("{source}", "{target}")]
    if places != [1, 1] or given.index("{source}") > given.index("{target}"):
        what = f"task.template={given!r} does not have {{source}} and, behind it, {{target}}, each once"
        yield Problem(what, where("task.template"), hint=f"for example {FLAGS['template']}")


def question_answering(config: Config, where: Where) -> Iterator[Problem]:
    """Windows without room for a question, and settings of the loss that need classes."""
    task, length = config.task, config.batch.max_length
    if not isinstance(task, QuestionAnswering):
        return
    if task.stride + _AROUND > length:
        what = f"task.stride={task.stride} leaves no room for a question in windows of batch.max_length={length} tokens"
        yield Problem(
            what, where("task.stride"), f"0 to {length - _AROUND}", f"set task.stride={length // 4}, or a larger batch.max_length"
        )
    for name, neutral in (("label_smoothing", 0), ("class_weights", None)):
        if (value := getattr(config.loss, name, neutral)) != neutral:
            what = f"loss.{name}={value} needs classes; the targets of task={task.name} are tokens, as many as a window has"
            yield Problem(what, where(f"loss.{name}"), hint=f"set loss.{name}={'null' if neutral is None else neutral}")


# Special tokens around a question and a context, a token of the question, and one of the context beside the stride.
_AROUND = 5
