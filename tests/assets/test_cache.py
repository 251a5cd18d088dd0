"""Content hashes, and what a full or forbidden disk says."""

import errno
import os
import time

import pytest

from finecomb.assets import cache_dir, fetch, hash_directory, hash_file, room_on_disk
from finecomb.assets.cache import staging
from finecomb.core.errors import ConfigError


def test_a_directory_hash_is_of_names_and_content_only(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "b").write_text("b")
        (tmp_path / name / "a").write_text("a")
    (tmp_path / "two" / ".git").mkdir()
    (tmp_path / "two" / ".git" / "config").write_text("hidden")
    assert hash_directory(tmp_path / "one") == hash_directory(tmp_path / "two")
    (tmp_path / "two" / "a").write_text("A")
    assert hash_directory(tmp_path / "one") != hash_directory(tmp_path / "two")
    (tmp_path / "two" / "a").rename(tmp_path / "two" / "c")
    (tmp_path / "two" / "c").write_text("a")
    assert hash_directory(tmp_path / "one") != hash_directory(tmp_path / "two")


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("FINECOMB_CACHE")
    assert cache_dir().parts[-2:] == (".cache", "finecomb")


def test_a_full_disk_names_the_folder_and_the_need(tmp_path):
    with pytest.raises(ConfigError) as caught, room_on_disk(tmp_path / "not" / "there", 90_000_000):
        raise OSError(errno.ENOSPC, "No space left on device")
    problem = caught.value.problems[0]
    assert "about 90.0 MB needed" in problem.what
    assert problem.where == str(tmp_path / "not" / "there")
    assert "FINECOMB_CACHE" in problem.hint


def test_what_a_killed_process_left_is_cleared_after_a_week(cache):
    with staging() as stage:
        assert stage.is_dir()
        for name, age in (("old", 8 * 24 * 3600), ("young", 3600)):
            (stage.parent / name).mkdir()
            os.utime(stage.parent / name, (time.time() - age,) * 2)
    assert not stage.exists()
    with staging():
        assert not (stage.parent / "old").exists()
        assert (stage.parent / "young").exists()


def test_other_errors_of_the_system_stay_what_they_are(tmp_path):
    with pytest.raises(OSError, match="input/output"), room_on_disk(tmp_path):
        raise OSError(errno.EIO, "input/output")


def test_a_cache_that_is_a_file_or_forbidden_is_the_users_error(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="cannot write"), room_on_disk(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_local_file_is_pinned_too(tmp_path):
    file = tmp_path / "data.tsv"
    file.write_text("x")
    assert fetch([f"file:{file}"], sha256=hash_file(file)).path == file
    with pytest.raises(ConfigError, match="not the file that was pinned"):
        fetch([f"file:{file}"], sha256="0" * 64)
    with pytest.raises(ConfigError, match="no such file") as caught:
        fetch([f"file:{tmp_path / 'dta.tsv'}"], sha256=None)
    assert "data.tsv" in caught.value.problems[0].allowed
