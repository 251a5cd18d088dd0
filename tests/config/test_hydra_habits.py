"""What users of Hydra are used to: it works here, or it is refused with the way to do it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from finecomb import cli
from finecomb.config import plugins
from finecomb.config.collect import parse
from finecomb.config.compose import Composer, compose
from finecomb.config.hydra_app import expand, read
from finecomb.config.hydra_settings import read as read_settings
from finecomb.core.errors import ConfigError, Problem

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "search.md"
# The experiment of the guide.
SEARCH = GUIDE.read_text().partition("```yaml\n")[2].partition("```")[0]


@pytest.fixture(autouse=True)
def mine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a user's own experiments, which --config-dir names."""
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    return tmp_path / "mine"


def experiment(folder: Path, text: str, name: str = "e") -> None:
    header = "" if text.lstrip().startswith("#") else "# @package _global_\n"
    (folder / "experiment").mkdir(parents=True, exist_ok=True)
    (folder / "experiment" / f"{name}.yaml").write_text(header + text.lstrip())


def node(*overrides: str) -> Any:
    """Hydra's own node, as a multirun with these overrides composes it."""
    settings = read_settings(parse(overrides, []))
    assert not settings.problems
    return settings.node(Composer().loader).hydra


def refused(*overrides: str) -> Problem:
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    (problem,) = caught.value.problems
    return problem


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(["train", *words]) == 0
    return capsys.readouterr().out


# The hydra: block of an experiment


def test_an_experiment_sets_sweeper_launcher_and_mode(mine: Path) -> None:
    experiment(mine, SEARCH)
    given = read(["--config-dir", "mine", "experiment=e"])
    assert given.multirun
    found = node("experiment=e")
    assert found.sweeper._target_.endswith("OptunaSweeper")
    assert (found.sweeper.n_trials, found.launcher.slots) == (20, 2)
    assert dict(found.sweeper.params) == {"optimizer.lr": "tag(log, interval(1e-5, 1e-2))", "tuning.r": "4,8,16"}


def test_the_command_line_wins_over_the_block(mine: Path) -> None:
    experiment(mine, SEARCH)
    plugins.load(["mine"])
    found = node("experiment=e", "hydra.launcher.slots=1", "hydra.sweeper.n_trials=9", 'hydra.sweeper.params.tuning.r="2,3"')
    assert (found.launcher.slots, found.sweeper.n_trials, found.sweeper.params["tuning.r"]) == (1, 9, "2,3")


def test_the_block_changes_nothing_of_a_single_job(mine: Path) -> None:
    experiment(mine, SEARCH)
    experiment(mine, "defaults: [override /tuning: lora]", "plain")
    plugins.load(["mine"])
    assert compose(["experiment=e"]).config == compose(["experiment=plain"]).config


def test_an_experiment_builds_on_another_with_its_block(mine: Path) -> None:
    experiment(mine, "hydra: {launcher: {slots: 3, retries: 1}}", "base")
    experiment(mine, "defaults: [base, _self_]\nhydra: {launcher: {slots: 4}}")
    plugins.load(["mine"])
    assert (node("experiment=e").launcher.slots, node("experiment=e").launcher.retries) == (4, 1)


def test_params_of_an_experiment_are_jobs(mine: Path) -> None:
    experiment(mine, 'hydra: {sweeper: {params: {seed: "1,2", optimizer.lr: "1e-3,1e-4"}}}')
    plugins.load(["mine"])
    assert [job[:2] for job in expand(["experiment=e"])] == [
        ["seed=1", "optimizer.lr=0.001"],
        ["seed=1", "optimizer.lr=0.0001"],
        ["seed=2", "optimizer.lr=0.001"],
        ["seed=2", "optimizer.lr=0.0001"],
    ]


