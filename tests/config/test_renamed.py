"""Keys under new names: errors name them, finished runs keep their fingerprints, and files of earlier versions are read."""

import hashlib
import json

import pytest

from finecomb.config import renamed
from finecomb.config.compose import compose
from finecomb.config.fields import fields_of
from finecomb.config.fingerprint import fingerprint, settings
from finecomb.config.plain import from_plain, to_plain
from finecomb.config.resolve import resolve, with_trainer
from finecomb.core.errors import ConfigError
from finecomb.core.machine import Machine
from finecomb.runs import directory
from finecomb.runs.directory import RunDirectory
from finecomb.runs.record import RunRecord

LAPTOP = Machine(cores=4, gpus=0, bf16=False)
# Overrides; fingerprint on LAPTOP and digest of the settings, recorded before any key was renamed.
BEFORE = [
    ([], "c9d128dbbea4", "d1bf4b4a"),
    (["trainer.precision=32-true"], "c9d128dbbea4", "25df48ef"),
    (["trainer.precision=bf16-mixed"], "e5635a7dee89", "0d1d33c9"),
    (["batch.micro_batches=4"], "f27cff59a6ee", "3b4442d5"),
    (["batch.max_tokens=512"], "4852e47dd842", "d854869f"),
    (["tuning=lora", "tuning.lora_alpha=32", "tuning.lora_dropout=0.1", "tuning.use_rslora=true"], "ec91afc52a4e", "2ca45139"),
    (["tuning=prompt"], "1f06230e3718", "4b698cb1"),
    (["tuning=prompt", "tuning.prompt_tuning_init=RANDOM"], "caed19d69eca", "ca92646c"),
    (["model.name_or_path=some/where"], "c9d128dbbea4", "d1bf4b4a"),
    (["trainer.num_workers=2", "rerun=all"], "c9d128dbbea4", "d1bf4b4a"),
    (["tuning=lora", "trainer.precision=32-true", "batch.micro_batches=2"], "df1857d4a509", "10c24e06"),
    (["debug=tiny"], "a67fcbf55cf7", "90b8292f"),
    (["annotator=labeling_functions", "dataset=files", "dataset.files.train=x.csv"], "fff15d9fc576", "393e4204"),
]


@pytest.mark.parametrize(("overrides", "identity", "digest"), BEFORE)
def test_a_renamed_key_keeps_its_place_in_the_fingerprint(overrides, identity, digest):
    config = compose(overrides).config
    assert fingerprint(resolve(config, machine=LAPTOP), {}) == identity
    assert hashlib.sha256(json.dumps(settings(with_trainer(config, LAPTOP)), sort_keys=True).encode()).hexdigest()[:8] == digest


def problem(*overrides):
    with pytest.raises(ConfigError) as raised:
        compose(list(overrides))
    (found,) = raised.value.problems
    return found


@pytest.mark.parametrize(
    ("overrides", "hint"),
    [
        (["trainer.workers=2"], "trainer.workers is now trainer.num_workers: write trainer.num_workers=2"),
        (["batch.tokens=512"], "write batch.max_tokens=512"),
        (["dataset=sst2", "dataset.licence=MIT"], "write dataset.license=MIT"),
        (["model.path=here"], "write model.name_or_path=here"),
        (["trainer.accumulate_grad_batches=4"], "write batch.micro_batches=4"),
        (["tuning=lora", "tuning.alpha=8"], "write tuning.lora_alpha=8"),
        (["tuning=lora", "tuning.dropout=0.1"], "write tuning.lora_dropout=0.1"),
        (["tuning=lora", "tuning.rslora=true"], "write tuning.use_rslora=true"),
        (["tuning.alpha=8"], "write tuning.lora_alpha=8; tuning=lora has it"),
        (["tuning=prompt", "tuning.init=random"], "write tuning.prompt_tuning_init=RANDOM"),
        (["retry=failed"], "write rerun=failed"),
        (["+retry=failed"], "write rerun=failed"),
        (["monitor.patience=3"], "write callbacks.early_stopping.patience=3"),
        (["callbacks.checkpoint_every_n_steps=7"], "write callbacks.checkpoint.every_n_steps=7"),
        (["callbacks.keep_best=false"], "write callbacks.checkpoint.keep_best=false"),
        (["callbacks.log_every_n_steps=5"], "write trainer.log_every_n_steps=5"),
    ],
)
def test_an_old_key_is_an_error_that_names_the_new_one(overrides, hint):
    found = problem(*overrides)
    assert "there is no such key" in found.what
    assert found.where.endswith(overrides[-1])
    assert found.hint.endswith(hint)


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("trainer.precision=32", "32-true"),
        ("trainer.precision=bf16", "bf16-mixed"),
        ("trainer.precision=16", "16-mixed"),
    ],
)
def test_an_old_value_is_an_error_that_names_the_new_one(override, hint):
    found = problem(override)
    assert "is not one of the allowed values" in found.what
    assert found.hint == f"did you mean {hint}?"


