"""A built wheel works outside the repository; an editable install sees edits."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def python(code: str, cwd: Path, **environment: str) -> str:
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, env=env, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built without network by the pinned backend."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = target.glob("*.whl")
    return built


def test_the_wheel_holds_every_config_file(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".yaml")}
    expected = {f"finecomb/conf/{path.relative_to(ROOT / 'conf')}" for path in (ROOT / "conf").rglob("*.yaml")}
    assert len(expected) > 60
    assert packed == expected


def test_the_installed_wheel_composes_outside_the_repository(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    code = (
        "import finecomb, hydra_plugins.finecomb.launcher as launcher\n"
        "from finecomb.config.locate import conf_dir\n"
        "from finecomb.config.compose import compose\n"
        "print(finecomb.__file__); print(conf_dir()); print(launcher.__file__)\n"
        "print(compose(['tuning=lora', 'tuning.r=3']).config.tuning.r)\n"
    )
    package, conf, launcher, rank = python(code, tmp_path, PYTHONPATH=str(site)).splitlines()
    assert Path(package).parent == site / "finecomb"
    assert Path(conf) == site / "finecomb" / "conf"
    assert Path(launcher).is_relative_to(site)
    assert rank == "3"


def test_an_editable_install_sees_the_repository(tmp_path: Path) -> None:
    code = "import finecomb; from finecomb.config.locate import conf_dir; print(finecomb.__file__); print(conf_dir())"
    package, conf = python(code, tmp_path).splitlines()
    if not Path(package).is_relative_to(ROOT):
        pytest.skip("finecomb is not installed in editable mode from this repository")
    assert Path(package) == ROOT / "src" / "finecomb" / "__init__.py"
    assert Path(conf) == ROOT / "conf"


def names(lock: str) -> set[str]:
    return set(re.findall(r"(?m)^([\w.-]+)==", (ROOT / lock).read_text()))


def test_the_two_locks_share_no_package_and_the_first_holds_what_is_declared() -> None:
    needed, more = names("requirements.lock"), names("requirements-dev.lock")
    assert not needed & more
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = {re.split(r"[\s<>=!~\[;]", each)[0].lower() for each in project["project"]["dependencies"]} - {"torch"}
    assert declared <= needed
    groups = [
        *project["project"]["optional-dependencies"].values(),
        project["dependency-groups"]["dev"],
        project["dependency-groups"]["docs"],
    ]
    assert {re.split(r"[\s<>=!~\[;]", each)[0].lower() for group in groups for each in group} <= needed | more
    assert not needed & {"ray", "sphinx", "pytest", "cleanlab", "statsmodels", "trafilatura"}


def test_what_is_imported_when_a_module_loads_is_in_the_first_lock() -> None:
    """What an extra brings is imported where it is used, behind an error that names the extra."""
    owners = importlib.metadata.packages_distributions()
    needed = names("requirements.lock") | {"torch"}
    outside = {}
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for top in {module.partition(".")[0] for module in modules} - set(sys.stdlib_module_names) - {"finecomb", "hydra_plugins"}:
                if not {owner.lower().replace("_", "-") for owner in owners[top]} & needed:
                    outside[f"{path.relative_to(ROOT)}: {top}"] = owners[top]
    assert not outside


def test_make_without_a_target_lists_every_target() -> None:
    shown = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:")).split()[1:]
    listed = {line.split()[1] for line in shown.splitlines() if line.startswith("make ")}
    assert listed == set(targets) - {"help"}
