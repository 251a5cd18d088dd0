"""Every code block of the documentation runs, or says why not and then at least composes or is parsed.

A block that runs is executed as the reader sees it, in one folder with the files that the documentation names (`reviews.csv`, `runs/NAME`).
A block after `<!-- no-run: REASON -->` is not executed: the overrides of its `train`, `prepare` and `explain` commands are composed and
validated, other commands are parsed, and Python is compiled.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import random
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_blocks import ROOT, Block, blocks, commands, file_name, sessions

import finecomb
from finecomb import cli

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/guide").glob("*.md"))]
PAGES += [*sorted((ROOT / "docs/reference").glob("*.md")), *sorted((ROOT / "docs/tasks").glob("*.md"))]
BLOCKS = [block for page in PAGES for block in blocks(page)]
EXECUTED = [block for block in BLOCKS if block.no_run is None]
# The plug-in that CONTRIBUTING builds is followed, file by file, in tests/test_contributing.py.
PLUGIN_PAGE = ROOT / "CONTRIBUTING.md"
COMPOSED = ("train", "prepare", "explain")
OPTIONS_OF_PREPARE = ("--engine", "--address", "--output", "--workers")
OTHER_PROGRAMS = ("source", "eval", "export", "ray", "wandb")
GOOD = ("a good film", "great fun", "a wonderful story", "the best cast")
# Files that commands name which are only composed.
ONLY_NAMED = (
    "manual-6.1/a.rst.gz", "manual-6.12/a.rst.gz", "pages.warc.gz", "pages-articles-multistream.xml.bz2", "index.txt.bz2",
    "pairs.jsonl", "articles.jsonl", "corpus/train.en", "multi30k/train.en",
)  # fmt: skip
BAD = ("a bad film", "boring", "an awful story", "the worst cast")


class Parsed(Exception):
    """The arguments of a verb were accepted; what it would do is not done."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, own_cache: Path) -> Iterator[Path]:
    """The reader's folder, with the files that the documentation names."""
    folder = tmp_path_factory.mktemp("reader")
    draw = random.Random(0)
    with (folder / "reviews.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "stars"])
        for number in range(200):
            good = draw.random() < 0.5
            writer.writerow([f"{draw.choice(GOOD if good else BAD)}, number {number}", "up" if good else "down"])
    (folder / "raw.txt").write_text("\n".join([*GOOD, *BAD]))
    for name in ONLY_NAMED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    shutil.copy(ROOT / "sweep.yaml", folder)
    (folder / "experiments").symlink_to(ROOT / "experiments")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FINECOMB_CACHE", str(own_cache))
        patch.setenv("FINECOMB_OFFLINE", "1")
        patch.setenv("COLUMNS", "200")
        patch.delenv("WANDB_API_KEY", raising=False)
        yield folder


@pytest.fixture(scope="module")
def runs(folder: Path) -> None:
    """The finished runs that the documentation names: the one that the README trains from Python, and copies of it."""
    data = ["dataset=files", "dataset.files.train=reviews.csv", "dataset.columns.text=review", "dataset.columns.label=stars"]
    assert cli.main(["train", *data, "tuning=lora", "debug=tiny"]) == 0
    (made,) = (path for path in (folder / "runs").iterdir() if (path / "result.json").is_file())
    for name in ("NAME", "A", "B"):
        shutil.copytree(made, folder / "runs" / name)


@pytest.fixture(scope="module")
def namespaces() -> dict[Path, dict[str, Any]]:
    """Names that the Python blocks of a page have defined so far; later blocks of the page use them."""
    return {}


@pytest.mark.slow
@pytest.mark.parametrize("block", EXECUTED, ids=lambda block: block.name)
@pytest.mark.usefixtures("runs")
def test_a_block_runs_as_the_reader_sees_it(block: Block, folder: Path, namespaces: dict, capsys: pytest.CaptureFixture[str]) -> None:
    if block.path == PLUGIN_PAGE:
        pytest.skip("tests/test_contributing.py follows CONTRIBUTING")
    match block.language:
        case "python":
            exec(compile(block.text, block.name, "exec"), namespaces.setdefault(block.path, {}))
        case "bash":
            for program, *words in commands(block.text):
                assert program == "finecomb", f"mark it no-run: {program}"
                assert _exit_code(words) == 0, capsys.readouterr().err
        case "console":
            for command, output in sessions(block.text):
                capsys.readouterr()
                _exit_code(commands(command)[0][1:])
                printed = capsys.readouterr()
                assert output.strip() in printed.out + printed.err
        case "yaml":
            yaml.safe_load(block.text)
            if path := file_name(block.text):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(f"{block.text}\n")
        case _:
            assert block.language == "text", "a block names its language"


def _exit_code(words: list[str]) -> int:
    try:
        return cli.main(words)
    except SystemExit as left:
        return int(left.code or 0)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("block", [block for block in BLOCKS if block.no_run], ids=lambda block: block.name)
def test_a_block_that_is_not_run_composes_or_is_parsed(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    assert block.language in ("bash", "python")
    if block.language == "python":
        compile(block.text, block.name, "exec")
        return
    _stop_after_parsing(monkeypatch)
    for program, *words in commands(block.text):
        match program.removeprefix(".venv/bin/"):
            case "finecomb":
                check(words)
            case "make":
                subprocess.run(["make", "--dry-run", *words], cwd=ROOT, check=True, capture_output=True)
            case "python":
                assert _is_program(words), words
            case "pip":
                assert _installs_extras(words), words
            case other:
                assert other in OTHER_PROGRAMS


def check(words: list[str]) -> None:
    """Compose a command's overrides and check them against each other, or parse its arguments."""
    verb, *rest = words
    if verb == "train":
        # An interval is a search's: the settings of the search are checked, and what it leaves as it is.
        drawn = [word for word in rest if "interval(" in word or (word.startswith("hydra") and any("interval(" in each for each in rest))]
        assert cli.main([*words, "--cfg", "hydra"]) == 0
        assert cli.main(["train", *(word for word in rest if word not in drawn), "--cfg", "job"]) == 0
    elif verb in COMPOSED:
        after_option = {at + 1 for at, word in enumerate(rest) if word in OPTIONS_OF_PREPARE}
        finecomb.compose(*(word for at, word in enumerate(rest) if at not in after_option and word not in OPTIONS_OF_PREPARE))
    else:
        with pytest.raises(Parsed):
            cli.main(words)


def _stop_after_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("parse_args", "parse_intermixed_args"):
        original = getattr(argparse.ArgumentParser, name)

        def parse(self: argparse.ArgumentParser, args: Any = None, namespace: Any = None, *, _original: Any = original) -> Any:
            found = _original(self, args, namespace)
            # Hydra's own parser reads the arguments of composing verbs, and is needed to the end.
            if (self.prog or "").startswith("finecomb "):
                raise Parsed
            return found

        monkeypatch.setattr(argparse.ArgumentParser, name, parse)


def _is_program(words: list[str]) -> bool:
    if words[0] == "-m":
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(ROOT))
            return importlib.util.find_spec(words[1]) is not None
    return (ROOT / words[0]).is_file()


def _installs_extras(words: list[str]) -> bool:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [f"finecomb[{name}]" for name in project["optional-dependencies"]]
    return words[0] == "install" and all(word in names for word in words[1:])


# What the helpers above take for granted


def test_every_page_is_read_and_has_blocks() -> None:
    assert len(PAGES) >= 17
    assert len(EXECUTED) >= 12
    assert {block.language for block in BLOCKS} <= {"bash", "console", "python", "yaml", "text"}


def test_a_block_knows_why_it_is_not_run_and_the_next_one_does_not(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- no-run: needs a GPU -->\n```bash\nfinecomb train\n```\n\n```python\nx = 1\n```\n```{toctree}\na\n```\n")
    first, second = blocks(page)
    assert (first.no_run, first.language, first.text, first.line) == ("needs a GPU", "bash", "finecomb train", 2)
    assert (second.no_run, second.language) == (None, "python")


def test_commands_are_split_as_a_shell_splits_them() -> None:
    text = "# a comment\nfinecomb train -m \\\n    'a=[1, 2]' b=1    # why\nwandb sweep x && wandb agent ID\n"
    assert commands(text) == [["finecomb", "train", "-m", "a=[1, 2]", "b=1"], ["wandb", "sweep", "x"], ["wandb", "agent", "ID"]]


@pytest.mark.parametrize(
    "words",
    [
        ["train", "optimizer.lrr=3"],
        ["train", "-m", "tuning=lora,loraa", "seed=0,1"],
        ["prepare", "cleaner=basci", "--workers", "2"],
        ["compare", "runs", "--bye", "tuning"],
        ["study"],
        ["annotate", "serve", "x.csv", "--labls", "a,b"],
    ],
)
def test_a_wrong_command_in_a_page_would_be_noticed(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    _stop_after_parsing(monkeypatch)
    with pytest.raises((AssertionError, finecomb.ConfigError, pytest.fail.Exception)):
        check(words)
