"""A user's own choices: found by a folder or an entry point, and then like shipped ones."""

import importlib.metadata
import sys
import types

import pytest

from finecomb.config import plugins
from finecomb.config.catalogue import catalogue
from finecomb.config.compose import compose
from finecomb.config.errors import UserError
from finecomb.config.plain import from_plain, to_plain
from finecomb.config.validate import validate

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
    with pytest.raises(UserError, match=r"tuning\.strat: there is no such key with tuning=half"):
        compose(["tuning=half", "tuning.strat=3"], config_dirs=[folder])
    with pytest.raises(UserError, match=r"tuning\.start=-1 is below 0"):
        compose(["tuning=half", "tuning.start=-1"], config_dirs=[folder])


def test_a_worker_that_loads_the_recorded_folders_reads_the_config_back(folder, monkeypatch):
    composition = compose(["tuning=half"], config_dirs=[folder])
    plain = to_plain(composition.config)
    monkeypatch.setattr(plugins, "_loaded", {})
    with pytest.raises(UserError, match="no choice has the keys"):
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
    with pytest.raises(UserError, match="tuning=lora stands in two files"):
        compose(["tuning=lora"], config_dirs=[tmp_path])


def test_an_absent_folder_names_the_nearest(folder):
    with pytest.raises(UserError) as caught:
        plugins.load([folder.parent / f"{folder.name}x"])
    assert caught.value.problems[0].mend == f"did you mean {folder.name}?"


def test_a_schema_must_extend_its_groups(tmp_path):
    (tmp_path / "finecomb_plugin.py").write_text(
        "from finecomb.config.plugins import Choice\nCHOICES = [Choice('tuning', 'x', int, lambda config: 0), Choice('tunig', 'x', int, int)]\n"
    )
    with pytest.raises(UserError) as caught:
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
    with pytest.raises(UserError) as caught:
        plugins.load([tmp_path])
    (problem,) = caught.value.problems
    assert problem.what == f"{group}=mine: a plug-in cannot bring code for the group {group}; its build function would never be called"
    assert "loss" in problem.allowed
    assert group not in problem.allowed.split(", ")
    assert f"conf/{group}/mine.yaml" in problem.mend


@pytest.mark.parametrize(("group", "base", "key"), [("trainer", "cpu", "max_epochs"), ("callbacks", "default", "log_every_n_steps")])
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
    with pytest.raises(UserError) as caught:
        plugins.load([tmp_path])
    [problem] = caught.value.problems
    assert what in problem.what
    assert problem.where == f"{tmp_path / 'finecomb_plugin.py'}:{line}"


def test_what_is_no_choice_is_told(tmp_path):
    (tmp_path / "finecomb_plugin.py").write_text("CHOICES = ['half']\n")
    with pytest.raises(UserError, match="CHOICES holds 'half'"):
        plugins.load([tmp_path])
