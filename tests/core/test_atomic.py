import errno
import json
import math
import os

import pytest

from finecomb.core import atomic
from finecomb.core.errors import ConfigError


def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    atomic.write_json(path, {"a": 1})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError) as raised:
        atomic.write_json(path, {"a": 2})
    assert "full" in raised.value.problems[0].what
    assert "output_dir" in raised.value.problems[0].hint
    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_another_error_of_the_disk_is_not_told_as_a_full_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        atomic.write_text(tmp_path / "missing" / "file", "text")


def test_a_crash_before_the_rename_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    atomic.write_text(path, "old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        atomic.write_text(path, "new")
    assert path.read_text() == "old"


def test_json_holds_no_nan(tmp_path):
    atomic.write_json(tmp_path / "a.json", {"a": [math.nan, math.inf, 1.5], "b": (1, None)})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [None, None, 1.5], "b": [1, None]}


def test_files_have_the_users_usual_rights(tmp_path):
    atomic.write_text(tmp_path / "ours", "")
    (tmp_path / "usual").write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_directory_takes_its_place_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder"
    with pytest.raises(FileNotFoundError), atomic.directory(path) as scratch:
        (scratch / "half").write_text("x", encoding="utf-8") and (scratch / "missing").read_text()
    assert list(tmp_path.iterdir()) == []
    for text in ("first", "second"):
        with atomic.directory(path) as scratch:
            (scratch / "file").write_text(text)
        assert (path / "file").read_text() == text
    with atomic.directory(path, keep=True) as scratch:
        (scratch / "file").write_text("third")
    assert (path / "file").read_text() == "second"
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_a_file_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "file"
    atomic.write_text(path, "old")
    with pytest.raises(FileNotFoundError), atomic.file(path) as scratch:
        scratch.write_text("new") and (tmp_path / "missing").read_text()
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("file", "old")]


def test_what_is_removed_is_gone(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("x")
    atomic.remove(folder, tmp_path / "trash")
    atomic.remove(tmp_path / "nothing", tmp_path / "trash")
    assert not folder.exists()
    assert list((tmp_path / "trash").iterdir()) == []
