"""What happens before anything trains: checks, fingerprints, sweeps' names, slots."""

import importlib.util
from types import SimpleNamespace

import pytest

from finecomb.config import computing, plugins
from finecomb.config.plain import to_plain
from finecomb.core.errors import ConfigError
from finecomb.core.machine import Machine
from finecomb.launch import freeze as freezing
from finecomb.launch.freeze import check, check_all, code_of, freeze
from finecomb.launch.slots import Gpus, gpu_names, how_many, planned
from finecomb.studies.sweep import sweep_id, varying


def test_what_cannot_change_the_result_does_not_change_the_run(job):
    first = freeze(job())
    for same in (
        "trainer.num_workers=2",
        "output_dir=runs",
        "callbacks.progress.enabled=false",
        "trainer.threads=1",
        "rerun=failed",
        "logger=csv",
    ):
        assert freeze(job(same)).run.path == first.run.path, same
    for other in ("seed=1", "optimizer.lr=0.1", "tuning=head", "batch.size=4"):
        assert freeze(job(other)).run.path != first.run.path, other


def test_every_auto_is_a_value_in_the_frozen_file(job):
    frozen = freeze(job()).run.config
    assert isinstance(frozen["optimizer"]["lr"], float)
    assert frozen["trainer"]["precision"] in ("32-true", "bf16-mixed")
    assert isinstance(frozen["trainer"]["threads"], int)
    assert frozen["monitor"]["metric"] == "accuracy"
    assert "auto" not in (frozen["trainer"]["accelerator"], frozen["model"]["model_type"])


def test_trainer_auto_is_recorded_as_the_choice_for_the_machine(job, monkeypatch):
    monkeypatch.setattr(freezing, "this_machine", lambda: Machine(cores=8, gpus=0, bf16=False, gpu_bf16=False))
    auto, written = check(job()), check(job("trainer=cpu"))
    assert auto.choices["trainer"] == auto.config.trainer.name == "cpu"
    assert (auto.fingerprint, auto.name, auto.settings) == (written.fingerprint, written.name, written.settings)


def test_a_batch_is_checked_against_the_processes_of_this_machine(job, monkeypatch):
    monkeypatch.setattr(freezing, "this_machine", lambda: Machine(cores=8, gpus=0, bf16=False, gpu_bf16=False))
    with pytest.raises(ConfigError, match=r"batch.size=9 cannot be split evenly in 2 \(1 micro-batches x 2 devices"):
        check(job("trainer=ddp", "batch.size=9"))


def test_slots_share_the_cores_and_do_not_change_the_run(job, monkeypatch):
    monkeypatch.setattr(freezing, "this_machine", lambda: Machine(cores=8, gpus=0, bf16=False, gpu_bf16=False))
    alone, shared = check(job()), check(job(), slots=4)
    assert (alone.config.trainer.threads, shared.config.trainer.threads) == (8, 2)
    assert alone.fingerprint == shared.fingerprint


def test_other_content_of_the_same_file_is_another_run(job, tmp_path, monkeypatch):
    first = check(job()).fingerprint
    (tmp_path / "train.tsv").touch()
    freezing.forget()
    assert check(job()).fingerprint == first
    (tmp_path / "train.tsv").open("a").write("one more\ta\n")
    freezing.forget()
    assert check(job()).fingerprint != first


def test_moved_files_with_the_same_content_are_the_same_run(job, tmp_path, monkeypatch):
    first = check(job())
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "train.tsv").rename(tmp_path / "elsewhere" / "train.tsv")
    freezing.forget()
    moved = check(job(f"dataset.files.train={tmp_path / 'elsewhere' / 'train.tsv'}"))
    assert moved.inputs.data.content_hash == first.inputs.data.content_hash
    assert moved.fingerprint == first.fingerprint


def test_a_new_version_of_a_place_that_computes_is_another_run(job, monkeypatch):
    monkeypatch.setattr(computing, "version_of", lambda each: "1")
    before = check(job())
    assert code_of(before.config) == {}
    for name in ("learning/loss", "learning/pooling", "learning/tuning/tuned", "learning/tuning/full", "learning/task/metrics"):
        monkeypatch.setattr(computing, "version_of", lambda each, name=name: "2" if each == name else "1")
        assert check(job()).fingerprint != before.fingerprint, name
        assert code_of(before.config) == {f"version:{name}": "2"}
    monkeypatch.setattr(computing, "version_of", lambda each: "2" if each == "learning/tuning/lora" else "1")
    assert check(job()).fingerprint == before.fingerprint, "this run has no adapters"


