import json
import time

import pytest
from rich.console import Console

from finecomb.core.errors import ConfigError
from finecomb.runs import directory, index, show
from finecomb.runs.index import DAMAGED
from finecomb.runs.record import Inputs, PreparedInput, RunRecord


def make(folder, number, accuracy=None, *, tuning="lora", group=None, metric="accuracy"):
    config = {"seed": number, "tuning": {"name": tuning}, "monitor": {"metric": metric}}
    record = RunRecord(
        f"{number:012x}",
        f"run{number}",
        inputs=Inputs(PreparedInput(content_hash=tuning)),
        choices={"tuning": tuning},
        overrides=[f"tuning={tuning}", f"seed={number}"],
        group=group,
    )
    run = directory.create(folder, config, record)
    if accuracy is not None:
        run.write_result(
            {"config": config, "metrics": {"validation/accuracy": accuracy, "validation/loss": 1 - accuracy}, "time": {"train_s": 3.0}}
        )
    return run


@pytest.fixture
def runs(tmp_path):
    made = [make(tmp_path, 1, 0.7), make(tmp_path, 2, 0.9, tuning="full", group="s"), make(tmp_path, 3)]
    made[2].set_status("running")
    made[2].set_status("failed", error="Traceback (most recent call last):\n  x\nValueError: no")
    return made


def test_runs_are_listed_in_the_order_they_were_made(runs, tmp_path):
    found = index.entries(tmp_path)
    assert [each.path for each in found] == [run.path for run in runs]
    assert [each.state for each in found] == ["finished", "finished", "failed"]
    assert found[0].seconds == 3.0
    assert index.entries(tmp_path / "none") == []


def test_runs_are_selected_by_state_sweep_and_choice(runs, tmp_path):
    found = index.entries(tmp_path)
    assert index.select(found, state="failed") == [found[2]]
    assert index.select(found, group="s") == [found[1]]
    assert index.select(found, choices={"tuning": "lora"}) == [found[0], found[2]]


def test_the_best_is_of_the_finished_by_the_metrics_own_direction(runs, tmp_path):
    found = index.entries(tmp_path)
    assert index.best(found) == found[1]
    assert index.best(found, "validation/loss") == found[1]
    with pytest.raises(ConfigError) as raised:
        index.best(found, "validation/acuracy")
    assert "validation/accuracy" in raised.value.problems[0].hint


def test_runs_that_monitored_different_metrics_have_no_best_until_one_is_named(runs, tmp_path):
    make(tmp_path, 4, 0.5, metric="loss")
    with pytest.raises(ConfigError, match="different metrics"):
        index.best(index.entries(tmp_path))


def damage(run, name, content):
    path = run.path / name
    path.unlink() if content is None else path.write_text(content)


DAMAGES = [(name, content) for name in ("run.json", "status.json", "result.json") for content in (None, "", "{", "[1]")]


@pytest.mark.parametrize(("name", "content"), [pair for pair in DAMAGES if pair != ("result.json", None)])
def test_a_damaged_run_is_shown_as_such_and_hides_no_other(runs, tmp_path, name, content):
    damage(runs[0], name, content)
    if name == "status.json":
        (runs[0].path / "result.json").unlink()
    found = {each.path: each for each in index.entries(tmp_path)}
    assert found[runs[0].path].state == DAMAGED
    assert name in found[runs[0].path].problem
    assert found[runs[1].path].state == "finished"


def test_folders_that_are_no_runs_are_not_listed(runs, tmp_path):
    (tmp_path / "sweeps").mkdir()
    (tmp_path / ".new-000000000001-1").mkdir()
    (tmp_path / "empty-0123456789ab").mkdir()
    assert [each.state for each in index.entries(tmp_path)].count(DAMAGED) == 1
    assert len(index.entries(tmp_path)) == 4


def test_a_run_is_meant_by_path_name_or_fingerprint_or_their_beginning(runs, tmp_path):
    for word in (str(runs[0].path), runs[0].path.name, "run1", "000000000001"):
        assert index.locate(tmp_path, word).path == runs[0].path
    with pytest.raises(ConfigError, match="3 runs"):
        index.locate(tmp_path, "run")
    with pytest.raises(ConfigError, match="there is no run"):
        index.locate(tmp_path, "nothing")


def test_the_difference_of_two_runs_names_config_metrics_code_and_packages(runs):
    for run, version in zip(runs, ("2.13", "2.14", None), strict=True):
        if version:
            record = {"packages": {"torch": version, "numpy": "2"}, "code": {"commit": version}, "hardware": {"cores": 2}, "threads": 1}
            (run.path / "provenance.json").write_text(json.dumps(record))
    found = index.difference(runs[0], runs[1])
    assert found.config == {"seed": (1, 2), "tuning.name": ("lora", "full"), "inputs.data.content_hash": ("lora", "full")}
    assert found.metrics["validation/accuracy"] == (0.7, 0.9)
    assert found.packages == {"torch": ("2.13", "2.14")}
    assert found.code == {"revision": ("2.13", "2.14")}
    assert found.machine == {}
    assert index.difference(runs[0], runs[2]).packages["torch"] == ("2.13", None)


def test_a_list_is_plain_and_whole_when_piped(runs, tmp_path):
    console = Console(file=(tmp_path / "out").open("w+"), width=40)
    show.list_runs(console, index.entries(tmp_path))
    console.file.seek(0)
    lines = console.file.read().splitlines()
    assert len(lines) == 4
    assert "\x1b" not in "".join(lines)
    assert "0.9" in lines[2]
    assert runs[2].path.name in lines[3]


def test_a_failed_run_is_shown_with_its_whole_traceback(runs, tmp_path):
    console = Console(file=(tmp_path / "out").open("w+"))
    show.show_run(console, runs[2], index.entry(runs[2].path))
    console.file.seek(0)
    text = console.file.read()
    assert "ValueError: no" in text
    assert "Traceback (most recent call last)" in text


@pytest.mark.clock
def test_a_thousand_runs_are_listed_within_a_second(tmp_path):
    first = make(tmp_path, 0, 0.5)
    contents = {path.name: path.read_text() for path in first.path.iterdir() if path.is_file()}
    for number in range(1, 1000):
        path = tmp_path / f"run-{number:012x}"
        path.mkdir()
        for name, content in contents.items():
            (path / name).write_text(content)
    began = time.process_time()
    assert len(index.entries(tmp_path)) == 1000
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (None, ""),
        ("Traceback (most recent call last):\n  a\nValueError: no\n", "ValueError: no"),
        ("the disk is full\nfree some", "the disk is full"),
    ],
)
def test_an_error_in_one_line(error, line):
    assert index.short_error(error) == line
