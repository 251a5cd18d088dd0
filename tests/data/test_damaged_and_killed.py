"""What a kill or a damaged file leaves: folders stay recognizable, results are computed again, remains are removed."""

import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from data_configs import make_cleaner, make_dataset

from finecomb.config.schema.cleaner import Cleaner
from finecomb.data import cleaner
from finecomb.data import dataset as datasets
from finecomb.data.engine import LocalEngine
from finecomb.data.prepare import delivery, reading_tasks
from finecomb.data.prepare.delivery import deliver
from finecomb.data.shards import Folder, remove_orphans, root

ROWS = [{"text": f"sentence number {n} of this file", "label": "ab"[n % 2]} for n in range(40)]


class Killed(BaseException):
    """Stands for a kill: nothing that handles errors may run after it."""


def delivered(prepared, write, target, name="one"):
    dataset = make_dataset("files")
    return deliver(prepared(train=write("a.jsonl", ROWS)), target, name=name, require=dataset.require)


@pytest.mark.parametrize("stage", ["before the first deletion", "within a deletion", "after a rename"])
def test_a_folder_stays_recognizable_when_its_replacement_is_killed(stage, prepared, write, tmp_path, monkeypatch):
    target = tmp_path / "out" / "mine"
    delivered(prepared, write, target)
    with monkeypatch.context() as patch:
        killed = []
        remove, rename = shutil.rmtree, os.replace

        def die_in_rmtree(path, *args, **options):
            if killed or (str(path).startswith(str(tmp_path / "out")) and os.path.isdir(path)):
                if not killed and stage == "within a deletion":
                    for found in list(Path(path).rglob("manifest.json")):
                        found.unlink()
                killed.append(True)
                raise Killed
            remove(path, *args, **options)

        def die_after_rename(source, place):
            if killed:
                raise Killed
            rename(source, place)
            if str(source) == str(target):
                killed.append(True)
                raise Killed

        patch.setattr(delivery.shutil, "rmtree", die_in_rmtree)
        if stage == "after a rename":
            patch.setattr(delivery.os, "replace", die_after_rename)
        with pytest.raises(Killed):
            delivered(prepared, write, target, name="two")
    told = delivered(prepared, write, target, name="three")
    assert told["name"] == "three"
    assert json.loads((target / "data.json").read_text())["name"] == "three"
    assert [path.name for path in target.parent.iterdir()] == ["mine"]


def test_a_folder_on_another_file_system_appears_whole_or_not_at_all(prepared, write, tmp_path, monkeypatch):
    target = tmp_path / "out"
    rename = os.replace

    def between_disks(source, place):
        if str(source).startswith(str(tmp_path / "cache")) and not str(place).startswith(str(tmp_path / "cache")):
            raise OSError(18, "Invalid cross-device link")
        rename(source, place)

    monkeypatch.setattr(delivery.os, "replace", between_disks)
    seen = []
    copy = shutil.copytree
    monkeypatch.setattr(delivery.shutil, "copytree", lambda *a, **k: (copy(*a, **k), seen.append(target.exists()))[0])
    delivered(prepared, write, target)
    assert (target / "manifest.json").is_file()
    assert not any(seen)


def test_two_prepares_of_one_source_write_its_index_without_disturbing_each_other(write, monkeypatch):
    source = datasets.build(make_dataset("files", files={"train": str(write("a.jsonl", ROWS))}))
    both, failed = threading.Barrier(2, timeout=10), []
    rename = os.replace

    def together(place, *args):
        if "index.json" in str(args[-1] if args else ""):
            both.wait()
        return rename(place, *args)

    monkeypatch.setattr("os.replace", together)
    monkeypatch.setattr("pathlib.Path.replace", lambda path, place: together(path, place))

    def read():
        try:
            reading_tasks.read(source, "key", "class", LocalEngine(1))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert reading_tasks.read(None, "key", "class", LocalEngine(1)).splits["train"], "it is not found in the cache"


def damage_tail(content):
    return content[: len(content) // 2]


def damage_middle(content):
    middle = len(content) // 2
    return content[:middle] + bytes(byte ^ 0xFF for byte in content[middle : middle + 40]) + content[middle + 40 :]


@pytest.mark.parametrize("damage", [damage_tail, damage_middle, lambda _: b"", lambda _: b"rubbish"])
def test_damaged_measures_are_computed_again_and_logged(damage, write, caplog):
    source = datasets.build(make_dataset("files", files={"train": str(write("a.jsonl", ROWS))}))
    splits = reading_tasks.read(source, "key", "class", LocalEngine(1)).splits

    def run(least):
        steps = {"length": make_cleaner("web").steps["length"] | {"min_words": least}}
        return cleaner.build(Cleaner("own", steps, False)).run(splits).funnel

    before = run(2)
    (path,) = (root() / "measured").glob("*/*.npz")
    content = path.read_bytes()
    path.write_bytes(damage(content))
    shutil.rmtree(root() / "stage")
    assert run(2) == before
    assert "damaged" in caplog.text
    assert path.read_bytes() == content


def test_old_remains_of_killed_processes_are_removed_and_young_ones_stay(prepared, write):
    prepared(train=write("a.jsonl", ROWS))
    kinds = [root() / "stage", next((root() / "read").iterdir())]
    for folder in kinds:
        for age, name in ((0, "young"), (24, "old")):
            (folder / f".part-{name}").mkdir()
            (folder / f"{name}.part").write_text("half")
            for path in (folder / f".part-{name}", folder / f"{name}.part"):
                os.utime(path, (time.time() - 3600 * age,) * 2)
    prepared(train=write("b.jsonl", ROWS[:-2]))
    left = {path.name for folder in kinds for path in folder.iterdir() if "part" in path.name}
    assert left == {".part-young", "young.part"}
    remove_orphans()
    assert {path.name for folder in kinds for path in folder.iterdir() if "part" in path.name} == left


def test_a_damaged_result_is_replaced_at_once(tmp_path):
    folder = Folder(root() / "stage" / "key")
    folder.make(lambda path: (path / "x").write_text("good") and {"n": 1})
    (folder.path / "x").write_text("bad")
    assert folder.facts() is None
    folder.make(lambda path: (path / "x").write_text("good") and {"n": 2})
    assert folder.facts()["n"] == 2
    assert (folder.path / "x").read_text() == "good"
    assert [path.name for path in folder.path.parent.iterdir()] == ["key"]
