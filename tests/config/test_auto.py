"""task=auto and loss=auto: the dataset names its task, the task its loss; an explicit choice wins."""

import json

import pytest

from finecomb.config.compose import compose
from finecomb.config.fingerprint import difference_name, fingerprint
from finecomb.config.hydra_app import expand
from finecomb.config.plain import to_plain
from finecomb.config.validate import validate
from finecomb.core.errors import ConfigError

FILES = ["dataset=files", "dataset.files.train=x.csv"]


def chosen(*overrides):
    composition = compose(list(overrides))
    config = composition.config
    assert (config.task.name, config.loss.name) == (composition.choices["task"], composition.choices["loss"])
    return config.task.name, config.loss.name


CLASSES, NUMBERS = ("sequence_classification", "cross_entropy"), ("regression", "mse")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], CLASSES),
        (["dataset=sst2"], CLASSES),
        (["dataset=stsb"], NUMBERS),
        (["dataset.target=rating"], NUMBERS),
        (["dataset.target=ternary"], CLASSES),
        (FILES, CLASSES),
        ([*FILES, "dataset.label_kind=number"], NUMBERS),
        (["experiment=stsb_all_minilm"], NUMBERS),
        (["experiment=stsb_all_minilm", "dataset=sst2"], CLASSES),
        (["task=auto", "loss=auto", "dataset=stsb"], NUMBERS),
        (["dataset=stsb", "task=sequence_classification"], CLASSES),
        (["dataset=stsb", "loss=huber"], ("regression", "huber")),
        (["task=regression"], NUMBERS),
        (["loss=focal"], ("sequence_classification", "focal")),
    ],
)
def test_the_dataset_names_its_task_and_the_task_its_loss(overrides, expected):
    assert chosen(*overrides) == expected


@pytest.mark.parametrize(
    ("overrides", "explicit"),
    [
        ([], ["task=sequence_classification", "loss=cross_entropy"]),
        (["dataset=stsb"], ["task=regression", "loss=mse"]),
        (["loss.label_smoothing=0.1"], ["loss=cross_entropy"]),
        (["dataset=stsb", "loss.one_hot_scale=2"], ["loss=mse"]),
        (["task.multi_label=true", *FILES, "dataset.label_kind=classes"], ["task=sequence_classification"]),
    ],
)
def test_auto_is_the_same_run_as_the_choice_written_out(overrides, explicit):
    auto, written = compose(overrides), compose([*overrides, *explicit])
    assert to_plain(auto.config) == to_plain(written.config)
    assert fingerprint(auto.config, {}) == fingerprint(written.config, {})
    assert difference_name(auto.config, auto.choices) == difference_name(written.config, written.choices)
    assert sorted(auto.overrides) == sorted(overrides)


def test_the_folder_of_prepared_rows_names_its_task(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"label_kind": "number"}))
    assert chosen("dataset=prepared", f"dataset.path={tmp_path}") == NUMBERS


def test_a_key_of_another_loss_is_an_error_that_names_the_loss_that_was_chosen():
    with pytest.raises(ConfigError) as raised:
        compose(["dataset=stsb", "loss.label_smoothing=0.1"])
    (problem,) = raised.value.problems
    assert problem.what == "loss.label_smoothing: there is no such key with loss=mse"
    assert problem.hint == "loss=cross_entropy has it"


def test_an_explicit_choice_that_does_not_fit_is_still_refused():
    composition = compose(["dataset=stsb", "loss=cross_entropy"])
    with pytest.raises(ConfigError, match="loss=cross_entropy cannot serve task=regression"):
        validate(composition.config, composition.origins)


def test_each_job_of_a_sweep_over_datasets_has_its_own_task():
    assert [chosen(*job) for job in expand(["dataset=sst2,stsb"])] == [CLASSES, NUMBERS]