PLUGIN = """
import os, sys
from dataclasses import dataclass
from finecomb.config.plugins import Choice
from finecomb.config.schema.base import option
from finecomb.config.schema.loss import Loss

sys.path.insert(0, os.path.dirname(__file__))

@dataclass
class Mine(Loss):
    \"\"\"A loss of one's own.\"\"\"
    pass

def build(config, task_variant, **more):
    from mine_formula import GAMMA
    raise NotImplementedError(GAMMA)

CHOICES = [Choice("loss", "mine", Mine, build)]
"""


def test_the_edited_code_of_a_plugin_is_another_run_where_it_is_used(job, tmp_path, monkeypatch):
    (tmp_path / "mine" / "conf" / "loss").mkdir(parents=True)
    (tmp_path / "mine" / "conf" / "loss" / "mine.yaml").write_text("defaults:\n  - /schema/loss/mine@_here_\n  - _self_\n\nname: mine\n")
    files = {name: tmp_path / "mine" / name for name in ("finecomb_plugin.py", "mine_formula.py", "unused.py")}

    def fingerprints(**written):
        for name, text in written.items():
            files[f"{name}.py"].write_text(text)
        monkeypatch.setattr(plugins, "_loaded", {})
        return [freeze(job(*words, config_dirs=[tmp_path / "mine"])).run.path.name[-12:] for words in (["loss=mine"], [])]

    gamma_0, other = fingerprints(finecomb_plugin=PLUGIN, mine_formula="GAMMA = 0", unused="")
    gamma_5, same = fingerprints(mine_formula="GAMMA = 5")
    assert gamma_5 != gamma_0, "the module it imports"
    assert fingerprints(unused="GAMMA = 7") == [gamma_5, same]
    assert fingerprints(finecomb_plugin=PLUGIN.replace("more", "rest"))[0] not in (gamma_0, gamma_5)
    assert fingerprints(finecomb_plugin=PLUGIN, mine_formula="GAMMA = 0") == [gamma_0, other]
    assert same == other == check(job()).fingerprint, "a plug-in that is there and not used"


def test_moved_data_with_the_same_content_is_the_same_run(job, tmp_path, monkeypatch):
    first = freeze(job())
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "train.tsv").write_bytes((tmp_path / "train.tsv").read_bytes())
        moved = freeze(job(f"dataset.path={tmp_path / folder}"))
        assert moved.run.path == first.run.path
        assert freeze(job(f"dataset.files.train={tmp_path / folder / 'train.tsv'}")).run.path == first.run.path
    (tmp_path / "b" / "train.tsv").open("a").write("one more\ta\n")
    freezing.forget()
    assert freeze(job(f"dataset.path={tmp_path / 'b'}")).run.path != first.run.path


