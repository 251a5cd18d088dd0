"""The engine: neither workers nor kills nor earlier results show in what comes out, and nothing that was done is done again."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from data_configs import make_cleaner, make_dataset

from finecomb.config.schema.cleaner import Cleaner
from finecomb.data import cleaner
from finecomb.data.engine import LocalEngine
from finecomb.data.prepare import prepare, reading_tasks
from finecomb.data.shards import Folder

# A small shard makes many tasks of a small corpus; only the process that reads cuts shards.
PROGRAM = """
import sys
import finecomb.data.engine, finecomb.data.shards
finecomb.data.shards.SHARD_BYTES, finecomb.data.engine.WORTH_A_PROCESS = 60_000, 0
if __name__ == "__main__":
    from finecomb.cli import main
    sys.exit(main(sys.argv[1:]))
"""

SLEEP = """
import os, time

def work(spec):
    open(spec["path"], "w").write(str(os.getpid()))
    time.sleep(60)
"""
LONE = """
import sys
from finecomb.data.engine import LocalEngine
from sleep import work

LocalEngine(2).run(work, [{"path": sys.argv[1] + str(number)} for number in range(2)], size=1 << 30, what="sleeping")
"""


def corpus(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Documents of some lines; some are copies, some nearly, some hold markup, addresses and lines that many share."""
    draw = random.Random(seed)
    words = [f"{a}{b}" for a in ("ka", "lo", "mi", "su", "ter") for b in ("ran", "vo", "pel", "dim", "sta", "go")]
    found: list[str] = []
    for _ in range(count):
        if found and draw.random() < 0.3:
            text = draw.choice(found)
            found.append(text if draw.random() < 0.5 else text + " " + draw.choice(words))
            continue
        lines = [" ".join(draw.choices(words, k=draw.randint(5, 25))) for _ in range(draw.randint(1, 6))]
        lines += ["all rights are reserved by the author"] * (draw.random() < 0.2) + ["<b>mail</b> a.b@example.org"] * (draw.random() < 0.2)
        found.append("\n".join(lines))
    return [{"text": text, "label": "ab"[number % 2]} for number, text in enumerate(found)]


@pytest.fixture
def file(write) -> Path:
    return write("corpus.jsonl", corpus(1200))


def everything(folder: Path) -> dict[str, object]:
    """All that must not depend on how it was computed: every file but the seconds."""
    held = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: content for name, content in held.items() if name not in ("seconds.parquet", "manifest.json")} | {
        "manifest": {k: v for k, v in json.loads(held["manifest.json"]).items() if k != "stored"}
    }


@pytest.mark.slow
def test_one_two_and_five_workers_agree_byte_for_byte(file, tmp_path, monkeypatch):
    monkeypatch.setattr("finecomb.data.shards.SHARD_BYTES", 60_000)
    monkeypatch.setattr("finecomb.data.engine.WORTH_A_PROCESS", 0)
    dataset = make_dataset("files", files={"train": str(file)})
    results = []
    for workers in (1, 2, 5):
        monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / f"cache{workers}"))
        results.append(
            everything(
                prepare(
                    dataset, make_cleaner("web", length=None), task_variant="sequence_classification", engine=LocalEngine(workers)
                ).directory
            )
        )
        assert len(list((tmp_path / f"cache{workers}" / "shards" / "stage").iterdir())) > 10
    assert results[0] == results[1] == results[2]


def test_shards_of_any_size_give_the_same_rows(file, tmp_path, monkeypatch):
    dataset = make_dataset("files", files={"train": str(file)})
    found = []
    for size in (20_000, 8 << 20):
        monkeypatch.setattr("finecomb.data.shards.SHARD_BYTES", size)
        monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / f"cache{size}"))
        found.append(prepare(dataset, make_cleaner("web", length=None), task_variant="sequence_classification"))
    keys = ("content_hash", "funnel", "examples", "records", "label_counts")
    assert [getattr(found[0].manifest, key) for key in keys] == [getattr(found[1].manifest, key) for key in keys]


class Counting(LocalEngine):
    """Counts the tasks that were done, by kind."""

    def __init__(self) -> None:
        super().__init__(1)
        self.kinds: list[str] = []

    def run(self, work, specs, **more):
        self.kinds += [spec["task"] for spec in specs]
        super().run(work, specs, **more)


