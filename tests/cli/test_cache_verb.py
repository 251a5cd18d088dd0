"""`finecomb cache`: what the cache holds, and removing what was not used for longest."""

import os
import re
import time
from pathlib import Path

import pytest

import finecomb
from finecomb import cli
from finecomb.assets.cache import KINDS, in_use, lock, mark_used


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Six entries of 1 MB; the further down, the later they were used."""
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    names = ("shards/stage/s1/delta.arrow", "downloads/d1/file.bin", "prepared/p1/train/data.arrow", "encoded/e1.arrow", "shards/read/r1/x",
             "prepared/p2/train/data.arrow")  # fmt: skip
    for age, name in zip(range(60, 0, -10), names, strict=True):
        path = tmp_path / "cache" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(10**6))
        os.utime(path, (time.time() - age * 3600,) * 2)
    return tmp_path / "cache"


def run(capsys, *words):
    code = cli.main(["cache", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def held(cache):
    return {path.name for kind in ("shards/stage", "downloads", "prepared", "encoded", "shards/read") for path in (cache / kind).iterdir()}


def test_list_shows_kinds_with_sizes_and_a_kind_shows_its_entries(cache, capsys):
    code, out, _ = run(capsys)
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.startswith("prepared ")]
    assert "2 entries" in line
    assert "2.0 MB" in line
    assert time.strftime("%Y-%m-%d", time.localtime(time.time() - 36000)) in line
    assert "6.0 MB" in out.splitlines()[-1]
    _, out, _ = run(capsys, "list", "prepared")
    assert [line.split()[0] for line in out.splitlines()] == ["prepared/p1", "prepared/p2", "total"]


def test_clean_removes_the_least_recently_used_first(cache, capsys):
    _, out, _ = run(capsys, "clean", "--keep", "3MB", "--dry-run")
    assert len(held(cache)) == 6
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["shards/stage/s1", "downloads/d1", "prepared/p1"]
    code, out, _ = run(capsys, "clean", "--keep", "3 MB")
    assert code == 0
    assert held(cache) == {"e1.arrow", "r1", "p2"}
    assert "3 entries, 3.0 MB removed; 3.0 MB left" in out
    run(capsys, "clean", "--keep", "0")
    assert held(cache) == set()


def test_what_is_locked_or_open_or_used_by_a_running_prepare_stays(cache, capsys):
    with lock("d1"), (cache / "encoded" / "e1.arrow").open("rb"), in_use():
        _, out, _ = run(capsys, "clean", "--keep=0")
    assert len(held(cache)) == 6
    assert "6 entries are in use" in out
    with lock("d1"), (cache / "prepared" / "p1" / "train" / "data.arrow").open("rb"):
        run(capsys, "clean", "--keep=0")
    assert held(cache) == {"d1", "p1"}


def test_unfinished_work_stays_for_some_hours(cache, capsys):
    for age, name in ((0, "young"), (24, "old")):
        (cache / "staging" / name).mkdir(parents=True)
        (cache / "staging" / name / "x").write_text("half")
        os.utime(cache / "staging" / name / "x", (time.time() - age * 3600,) * 2)
    run(capsys, "clean", "--keep=0")
    assert [path.name for path in (cache / "staging").iterdir()] == ["young"]


@pytest.fixture
def entry(tmp_path, monkeypatch, request):
    """An entry of 1 MB of one kind, last used a day ago."""
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    folder = request.param.path("stage") if request.param.grouped else request.param.path()
    file = folder / "entry" / "file"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(10**6))
    os.utime(file, (time.time() - 24 * 3600,) * 2)
    return request.param, file


each_kind = pytest.mark.parametrize("entry", KINDS, indirect=True, ids=lambda kind: kind.folder)


@each_kind
def test_each_kind_is_listed_with_number_size_and_last_use(entry, capsys):
    kind, file = entry
    line = run(capsys)[1].splitlines()[0]
    assert line.split()[0] == file.parent.parent.relative_to(os.environ["FINECOMB_CACHE"]).as_posix()
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(file.stat().st_mtime))
    assert re.search(rf" 1 entries +1\.0 MB  last used {day}  {kind.holds}$", line)
    assert kind.holds


@each_kind
def test_each_kind_is_removed_when_nothing_uses_it(entry, capsys):
    assert "1 entries, 1.0 MB removed; 0.0 MB left" in run(capsys, "clean", "--keep=0")[1]
    assert not entry[1].parent.exists()


@each_kind
def test_each_kind_stays_while_it_is_used(entry, capsys):
    kind, file = entry
    with file.open("rb"):
        run(capsys, "clean", "--keep=0")
    assert file.exists()
    if kind.lock:
        with lock(kind.lock.format("entry")):
            run(capsys, "clean", "--keep=0")
        assert file.exists()
    if kind.unfinished:
        os.utime(file)
        run(capsys, "clean", "--keep=0")
        assert file.exists()
        os.utime(file, (time.time() - 24 * 3600,) * 2)
    with in_use():
        run(capsys, "clean", "--keep=0")
    assert file.exists() == kind.prepare


def test_every_folder_of_the_cache_has_a_kind():
    """What writes to the cache names its kind, so that `list` and `clean` know it."""
    source = Path(finecomb.__file__).parent
    named = {path.relative_to(source).as_posix() for path in source.rglob("*.py") if re.search(r"cache_dir\(\) ?/ ?f?\"", path.read_text())}
    assert not named


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["clean"], "--keep 10GB"),
        (["list", "--keep", "1GB"], "--keep"),
        (["clean", "--keep", "much"], "10GB"),
        (["list", "nothing"], "prepared"),
        (["empty"], "--help"),
    ],
)
def test_wrong_arguments_are_the_users_error(words, shown, cache, capsys):
    code, out, err = run(capsys, *words)
    assert code == 2
    assert shown in out + err
    assert len(held(cache)) == 6


def test_a_use_is_recorded_where_the_file_system_records_none(cache):
    path = cache / "encoded" / "e1.arrow"
    before = path.stat()
    mark_used(path)
    assert time.time() - path.stat().st_atime < 100
    assert path.stat().st_mtime_ns == before.st_mtime_ns
