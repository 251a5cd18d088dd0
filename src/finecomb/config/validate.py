"""What the fields of a config demand of each other, checked before anything heavy is imported or fetched; every problem at once.

Each rule yields problems; the facts it reads stand in schema/. What only the data or the weights can tell is checked when they are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from finecomb.config import class_weights, device_rules, generation_rules, plugins, task_rules
from finecomb.config.parameters import linear_maps
from finecomb.config.schema.dataset import Dataset, Files, HubDataset, KnownFiles, MovieReviews, Prepared, Quoref
from finecomb.config.schema.loss import CrossEntropy, weights_of
from finecomb.config.schema.model import FAMILIES, SHAPES, TINY_POSITIONS, TinyModel, Transformer
from finecomb.config.schema.optimizer import Adam, Sgd
from finecomb.config.schema.sampler import Balanced
from finecomb.config.schema.task import variant
from finecomb.config.schema.train import GROUPS, Config
from finecomb.config.schema.tuning import REFUSED, Lora, Prompt, TopLayers
from finecomb.config.sources import Origin
from finecomb.core.errors import ConfigError, Problem, nearest

Where = Callable[[str], str]
Rule = Callable[[Config, Where], Iterator[Problem]]
# Groups whose `name` says which code runs; a dataset's or a model's name is free.
NAMED_BY_KIND = tuple(group for group in GROUPS if group not in ("dataset", "model"))


def validate(config: Config, origins: Mapping[str, Origin], *, trains: bool = True) -> None:
    """Raise ConfigError with every problem between fields; `origins` tells where each key was set. trains: the rows need labels."""
    problems = problems_of(config, origins, trains=trains)
    if problems:
        raise ConfigError(problems)


def problems_of(config: Config, origins: Mapping[str, Origin], *, trains: bool = True) -> list[Problem]:
    """Every problem between fields; empty when the config is sound."""

    def where(key: str) -> str:
        return str(origins.get(key, key))

    return [problem for rule in _RULES if trains or rule is not task_rules.labels for problem in rule(config, where)]


def _names(config: Config, where: Where) -> Iterator[Problem]:
    for group in NAMED_BY_KIND:
        name, known = getattr(config, group).name, plugins.schemas(group)
        if name not in known:
            guess = nearest(name, known)
            hint = f"did you mean {group}={guess}?" if guess else f"choose with {group}=..."
            yield Problem(f"{group}.name={name} names no {group}", where(f"{group}.name"), ", ".join(known), hint)


def _loss(config: Config, where: Where) -> Iterator[Problem]:
    facts, name = plugins.task_facts(variant(config.task)), config.loss.name
    if facts is not None and name not in facts.losses and plugins.find_build("loss", name) is None:
        what = f"loss={name} cannot serve task={task_rules.task_text(variant(config.task))}"
        yield Problem(what, where("loss"), ", ".join(facts.losses), f"choose loss={facts.losses[0]}")
    yield from class_weights.value_problems(config.loss, where("loss.class_weights"))
    classes = config.dataset.label_names or _known_classes(config.dataset)
    if classes is not None:
        yield from class_weights.class_problems(config.loss, classes, where("loss.class_weights"))


def _soft(config: Config, where: Where) -> Iterator[Problem]:
    if getattr(config.annotator, "soft", False) and not isinstance(config.loss, CrossEntropy):
        what = f"annotator.soft=true gives probabilities as labels; loss={config.loss.name} takes one class"
        yield Problem(what, where("annotator.soft"), hint="choose loss=cross_entropy, or annotator.soft=false")


def _known_classes(dataset: Dataset) -> int | None:
    if isinstance(dataset, MovieReviews):
        return {"binary": 2, "ternary": 3}.get(dataset.target)
    return None


def _sampler(config: Config, where: Where) -> Iterator[Problem]:
    sampler = config.sampler
    if not isinstance(sampler, Balanced):
        return
    facts = plugins.task_facts(variant(config.task))
    if "label" in sampler.by and facts is not None and "class" not in facts.label_kinds:
        what = f"sampler.by={sampler.by} needs one class for each text; task={task_rules.task_text(variant(config.task))} has other labels"
        yield Problem(what, where("sampler.by"), "group", "balance by group, or choose task=sequence_classification")
    if sampler.target == "independent" and sampler.by != "label_group":
        what = "sampler.target=independent is about labels and groups"
        yield Problem(what, where("sampler.target"), "equal", "set sampler.by=label_group, or sampler.target=equal")
    if sampler.method == "weights" and weights_of(config.loss) is not None:
        what = "sampler.method=weights with loss.class_weights weighs the loss twice"
        yield Problem(what, where("loss.class_weights"), hint="set loss.class_weights=null, or choose another sampler.method")


def _monitor(config: Config, where: Where) -> Iterator[Problem]:
    kind, metric = variant(config.task), config.monitor.metric
    known = plugins.metric_names(kind)
    if plugins.task_facts(kind) is None or metric == "auto" or metric in known:
        return
    bare = metric.rpartition("/")[2]
    guess = bare if bare in known else nearest(bare, known)
    what = f"monitor.metric={metric} is no metric of task={task_rules.task_text(kind)}"
    yield Problem(what, where("monitor.metric"), ", ".join(("auto", *known)), f"did you mean {guess}?" if guess else "")


def _optimizer(config: Config, where: Where) -> Iterator[Problem]:
    optimizer, key = config.optimizer, "optimizer.betas"
    if isinstance(optimizer, Adam) and (len(optimizer.betas) != 2 or not all(0 <= beta < 1 for beta in optimizer.betas)):
        yield Problem(
            f"{key}={optimizer.betas} is no pair of decay rates", where(key), "two numbers from 0 to below 1", f"{key}=[0.9,0.999]"
        )
    if isinstance(optimizer, Sgd) and optimizer.nesterov and optimizer.momentum == 0:
        yield Problem("optimizer.nesterov=true needs momentum", where("optimizer.nesterov"), hint="set optimizer.momentum=0.9")
    if optimizer.lr == 0:
        yield Problem("optimizer.lr=0 trains nothing", where("optimizer.lr"), "a number above 0, or auto")
    if optimizer.head_lr_multiplier == 0 and config.tuning.name == "head":
        key = "optimizer.head_lr_multiplier"
        yield Problem(f"{key}=0 trains nothing with tuning=head", where(key), "a number above 0", "choose another tuning, or 1")
    if optimizer.lr == "auto" and plugins.optimizer_family(optimizer.name) is None:
        what = f"optimizer.lr=auto: no usual learning rate is known for optimizer={optimizer.name}"
        yield Problem(what, where("optimizer.lr"), "a number", "give optimizer.lr=...")


def _batch(config: Config, where: Where) -> Iterator[Problem]:
    trainer, size = config.trainer, config.batch.size
    devices = trainer.devices if isinstance(trainer.devices, int) else 1
    parts = config.batch.micro_batches * devices * trainer.num_nodes
    if size % parts:
        lower, upper = size - size % parts, size - size % parts + parts
        sizes = f"{lower} or {upper}" if lower else str(upper)
        yield Problem(
            f"batch.size={size} cannot be split evenly in {parts} "
            f"({config.batch.micro_batches} micro-batches x {devices} devices x {trainer.num_nodes} machines)",
            where("batch.size"),
            hint=f"batch.size counts the examples of one step over all devices, and accumulation splits it: set batch.size={sizes}",
        )
    if config.batch.max_tokens is not None and config.batch.max_tokens < config.batch.max_length:
        what = f"batch.max_tokens={config.batch.max_tokens} is less than batch.max_length: one long text fits in no micro-batch"
        yield Problem(
            what,
            where("batch.max_tokens"),
            f"at least {config.batch.max_length}",
            f"set batch.max_tokens={config.batch.max_length} or more",
        )


def _devices(config: Config, where: Where) -> Iterator[Problem]:
    trainer = config.trainer
    several = (isinstance(trainer.devices, int) and trainer.devices > 1) or trainer.num_nodes > 1
    if isinstance(trainer.devices, float):
        yield Problem(f"trainer.devices={trainer.devices} is not a whole number", where("trainer.devices"), "a whole number or auto")
    if isinstance(trainer.threads, float):
        yield Problem(f"trainer.threads={trainer.threads} is not a whole number", where("trainer.threads"), "a whole number or auto")
    if several and trainer.strategy == "auto":
        what = f"trainer.devices={trainer.devices} on {trainer.num_nodes} machine(s) needs a strategy"
        yield Problem(what, where("trainer.devices"), "ddp, fsdp", "choose trainer=ddp or set trainer.strategy=ddp")
    if trainer.precision == "16-mixed" and trainer.accelerator == "cpu":
        hint = "choose auto, bf16-mixed or 32-true; or trainer=gpu"
        yield Problem(
            "trainer.precision=16-mixed needs a GPU: float16 does not train on a CPU",
            where("trainer.precision"),
            "auto, bf16-mixed, 32-true",
            hint,
        )


def _averaging(config: Config, where: Where) -> Iterator[Problem]:
    decay, key = config.callbacks.weight_averaging.decay, "callbacks.weight_averaging.decay"
    if decay is not None and config.trainer.strategy == "fsdp":
        what = f"{key}={decay} with trainer.strategy=fsdp: Lightning does not average sharded weights"
        yield Problem(what, where(key), hint=f"set {key}=null, or trainer.strategy=ddp")
    if decay is not None and config.trainer.precision == "bf16-true":
        what = f"{key}={decay} with trainer.precision=bf16-true: changes of the average are smaller than bfloat16 can represent"
        yield Problem(what, where(key), hint=f"set {key}=null, or trainer.precision=bf16-mixed")


def _time(config: Config, where: Where) -> Iterator[Problem]:
    limit = config.trainer.max_time
    if limit is not None and not re.fullmatch(r"\d+:([01]?\d|2[0-3]):[0-5]?\d:[0-5]?\d", limit):
        yield Problem(f"trainer.max_time={limit} is no time", where("trainer.max_time"), "DD:HH:MM:SS", "ten minutes are 00:00:10:00")
    if config.trainer.max_steps == 0:
        yield Problem("trainer.max_steps=0 trains nothing", where("trainer.max_steps"), "-1 (no limit), or at least 1")


def _split(config: Config, where: Where) -> Iterator[Problem]:
    split, columns = config.dataset.split, config.dataset.columns
    if split.validation + split.test >= 1:
        what = f"dataset.split: validation {split.validation:g} and test {split.test:g} leave nothing to train on"
        yield Problem(what, where("dataset.split.validation"), "shares that add up to less than 1")
    if split.validation == 0 and not _has_validation(config.dataset):
        what = "dataset.split.validation=0: there is no validation split to choose the best checkpoint by"
        yield Problem(what, where("dataset.split.validation"), "a share above 0", "set dataset.split.validation=0.1")
    for role in ("text_pair", "label"):
        if getattr(columns, role) == columns.text:
            what = f"text and {role} are the same column, {columns.text}"
            yield Problem(what, where(f"dataset.columns.{role}"), hint="name two columns")
    names = config.dataset.label_names
    if names is not None and len(set(names)) != len(names):
        yield Problem(f"dataset.label_names={names} names a class twice", where("dataset.label_names"))


def _has_validation(dataset: Dataset) -> bool:
    if isinstance(dataset, Files):
        return dataset.files.validation is not None
    if isinstance(dataset, KnownFiles):
        return "validation" in dataset.names
    # A hub dataset without named splits may have one, which is known when it is read.
    return isinstance(dataset, Prepared) or (isinstance(dataset, HubDataset) and (not dataset.splits or "validation" in dataset.splits))


def _hub(config: Config, where: Where) -> Iterator[Problem]:
    dataset = config.dataset
    if not isinstance(dataset, HubDataset):
        return
    ours = ("train", "validation", "test")
    for name in dataset.splits:
        if name not in ours:
            hint = f"write dataset.splits.{nearest(name, ours) or 'test'}=NAME, where NAME is the split's name on the hub"
            yield Problem(f"dataset.splits.{name}: there is no such split", where(f"dataset.splits.{name}"), ", ".join(ours), hint)
    if dataset.splits and "train" not in dataset.splits:
        what = "dataset.splits names no split to train on"
        yield Problem(what, where("dataset.splits"), ", ".join(ours), "add dataset.splits.train=train, or leave dataset.splits out")
    if dataset.hub_id and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", dataset.hub_id):
        what = f"dataset.hub_id={dataset.hub_id} is not a name on the hub"
        yield Problem(what, where("dataset.hub_id"), "OWNER/NAME", "for local files: dataset=files dataset.files.train=FILE")


def _files(config: Config, where: Where) -> Iterator[Problem]:
    dataset = config.dataset
    if dataset.path is not None and not isinstance(dataset, Files):
        # The rated sentences and Quoref are one file; the others a folder of files.
        one_file, path = isinstance(dataset, MovieReviews | Quoref), Path(dataset.path).expanduser()
        if not (path.is_file() if one_file else path.is_dir()):
            yield _absent("dataset.path", dataset.path, where, "a file" if one_file else "a folder")
    if isinstance(dataset, Prepared) and dataset.path is None:
        yield Problem(
            "dataset=prepared needs its folder",
            where("dataset.path"),
            "the folder that `finecomb prepare` printed",
            "give dataset.path=DIR",
        )
    if isinstance(dataset, Files):
        folder = Path(dataset.path).expanduser() if dataset.path else Path()
        for split in ("train", "validation", "test"):
            key, given = f"dataset.files.{split}", getattr(dataset.files, split)
            names = given if isinstance(given, list) else [] if given is None else [given]
            if wrong := [name for name in names if not isinstance(name, str) or not name]:
                yield Problem(f"{key}={given}: {wrong[0]!r} names no file", where(key), "a path, a folder, a pattern, or a list of these")
                continue
            for path in (folder / Path(name).expanduser() for name in names):
                # What a pattern such as DIR/**/*.jsonl fits is looked up when the files are read.
                if not path.exists() and not re.search(r"[*?\[]", str(path)):
                    yield _absent(key, str(path), where, "a file")


def _absent(key: str, given: str, where: Where, kind: str) -> Problem:
    path = Path(given).expanduser()
    if path.exists():
        return Problem(f"{key}={given} is not {kind}", where(key), kind)
    folder = path.parent
    while not folder.is_dir():
        folder, path = folder.parent, folder
    there = sorted(item.name for item in folder.iterdir() if not item.name.startswith("."))
    guess = nearest(path.name, there)
    listed = ", ".join(there[:12]) + (", ..." if len(there) > 12 else "")
    return Problem(
        f"{key}={given}: there is no {path.name} in {folder.resolve()}", where(key), listed, f"did you mean {guess}?" if guess else ""
    )


def _model(config: Config, where: Where) -> Iterator[Problem]:
    model, kind = config.model, config.model.model_type
    if kind != "auto" and kind not in FAMILIES and plugins.find_build("model", model.name) is None:
        guess = nearest(kind, FAMILIES)
        allowed = ", ".join(("auto", *FAMILIES))
        yield Problem(
            f"model.model_type={kind} is not known", where("model.model_type"), allowed, f"did you mean {guess}?" if guess else ""
        )
    if isinstance(model, TinyModel) and model.architecture not in (None, kind):
        hint = f"set model.architecture={kind}, and leave model.model_type out"
        yield Problem(f"model.model_type={kind} is not model.architecture={model.architecture}", where("model.model_type"), hint=hint)
    if isinstance(model, TinyModel) and model.hidden % model.heads:
        yield Problem(
            f"model.hidden={model.hidden} cannot be split in {model.heads} heads", where("model.hidden"), "a multiple of model.heads"
        )
    if not model.source and model.name_or_path is None and not isinstance(model, TinyModel | Transformer):
        yield Problem(f"model={model.name} has no source", where("model"), hint="give model.name_or_path=DIR or hub id")


def _tuning(config: Config, where: Where) -> Iterator[Problem]:
    tuning, kind = config.tuning, config.model.model_type
    reason = REFUSED.get((tuning.name, kind)) or REFUSED.get((tuning.name, None))
    if reason:
        yield Problem(f"tuning={tuning.name} cannot be used with {kind}: {reason}", where("tuning"), hint="choose another tuning or model")
    if isinstance(tuning, Lora):
        targets = tuning.target_modules
        listed = isinstance(targets, list) and targets and all(isinstance(item, str) and item for item in targets)
        if targets not in ("auto", "all-linear") and not listed:
            key = "tuning.target_modules"
            usual = ", ".join(FAMILIES[kind].lora) if kind in FAMILIES else "query, value"
            yield Problem(f"{key}={targets} names no modules", where(key), "auto, all-linear, or a list of names", f"for example [{usual}]")
        yield from _unknown_targets(targets if listed else [], kind, where)
        if tuning.lora_alpha == 0:
            yield Problem("tuning.lora_alpha=0 switches the update off", where("tuning.lora_alpha"), "a number above 0")
    layers = _layers(config)
    if isinstance(tuning, TopLayers) and layers is not None and tuning.k > layers:
        yield Problem(f"tuning.k={tuning.k}: model={config.model.name} has {layers} layers", where("tuning.k"), f"0 to {layers}")


def _unknown_targets(targets: Sequence[str], model_type: str, where: Where) -> Iterator[Problem]:
    key, maps = "tuning.target_modules", linear_maps(model_type)
    unknown = [end for end in targets if not any(name == end or name.endswith(f".{end}") for name in maps)]
    if maps and unknown:
        what = f"{key}: no linear map of the layers of {model_type} is named {', '.join(unknown)}"
        guesses = [guess for end in unknown if (guess := nearest(end, [part for name in maps for part in (name, name.rpartition(".")[2])]))]
        yield Problem(
            what, where(key), f"auto, all-linear, or some of: {', '.join(maps)}", f"did you mean {guesses[0]}?" if guesses else ""
        )


def _layers(config: Config) -> int | None:
    if isinstance(config.model, TinyModel | Transformer):
        family = FAMILIES.get(config.model.model_type)
        return config.model.layers * (len(family.lists) if family else 1)
    shape = SHAPES.get(config.model.name) if config.model.name_or_path is None else None
    return shape.layers if shape is not None else None


def _positions(config: Config, where: Where) -> Iterator[Problem]:
    shape = SHAPES.get(config.model.name) if config.model.name_or_path is None else None
    positions = TINY_POSITIONS if isinstance(config.model, TinyModel) else shape.positions if shape is not None else None
    if positions is None:
        return
    virtual = config.tuning.num_virtual_tokens if isinstance(config.tuning, Prompt) else 0
    room = positions - virtual
    if config.batch.max_length > room:
        minus = f" less {virtual} virtual tokens" if virtual else ""
        what = f"batch.max_length={config.batch.max_length} is more than model={config.model.name} has positions ({positions}{minus})"
        yield Problem(what, where("batch.max_length"), f"4 to {room}", f"set batch.max_length={room}")


_RULES: tuple[Rule, ...] = (
    _names, task_rules.labels, _loss, _soft, _sampler, _monitor, _optimizer, _batch,
    _devices, _averaging, _time, _split, _hub, _files, _model,
    task_rules.architecture, _tuning, task_rules.tuning, task_rules.template, task_rules.question_answering, _positions,
    device_rules.attention, device_rules.sharding, generation_rules.generation,
)  # fmt: skip