@pytest.mark.parametrize(
    ("block", "what", "hint"),
    [
        (
            "launcher: {slotz: 3}",
            "hydra.launcher.slotz: there is no such key with hydra/launcher=finecomb",
            "did you mean hydra.launcher.slots?",
        ),
        ("launcher: {slots: many}", "hydra.launcher.slots=many: Value 'many' of type 'str' could not be converted to Integer", ""),
        ("launcher: {n_jobs: 3}", "hydra.launcher.n_jobs: there is no such key", "hydra.launcher.slots=N runs N jobs at once"),
        ("sweeper: {_target_: os.system}", "hydra.sweeper._target_: there is no such key", "hydra/sweeper and hydra/launcher choose"),
        ("sweeper: {params: {seed: [1, 2]}}", "hydra.sweeper.params.seed=[1, 2]", 'write the values as text: "1,2"'),
        ("sweeper: finecomb", "hydra.sweeper=finecomb: hydra.sweeper holds keys of its own", ""),
        ("mode: BOTH", "hydra.mode=BOTH is not one of the allowed values", ""),
        ("run: {dir: out}", "hydra.run.dir=out would have no effect", "output_dir=DIR"),
        (
            "callbacks: {mine: {_target_: mine.Callback}}",
            "hydra.callbacks.mine._target_=mine.Callback would have no effect",
            "callbacks=NAME",
        ),
    ],
)
def test_a_mistake_in_the_block_is_reported_with_its_line(mine: Path, block: str, what: str, hint: str) -> None:
    experiment(mine, f"seed: 1\nhydra:\n  {block}\n")
    plugins.load(["mine"])
    problem = refused("experiment=e")
    assert problem.what.startswith(what)
    assert problem.where == "mine/experiment/e.yaml:4"
    assert hint in problem.hint


def test_the_block_of_one_of_several_experiments_is_not_left_out_silently(mine: Path) -> None:
    experiment(mine, "hydra: {launcher: {slots: 3}}", "a")
    experiment(mine, "seed: 1", "b")
    plugins.load(["mine"])
    with pytest.raises(ConfigError, match=r"hydra.launcher.slots of experiment=a is not read, because experiment takes several values"):
        expand(["experiment=a,b"])


# Folders of config files


def test_the_search_path_adds_folders_of_yaml_files(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment(tmp_path / "more", "seed: 5", "far")
    experiment(mine, f"defaults: [far, _self_]\nhydra: {{searchpath: ['file://{tmp_path}/more']}}")
    assert compose(["hydra.searchpath=[more]", "experiment=far"]).config.seed == 5
    plugins._loaded.clear()
    assert yaml.safe_load(printed(capsys, "hydra.searchpath=[more]", "experiment=far", "-c", "job"))["seed"] == 5
    plugins._loaded.clear()
    assert compose(["hydra.searchpath=[mine]", "experiment=e"]).config.seed == 5
    plugins._loaded.clear()
    plugins.load(["mine"])
    assert [each.config.seed for each in Composer().compose_all([["experiment=e", "tuning=lora"], ["experiment=e"]])] == [5, 5]
    assert compose(["experiment=e"]).plugin_dirs == [str(mine), str(tmp_path / "more")]


@pytest.mark.parametrize(
    ("value", "what", "hint"),
    [
        ("[absent]", "the folder absent does not exist", "name a folder"),
        ("[pkg://mine]", "the folder pkg://mine does not exist", "found without this"),
        ("mine", "hydra.searchpath=mine is not a list of folders", ""),
        ("[code]", "would not be loaded: hydra.searchpath reads YAML files alone", "--config-dir code"),
    ],
)
def test_a_search_path_that_adds_nothing_is_refused(tmp_path: Path, value: str, what: str, hint: str) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "finecomb_plugin.py").write_text("raise AssertionError\n")
    problem = refused(f"hydra.searchpath={value}")
    assert what in problem.what
    assert hint in problem.hint


# Interpolations


