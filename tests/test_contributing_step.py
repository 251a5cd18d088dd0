"""The cleaning step of CONTRIBUTING.md, word for word: inside a copy of the source tree, and as a plug-in."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

ROOT = Path(__file__).parents[1]
SECTION = (ROOT / "CONTRIBUTING.md").read_text().partition("## Add a cleaning step\n")[2].partition("\n## ")[0]
FILES = {
    text.partition("\n")[0].removeprefix("# "): text
    for text in re.findall(r"^```(?:python|yaml)\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)
}
STEP, RECIPE = "src/finecomb/data/cleaner/steps/shout.py", "conf/cleaner/loud.yaml"


def finecomb(place: Path, *words: str, source: Path = ROOT) -> subprocess.CompletedProcess[str]:
    (place / "data.csv").write_text("text,label\n" + "".join(f"film number {n},{n % 2}\n" for n in range(20)))
    environment = os.environ | {"FINECOMB_CACHE": str(place / "cache"), "PYTHONPATH": str(source / "src")}
    return subprocess.run(
        [sys.executable, "-m", "finecomb", *words], cwd=place, env=environment, capture_output=True, text=True, check=False
    )


def prepare() -> list[str]:
    (line,) = re.findall(r"^```bash\nfinecomb (.*?)\n```$", SECTION, re.DOTALL | re.MULTILINE)
    return shlex.split(line)


def check_texts(place: Path) -> None:
    texts = pyarrow.parquet.read_table(place / "out" / "train.parquet").column("text").to_pylist()
    assert texts
    assert all(re.fullmatch(r"FILM NUMBER \d+!", text) for text in texts)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree with the two files, and no other change."""
    copy = tmp_path_factory.mktemp("tree")
    for folder in ("src", "conf"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    assert FILES.keys() == {STEP, RECIPE}
    for name, text in FILES.items():
        (copy / name).write_text(text)
    return copy


def test_one_file_and_one_recipe_add_a_step_to_the_tree(tree: Path, tmp_path: Path) -> None:
    done = finecomb(tmp_path, *prepare(), source=tree)
    assert done.returncode == 0, done.stdout + done.stderr
    check_texts(tmp_path)


def test_validation_and_explain_know_the_step(tree: Path, tmp_path: Path) -> None:
    wrong = finecomb(tmp_path, *prepare(), "cleaner.steps.shout.marks=-1", source=tree)
    assert wrong.returncode == 2
    assert "cleaner.steps.shout.marks=-1 is below 0" in wrong.stderr
    shown = finecomb(tmp_path, "explain", "cleaner=loud", source=tree)
    assert re.search(r"cleaner\.steps\.shout\.marks.*loud\.yaml", shown.stdout), shown.stdout + shown.stderr


def test_the_version_of_the_new_file_is_recorded(tree: Path, tmp_path: Path) -> None:
    code = "from finecomb.config import computing; print('data/cleaner/steps/shout' in computing.COMPUTING['cleaner'])"
    environment = os.environ | {"PYTHONPATH": str(tree / "src")}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_the_same_file_is_a_plug_in(tmp_path: Path) -> None:
    folder = tmp_path / "my_plugin"
    (folder / "conf" / "cleaner").mkdir(parents=True)
    (folder / "finecomb_plugin.py").write_text(FILES[STEP])
    (folder / RECIPE).write_text(FILES[RECIPE])
    done = finecomb(tmp_path, *prepare(), "--config-dir", "my_plugin")
    assert done.returncode == 0, done.stdout + done.stderr
    check_texts(tmp_path)
