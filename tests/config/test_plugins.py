"""A user's own choices: found by a folder or an entry point, and then like shipped ones."""

import importlib.metadata
import sys
import types

import pytest

from finecomb.config import plugins
from finecomb.config.catalogue import catalogue
from finecomb.config.compose import compose
from finecomb.config.fingerprint import settings
from finecomb.config.plain import from_plain, to_plain
from finecomb.config.plugins import builders
from finecomb.config.plugins.hashing import hash_of_code
from finecomb.config.resolve import resolve
from finecomb.config.schema.train import GROUPS
from finecomb.config.validate import validate
from finecomb.core.errors import ConfigError
from finecomb.core.machine import Machine
from finecomb.launch.freeze import code_of

CODE = '''
from dataclasses import dataclass
from finecomb.config.plugins import Choice
from finecomb.config.schema.base import option
from finecomb.config.schema.tuning import Tuning

@dataclass
class Half(Tuning):
    """Every second layer trains."""
    start: int = option("the first layer that trains", low=0)

CHOICES = [Choice("tuning", "half", Half, lambda config: ("built", config.start))]
'''
YAML = "defaults:\n  - /schema/tuning/half@_here_\n  - _self_\n\nname: half\nfrozen_mode: eval\nstart: 1\n"


@pytest.fixture(autouse=True)
def _none_loaded(monkeypatch):
    monkeypatch.setattr(plugins, "_loaded", {})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "conf" / "tuning").mkdir(parents=True)
    (tmp_path / "conf" / "tuning" / "half.yaml").write_text(YAML)
    (tmp_path / "finecomb_plugin.py").write_text(CODE)
    return tmp_path


@pytest.mark.parametrize("given", ["", "conf"])
def test_a_folder_brings_a_choice_with_schema_and_code(folder, given):
    composition = compose(["tuning=half", "tuning.start=3", "optimizer.lr=1"], config_dirs=[folder / given])
    validate(composition.config, composition.origins)
    assert composition.config.tuning.start == 3
    assert plugins.find_build("tuning", "half")(composition.config.tuning) == ("built", 3)
    assert plugins.find_build("tuning", "full") is None
    assert ("half", "Every second layer trains.", False) in catalogue()["tuning"]


def test_its_keys_are_checked_like_others(folder):
    with pytest.raises(ConfigError, match=r"tuning\.strat: there is no such key with tuning=half"):
        compose(["tuning=half", "tuning.strat=3"], config_dirs=[folder])
    with pytest.raises(ConfigError, match=r"tuning\.start=-1 is below 0"):
        compose(["tuning=half", "tuning.start=-1"], config_dirs=[folder])


def test_a_worker_that_loads_the_recorded_folders_reads_the_config_back(folder, monkeypatch):
    composition = compose(["tuning=half"], config_dirs=[folder])
    plain = to_plain(composition.config)
    monkeypatch.setattr(plugins, "_loaded", {})
    with pytest.raises(ConfigError, match="no choice has the keys"):
        from_plain(plain)
    plugins.load(composition.plugin_dirs)
    assert from_plain(plain).tuning.start == 1


def test_yaml_alone_needs_no_code_and_may_lie_right_in_the_folder(tmp_path):
    (tmp_path / "tuning").mkdir()
    (tmp_path / "tuning" / "wide.yaml").write_text("defaults:\n  - /tuning/lora@_here_\n  - _self_\nr: 256\n")
    assert compose(["tuning=wide"], config_dirs=[tmp_path]).config.tuning.r == 256


def test_a_shipped_choice_cannot_be_shadowed(tmp_path):
    (tmp_path / "tuning").mkdir()
    (tmp_path / "tuning" / "lora.yaml").write_text("r: 3\n")
    with pytest.raises(ConfigError, match="tuning=lora is in two files"):
        compose(["tuning=lora"], config_dirs=[tmp_path])


def test_an_absent_folder_names_the_nearest(folder):
    with pytest.raises(ConfigError) as caught:
        plugins.load([folder.parent / f"{folder.name}x"])
    assert caught.value.problems[0].hint == f"did you mean {folder.name}?"


