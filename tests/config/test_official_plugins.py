"""Hydra's official plug-ins `hydra-optuna-sweeper` and `hydra-submitit-launcher` use names that finecomb uses too: neither is disturbed.

Packages that register the same names stand in for them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
OFFICIAL = """
from dataclasses import dataclass, field
from hydra.core.config_store import ConfigStore
from hydra.plugins.{kind} import {base}

@dataclass
class OfficialConf:
    defaults: list = field(default_factory=lambda: [{{"{option}": "official"}}])
    _target_: str = "hydra_plugins.{package}.config.Official"
    {option}: dict = field(default_factory=dict)

@dataclass
class OptionConf:
    official: bool = True

class Official({base}):
    def setup(self, **arguments): ...
    def sweep(self, arguments): ...
    def launch(self, job_overrides, initial_job_idx): ...

ConfigStore.instance().store(group="hydra/{kind}", name="{name}", node=OfficialConf, provider="{package}")
ConfigStore.instance().store(group="hydra/{kind}/{option}", name="official", node=OptionConf, provider="{package}")
"""
CODE = """
from hydra import compose, initialize
names = ["hydra/sweeper=optuna", "hydra/launcher=submitit_slurm"]
with initialize(version_base="1.3"):
    other = compose(overrides=names, return_hydra_config=True).hydra
print(other.sweeper._target_, other.launcher._target_)

from finecomb.config.collect import parse
from finecomb.config.compose import loader
from finecomb.config.hydra_settings import read
settings = read(parse([*names, "hydra.sweeper.n_trials=3", "hydra.launcher.partition=gpu"], []))
assert not settings.problems, settings.problems
ours = settings.node(loader())
sweeper = loader().sweeper(ours, print)
print(type(sweeper).__name__, type(sweeper.launcher).__name__, ours.hydra.sweeper.n_trials)
"""


@pytest.fixture
def official(tmp_path: Path) -> Path:
    for package, kind, base, name, option in (
        ("hydra_optuna_sweeper", "sweeper", "Sweeper", "optuna", "sampler"),
        ("hydra_submitit_launcher", "launcher", "Launcher", "submitit_slurm", "queue"),
    ):
        folder = tmp_path / "hydra_plugins" / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "config.py").write_text(OFFICIAL.format(package=package, kind=kind, base=base, name=name, option=option))
    return tmp_path


@pytest.mark.parametrize("first", [True, False])
def test_inside_finecomb_the_names_are_its_own_and_elsewhere_those_of_the_official_plugins(official: Path, first: bool) -> None:
    path = [str(official), str(SOURCE)] if first else [str(SOURCE), str(official)]
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        cwd=official,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "hydra_plugins.hydra_optuna_sweeper.config.Official hydra_plugins.hydra_submitit_launcher.config.Official",
        "OptunaSweeper SlurmLauncher 3",
    ]
