"""What a run is: plain values and back, auto resolved, the fingerprint and the name."""

import dataclasses
import json

import pytest

from finecomb.config import fields, plugins
from finecomb.config.compose import compose
from finecomb.config.fingerprint import difference_name, fingerprint
from finecomb.config.plain import flatten, from_plain, to_plain
from finecomb.config.resolve import resolve
from finecomb.config.schema.base import option
from finecomb.config.schema.tuning import LEARNING_RATES, OPTIMIZER_FAMILY
from finecomb.config.sources import options
from finecomb.core.errors import ConfigError
from finecomb.core.machine import Machine, this_machine

LAPTOP = Machine(cores=4, gpus=0, bf16=False)
SERVER = Machine(cores=32, gpus=4, bf16=True, gpu_bf16=True)


def config(*overrides, machine=LAPTOP):
    return resolve(compose(list(overrides)).config, machine=machine)


ROUND = ("dataset", "annotator", "augmenter", "sampler", "model", "tuning", "optimizer", "loss")
NEEDS = {
    "parallel": ["dataset.languages=[en,de]", "model=transformer"],
    "files": ["dataset.files.train=x"],
    "hub": ["dataset.hub_id=someone/reviews"],
    "crawl": ["dataset.start=[http://site.example/]"],
    "wikipedia": ["dataset.dump=dump.xml.bz2"],
    "run": ["annotator.run=runs/one"],
}


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in ROUND for name in options(group)])
def test_a_frozen_config_comes_back_as_it_was(group, name):
    before = compose([f"{group}={name}", *NEEDS.get(name, [])]).config
    after = from_plain(json.loads(json.dumps(to_plain(before))))
    assert after == before
    assert type(getattr(after, group)) is type(getattr(before, group))


def test_a_config_of_another_version_is_the_users_error():
    plain = to_plain(config())
    plain["tuning"]["heads"] = 3
    with pytest.raises(ConfigError, match="no choice has the keys"):
        from_plain(plain)
    plain = to_plain(config())
    del plain["seed"]
    with pytest.raises(ConfigError, match="seed is missing"):
        from_plain(plain)


def test_only_json_values_may_stand_in_a_config():
    with pytest.raises(TypeError, match=r"seed holds a complex"):
        to_plain(dataclasses.replace(config(), seed=3j))


def test_flatten_keeps_lists_and_empty_mappings_as_values():
    assert flatten({"a": {"b": 1, "c": {}}, "d": [1, 2]}) == {"a.b": 1, "a.c": {}, "d": [1, 2]}


@pytest.mark.parametrize("optimizer", list(OPTIMIZER_FAMILY))
@pytest.mark.parametrize("tuning", list(LEARNING_RATES))
def test_auto_learning_rate_lies_within_the_methods_range(tuning, optimizer):
    rates = LEARNING_RATES[tuning][OPTIMIZER_FAMILY[optimizer]]
    assert rates.low <= config(f"tuning={tuning}", f"optimizer={optimizer}").optimizer.lr == rates.default <= rates.high


def test_no_auto_is_left_but_what_the_weights_decide():
    resolved = flatten(to_plain(config("trainer=ddp", "logger=csv", machine=SERVER)))
    resolved = {key: value for key, value in resolved.items() if key not in ("model.model_type", "model.attention", "trainer.strategy")}
    assert "auto" not in resolved.values()