def test_a_schema_must_extend_its_groups(tmp_path):
    (tmp_path / "finecomb_plugin.py").write_text(
        "from finecomb.config.plugins import Choice\n"
        "CHOICES = [Choice('tuning', 'x', int, lambda config: 0), Choice('tunig', 'x', int, int)]\n"
    )
    with pytest.raises(ConfigError) as caught:
        plugins.load([tmp_path])
    assert [problem.what for problem in caught.value.problems] == [
        "the schema of tuning=x is not a dataclass that extends Tuning",
        "a plug-in's choice names the group 'tunig'",
    ]


@pytest.mark.parametrize(("group", "schema"), [("trainer", "Trainer")])
def test_code_for_a_group_without_builders_is_refused(tmp_path, group, schema):
    (tmp_path / "finecomb_plugin.py").write_text(
        f"from finecomb.config.plugins import Choice\nfrom finecomb.config.schema.{group} import {schema}\n"
        f"CHOICES = [Choice('{group}', 'mine', {schema}, lambda config: None)]\n"
    )
    with pytest.raises(ConfigError) as caught:
        plugins.load([tmp_path])
    (problem,) = caught.value.problems
    assert problem.what == f"{group}=mine: a plug-in cannot bring code for the group {group}; its build function would never be called"
    assert "loss" in problem.allowed
    assert group not in problem.allowed.split(", ")
    assert f"conf/{group}/mine.yaml" in problem.hint


@pytest.mark.parametrize(("group", "base", "key"), [("trainer", "cpu", "max_epochs"), ("trainer", "gpu", "log_every_n_steps")])
def test_values_for_a_group_without_builders_need_no_code(tmp_path, group, base, key):
    (tmp_path / group).mkdir()
    (tmp_path / group / "mine.yaml").write_text(f"defaults:\n  - /{group}/{base}@_here_\n  - _self_\n{key}: 7\n")
    composition = compose([f"{group}=mine"], config_dirs=[tmp_path])
    validate(composition.config, composition.origins)
    assert getattr(getattr(composition.config, group), key) == 7


def test_an_installed_package_brings_choices_by_an_entry_point(folder, monkeypatch):
    module = types.ModuleType("half_plugin")
    module.__file__ = str(folder / "finecomb_plugin.py")
    monkeypatch.setitem(sys.modules, "half_plugin", module)
    exec(CODE, module.__dict__)
    entry = importlib.metadata.EntryPoint("half", "half_plugin", plugins.ENTRY_POINTS)
    monkeypatch.setattr(plugins, "_entry_points_done", False)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry] if group == plugins.ENTRY_POINTS else [])
    assert compose(["tuning=half"]).config.tuning.start == 1


@pytest.mark.parametrize(
    ("code", "what", "line"),
    [
        ("CHOICES = (\n", "SyntaxError: '(' was never closed", 1),
        ("import sys\nimport no_such_module_here\n", "ModuleNotFoundError: No module named 'no_such_module_here'", 2),
    ],
)
def test_code_that_cannot_be_imported_is_told_with_its_line(tmp_path, code, what, line):
    (tmp_path / "finecomb_plugin.py").write_text(code)
    with pytest.raises(ConfigError) as caught:
        plugins.load([tmp_path])
    [problem] = caught.value.problems
    assert what in problem.what
    assert problem.where == f"{tmp_path / 'finecomb_plugin.py'}:{line}"


def test_what_is_no_choice_is_told(tmp_path):
    (tmp_path / "finecomb_plugin.py").write_text("CHOICES = ['half']\n")
    with pytest.raises(ConfigError, match="CHOICES holds 'half'"):
        plugins.load([tmp_path])


HEAD = """
from dataclasses import dataclass
from finecomb.config.plugins import Choice, Metric
from finecomb.config.schema.base import option
from finecomb.config.schema.callbacks import Callback
from finecomb.config.schema.loss import Loss
from finecomb.config.schema.optimizer import Optimizer
from finecomb.config.schema.tuning import Full, LearningRates
"""


def problems_of_plugin(folder, code):
    (folder / "finecomb_plugin.py").write_text(HEAD + code)
    with pytest.raises(ConfigError) as caught:
        plugins.load([folder])
    return caught.value.problems


