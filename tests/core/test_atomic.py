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