@pytest.mark.parametrize(
    ("overrides", "machine", "expected"),
    [
        ([], LAPTOP, ("cpu", 1, "32-true", 4)),
        ([], SERVER, ("gpu", 1, "bf16-mixed", 32)),
        (["trainer=cpu"], SERVER, ("cpu", 1, "bf16-mixed", 32)),
        (["trainer=gpu"], SERVER, ("gpu", 1, "bf16-mixed", 32)),
        (["trainer=gpu", "trainer.precision=16-mixed"], SERVER, ("gpu", 1, "16-mixed", 32)),
        (["trainer=gpu"], dataclasses.replace(SERVER, gpu_bf16=False), ("gpu", 1, "32-true", 32)),
        (["trainer=ddp"], LAPTOP, ("cpu", 2, "32-true", 2)),
        (["trainer=ddp", "trainer.accelerator=cpu"], SERVER, ("cpu", 2, "bf16-mixed", 16)),
        (["trainer=ddp", "trainer.devices=3"], SERVER, ("gpu", 3, "bf16-mixed", 10)),
        (["trainer=ddp"], SERVER, ("gpu", 4, "bf16-mixed", 8)),
        (["trainer.threads=3", "trainer.precision=32-true"], SERVER, ("gpu", 1, "32-true", 3)),
    ],
)
def test_auto_becomes_what_the_machine_has(overrides, machine, expected):
    trainer = config(*overrides, machine=machine).trainer
    assert (trainer.accelerator, trainer.devices, trainer.precision, trainer.threads) == expected


@pytest.mark.parametrize(
    ("machine", "others", "name"),
    [
        (LAPTOP, [], "cpu"),
        (SERVER, [], "gpu"),
        (SERVER, ["trainer.accelerator=cpu"], "cpu"),
        (LAPTOP, ["trainer.strategy=ddp", "trainer.devices=auto"], "ddp"),
    ],
)
def test_trainer_auto_is_the_same_run_as_the_choice_for_the_machine(machine, others, name):
    auto, chosen = config(*others, machine=machine), config(f"trainer={name}", *others, machine=machine)
    assert auto.trainer.name == name
    assert fingerprint(auto, {}) == fingerprint(chosen, {})
    assert difference_name(auto, {"trainer": "auto"}) == difference_name(chosen, {"trainer": name}) or name == "ddp"


def test_a_gpu_that_is_not_there_is_refused_when_a_run_starts():
    with pytest.raises(ConfigError, match=r"trainer=gpu needs 1 GPU\(s\); none is visible"):
        config("trainer=gpu")


@pytest.mark.parametrize(
    ("overrides", "metric", "mode"),
    [
        ([], "accuracy", "max"),
        (["monitor.metric=loss"], "loss", "min"),
        (["dataset=stsb", "task=regression", "loss=mse"], "pearson", "max"),
    ],
)
def test_monitor_auto_is_the_tasks_own(overrides, metric, mode):
    monitor = config(*overrides).monitor
    assert (monitor.metric, monitor.mode) == (metric, mode)


def test_this_machine_is_described_without_torch():
    machine = this_machine()
    assert machine.cores >= 1
    assert len(machine.gpu_names) == machine.gpus


# The identity of a run on film reviews. If this changes, every finished run is trained again: give a new field `before` instead.
GOLDEN = "eafd93f5f03c"


def test_the_fingerprint_is_stable():
    fixed = config("model=tiny", "optimizer.lr=1e-3", "tuning=lora")
    assert fingerprint(fixed, {"data": "d", "model": "m"}) == GOLDEN


def test_one_and_one_point_nought_are_the_same():
    base = config("tuning=lora")
    as_int = dataclasses.replace(base, tuning=dataclasses.replace(base.tuning, lora_alpha=16))
    assert type(as_int.tuning.lora_alpha) is int
    assert fingerprint(as_int, {}) == fingerprint(base, {})


@pytest.mark.parametrize(
    "override",
    ["output_dir=elsewhere", "name=word", "rerun=failed", "trainer.num_workers=2", "trainer.threads=1", "callbacks.progress.enabled=false",
     "logger=none", "batch.eval_size=7", "logger.project=mine", "callbacks.checkpoint.every_n_steps=5",
     "model.gradient_checkpointing=true"],
)  # fmt: skip
def test_what_cannot_change_the_result_is_no_identity(override):
    assert fingerprint(config(override), {}) == fingerprint(config(), {})