def shards_of(file, monkeypatch):
    monkeypatch.setattr("finecomb.data.shards.SHARD_BYTES", 60_000)
    from finecomb.data import dataset as datasets

    return reading_tasks.read(datasets.build(make_dataset("files", files={"train": str(file)})), "key", "class", LocalEngine(1)).splits


def test_a_recipe_that_was_run_before_does_nothing(file, monkeypatch):
    splits = shards_of(file, monkeypatch)
    recipe = cleaner.build(make_cleaner("web", length=None))
    first, second = Counting(), Counting()
    assert recipe.run(splits, first).funnel == recipe.run(splits, second).funnel
    assert len(first.kinds) > 10
    assert not second.kinds


def test_another_threshold_measures_and_sketches_nothing_again(file, monkeypatch):
    splits = shards_of(file, monkeypatch)
    own = {"step": "near_duplicates", "ngram": 3, "permutations": 64, "keep": "first"}
    rules = {"min_terminal_lines": 0.0, "short_line": 30, "max_short_lines": 1.0, "max_duplicate_line_characters": 1.0}

    def run(threshold, newlines):
        engine = Counting()
        steps = {"near": {**own, "threshold": threshold}, "fineweb": {**rules, "max_newlines_per_word": newlines}}
        return cleaner.build(Cleaner("own", steps, False)).run(splits, engine), engine

    strict, first = run(0.8, 0.3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("finecomb.data.cleaner.steps.quality.FineWeb.measure", lambda *_: pytest.fail("measured again"))
        same_rows, third = run(0.8, 0.05)
    assert third.kinds.count("sketch") == 0
    assert third.kinds.count("stage") == first.kinds.count("stage")
    kept = [sum(entry["rows_out"] for entry in found.funnel if entry["step"] == "fineweb") for found in (strict, same_rows)]
    assert kept[1] < kept[0]
    loose, second = run(0.5, 0.3)
    assert first.kinds.count("sketch") > 3
    assert second.kinds.count("sketch") == 0
    assert loose.funnel[0]["rows_out"] < strict.funnel[0]["rows_out"]


@pytest.mark.parametrize("first", [True, False], ids=["first step", "later step"])
def test_a_file_that_was_train_may_be_test_another_time(first, write, prepared):
    data = [{**row, "id": f"d{number}"} for number, row in enumerate(corpus(60))]
    one, other = write("one.jsonl", data[:30]), write("other.jsonl", data[30:])
    own = make_cleaner("classification")
    own = Cleaner("own", {name: own.steps[name] for name in ("decontaminate", "html")} if first else own.steps, False)
    prepared(train=one, cleaner=own, columns={"id": "id"})
    found = prepared(train=other, test=one, cleaner=own, columns={"id": "id"}).manifest
    assert found.records["decontaminate"]["reference_ngrams"] > 0
    names = {split: {row["id"] for row in rows} for split, rows in (("test", data[:30]), ("train", data[30:]), ("validation", data[30:]))}
    assert all(example["id"] in names[example["split"]] for example in found.examples)


def test_a_damaged_result_is_made_again(file, monkeypatch):
    splits = shards_of(file, monkeypatch)
    recipe = cleaner.build(make_cleaner("web", length=None))
    engine = Counting()
    before = recipe.run(splits, engine)
    victim = next(path for path in (reading_tasks.root() / "stage").iterdir())
    (victim / "delta.arrow").write_bytes(b"rubbish")
    assert Folder(victim).facts() is None
    again = Counting()
    assert recipe.run(splits, again).funnel == before.funnel
    assert len(again.kinds) == 1


def finished(cache: Path) -> dict[str, tuple[int, int]]:
    """Every task that is done: when its result was written, and which file that is. Folders may come and go meanwhile."""
    found = {}
    for folder, _, names in os.walk(cache / "shards"):
        if "done.json" in names and not os.path.basename(folder).startswith("."):
            seen = os.stat(os.path.join(folder, "done.json"))
            found[os.path.join(folder, "done.json")] = (seen.st_mtime_ns, seen.st_ino)
    return found


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_loses_nothing_and_repeats_no_finished_shard(write, tmp_path):
    write("corpus.jsonl", corpus(2500))
    write("program.py", PROGRAM)

    def start(cache: str, output: str) -> subprocess.Popen:
        data = f"dataset.files.train={tmp_path / 'corpus.jsonl'}"
        command = [sys.executable, str(tmp_path / "program.py"), "prepare", "dataset=files", data, "cleaner=web",
                    "cleaner.steps.length=null", "--workers", "2", "--output", str(tmp_path / output)]  # fmt: skip
        environment = os.environ | {"FINECOMB_CACHE": str(tmp_path / cache), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    whole = start("calm", "calm_out")
    _, error = whole.communicate(timeout=300)
    assert whole.returncode == 0, error
    tasks = len(finished(tmp_path / "calm"))
    assert tasks >= 20
    # Moments by what is done, not by the clock: each kill comes after 0 to tasks/12 more tasks and up to 50 ms into the next ones.
    draw = random.Random(7)
    done: dict[str, tuple[int, int]] = {}
    midway = 0
    for _ in range(10):
        process = start("killed", "killed_out")
        wanted = len(done) + draw.randint(0, tasks // 12)
        until = time.monotonic() + 300
        while len(finished(tmp_path / "killed")) < wanted:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.005)
        time.sleep(0.05 * draw.random())
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        time.sleep(1.2)  # the workers notice that they are alone
        now = finished(tmp_path / "killed")
        assert {path: now.get(path) for path in done} == done
        midway += done.keys() < now.keys()
        done = now
    assert midway >= 5, "too few kills fell into the work"
    assert len(done) < tasks
    last = start("killed", "killed_out")
    _, error = last.communicate(timeout=300)
    assert last.returncode == 0, error
    after = finished(tmp_path / "killed")
    assert {path: after[path] for path in done} == done
    assert {Path(path).parent.name for path in after} == {Path(path).parent.name for path in finished(tmp_path / "calm")}
    calm, killed = everything(tmp_path / "calm_out"), everything(tmp_path / "killed_out")
    for name in ("train.parquet", "validation.parquet", "test.parquet", "dropped.parquet", "scores.parquet", "manifest"):
        assert calm[name] == killed[name], name


def test_workers_end_when_their_parent_is_killed(write, tmp_path):
    program = write("lone.py", LONE)
    (tmp_path / "sleep.py").write_text(SLEEP)
    process = subprocess.Popen([sys.executable, str(program), str(tmp_path / "pid")])
    paths = [tmp_path / "pid0", tmp_path / "pid1"]
    until = time.monotonic() + 60
    while not all(path.exists() and path.read_text() for path in paths):
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    workers = [int(path.read_text()) for path in paths]
    until = time.monotonic() + 15
    while any(Path(f"/proc/{pid}/status").exists() and "zombie" not in Path(f"/proc/{pid}/status").read_text() for pid in workers):
        assert time.monotonic() < until, "orphans"
        time.sleep(0.1)


def test_arrays_come_back_mapped_and_equal(tmp_path):
    from finecomb.data.shards import load_facts, save_facts

    facts = {"big": np.arange(5000), "empty": np.empty(0, dtype=np.uint64), "names": np.array(["a", "bcd"]), "plain": {"x": [1, "é"]}}
    save_facts(tmp_path, lambda: facts)
    found = load_facts(tmp_path)
    assert found["plain"] == facts["plain"]
    assert all(np.array_equal(found[name], facts[name]) for name in ("big", "empty", "names"))
    assert not found["big"].flags.writeable


def test_arrays_of_many_shards_are_mapped_without_as_many_open_files(tmp_path):
    from finecomb.data.shards import load_facts, save_facts

    expected = {
        "line": np.arange(3000, dtype=np.uint64),
        "table": np.arange(6000).reshape(2, 3000),
        "turned": np.arange(6000).reshape(2, 3000).T,
    }
    save_facts(tmp_path, lambda: expected)
    before = len(os.listdir("/dev/fd"))
    found = [load_facts(tmp_path) for _ in range(20)]
    assert len(os.listdir("/dev/fd")) <= before + 1
    for facts in found:
        for name, array in expected.items():
            assert np.array_equal(facts[name], array)
            assert facts[name].dtype == array.dtype


def test_processes_start_from_a_script_without_a_main_guard_and_do_not_run_it_again(tmp_path):
    (tmp_path / "tasks.py").write_text("from pathlib import Path\ndef work(spec):\n    Path(spec['name']).write_text('done')\n")
    (tmp_path / "script.py").write_text(
        "from finecomb.data.engine import LocalEngine\nimport tasks\nprint('begun')\nengine = LocalEngine(2)\n"
        "engine.run(tasks.work, [{'name': f'{number}.txt'} for number in range(4)], size=1 << 30, what='files')\nengine.close()\n"
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "begun\n"), done.stderr
    assert len(list(tmp_path.glob("*.txt"))) == 4
