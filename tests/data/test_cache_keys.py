"""Cached data are found again only where everything that decided them is the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data_configs import make_cleaner, make_dataset

from finecomb.config import computing, plugins
from finecomb.config.schema.annotator import Propagation
from finecomb.data import annotator, cleaner
from finecomb.data.dataset import extract
from finecomb.data.dataset.common_crawl.archive_source import CommonCrawlSource
from finecomb.data.dataset.files import FilesSource
from finecomb.data.dataset.wikipedia.dump_source import WikipediaSource
from finecomb.data.prepare import prepare

Raise = Callable[[str], None]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def raise_version(monkeypatch: pytest.MonkeyPatch) -> Raise:
    """Raises the VERSION of one module."""
    version_of = computing.version_of
    return lambda name: monkeypatch.setattr(computing, "version_of", lambda each: "raised" if each == name else version_of(each))


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Callable[[], Any]]:
    for name in ("a.warc", "dump.xml", "page.html"):
        (tmp_path / name).write_text("text")
    page = {"files": {"train": str(tmp_path / "page.html")}, "format": "document", "extract": "fast"}
    return {
        "common_crawl": lambda: CommonCrawlSource(make_dataset("common_crawl", archives=[str(tmp_path / "a.warc")])).inputs(),
        "wikipedia": lambda: WikipediaSource(make_dataset("wikipedia", dump=str(tmp_path / "dump.xml"))).inputs(),
        "files": lambda: FilesSource(make_dataset("files", **page)).inputs(),
    }


@pytest.mark.parametrize(
    ("source", "module"),
    [("common_crawl", "data/dataset/extract_worker"), ("common_crawl", "data/dataset/common_crawl/records"),
     ("wikipedia", "data/dataset/wikipedia/templates"), ("files", "data/dataset/extract_worker")],
)  # fmt: skip
def test_what_turns_pages_into_text_is_an_input(sources: Any, raise_version: Raise, source: str, module: str) -> None:
    before = sources[source]()
    assert sources[source]() == before
    raise_version(module)
    assert sources[source]() != before


@pytest.mark.parametrize("source", ["common_crawl", "files"])
@pytest.mark.parametrize("which", ["VERSION", "version"])
def test_the_version_of_the_extractor_and_of_its_libraries_is_an_input(
    sources: Any, monkeypatch: pytest.MonkeyPatch, source: str, which: str
) -> None:
    before = sources[source]()
    monkeypatch.setattr(extract, which, 99 if which == "VERSION" else lambda name: "99" if name == "trafilatura" else "1")
    assert sources[source]() != before


def test_the_version_of_the_wikitext_parser_is_an_input(sources: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sources["wikipedia"]()
    monkeypatch.setattr("finecomb.data.dataset.wikipedia.dump_source.version", lambda name: "99")
    assert sources["wikipedia"]() != before


@pytest.mark.parametrize(
    ("step", "library"),
    [({"mojibake": {}}, "ftfy"), ({"language": {"keep": ["en"], "min_score": 0.5}}, "py3langid"),
     ({"spelling": dict(make_cleaner("spelling").steps["spelling"])}, "symspellpy")],
)  # fmt: skip
def test_the_version_of_a_steps_library_is_its_identity(step: dict[str, Any], library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def identity(of: str) -> Any:
        monkeypatch.setattr("finecomb.data.cleaner.version", lambda name: of if name == library else "1")
        return cleaner.build(make_cleaner("none", **step)).identity

    assert identity("1") == identity("1") != identity("2")


def test_a_shared_module_of_the_steps_is_the_identity_of_each(raise_version: Raise) -> None:
    def of_steps() -> Any:
        recipe = cleaner.build(make_cleaner("basic"))
        return recipe.identity[: len(recipe.steps)]

    before = of_steps()
    raise_version("data/cleaner/words")
    assert all(old != new for old, new in zip(before, of_steps(), strict=True))


def test_the_version_of_scikit_learn_is_the_identity_of_propagation(monkeypatch: pytest.MonkeyPatch, raise_version: Raise) -> None:
    config = object.__new__(Propagation)
    for name in Propagation.__dataclass_fields__:
        setattr(config, name, "propagation")
    before = annotator.identity(config)
    monkeypatch.setattr("finecomb.data.annotator.version", lambda name: "99")
    after = annotator.identity(config)
    raise_version("data/annotator/propagation")
    assert len({str(before), str(after), str(annotator.identity(config))}) == 3


def test_another_key_of_the_same_rows_changes_no_content(tmp_path: Path, raise_version: Raise) -> None:
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"number {n},{'ab'[n % 2]}\n" for n in range(40)))

    def prepared() -> Any:
        dataset = make_dataset("files", files={"train": str(tmp_path / "a.csv")})
        return prepare(dataset, make_cleaner("none"), task_variant="sequence_classification")

    first = prepared()
    raise_version("data/dataset/lines")
    second = prepared()
    assert first.key != second.key
    assert first.content_hash == second.content_hash


def test_a_label_that_is_a_folders_name_is_not_taken_from_another_folder(tmp_path: Path) -> None:
    found = {}
    for folder in ("good", "bad", "moved/bad"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "one.txt").write_text("a text")
        files = {"path": str(tmp_path / folder), "files": {"train": "one.txt"}, "format": "document"}
        found[folder] = FilesSource(make_dataset("files", **files)).inputs()
    assert found["bad"] == found["moved/bad"] != found["good"]


def test_the_edited_code_of_a_plugin_prepares_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()

    def identity(text: str) -> Any:
        (tmp_path / "mine" / "finecomb_plugin.py").write_text(
            "from finecomb.config.plugins import Choice\nfrom finecomb.config.schema.cleaner import Cleaner\n"
            f"from finecomb.data.cleaner.recipe import Recipe\n# {text}\n"
            "CHOICES = [Choice('cleaner', 'mine', Cleaner, lambda config: Recipe((), (['one', 'kind', {}, 1],)))]\n"
        )
        monkeypatch.setattr(plugins, "_loaded", {})
        plugins.load([tmp_path / "mine"])
        return cleaner.build(cleaner.schema.Cleaner("mine", {}, False)).identity, plugins.code("cleaner", "mine")

    assert identity("a") == identity("a")
    assert all(old != new for old, new in zip(identity("a"), identity("b"), strict=True))
