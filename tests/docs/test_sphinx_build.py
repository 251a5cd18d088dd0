"""The documentation builds without a warning, shows every choice and key, and its pages fetch nothing from the network."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import finecomb
from finecomb.config.compose import register
from finecomb.config.fields import leaf_keys
from finecomb.config.locate import conf_dir
from finecomb.config.schema.train import GROUPS, Config
from finecomb.config.sources import offered, schema_of

DOCS = Path(__file__).parents[2] / "docs"


def extension(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / "_ext" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


reference = extension("config_reference")
offline = extension("offline")
copies = extension("repository_pages")


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference.pages()


@pytest.mark.slow
def test_the_documentation_builds_with_warnings_as_errors(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        "-d",
        tmp_path / "doctrees",
        DOCS,
        tmp_path / "html",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "searchindex.js").is_file()
    assert list(offline.fetched(tmp_path / "html")) == []


@pytest.mark.parametrize(
    "line",
    [
        '<script async src="https://cdn.example/x.js"></script>',
        "<link rel='stylesheet' href='//cdn.example/x.css'>",
        '<link href="https://fonts.example/a.woff2" rel="preload">',
        '<img alt="" src="https://example.org/a.png">',
        "<style>@font-face { src: url(https://fonts.example/a.woff2) }</style>",
        '<style>@import "https://cdn.example/x.css";</style>',
    ],
)
def test_what_a_page_would_fetch_is_found(line: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(f"<html><head>{line}</head></html>")
    assert [path.name for path, _ in offline.fetched(tmp_path)] == ["page.html"]


def test_links_that_a_reader_follows_are_no_fetches(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        '<a href="https://example.org">x</a><link rel="canonical" href="https://example.org/"><img src="a.png">'
    )
    assert list(offline.fetched(tmp_path)) == []


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_that_is_offered_is_in_the_reference_with_its_keys(group: str, pages: dict[str, str]) -> None:
    for name, path in offered(group).items():
        assert f"`{group}={name}`" in pages[group]
        cls = schema_of(group, path)
        assert cls is not None
        missing = [key for key in leaf_keys(cls, {}, f"{group}.") if key != f"{group}.name" and f"`{key}`" not in pages[group]]
        assert not missing


def test_every_key_outside_groups_is_in_the_reference(pages: dict[str, str]) -> None:
    keys = [key for key in leaf_keys(Config, {}) if key.partition(".")[0] not in GROUPS]
    assert "batch.size" in keys
    assert not [key for key in keys if f"`{key}`" not in pages["train"]]


@pytest.mark.parametrize("choice", ["optimizer/adamw", "dataset/sst2", "model/gpt2", "cleaner/classification", "callbacks/last"])
def test_the_defaults_shown_are_those_that_hydra_composes(choice: str) -> None:
    register()
    group, name = choice.split("/")
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        node = OmegaConf.select(compose(choice), group)
    composed = OmegaConf.to_container(node, resolve=False)
    assert reference.composed(group, name) == reference.flat(composed, f"{group}.")


def test_a_copy_follows_its_original(tmp_path: Path) -> None:
    (tmp_path / "experiments/mine/results").mkdir(parents=True)
    page = tmp_path / "experiments/mine/README.md"
    page.write_text("# one")
    (tmp_path / "experiments/mine/results/table.md").write_text("# table")
    target = tmp_path / "docs"
    copies.copy(tmp_path, target)
    assert (target / "experiments/mine/results/table.md").read_text() == "---\norphan: true\n---\n\n# table"
    page.write_text("# another")
    copies.copy(tmp_path, target)
    assert (target / "experiments/mine/README.md").read_text() == "# another"
    page.unlink()
    copies.copy(tmp_path, target)
    assert not (target / "experiments/mine/README.md").exists()


def test_every_public_name_is_on_the_page_of_the_python_api() -> None:
    page = (DOCS / "reference" / "api.md").read_text()
    assert not [name for name in finecomb.__all__ if f":: finecomb.{name}" not in page]