def test_a_moved_model_with_the_same_content_is_the_same_run(job, tmp_path, monkeypatch):
    found = {}
    for folder, weights in (("one", b"w"), ("two", b"w"), ("three", b"v")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text('{"model_type": "bert"}')
        (tmp_path / folder / "vocab.txt").write_text("a")
        (tmp_path / folder / "model.safetensors").write_bytes(weights)
        found[folder] = check(job("model=bert_base", f"model.name_or_path={tmp_path / folder}")).fingerprint
    assert found["one"] == found["two"] != found["three"]


def test_the_jobs_of_a_sweep_prepare_their_data_once(job, monkeypatch):
    from finecomb.data import prepare

    calls = []
    real = prepare.prepare
    monkeypatch.setattr(prepare, "prepare", lambda *arguments, **named: calls.append(1) or real(*arguments, **named))
    check_all([job(f"seed={seed}") for seed in range(3)])
    assert len(calls) == 1


def test_the_mistakes_of_all_jobs_are_told_at_once_with_the_jobs_that_have_them(job, tmp_path):
    jobs = [job("seed=0"), job("batch.size=500"), job("batch.size=600"), job("dataset.columns.text=nope")]
    with pytest.raises(ConfigError) as raised:
        check_all(jobs)
    told = [f"{problem.what} | {problem.where}" for problem in raised.value.problems]
    assert any("500" in line and "batch.size=500" in line.split("|")[1] for line in told)
    assert any("600" in line for line in told)
    assert any("nope" in line for line in told)
    assert not (tmp_path / "runs").exists()


def test_what_does_not_fit_the_data_is_told_at_once_with_its_origin_and_makes_no_run(job, tmp_path):
    with pytest.raises(ConfigError) as caught:
        freeze(job("batch.size=64", "loss.class_weights=[1,2,3]"))
    assert [problem.where for problem in caught.value.problems] == [
        "command line: batch.size=64",
        "command line: loss.class_weights=[1,2,3]",
    ]
    assert "2 weights, for a, b" in caught.value.problems[1].allowed
    assert not (tmp_path / "runs").exists()


def test_a_class_without_training_rows_cannot_be_balanced(job, tmp_path):
    with pytest.raises(ConfigError) as caught:
        freeze(job("dataset.label_names=[a,b,c]", "loss.class_weights=balanced"))
    (problem,) = caught.value.problems
    assert problem.what == "class c has no training row to be balanced"
    assert problem.where == "command line: loss.class_weights=balanced"
    assert not (tmp_path / "runs").exists()


def test_tensorboard_that_is_not_installed_is_told_before_training(job, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "tensorboard" else find(name, *rest))
    with pytest.raises(ConfigError) as raised:
        check(job("logger=tensorboard"))
    assert "finecomb[tensorboard]" in raised.value.problems[0].hint


def test_a_sweep_has_one_name_whatever_the_order_of_its_jobs(job):
    checked = check_all([job(f"seed={seed}") for seed in range(3)])
    labels = varying([each.overrides for each in checked])
    assert labels == ["seed=0", "seed=1", "seed=2"]
    name = sweep_id(checked, labels)
    assert name.startswith("seed-")
    assert sweep_id(checked[::-1], labels[::-1]) == name
    assert sweep_id(checked[:2], labels[:2]) != name


def test_labels_say_what_sets_jobs_apart():
    assert varying([["a=1", "b=2"], ["a=1", "b=3"]]) == ["b=2", "b=3"]
    assert varying([["a=1", "b=2"]]) == ["a=1 b=2"]
    assert varying([[]]) == ["defaults"]


def test_slots_follow_the_gpus_unless_asked():
    cpu, gpus = Machine(cores=8, gpus=0, bf16=False, gpu_bf16=False), Machine(cores=8, gpus=4, bf16=True, gpu_bf16=True)
    assert how_many(None, needs_gpu=False, processes=1, machine=gpus) == 1
    assert how_many(None, needs_gpu=True, processes=2, machine=gpus) == 2
    assert how_many(3, needs_gpu=False, processes=1, machine=cpu) == 3
    trainer = SimpleNamespace(accelerator="auto", devices=1)
    assert planned([SimpleNamespace(trainer=trainer)], None, gpus) == 4
    assert planned([SimpleNamespace(trainer=trainer)], None, cpu) == 1


def test_jobs_get_the_gpus_that_the_fewest_others_use():
    gpus = Gpus(gpu_names(Machine(cores=1, gpus=2, bf16=False, gpu_bf16=False), {}))
    first, second = gpus.take(1), gpus.take(1)
    names = second.names
    assert {*first.names, *names} == {"0", "1"}
    second.give_back()
    second.give_back()  # a second time does nothing
    assert gpus.take(1).names == names


def test_only_the_gpus_that_are_visible_are_handed_out():
    machine = Machine(cores=1, gpus=2, bf16=False, gpu_bf16=False)
    assert gpu_names(machine, {"CUDA_VISIBLE_DEVICES": "3, GPU-abc"}) == ["3", "GPU-abc"]
    assert gpu_names(machine, {"CUDA_VISIBLE_DEVICES": ""}) == []


def test_what_a_frozen_job_has_is_what_its_run_directory_says(job):
    frozen = freeze(job(), group="sweep")
    assert frozen.record.group == frozen.run.record.group == "sweep"
    assert to_plain(frozen.config) == frozen.run.config
