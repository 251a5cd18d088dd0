"""Runs read back: from W&B's folders and project, verified, compared in pairs, reproduced, uploaded."""

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from synthetic import frames

from finecomb import cli
from finecomb.core.errors import ConfigError
from finecomb.launch.outcome import Outcome
from finecomb.runs import index, sync, wandb_folder, wandb_project
from finecomb.runs.directory import RunDirectory
from finecomb.runs.record import RunRecord
from finecomb.runs.wandb_folder import WandbRun
from finecomb.studies.analysis import frames as frame_files
from finecomb.studies.analysis.changed import changed_answers
from finecomb.studies.report import verify
from finecomb.studies.report.comparison import compare
from finecomb.studies.report.report import ReportTable
from finecomb.studies.wandb_sweep import mirrored


def mirror(number, tuning, seed, value, code=0):
    config = {"tuning.name": tuning, "seed": seed, "monitor.metric": "accuracy", "trainer.threads": number, "fingerprint": f"f{number}"}
    return WandbRun(
        id=f"id{number}", config=config, summary={"test/accuracy": value, "validation/accuracy": value}, exit_code=code, group="g"
    )


def test_wandb_runs_become_arms_by_everything_but_the_seed(monkeypatch):
    runs = [mirror(1, "full", 1, 0.8), mirror(2, "full", 2, 0.9), mirror(3, "head", 1, 0.6), mirror(4, "head", 2, 0.5, code=None)]
    monkeypatch.setattr(wandb_project, "read", lambda address: runs)
    text = mirrored.compare(["wandb:me/mine"], metrics=None, where={}, group=None, state=None)
    assert "| full | 85.00 | [21.47, 148.53] | 7.07 | 2 |" in text
    assert "| head | 60.00 | – | not measured | 1 |" in text
    assert "3 finished W&B runs, 1 others left out" in text
    assert "nothing is tested" in text
    only = mirrored.compare(["wandb:me/mine"], metrics=["accuracy"], where={"tuning": "head"}, group="g", state=None)
    assert "full" not in only
    with pytest.raises(ConfigError, match="no W&B run has the metric acuracy") as raised:
        mirrored.compare(["wandb:me/mine"], metrics=["acuracy"], where={}, group=None, state=None)
    assert "accuracy" in raised.value.problems[0].hint