@pytest.mark.parametrize(
    "override",
    ["seed=1", "tuning=lora", "optimizer.lr=1e-3", "batch.size=16", "dataset.split.seed=1", "dataset.limit.train=9", "trainer.max_epochs=2",
     "trainer.precision=bf16-mixed", "cleaner=none", "evaluate.test=false", "model.dropout=0", "tuning.frozen_mode=train",
     "callbacks=last", "batch.micro_batches=2", "model.attention=eager"],
)  # fmt: skip
def test_what_can_change_the_result_is(override):
    assert fingerprint(config(override), {}) != fingerprint(config(), {})


def test_inputs_and_the_order_of_cleaning_steps_are_identity():
    base = config()
    turned = dataclasses.replace(base, cleaner=dataclasses.replace(base.cleaner, steps=dict(reversed(base.cleaner.steps.items()))))
    assert len({fingerprint(base, {}), fingerprint(base, {"data": "a"}), fingerprint(base, {"data": "b"}), fingerprint(turned, {})}) == 4


def test_a_field_added_later_with_the_value_of_before_changes_nothing():
    base = config()

    @dataclasses.dataclass
    class Evaluate:
        test: bool = option("as it was")
        rounds: int = option("new", before=1)

    def with_rounds(rounds):
        return dataclasses.replace(base, evaluate=Evaluate(test=True, rounds=rounds))

    assert fingerprint(with_rounds(1), {}) == fingerprint(base, {})
    assert fingerprint(with_rounds(2), {}) != fingerprint(base, {})


def test_a_frozen_config_without_a_newer_field_gets_the_value_of_before(monkeypatch):
    plain = to_plain(config("tuning=lora"))
    real = fields.fields_of(type(config("tuning=lora").tuning))
    newer = {**real, "use_rslora": dataclasses.replace(real["use_rslora"], before=False)}
    monkeypatch.setattr(
        "finecomb.config.plain.fields_of", lambda cls: newer if "use_rslora" in fields.fields_of(cls) else fields.fields_of(cls)
    )
    del plain["tuning"]["use_rslora"]
    assert from_plain(plain).tuning.use_rslora is False


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "movie_reviews-full"),
        (["tuning=lora", "tuning.r=4", "seed=1"], "movie_reviews-lora-r4-seed1"),
        (["name=try", "optimizer=sgd", "optimizer.lr=1e-3"], "try-movie_reviews-sgd-full-lr0.001"),
        (["experiment=main_job", "tuning=head", "seed=2"], "main_job-movie_reviews-head-seed2"),
        (["debug=tiny", "logger=csv", "output_dir=x"], "tiny-movie_reviews-tiny-full"),
        (["evaluate.test=false", "tuning=lora", "tuning.use_rslora=true"], "movie_reviews-lora-no_test-use_rslora"),
        (["dataset=files", "dataset.files.train=a/b.csv"], "files-full-b"),
    ],
)
def test_the_name_is_what_was_asked_for(overrides, name):
    composition = compose(overrides)
    assert difference_name(resolve(composition.config, machine=LAPTOP), composition.choices) == name
    assert difference_name(composition.config, composition.choices) == name


def test_a_name_is_short_and_fit_for_a_folder():
    composition = compose(
        ["name='a b/c'", "dataset.columns.text='x y'", "tuning=lora", f"tuning.target_modules=[{','.join('abcdefghij' * 9)}]"]
    )
    name = difference_name(composition.config, composition.choices)
    assert len(name) <= 96
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-")


def test_schemas_of_every_group_are_known():
    assert all(plugins.schemas(group) for group in ("dataset", "cleaner", "task", "model", "tuning", "loss"))


def test_where_content_lies_is_no_identity_though_a_name():
    here, there = (
        config("dataset=files", "dataset.files.train=a/b.csv"),
        config("dataset=files", "dataset.path=c", "dataset.files.train=d.csv"),
    )
    assert fingerprint(here, {"data": "x"}) == fingerprint(there, {"data": "x"}) != fingerprint(here, {"data": "y"})
    assert fingerprint(config("model.name_or_path=a"), {"model": "x"}) == fingerprint(config(), {"model": "x"})
