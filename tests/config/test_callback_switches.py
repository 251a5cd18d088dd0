"""The dictionary of callbacks: each is off while its first key is null, and one override switches it on."""

import dataclasses

import pytest

from finecomb.config import plugins
from finecomb.config.compose import compose
from finecomb.config.fields import fields_of
from finecomb.config.fingerprint import settings
from finecomb.config.plain import from_plain, to_plain
from finecomb.config.schema.callbacks import CHOICES, Callback, Callbacks
from finecomb.config.validate import problems_of
from finecomb.core.errors import ConfigError

SWITCHED_ON = [
    "callbacks.early_stopping.patience=3",
    "callbacks.learning_rate_monitor.logging_interval=step",
    "callbacks.gradient_statistics.every_n_steps=5",
    "callbacks.sample_predictions.num_examples=4",
    "callbacks.weight_averaging.decay=0.999",
]


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setattr(plugins, "_loaded", {})


@pytest.mark.parametrize("override", SWITCHED_ON)
def test_one_override_switches_a_callback_on_that_is_off_by_default(override):
    name, key = override.split("=")[0].split(".")[1:]
    off, on = (getattr(compose(words).config.callbacks, name) for words in ([], [override]))
    assert getattr(off, key) is None
    assert str(getattr(on, key)) == override.split("=")[1]
    assert f"{key}=null" == off.OFF


@pytest.mark.parametrize("name", [name for name, field in fields_of(Callbacks).items() if field.nested and field.nested.OFF])
def test_null_for_a_callback_is_an_error_that_names_its_switch(name):
    with pytest.raises(ConfigError) as caught:
        compose([f"callbacks.{name}=null"])
    (problem,) = caught.value.problems
    switch = problem.hint.removeprefix("to switch it off, write ")
    assert switch.startswith(f"callbacks.{name}.")
    compose([switch])


def test_false_for_progress_names_its_switch():
    with pytest.raises(ConfigError) as caught:
        compose(["callbacks.progress=false"])
    assert caught.value.problems[0].hint == "callbacks.progress is now callbacks.progress.enabled: write callbacks.progress.enabled=false"


@pytest.mark.parametrize(
    ("override", "wrong"),
    [
        ("callbacks.early_stopping.patience=0", "is below 1"),
        ("callbacks.early_stopping.min_delta=-1", "is below 0"),
        ("callbacks.learning_rate_monitor.logging_interval=minute", "is not one of the allowed values"),
        ("callbacks.gradient_statistics.every_n_steps=0", "is below 1"),
        ("callbacks.sample_predictions.num_examples=0", "is below 1"),
        ("callbacks.weight_averaging.decay=1", "is above 0.999999"),
    ],
)
def test_every_key_has_bounds(override, wrong):
    with pytest.raises(ConfigError, match=rf"{override} {wrong}"):
        compose([override])


def test_every_entry_is_a_callback_and_what_is_off_is_not_in_the_fingerprint():
    for field in fields_of(CHOICES["default"]).values():
        assert field.name == "name" or issubclass(field.nested, Callback)
    keys = {key for key in settings(compose([]).config) if key.startswith("callbacks.") or key == "monitor.patience"}
    assert keys == {"callbacks.keep_best", "monitor.patience"}, "those of runs before these callbacks"


@pytest.mark.parametrize(("override", "key"), [(SWITCHED_ON[0], "monitor.patience"), (SWITCHED_ON[4], "callbacks.weight_averaging.decay")])
def test_what_changes_numbers_is_in_the_fingerprint(override, key):
    assert str(settings(compose([override]).config)[key]) == override.split("=")[1]
    with_delta = settings(compose([SWITCHED_ON[0], "callbacks.early_stopping.min_delta=0.01"]).config)
    assert with_delta["callbacks.early_stopping.min_delta"] == 0.01


@pytest.mark.parametrize("override", SWITCHED_ON[1:4])
def test_what_only_logs_is_not_in_the_fingerprint(override):
    assert settings(compose([override]).config) == settings(compose([]).config)


def test_the_config_of_a_run_before_these_callbacks_is_read():
    plain = to_plain(compose(["callbacks=last"]).config)
    plain["callbacks"] = {
        "name": "last", "checkpoint_every_n_steps": 50, "keep_best": False, "progress": True, "log_every_n_steps": 7,
    }  # fmt: skip
    plain["monitor"]["patience"] = 4
    del plain["trainer"]["log_every_n_steps"]
    found = from_plain(plain)
    assert (found.callbacks.checkpoint.every_n_steps, found.callbacks.checkpoint.keep_best) == (50, False)
    assert (found.callbacks.early_stopping.patience, found.callbacks.early_stopping.min_delta) == (4, 0.0)
    assert (found.trainer.log_every_n_steps, found.callbacks.progress.enabled) == (7, True)
    assert found.callbacks.weight_averaging.decay is None


@pytest.mark.parametrize("other", ["trainer.precision=bf16-true", "trainer.strategy=fsdp"])
def test_weight_averaging_is_refused_where_the_average_would_be_wrong(other):
    composition = compose([SWITCHED_ON[4]])
    key, value = other.removeprefix("trainer.").split("=")
    config = dataclasses.replace(composition.config, trainer=dataclasses.replace(composition.config.trainer, **{key: value}))
    (problem,) = [each for each in problems_of(config, composition.origins) if "weight_averaging" in each.what]
    assert problem.where == f"command line: {SWITCHED_ON[4]}"
    assert problem.hint.startswith("set callbacks.weight_averaging.decay=null, or trainer.")