def test_values_may_refer_to_others_to_the_environment_and_to_choices(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWS", "30")
    experiment(
        mine,
        """
name: ${hydra:runtime.choices.tuning}-${seed}
dataset: {limit: {train: "${oc.env:ROWS}"}}
logger: {tags: ["${hydra:runtime.choices.model}", mine]}
""",
    )
    plugins.load(["mine"])
    config = compose(["experiment=e", "tuning=lora", "seed=4"]).config
    assert (config.name, config.dataset.limit.train, config.logger.tags) == ("lora-4", 30, ["all_minilm_l6_v2", "mine"])  # type: ignore[attr-defined]
    assert compose(["name=${hydra:runtime.choices.loss}"]).config.name == "cross_entropy"


@pytest.mark.parametrize(
    ("value", "what", "hint"),
    [
        ("run-${now:%Y-%m-%d}", "${now:%Y-%m-%d} is not resolved", "would make each start another run"),
        ("${hydra:runtime.cwd}", "${hydra:runtime.cwd} is not resolved", "${KEY}"),
        ("${hydra:job.num}", "${hydra:job.num} is not resolved", "${KEY}"),
        ("${hydra:runtime.choices.tunning}", "${hydra:runtime.choices.tunning} names no group", ""),
    ],
)
def test_what_would_be_another_value_in_each_process_is_refused(mine: Path, value: str, what: str, hint: str) -> None:
    experiment(mine, f"seed: 1\nname: '{value}'")
    plugins.load(["mine"])
    problem = refused("experiment=e")
    assert what in problem.what
    assert (problem.where, hint in problem.hint) == ("mine/experiment/e.yaml:3", True)
    assert refused(f"name={value}" if "%" not in value else f"name='{value}'").where.startswith("command line: name=")


# Settings and flags of Hydra that would do nothing here


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("hydra.run.dir=out", "output_dir=DIR"),
        ("hydra.sweep.dir=out", "output_dir=DIR"),
        ("hydra.sweep.subdir=a", "output_dir=DIR"),
        ("hydra.output_subdir=null", "output_dir=DIR"),
        ("hydra.job.name=mine", "name=TEXT"),
        ("hydra.job.chdir=true", "relative to the folder in which the command is started"),
        ("hydra.verbose=true", "logs"),
        ("hydra/job_logging=colorlog", "logs"),
        ("hydra/callbacks=mine", "callbacks=NAME"),
        ("hydra/launcher=joblib", "hydra.launcher.slots=N"),
        ("hydra/launcher=submitit_local", "hydra.launcher.slots=N"),
        ("hydra/launcher=submitit_slrm", "did you mean hydra/launcher=submitit_slurm?"),
        ("hydra/sweeper=ax", "hydra/sweeper=optuna searches"),
        ("hydra/sweeper/sampler=tpe", "hydra.sweeper.sampler=tpe"),
        ("hydra/sweeper=basic", "hydra/sweeper=optuna searches"),
        ("hydra.sweeper.direction=maximize", "hydra.sweeper.mode=max or min"),
        ("hydra.launcher.slots=1,2", "quote a text that has commas"),
        ("~hydra.sweeper", "set it instead"),
    ],
)
def test_a_setting_without_effect_is_refused_with_the_way_to_do_it(override: str, hint: str) -> None:
    setting = ["hydra/sweeper=optuna"] if "direction" in override else []
    problem = refused(*setting, override)
    assert problem.where == f"command line: {override}"
    assert hint in problem.hint


def test_another_config_name_is_refused_with_the_way_to_write_an_experiment() -> None:
    with pytest.raises(ConfigError) as caught:
        read(["--config-name", "mine"])
    assert "experiment=NAME" in caught.value.problems[0].hint


# Printing


def test_cfg_job_prints_each_job_of_a_multirun(capsys: pytest.CaptureFixture[str]) -> None:
    documents = list(yaml.safe_load_all(printed(capsys, "-c", "job", "-m", "seed=1,2", "tuning=lora,head")))
    assert [(each["seed"], each["tuning"]["name"]) for each in documents] == [(1, "lora"), (1, "head"), (2, "lora"), (2, "head")]
    assert "# seed=1 tuning=head\n" in printed(capsys, "-c", "job", "-m", "seed=1,2", "tuning=lora,head", "--package", "optimizer")


def test_cfg_prints_interpolations_or_what_they_resolve_to(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment(mine, "name: run-${seed}")
    words = ("-cd", "mine", "experiment=e", "seed=3", "--cfg", "job")
    assert "\nname: run-${seed}\n" in printed(capsys, *words)
    assert "\nname: run-3\n" in printed(capsys, *words, "--resolve")


def test_cfg_hydra_prints_hydras_settings_and_cfg_all_both(capsys: pytest.CaptureFixture[str]) -> None:
    found = yaml.safe_load(printed(capsys, "--cfg", "hydra", "hydra.launcher.slots=2", "hydra/sweeper=optuna"))
    assert list(found) == ["hydra"]
    assert (found["hydra"]["launcher"]["slots"], found["hydra"]["sweeper"]["sampler"]) == (2, "tpe")
    both = yaml.safe_load(printed(capsys, "--cfg", "all", "seed=8"))
    assert (both["seed"], "launcher" in both["hydra"]) == (8, True)


def test_a_package_that_is_not_there_is_the_users_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--cfg", "job", "--package", "tunning"]) == 2
    assert "--package tunning: there is no such key" in capsys.readouterr().err


def test_info_of_a_multirun_leaves_out_what_is_swept(capsys: pytest.CaptureFixture[str]) -> None:
    assert "tuning/full" in printed(capsys, "--info", "defaults", "-m", "seed=1,2")