def test_a_project_is_read_through_wandbs_api_and_its_refusal_is_one_screen(monkeypatch):
    run = SimpleNamespace(
        id="a",
        name="n",
        project="p",
        group=None,
        job_type="full",
        tags=[],
        config={"seed": 1, "_wandb": {}},
        summary={"test/accuracy": 0.5, "t": "x"},
        state="finished",
    )
    monkeypatch.setattr(wandb_project, "_api", lambda: SimpleNamespace(runs=lambda path, per_page: [run]))
    (found,) = wandb_project.read("wandb:me/mine")
    assert (found.config, found.summary, found.state) == ({"seed": 1}, {"test/accuracy": 0.5}, "finished")

    def refuse():
        raise ValueError("no API key configured")

    monkeypatch.setattr(wandb_project, "_api", refuse)
    with pytest.raises(ConfigError, match="W&B cannot be asked for me/mine: no API key"):
        wandb_project.read("wandb:me/mine")
    with pytest.raises(ConfigError, match="names no project"):
        wandb_project.read("wandb:mine")


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An offline W&B run with a long history, over several blocks of its log."""
    import wandb

    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    settings = wandb.Settings(console="off", silent=True, x_disable_stats=True)
    run = wandb.init(
        id="abc-1",
        mode="offline",
        dir=str(tmp_path),
        project="p",
        group="g",
        config={"tuning.name": "full", "seed": 1},
        settings=settings,
        reinit="create_new",
    )
    for step in range(400):
        run.log({"train/loss": 1.0 / (step + 1), "text": "x" * 200})
    run.finish()
    wandb.teardown()
    (folder,) = wandb_folder.find(tmp_path)
    return folder


def test_an_offline_folder_is_read_to_its_end_and_a_torn_one_as_far_as_it_goes(offline):
    run = wandb_folder.read(offline)
    assert (run.id, run.project, run.group, run.exit_code, run.state) == ("abc-1", "p", "g", 0, "finished")
    assert len(run.history) == 400
    assert run.last()["train/loss"] == 1 / 400
    assert mirrored.is_mirror(str(offline.parent))
    (log,) = offline.glob("*.wandb")
    log.write_bytes(log.read_bytes()[:-2000])
    torn = wandb_folder.read(offline)
    assert torn.state == "running"
    assert 300 < len(torn.history) <= 400
    log.write_bytes(b"something else")
    with pytest.raises(ConfigError, match="no log of W&B"):
        wandb_folder.read(offline)


def test_what_waits_is_uploaded_in_order_and_what_is_marked_is_not(offline, tmp_path, monkeypatch):
    asked, told = [], []
    monkeypatch.setattr(
        sync.subprocess, "run", lambda command, **_: asked.append(command) or subprocess.CompletedProcess(command, 0, "done\n", "")
    )
    later = offline.with_name("offline-run-20991231_000000-abc-1")
    later.mkdir()
    (later / "run-abc-1.wandb").write_bytes(b":W&B")
    assert sync.sync([tmp_path], told.append)
    assert asked == [[sys.executable, "-m", "wandb", "sync", "--yes", str(offline), str(later)]]
    assert told == ["2 W&B folders wait to be uploaded", "done"]
    for folder in (offline, later):
        (next(folder.glob("*.wandb")).with_suffix(".wandb.synced")).touch()
    told.clear()
    assert sync.sync([tmp_path], told.append)
    assert (len(asked), told) == (1, ["nothing waits to be uploaded"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two finished runs of a tiny model that differ in their seed."""
    folder = tmp_path_factory.mktemp("records")
    lines = [f"{'good' if row % 2 else 'bad'} film {row}\t{row % 2}\n" for row in range(100)]
    (folder / "train.tsv").write_text("text\tlabel\n" + "".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINECOMB_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        words = [
            "dataset=files",
            "dataset.files.train=train.tsv",
            "model=tiny",
            "logger=none",
            "trainer.max_epochs=1",
            "trainer.threads=1",
        ]
        assert cli.main(["train", "-m", *words, "batch.size=10", "optimizer.lr=1e-3", "seed=1,2", "hydra.launcher.slots=2"]) == 0
        yield [RunDirectory(entry.path) for entry in index.entries(folder / "runs")]


def test_metrics_are_verified_from_the_answers(trained, capsys):
    assert cli.main(["runs", "verify"]) == 0
    assert "2 verified, 0 with something that does not hold" in capsys.readouterr().out
    path = trained[0].path / "result.json"
    before = path.read_text()
    result = json.loads(before)
    result["metrics"]["test/accuracy"] += 0.05
    try:
        path.write_text(json.dumps(result))
        assert cli.main(["runs", "verify", str(trained[0].path)]) == 1
        assert "test/accuracy: recorded" in capsys.readouterr().out
    finally:
        path.write_text(before)


def test_two_runs_are_compared_with_the_answers_that_changed(trained, capsys):
    assert cli.main(["compare", *(str(run.path) for run in trained), "--where", "tuning=full"]) == 0
    printed = capsys.readouterr().out
    assert "answers changed" in printed
    assert "seed" in printed
    lines = list(changed_answers(trained[0], trained[0]))
    assert all(": 0 of" in line for line in lines)
    with pytest.raises(ConfigError, match="no run matches"):
        compare([str(run.path) for run in trained], accept=lambda run: False)


def test_a_run_is_reproduced_from_its_record_bit_for_bit(trained, capsys):
    assert cli.main(["reproduce", trained[0].fingerprint]) == 0
    printed = capsys.readouterr().out
    assert "every metric and every answer is the same" in printed
    again = RunDirectory(trained[0].path.parent / "reproduced" / trained[0].path.name)
    assert again.result()["metrics"] == trained[0].result()["metrics"]
    answers = [(run.predictions / "test.parquet").read_bytes() for run in (trained[0], again)]
    assert answers[0] == answers[1]


def test_a_run_restarted_in_smaller_pieces_is_reproduced_in_these(trained, tmp_path, monkeypatch):
    from finecomb.studies import repeat

    launched = []
    original = RunDirectory.record.fget
    monkeypatch.setattr(RunDirectory, "record", property(lambda run: dataclasses.replace(original(run), pieces=2)))
    monkeypatch.setattr(repeat, "launch", lambda jobs, **_: launched.extend(jobs) or [Outcome(jobs[0].run, "failed")])
    repeat.repeat(trained[0], tmp_path)
    assert [job.record.pieces for job in launched] == [2]


def test_only_a_finished_run_is_reproduced(tmp_path):
    from finecomb.runs import directory
    from finecomb.studies.repeat import repeat

    run = directory.create(tmp_path, {}, RunRecord("0123456789ab", "r"))
    with pytest.raises(ConfigError, match="is created"):
        repeat(run)


def test_a_studys_tables_are_verified_from_its_answers(tmp_path):
    folder = tmp_path / "results"
    given = frames()
    ReportTable(given).save(folder)
    assert verify.verify_study(folder) == []
    (folder / "table.md").write_text((folder / "table.md").read_text().replace("80", "90", 1))
    given.results.loc[given.results["role"] == "confirm", "test/accuracy"] += 0.01
    frame_files.write(given, folder)
    wrong = verify.verify_study(folder)
    assert "table.md is not what the answers give" in wrong
    assert any("full seed 1: recorded accuracy" in line for line in wrong)


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "experiments").glob("*/results")), ids=lambda path: path.parent.name)
def test_the_committed_tables_follow_from_the_committed_answers(path):
    assert verify.verify_study(path) == []


