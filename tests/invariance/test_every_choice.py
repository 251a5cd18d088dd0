"""Every shipped choice of every group builds on a CPU and takes one training step; a hub model through a tiny one of its architecture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import small_datasets
from harness import prepared, run_in
from task_cells import cells, config_of, data_of
from tiny_runs import tiny_config

from finecomb.config.compose import compose
from finecomb.config.resolve import resolve
from finecomb.config.schema.dataset import ALIGNED
from finecomb.config.schema.model import CLASSIFIERS, FAMILIES
from finecomb.config.schema.task import FACTS, TASK_OF_KIND, variant
from finecomb.config.schema.train import BUNDLES, GROUPS, Config
from finecomb.config.sources import options
from finecomb.config.validate import validate
from finecomb.core.machine import Machine
from finecomb.data.prepare import prepare
from finecomb.learning.model import inspect
from finecomb.training import logger as loggers
from finecomb.training.fit import Fit
from finecomb.training.interruption import Interruption
from finecomb.training.parts import compose as compose_parts

CELLS = cells()
ONE_STEP = ["trainer.max_steps=1", "trainer.threads=1", "logger=none", "batch.size=8"]


def choices(group: str) -> list[str]:
    """The shipped choices of a group."""
    return sorted(options(group))


def take_a_step(folder: Path, config: Config, data: Path) -> None:
    """One optimizer step of the real training on prepared data, on the CPU; something that trains must move."""
    parts = compose_parts(config, data, inspect(config.model))
    before = {name: tensor.clone() for name, tensor in parts.tuned.trainable_state().items()}
    fit = Fit(parts, run_in(folder, config), Interruption())
    assert fit.train([]).global_step == 1
    assert any(not tensor.equal(before[name]) for name, tensor in parts.tuned.trainable_state().items())


def tiny_weights(folder: Path, model_type: str) -> str:
    """A directory of random weights of an architecture, as `model.name_or_path` takes it."""
    config = compose(["model=tiny", f"model.architecture={model_type}"]).config
    from finecomb.learning.model import build

    target = folder / f"weights-{model_type}"
    if not target.exists():
        made = build(
            config.model, inspect(config.model), num_outputs=2, label_names=None, problem_type="single_label_classification", seed=0
        )
        made.model.save_pretrained(target)
        made.tokenizer.save_pretrained(target)
    return str(target)


def on_made_up_data(folder: Path, task: str, *overrides: str) -> None:
    data = prepared(folder, task)
    config = tiny_config(data, *overrides, *ONE_STEP)
    validate(config, {})
    take_a_step(folder, config, data)


@pytest.mark.parametrize("name", choices("model"))
def test_every_model(name: str, data_folder: Path) -> None:
    model_type = compose([f"model={name}"]).config.model.model_type
    if FAMILIES[model_type].architecture == "encoder_decoder":
        captions = next(item for item in dataset_overrides(data_folder, "multi30k") if item.startswith("dataset.path="))
        train_on_it(data_folder, ["dataset=multi30k", captions, f"model={name}", "batch.max_length=32", *ONE_STEP])
        return
    own = [] if name == "tiny" else [f"model.name_or_path={tiny_weights(data_folder, model_type)}"]
    on_made_up_data(data_folder, "single", f"model={name}", *own)


@pytest.mark.parametrize("architecture", CLASSIFIERS)
def test_every_architecture_of_a_tiny_model(architecture: str, data_folder: Path) -> None:
    on_made_up_data(data_folder, "single", "model=tiny", f"model.architecture={architecture}")


@pytest.mark.parametrize(
    ("group", "name"),
    [(group, name) for group in ("tuning", "optimizer", "scheduler", "callbacks") for name in choices(group)],
)
def test_every_way_of_learning(group: str, name: str, data_folder: Path) -> None:
    extra = {"top_layers": ["tuning.k=1"], "prompt": ["tuning.num_virtual_tokens=3"]}.get(name, [])
    on_made_up_data(data_folder, "single", f"{group}={name}", *extra)


@pytest.mark.parametrize("name", choices("loss"))
def test_every_loss(name: str, data_folder: Path) -> None:
    on_made_up_data(data_folder, *(("regression", "task=regression") if name == "huber" else ("single",)), f"loss={name}")


@pytest.mark.parametrize("name", choices("task"))
def test_every_task(name: str, data_folder: Path) -> None:
    data, loss = {"regression": ("regression", "mse"), "sequence_classification": ("single", "cross_entropy")}.get(name, ("single", "auto"))
    if name in CELLS and name != "regression":
        config = config_of(data_folder, name, CELLS[name], "full", CELLS[name].architecture, *ONE_STEP)
        validate(config, {})
        take_a_step(data_folder, config, data_of(data_folder, name, CELLS[name]))
    else:
        assert name in ("regression", "sequence_classification", "auto"), f"tests/invariance/cells_{name}.py is missing"
        on_made_up_data(data_folder, data, f"task={name}", f"loss={loss}")


@pytest.mark.parametrize("name", choices("trainer"))
def test_every_trainer_composes_and_validates_here_and_the_cpu_ones_train(name: str, data_folder: Path) -> None:
    data = prepared(data_folder, "single")
    overrides = ["dataset=prepared", f"dataset.path={data}", "model=tiny", f"trainer={name}", "trainer.precision=auto"]
    composition = compose(overrides)
    validate(composition.config, composition.origins)
    if name in ("ddp", "fsdp"):
        # Two processes are started by the launcher: tests/invariance/test_ranks.py and tests/cli/test_multirun.py train with them.
        assert resolve(composition.config, machine=Machine(cores=2, gpus=0, bf16=False, gpu_bf16=False)).trainer.devices == 2
    elif name == "gpu":
        assert composition.config.trainer.accelerator == "gpu"
    else:
        take_a_step(data_folder, tiny_config(data, f"trainer={name}", *ONE_STEP), data)


@pytest.mark.parametrize("name", choices("logger"))
def test_every_logger(name: str, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tiny_runs import make_run

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    run = make_run(data_folder / f"logger-{name}", prepared(data_folder, "single"), f"logger={name}", name=name)
    built = loggers.build(compose([f"logger={name}"]).config.logger, run)
    assert (len(built) == 0) == (name == "none")
    for mirror in built:
        mirror.log_metrics({"train/loss": 1.0}, 1)
    loggers.finish(built, 0)


def dataset_overrides(folder: Path, name: str) -> list[str]:
    """What reads a dataset from small local files, and the task and model that it is for."""
    if name == "prepared":
        return ["dataset=prepared", f"dataset.path={prepared(folder, 'single')}", "model=tiny"]
    if name == "files":
        table = small_datasets.table(folder / "files", "sst2")
        columns = ["dataset.columns.text=sentence", "dataset.columns.label=label"]
        return ["dataset=files", f"dataset.files.train={table / 'train.csv'}", *columns, "model=tiny"]
    if name == "hub":
        table = small_datasets.table(folder / "hub", "sst2")
        return ["dataset=hub", "dataset.hub_id=someone/reviews", f"dataset.path={table}", "dataset.columns.text=sentence", "model=tiny"]
    kind = small_datasets.kind_of(name)
    task = "language_modeling" if kind == "none" else TASK_OF_KIND.get(kind, "sequence_classification")
    more = ["loss=mse"] if kind == "number" else []
    if task in CELLS and kind != "number":
        more = [f"model.architecture={CELLS[task].architecture}", *CELLS[task].overrides]
    if kind in ALIGNED:  # white space of a text is not changed where labels point into it
        more = [*more, "cleaner=none"]
    if name in ("parallel", "multi30k"):
        more = [*more, "dataset.languages=[en,de]"]
    path = small_datasets.written(folder / name, name)
    return [f"dataset={name}", f"dataset.path={path}", f"task={task}", "model=tiny", *more]


# What is collected has no labels to train on; tests/data prepares it.
UNLABELED = ("common_crawl", "crawl", "wikipedia")
KINDS_OF_TASKS = {facts.kind for facts in FACTS.values()}


@pytest.mark.parametrize("name", [name for name in choices("dataset") if name not in UNLABELED])
def test_every_dataset(name: str, data_folder: Path) -> None:
    if small_datasets.kind_of(name) not in {*KINDS_OF_TASKS, "any"}:
        pytest.skip("no task uses labels of this kind yet")
    train_on_it(data_folder, [*dataset_overrides(data_folder, name), *ONE_STEP])


@pytest.mark.parametrize("name", choices("cleaner"))
def test_every_cleaner(name: str, data_folder: Path) -> None:
    overrides = dataset_overrides(data_folder, "sst2")
    if name in ("web", "gopher", "c4", "fineweb"):  # made for pages, not for sentences
        words = [str(row * 7919 % 1000) for row in range(3000)]
        pages = [
            " ".join(f"It is said that the river of {word} has been here with the people." for word in words[row::100])
            for row in range(100)
        ]
        lines = [json.dumps({"text": page, "label": "good" if row % 2 else "bad"}) for row, page in enumerate(pages)]
        (data_folder / "pages.jsonl").write_text("\n".join(lines))
        overrides = ["dataset=files", f"dataset.files.train={data_folder / 'pages.jsonl'}"]
        overrides += ["cleaner.steps.near_duplicates=null"] if name != "c4" else []
        overrides += ["cleaner.steps.gopher_repetition=null"] if name == "gopher" else []
    train_on_it(data_folder, [*overrides, f"cleaner={name}", "model=tiny", *ONE_STEP])


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in BUNDLES for name in choices(group)])
def test_every_bundle(group: str, name: str, data_folder: Path) -> None:
    named = compose([f"{group}={name}"]).config.dataset.name
    data = dataset_overrides(data_folder, named)
    # Experiments for GPUs, on one process here; tests/invariance/test_ranks.py divides one between two.
    here = ["trainer=cpu", "trainer.accelerator=cpu", "trainer.devices=1"] if "7b" in name else []
    train_on_it(data_folder, [f"{group}={name}", *data, "model=tiny", *ONE_STEP, *here, "batch.max_length=32"])


def train_on_it(folder: Path, overrides: list[str]) -> None:
    """Prepare the data that the overrides name, and take one step on it."""
    composition = compose(overrides)
    config = resolve(composition.config, machine=Machine(cores=1, gpus=0, bf16=False, gpu_bf16=False))
    validate(config, composition.origins)
    groups = config.dataset, config.cleaner, config.annotator
    data = prepare(*groups, augmenter=config.augmenter, sampler=config.sampler, task_variant=variant(config.task))
    take_a_step(folder, config, data.directory)


def test_every_annotator(data_folder: Path) -> None:
    (data_folder / "raw.txt").write_text("".join(f"{'a good' if row % 2 else 'a bad'} sentence {row}\n" for row in range(100)))
    rules = ["annotator.functions={good: {label: positive, words: [good]}, bad: {label: negative, words: [bad]}}"]
    files = ["dataset=files", f"dataset.files.train={data_folder / 'raw.txt'}", "dataset.columns.label=null"]
    # A run that labels is a process of its own: tests/studies/analysis/test_scoring.py trains on what one says.
    assert choices("annotator") == ["labeling_functions", "none", "propagation", "run", "sentiment"]
    train_on_it(data_folder, [*files, "annotator=labeling_functions", *rules, "annotator.soft=true", "model=tiny", *ONE_STEP])
    train_on_it(data_folder, [*files, "annotator=sentiment", "model=tiny", *ONE_STEP])
    rows = [f"{'a good' if row % 2 else 'a bad'} sentence {row},{('bad', 'good')[row % 2] if row < 20 else ''}" for row in range(100)]
    (data_folder / "few.csv").write_text("text,label\n" + "\n".join(rows))
    few = ["dataset=files", f"dataset.files.train={data_folder / 'few.csv'}"]
    train_on_it(data_folder, [*few, "annotator=propagation", "model=tiny", *ONE_STEP])


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in ("augmenter", "sampler") for name in choices(group)])
def test_every_way_of_balancing(group: str, name: str, data_folder: Path) -> None:
    train_on_it(data_folder, [*dataset_overrides(data_folder, "sst2"), f"{group}={name}", "model=tiny", *ONE_STEP])


def test_no_group_is_left_out() -> None:
    here = {
        "model",
        "tuning",
        "optimizer",
        "scheduler",
        "callbacks",
        "loss",
        "task",
        "trainer",
        "logger",
        "dataset",
        "cleaner",
        "annotator",
        "augmenter",
        "sampler",
    }
    assert here == set(GROUPS)