def test_an_old_choice_is_an_error_that_names_the_new_one():
    found = problem("annotator=labelling_functions")
    assert found.hint == "did you mean annotator=labeling_functions?"


def test_an_annotator_keeps_its_first_name_in_the_keys_of_cached_data():
    from finecomb.data.annotator import identity

    assert identity(compose(["annotator=labeling_functions"]).config.annotator)[1]["name"] == "labelling_functions"


def test_the_old_name_in_a_plugin_is_an_error_that_names_the_new_one(tmp_path):
    (tmp_path / "finecomb_plugin.py").write_text("LABELLING_FUNCTIONS = {}\n")
    with pytest.raises(ConfigError) as raised:
        compose([], config_dirs=[tmp_path])
    assert raised.value.problems[0].hint == "LABELLING_FUNCTIONS is now LABELING_FUNCTIONS"


def test_an_old_key_in_a_file_is_an_error_with_its_line(tmp_path):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "old.yaml").write_text("# @package _global_\ntrainer:\n  workers: 3\n")
    with pytest.raises(ConfigError) as raised:
        compose(["experiment=old"], config_dirs=[tmp_path])
    (found,) = raised.value.problems
    assert "old.yaml:3" in found.where
    assert found.hint.endswith("write trainer.num_workers=3")


def written_before(plain):
    """The frozen config as the version before the renames wrote it."""
    old = renamed.as_before(json.loads(json.dumps(plain)), resolved=True)
    assert old != plain
    return old


@pytest.mark.parametrize("overrides", [["tuning=lora", "batch.micro_batches=2"], ["tuning=prompt", "trainer.precision=bf16-mixed"], []])
def test_a_frozen_config_of_an_earlier_version_is_read_under_the_new_names(overrides, tmp_path):
    config = resolve(compose(overrides).config, machine=LAPTOP)
    plain = to_plain(config)
    old = written_before(plain)
    assert "accumulate_grad_batches" in old["trainer"]
    assert "micro_batches" not in old["batch"]
    assert from_plain(old) == config
    choices, overrides = {"tuning": config.tuning.name}, ["trainer.precision=32", "trainer.workers=1", "seed=3"]
    run = directory.create(tmp_path, old, RunRecord("0123456789ab", "run", choices=choices, overrides=overrides))
    run.write_result({"config": old, "metrics": {}})
    again = RunDirectory(run.path)
    assert again.config == plain
    assert again.result()["config"] == plain
    assert again.record.choices == choices
    assert again.record.overrides == ["trainer.precision=32-true", "trainer.num_workers=1", "seed=3"]


def test_a_record_with_an_old_choice_is_read_under_its_new_name(tmp_path):
    choices, overrides = {"annotator": "labelling_functions"}, ["annotator=labelling_functions", "seed=1"]
    record = RunRecord("0123456789ab", "run", choices=choices, overrides=overrides)
    run = directory.create(tmp_path, {"annotator": {"name": "labelling_functions"}}, record)
    assert run.config == {"annotator": {"name": "labeling_functions"}}
    assert run.record.choices == {"annotator": "labeling_functions"}
    assert run.record.overrides == ["annotator=labeling_functions", "seed=1"]


def test_a_choice_that_has_the_old_key_keeps_it():
    config = {"tuning": {"name": "full", "alpha": 3}, "seed": 1}
    assert renamed.current(config) == config
    assert renamed.current_overrides(["tuning=full", "tuning.alpha=3"]) == ["tuning=full", "tuning.alpha=3"]
    assert renamed.current_overrides(["tuning=lora", "tuning.alpha=3"]) == ["tuning=lora", "tuning.lora_alpha=3"]


def test_a_dataset_whose_name_is_free_is_read_under_the_new_names():
    config = compose(["dataset=sst2"]).config
    old = json.loads(json.dumps(to_plain(config)))
    old["dataset"]["licence"] = old["dataset"].pop("license")
    assert from_plain(old) == config


def test_a_config_of_dotted_keys_is_read_under_the_new_names():
    old = {"tuning.name": "lora", "tuning.alpha": 8, "trainer.precision": "bf16", "seed": 1}
    assert renamed.current_flat(old) == {"tuning.name": "lora", "tuning.lora_alpha": 8, "trainer.precision": "bf16-mixed", "seed": 1}


def test_every_new_name_exists_and_no_old_one():
    for choices in (["tuning=lora", "dataset=sst2"], ["tuning=prompt"]):
        config = compose(choices).config
        for old, new in renamed.RENAMED.items():
            group, _, name = new.rpartition(".")
            if group in ("tuning", "dataset") and name not in fields_of(type(getattr(config, group))):
                continue
            assert renamed._has(new, lambda group, config=config: getattr(config, group).name)
            assert new.startswith(f"{old}.") or not renamed._has(old, lambda group, config=config: getattr(config, group).name)


def test_comparisons_refuse_an_old_key_with_its_new_name():
    from finecomb.cli.compare import _where

    with pytest.raises(ConfigError) as raised:
        _where(["trainer.workers=2"])
    assert raised.value.problems[0].hint == "trainer.workers is now trainer.num_workers"