def test_a_study_is_mirrored_as_one_run_without_a_secret(tmp_path, monkeypatch):
    from finecomb.studies.wandb_sweep import wandb_summary

    secret = "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setenv("WANDB_API_KEY", secret)
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    folder = tmp_path / "results"
    given = frames()
    ReportTable(given).write(folder)
    wandb_summary.log(ReportTable(given), folder, project="p", entity=None, mode="offline")
    (found,) = wandb_folder.runs(tmp_path)
    assert (found.group, found.job_type, found.exit_code) == ("synthetic", "summary", 0)
    (logged,) = [line for line in found.history if any(name.startswith("tables/") for name in line)]
    assert {"report", "learning_curves"} <= {name.split(".")[0] for name in logged}
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_a_wandb_report_without_its_package_is_refused(monkeypatch):
    from finecomb.studies.wandb_sweep import wandb_summary

    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(ConfigError, match="needs the package wandb-workspaces"):
        wandb_summary.push_report(ReportTable(frames()), project="p", entity=None)


@pytest.mark.clock
def test_a_thousand_runs_are_listed_in_less_than_a_second(tmp_path):
    config = "seed: 0\nmonitor: {metric: accuracy}\n"
    result = json.dumps({"metrics": {"validation/accuracy": 0.5}, "time": {"train_s": 1.0}, "config": {"monitor": {"metric": "accuracy"}}})
    for number in range(1000):
        folder = tmp_path / f"run-{number:012x}"
        folder.mkdir()
        (folder / "config.yaml").write_text(config)
        (folder / "run.json").write_text(
            json.dumps({"created": number, "seed": 0, "choices": {"tuning": "full"}, "overrides": [], "group": "g"})
        )
        (folder / "status.json").write_text(json.dumps({"state": "finished"}))
        (folder / "result.json").write_text(result)
    started = time.process_time()
    found = index.entries(tmp_path)
    assert time.process_time() - started < 1.0
    assert len(found) == 1000
    assert {entry.state for entry in found} == {"finished"}