@pytest.mark.parametrize(
    ("group", "schema", "build", "expected"),
    [
        (
            "loss",
            "Loss",
            "lambda config: 0",
            "build(config: Loss, task_variant: str, *, label_counts: Sequence[int] | None) -> LossFunction",
        ),
        ("loss", "Loss", "lambda config, task: 0", "build(config: Loss, task_variant: str, *, label_counts: Sequence[int] | None)"),
        ("optimizer", "Optimizer", "lambda config, parameters, lr: 0", "build(config: Optimizer, tuned: Tuned) -> TorchOptimizer"),
        ("callbacks", "Callback", "lambda: 0", "build(config: Callback) -> pl.Callback"),
        ("tuning", "Full", "'full'", "build(config: Tuning) -> Method"),
    ],
)
def test_a_build_function_with_another_signature_is_refused_with_the_expected_one(tmp_path, group, schema, build, expected):
    (problem,) = problems_of_plugin(tmp_path, f"CHOICES = [Choice('{group}', 'mine', {schema}, {build})]\n")
    assert problem.what.startswith(f"the build function of {group}{'.' if group == 'callbacks' else '='}mine has another signature: ")
    assert problem.allowed.startswith(expected)


def test_every_group_declares_the_signature_by_which_its_choices_are_built():
    assert {*GROUPS, "metric"} - {"trainer"} == set(builders.BUILDERS)
    for group in builders.BUILDERS:
        text = builders.signature_text(group)
        assert "Any" not in text
        assert text.endswith(builders.BUILDERS[group].__call__.__annotations__["return"].replace("'", ""))


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("Choice('optimizer', 'mine', Optimizer, lambda config, tuned: 0, facts='lion')", "the facts of optimizer=mine are 'lion'"),
        ("Choice('tuning', 'mine', Full, lambda config: 0, facts={'adam': 1e-3})", "the facts of tuning=mine are {'adam': 0.001}"),
        (
            "Choice('callbacks', 'progress', Callback, lambda config: 0)",
            "callbacks.progress: there is a choice of this name already",
        ),
        ("Choice('loss', 'focal', Loss, lambda config, task, *, label_counts: 0)", "loss=focal: there is a choice of this name already"),
        ("*[Choice('callbacks', 'twice', Callback, lambda config: 0)] * 2", "callbacks.twice: there is a choice of this name already"),
        ("Choice('callbacks', 'a-b', Callback, lambda config: 0)", "callbacks.'a-b' is not a valid name"),
    ],
)
def test_facts_and_names_that_do_not_fit_are_refused(tmp_path, code, what):
    assert [problem.what for problem in problems_of_plugin(tmp_path, f"CHOICES = [{code}]\n")] == [what]


def test_learning_rates_of_a_plug_ins_method_serve_auto(folder):
    code = CODE.replace("CHOICES", "from finecomb.config.schema.tuning import LearningRates\nCHOICES", 1)
    code = code.replace('("built", config.start))', '0, facts={"adam": LearningRates(1e-4, 2e-4, 1e-3)})')
    (folder / "finecomb_plugin.py").write_text(code)
    composed = compose(["tuning=half"], config_dirs=[folder]).config
    assert resolve(composed, machine=Machine(cores=1, gpus=0, bf16=False, gpu_bf16=False)).optimizer.lr == 2e-4


CALLBACK = """
@dataclass
class Mine(Callback):
    every: int = option("how often", low=1)
    where: str = option("file", identity=False)
CHOICES = [Choice("callbacks", "mine", Mine, lambda config: 0)]
"""


def mine(folder, *words):
    (folder / "finecomb_plugin.py").write_text(HEAD + CALLBACK)
    return compose([*words], config_dirs=[folder]).config


def test_a_plug_ins_callback_is_off_until_its_keys_are_set(tmp_path):
    off, on = mine(tmp_path), mine(tmp_path, "callbacks.mine.every=2", "callbacks.mine.where=a")
    assert (off.callbacks.mine, on.callbacks.mine.every, on.callbacks.mine.where) == (None, 2, "a")
    assert from_plain(to_plain(on)) == on
    assert from_plain(to_plain(off)) == off
    assert {key: value for key, value in settings(on).items() if key not in settings(off)} == {"callbacks.mine.every": 2}
    missing = {**to_plain(off), "callbacks": {key: value for key, value in to_plain(off)["callbacks"].items() if key != "mine"}}
    assert from_plain(missing) == off, "a run from before the plug-in"


