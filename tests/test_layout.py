"""The house plan as a test: who may import whom, what stays free of torch, where a choice lives, how long a file may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from finecomb.config.schema.train import BUNDLES, GROUPS

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "finecomb"
BELOW = {
    "core": set(),
    "config": {"core"},
    "assets": {"config", "core"},
    "runs": {"config", "core"},
    "data": {"assets", "runs", "config", "core"},
    "learning": {"assets", "runs", "config", "core"},
    "training": {"data", "learning", "assets", "runs", "config", "core"},
    "launch": {"training", "data", "learning", "assets", "runs", "config", "core"},
    "studies": {"launch", "training", "data", "learning", "assets", "runs", "config", "core"},
    "serving": {"launch", "training", "data", "learning", "assets", "runs", "config", "core"},
    "labeling": {"launch", "training", "data", "learning", "assets", "runs", "config", "core"},
    "api": {"labeling", "studies", "serving", "launch", "training", "data", "learning", "assets", "runs", "config", "core"},
    "cli": {"api", "labeling", "studies", "serving", "launch", "training", "data", "learning", "assets", "runs", "config", "core"},
}
HEAVY = ("torch", "pytorch_lightning", "peft", "torchmetrics", "transformers")


def imported(path: Path) -> set[str]:
    """Dotted names that a file imports when it runs; what only the type checker reads does not count."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for statement in block.body
        for node in ast.walk(statement)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    return "cli" if first == "__main__" else first


def files() -> list[Path]:
    found = [path for path in sorted(SOURCE.rglob("*.py")) if path != SOURCE / "__init__.py"]
    assert len(found) > 40
    return found


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_only_rooms_below_it(path: Path) -> None:
    own = room(path)
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("finecomb.") and name.split(".")[1] in BELOW}
    assert rooms - {own} <= BELOW[own]


def test_a_room_above_is_noticed(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text("def later():\n    from finecomb.training import worker\n")
    assert imported(planted) == {"finecomb.training.worker"}


@pytest.mark.parametrize("wing", ["data", "learning"])
def test_places_of_groups_inside_a_wing_do_not_import_each_other(wing: str) -> None:
    """What a wing shares (learning/pooling.py, learning/quiet.py) belongs to no group; data/prepare.py composes."""
    wrong = []
    for path in sorted((SOURCE / wing).rglob("*.py")):
        place = path.relative_to(SOURCE / wing).parts[0].removesuffix(".py")
        others = {name.split(".")[2] for name in imported(path) if name.startswith(f"finecomb.{wing}.")} - {place}
        others &= set(GROUPS)
        if place != "prepare" and others:
            wrong.append((place, others))
    assert not wrong


@pytest.mark.parametrize("name", ["core", "config", "runs", "launch", "studies", "api", "cli"])
def test_rooms_of_the_light_side_never_name_torch(name: str) -> None:
    for path in files():
        if room(path) == name:
            heavy = {module for module in imported(path) if module.split(".")[0] in HEAVY}
            assert not heavy, f"{path} imports {heavy}"


def test_the_light_side_imports_without_torch() -> None:
    light = ("core", "config", "runs", "assets", "launch", "api", "cli")
    modules = [
        ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in files()
        if (room(path) in light and path.stem != "__main__") or path.parent == SOURCE / "studies" or path.parent == SOURCE / "studies"
    ]
    code = f"import sys; [__import__(name) for name in {modules!r}]; print(sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_group_has_its_folder_and_its_schema() -> None:
    folders = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert folders - {"hydra"} == set(GROUPS) | set(BUNDLES)
    assert {path.stem for path in (SOURCE / "config" / "schema").glob("*.py")} >= set(GROUPS)


def test_files_stay_short_and_none_is_called_utils() -> None:
    for path in [*SOURCE.rglob("*.py"), *(ROOT / "src" / "hydra_plugins").rglob("*.py")]:
        assert len(path.read_text().splitlines()) <= 400, path
        assert path.stem not in ("utils", "helpers", "common", "misc"), path


def test_only_one_lightning_namespace_and_no_pickle() -> None:
    for path in files():
        roots = {name.split(".")[0] for name in imported(path)}
        assert not roots & {"lightning", "pickle", "dill", "cloudpickle", "joblib"}, path
        assert "trust_remote_code=True" not in path.read_text()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert any(keyword.arg == "weights_only" and ast.unparse(keyword.value) == "True" for keyword in node.keywords), path


@pytest.mark.parametrize("folder", ["benchmarks", "experiments"])
def test_what_scripts_beside_the_package_import_from_it_is_there(folder: str) -> None:
    """They are no part of the package, and most run only by hand."""
    missing = []
    scripts = sorted((ROOT / folder).rglob("*.py"))
    assert scripts
    for path in scripts:
        for name in sorted(imported(path)):
            parts = name.split(".")
            if parts[0] != "finecomb":
                continue
            places = [SOURCE.joinpath(*parts[1:length]) for length in range(len(parts), 0, -1)]
            module = next(file for each in places for file in (each.with_suffix(".py"), each / "__init__.py") if file.is_file())
            depth = len(module.relative_to(SOURCE).with_suffix("").parts) - (module.stem == "__init__")
            rest = parts[1 + depth :]
            # A module, a package, or one name in it.
            if len(rest) > 1 or (rest and not re.search(rf"\b{rest[0]}\b", module.read_text())):
                missing.append(f"{path.relative_to(ROOT)}: {name}")
    assert not missing


def circles(graph: dict[str, set[str]]) -> list[tuple[str, ...]]:
    """Modules that reach themselves by imports."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for name in graph[todo.pop()] - seen:
                seen.add(name)
                todo.append(name)
        return seen

    reach = {name: reached(name) for name in graph}
    return sorted({tuple(sorted(other for other in reach[name] if name in reach[other])) for name in graph if name in reach[name]})


def test_no_file_imports_itself_by_way_of_others() -> None:
    """Imports within functions count too."""
    modules = {".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"): path for path in files()}
    graph = {}
    for module, path in modules.items():
        names = {name if name in modules else name.rpartition(".")[0] for name in imported(path)}
        graph[module] = {name for name in names if name in modules and name != module}
    assert sum(map(len, graph.values())) > 500
    assert circles(graph) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [("b", "c")]
