"""dist: sources: nothing of an archive runs, nothing unpinned is opened, and the cache mends itself."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from finecomb.assets import distribution, fetch, hash_file
from finecomb.config.locate import conf_dir
from finecomb.config.sources import values_of
from finecomb.core.errors import ConfigError

INFO = "Metadata-Version: 2.1\nName: textbox\nVersion: 1.0\n"


def source_archive(registry, zipped, tarred, marker, **more):
    """A source archive whose setup.py leaves a marker, with a text inside an archive inside it."""
    setup = f"open({str(marker)!r}, 'w').write('ran')\nfrom setuptools import setup\nsetup(name='textbox', version='1.0')\n"
    inner = tarred({"inner/reviews.txt": "good\nbad\n"})
    files = {"textbox-1.0/setup.py": setup, "textbox-1.0/PKG-INFO": INFO, "textbox-1.0/data/inner.tar.gz": inner}
    return zipped(registry / "textbox-1.0.zip", files | more)


SOURCE = "dist:textbox==1.0!textbox-1.0/data/inner.tar.gz!inner/reviews.txt"


def test_a_source_archive_gives_its_member_and_never_runs(registry, zipped, tarred, tmp_path):
    archive = source_archive(registry, zipped, tarred, tmp_path / "marker")
    local = fetch([SOURCE], sha256=hash_file(archive))
    assert local.path.name == "reviews.txt"
    assert local.path.read_text() == "good\nbad\n"
    assert local.sha256 == hash_file(local.path)
    assert local.source == SOURCE
    assert not (tmp_path / "marker").exists()


def test_pip_alone_would_have_run_it(registry, zipped, tarred, tmp_path):
    pytest.importorskip("setuptools", reason="the control needs setuptools")
    source_archive(registry, zipped, tarred, tmp_path / "marker")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation", "-d", str(tmp_path / "out"), "textbox==1.0"]
    subprocess.run(command, check=False, capture_output=True)
    assert (tmp_path / "marker").exists()


def test_a_wrong_hash_is_refused_before_anything_runs(registry, zipped, tarred, tmp_path):
    source_archive(registry, zipped, tarred, tmp_path / "marker")
    with pytest.raises(ConfigError, match="not the file that was pinned") as caught:
        fetch([SOURCE], sha256="0" * 64)
    assert "0" * 64 in caught.value.problems[0].allowed
    assert not (tmp_path / "marker").exists()


def test_a_backend_inside_the_archive_does_not_run_when_the_hash_is_wrong(registry, zipped, tarred, tmp_path):
    backend = f"open({str(tmp_path / 'marker')!r}, 'w').write('ran')\n"
    toml = '[build-system]\nrequires = []\nbuild-backend = "inside"\nbackend-path = ["."]\n'
    more = {"textbox-1.0/pyproject.toml": toml, "textbox-1.0/inside.py": backend}
    source_archive(registry, zipped, tarred, tmp_path / "marker", **more)
    with pytest.raises(ConfigError, match="not the file that was pinned"):
        fetch([SOURCE], sha256="0" * 64)
    assert not (tmp_path / "marker").exists()


def wheel(registry, zipped, **files):
    info = "textbox-1.0.dist-info/"
    held = {
        "textbox/model/config.json": "{}",
        "textbox/model/deep/vocab.txt": "a\nb\n",
        "textbox/__init__.py": "raise SystemExit('imported')",
    }
    held |= {info + "METADATA": INFO, info + "WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    return zipped(registry / "textbox-1.0-py3-none-any.whl", held | {info + "RECORD": ""} | files)


def test_a_folder_of_a_wheel_is_a_directory_with_a_content_hash(registry, zipped):
    local = fetch(["dist:textbox==1.0!textbox/model"], sha256=hash_file(wheel(registry, zipped)))
    assert sorted(file.relative_to(local.path).as_posix() for file in local.path.rglob("*") if file.is_file()) == [
        "config.json",
        "deep/vocab.txt",
    ]


def test_a_second_fetch_asks_nobody(registry, zipped, monkeypatch):
    sha256 = hash_file(wheel(registry, zipped))
    first = fetch(["dist:textbox==1.0!textbox/model"], sha256=sha256)
    monkeypatch.setenv("FINECOMB_OFFLINE", "1")
    monkeypatch.setattr(distribution, "_run", lambda *_: pytest.fail("pip was called"))
    assert fetch(["dist:textbox==1.0!textbox/model"], sha256=sha256) == first


def test_a_damaged_member_is_unpacked_again_without_network(registry, zipped, monkeypatch):
    sha256 = hash_file(wheel(registry, zipped))
    first = fetch(["dist:textbox==1.0!textbox/model"], sha256=sha256)
    (first.path / "config.json").write_text("broken")
    monkeypatch.setenv("FINECOMB_OFFLINE", "1")
    again = fetch(["dist:textbox==1.0!textbox/model"], sha256=sha256)
    assert again == first
    assert (again.path / "config.json").read_text() == "{}"


def test_a_damaged_distribution_is_fetched_again_or_named(registry, zipped, cache, monkeypatch):
    sha256 = hash_file(wheel(registry, zipped))
    first = fetch(["dist:textbox==1.0!textbox/model"], sha256=sha256)

    def damage():
        next((cache / "distributions" / sha256).glob("*.whl")).write_bytes(b"damaged")
        (first.path / "config.json").write_text("broken")

    damage()
    assert fetch(["dist:textbox==1.0!textbox/model"], sha256=sha256) == first
    damage()
    monkeypatch.setenv("FINECOMB_OFFLINE", "1")
    with pytest.raises(ConfigError, match="not in the cache, and the network is switched off") as caught:
        fetch(["dist:textbox==1.0!textbox/model"], sha256=sha256)
    assert sha256 in caught.value.problems[0].where


def test_a_missing_distribution_and_a_missing_member_are_the_users_errors(registry, zipped):
    sha256 = hash_file(wheel(registry, zipped))
    with pytest.raises(ConfigError, match=r"cannot fetch nowhere==1\.0 from the package registry") as caught:
        fetch(["dist:nowhere==1.0!x"], sha256=sha256)
    assert "dataset.path=" in caught.value.problems[0].hint
    with pytest.raises(ConfigError, match="no file or folder") as caught:
        fetch(["dist:textbox==1.0!textbox/model/confg.json"], sha256=sha256)
    assert "textbox/model/config.json" in caught.value.problems[0].allowed


def test_every_source_that_failed_is_told(registry):
    with pytest.raises(ConfigError) as caught:
        fetch(["dist:nowhere==1.0!x", "file:/no/such/file", "ftp:x"], sha256="0" * 64)
    assert len(caught.value.problems) == 3


def test_an_unpinned_distribution_is_refused(registry):
    with pytest.raises(ConfigError, match="needs a pinned sha256"):
        fetch(["dist:textbox==1.0!x"], sha256=None)


def test_two_that_fetch_at_once_fetch_once(registry, zipped, monkeypatch):
    sha256 = hash_file(wheel(registry, zipped))
    calls, results = [], []
    run = distribution._run
    monkeypatch.setattr(distribution, "_run", lambda *arguments: calls.append(1) or run(*arguments))
    threads = [threading.Thread(target=lambda: results.append(fetch(["dist:textbox==1.0!textbox/model"], sha256=sha256))) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(calls) == 1
    assert len(results) == 3
    assert len(set(results)) == 1


def test_pip_without_room_says_which_disk(registry, monkeypatch, cache):
    monkeypatch.setattr(distribution, "_run", lambda *_: "ERROR: Could not install: [Errno 28] No space left on device")
    with pytest.raises(ConfigError, match="the disk is full") as caught:
        fetch(["dist:textbox==1.0!x"], sha256="0" * 64)
    assert str(cache) in caught.value.problems[0].where


def test_nothing_is_left_in_staging_after_a_failure(registry, cache):
    with pytest.raises(ConfigError):
        fetch(["dist:nowhere==1.0!x"], sha256="0" * 64)
    assert list((cache / "staging").iterdir()) == []


def shipped(choice: str):
    config = values_of(conf_dir() / f"{choice}.yaml")
    return [source for source in config["source"] if source.startswith("dist:")], config["sha256"]


def fetch_or_skip(choice: str):
    sources, sha256 = shipped(choice)
    try:
        return fetch(sources, sha256=sha256)
    except ConfigError as error:
        if "cannot fetch" in str(error):
            pytest.skip("the package registry is out of reach")
        raise


@pytest.mark.registry
def test_the_film_reviews_are_where_the_config_says(cache):
    local = fetch_or_skip("dataset/movie_reviews")
    assert len(local.path.read_text(encoding="utf-8").split("\n")) == 10_605


@pytest.mark.registry
def test_the_default_model_is_where_the_config_says(monkeypatch):
    # In the user's own cache: 83 MB are fetched once.
    local = fetch_or_skip("model/all_minilm_l6_v2")
    assert (local.path / "model.safetensors").stat().st_size > 80e6
    assert {"config.json", "tokenizer.json", "vocab.txt"} <= {file.name for file in Path(local.path).iterdir()}
