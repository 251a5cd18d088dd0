"""What finecomb relies on in Hydra's private functions: after an update of Hydra that changes it, a test here fails."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.version import VersionBase
from omegaconf import OmegaConf

from finecomb.config import hydra_private
from finecomb.config.hydra_private import Loader

SOURCE = Path(__file__).parents[2] / "src"
FILES = {
    "main.yaml": "defaults:\n  - part: one\n  - _self_\n  - extra: null\nvalue: 1\nhydra:\n  run:\n    dir: here\n",
    "part/one.yaml": "size: 1\n",
    "part/two.yaml": "size: 2\nlist: [1, 2]\n",
    "extra/more.yaml": "# @package _global_\ndefaults: [override /part: two, override /hydra/job_logging: none]\nhydra: {verbose: true}\n",
}


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    hydra_private.discover_plugins()
    return Loader([tmp_path], "main")


def merged(loader: Loader, *picks: str, values: tuple[str, ...] = ()) -> object:
    parsed = OverridesParser.create().parse_overrides(list(values))
    return OmegaConf.to_container(loader.merge(loader.defaults_list(picks).defaults, parsed))


def test_no_other_file_uses_hydras_private_modules() -> None:
    users = {path.name for path in SOURCE.rglob("*.py") if re.search(r"^\s*(from|import) hydra\._", path.read_text(), re.MULTILINE)}
    assert users == {"hydra_private.py"}


def test_the_defaults_list_names_files_packages_and_choices_in_the_order_of_the_merge(loader: Loader) -> None:
    listed = loader.defaults_list(["extra=more"])
    ours = [(item.config_path, item.package) for item in listed.defaults if not (item.config_path or "").startswith("hydra/")]
    assert ours == [("part/two", "part"), ("main", ""), ("extra/more", "")]
    assert listed.overrides.known_choices["part"] == "two"
    assert listed.overrides.known_choices["hydra/job_logging"] == "none"
    with pytest.raises(HydraException, match="part/three"):
        loader.defaults_list(["part=three"])


def test_a_merge_is_that_of_hydra_without_its_own_node(loader: Loader, tmp_path: Path) -> None:
    for picks, values in (([], ()), (["extra=more"], ("value=3", "+new.key=[a]", "~part.list"))):
        with initialize_config_dir(str(tmp_path), version_base="1.3"):
            expected = OmegaConf.to_container(hydra_compose("main", [*picks, *values]))
        assert merged(loader, *picks, values=tuple(values)) == expected


def test_one_job_leaves_nothing_in_the_next(loader: Loader) -> None:
    before = merged(loader), merged(loader, "part=two")
    merged(loader, values=("value=9", "part.size=9"))
    merged(loader, "part=two", values=("part.list=[9]", "+part.other=9"))
    assert (merged(loader), merged(loader, "part=two")) == before


def test_hydras_own_node_is_composed_without_the_app(loader: Loader) -> None:
    node = loader.hydra_node(["hydra/launcher=basic", "hydra/job_logging=none"])
    assert list(node) == ["hydra"]
    assert node.hydra.launcher._target_.endswith("BasicLauncher")
    assert (node.hydra.job.name, node.hydra.mode.name, list(node.hydra.overrides.task)) == ("finecomb", "MULTIRUN", [])


def test_a_grid_has_the_order_and_spelling_of_hydras_basic_sweeper(loader: Loader) -> None:
    lines = ["a=1,2", "+b=range(2)", "c='x,y'", "part=glob(*)", "d=[1,2]", "a=3,4"]
    jobs = loader.grid(lines)
    assert len(jobs) == 8
    assert jobs[0] == ["a=3", "+b=0", "c='x,y'", "part=one", "d=[1,2]"]
    assert [job[0] for job in jobs] == ["a=3"] * 4 + ["a=4"] * 4
    with pytest.raises(HydraException):
        loader.grid(["a=interval(0,1)"])


def test_a_sweeper_gets_its_launcher_from_the_node(loader: Loader) -> None:
    sweeper = loader.sweeper(loader.hydra_node(["hydra/launcher=basic", "hydra/sweeper=basic"]), print)
    assert type(sweeper).__name__ == "BasicSweeper"
    assert type(sweeper.launcher).__name__ == "BasicLauncher"  # type: ignore[attr-defined]


def test_flags_are_those_of_hydra() -> None:
    flags = hydra_private.arguments_parser().parse_intermixed_args(["a=1", "-m", "b=2", "-c", "job", "-cd", "x", "--resolve", "-p", "k"])
    assert (flags.overrides, flags.multirun, flags.cfg, flags.config_dir) == (["a=1", "b=2"], True, "job", "x")
    assert (flags.resolve, flags.package, flags.info, flags.hydra_help, flags.shell_completion) == (True, "k", None, False, False)
    assert (flags.config_path, flags.config_name, flags.experimental_rerun, flags.help) == (None, None, None, False)


def test_a_program_that_uses_hydra_itself_keeps_its_state(loader: Loader, tmp_path: Path) -> None:
    with initialize_config_dir(str(tmp_path), version_base="1.2"):
        mine, base = GlobalHydra.instance().hydra, VersionBase.instance().getbase()
        merged(loader)
        loader.hydra_node([])
        assert GlobalHydra.instance().hydra is mine
        assert VersionBase.instance().getbase() == base
        assert hydra_compose("main").value == 1


def test_threads_compose_the_same(loader: Loader) -> None:
    expected, found = merged(loader, "part=two"), []
    threads = [threading.Thread(target=lambda: found.append(merged(loader, "part=two"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