def test_a_yaml_file_switches_a_plug_ins_callback_on_and_null_off(tmp_path):
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks" / "both.yaml").write_text(
        "defaults:\n  - /callbacks/default@_here_\n  - _self_\nmine:\n  every: 3\n  where: b\n"
    )
    assert mine(tmp_path, "callbacks=both", "callbacks.mine.every=4").callbacks.mine.every == 4
    assert mine(tmp_path, "callbacks=both", "callbacks.mine=null").callbacks.mine is None


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["callbacks.mine.every=2"], "callbacks.mine.where has no value"),
        (["callbacks.mine.every=0", "callbacks.mine.where=a"], "callbacks.mine.every=0 is below 1"),
        (["callbacks.mine={every: 1, where: a, wher: b}"], "callbacks.mine.wher: there is no such key"),
        (["callbacks.min.every=1"], "callbacks.min: there is no such key with callbacks=default"),
    ],
)
def test_the_keys_of_a_plug_ins_callback_are_checked(tmp_path, words, what):
    with pytest.raises(ConfigError) as caught:
        mine(tmp_path, *words)
    assert [problem.what for problem in caught.value.problems] == [what]


@pytest.mark.parametrize(
    ("metrics", "what"),
    [
        ("{'mine': lambda targets: 0.0}", "METRICS['mine'] is not a metric"),
        ("{'mine': Metric(lambda targets: 0.0)}", "the function of METRICS['mine'] has another signature"),
        ("{'mine': Metric(lambda targets, predictions: 0.0, mode='best')}", "METRICS['mine'] is not a metric"),
        ("{'accuracy': Metric(lambda targets, predictions: 0.0)}", "METRICS['accuracy']: there is a metric of this name already"),
        ("[1]", "METRICS is not a mapping"),
    ],
)
def test_metrics_that_cannot_be_computed_are_refused(tmp_path, metrics, what):
    (problem,) = problems_of_plugin(tmp_path, f"METRICS = {metrics}\n")
    assert problem.what.startswith(what)


def test_a_plug_ins_metric_can_be_monitored_in_its_direction_and_by_its_tasks_alone(tmp_path):
    (tmp_path / "finecomb_plugin.py").write_text(HEAD + "METRICS = {'mine': Metric(lambda targets, predictions: 0.0, mode='min')}\n")
    composition = compose(["monitor.metric=mine"], config_dirs=[tmp_path])
    validate(composition.config, composition.origins)
    resolved = resolve(composition.config, machine=Machine(cores=1, gpus=0, bf16=False, gpu_bf16=False))
    assert (resolved.monitor.metric, resolved.monitor.mode) == ("mine", "min")
    other = compose(["monitor.metric=mine", "task=regression", "loss=mse"], config_dirs=[tmp_path])
    with pytest.raises(ConfigError, match="is no metric of task=regression"):
        validate(other.config, other.origins, trains=False)


def test_two_plug_ins_cannot_add_the_same_name(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "finecomb_plugin.py").write_text(HEAD + CALLBACK)
    plugins.load([tmp_path / "one"])
    with pytest.raises(ConfigError, match=r"callbacks\.mine: there is a choice of this name already"):
        plugins.load([tmp_path / "two"])


def test_the_code_of_a_plug_in_is_in_the_fingerprint_of_runs_that_use_its_callback_or_monitor_its_metric(tmp_path):
    code = CALLBACK + "METRICS = {'score': Metric(lambda targets, predictions: 0.0)}\n"
    (tmp_path / "finecomb_plugin.py").write_text(HEAD + code)
    digest = hash_of_code(tmp_path / "finecomb_plugin.py")
    on = ["callbacks.mine.every=1", "callbacks.mine.where=a"]
    for words, used in (([], {}), (on, {"code:callbacks.mine": digest}), (["monitor.metric=score"], {"code:monitor.metric=score": digest})):
        found = code_of(compose(words, config_dirs=[tmp_path]).config)
        assert {name: value for name, value in found.items() if name.startswith("code:")} == used
