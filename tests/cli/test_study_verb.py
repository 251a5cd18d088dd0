"""`finecomb study` for real, on a tiny model: killed, taken up again, looked at, and written again from its files."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from finecomb import cli
from finecomb.runs import index

STUDY = """
question: Does it matter which part trains?
base: [dataset=files, dataset.files.train=train.tsv, model=tiny, trainer.max_epochs=2, trainer.threads=1, batch.size=10, logger=none]
arms: {full: tuning=full, head: tuning=head}
seeds: [1, 2]
metric: accuracy
baseline: full
references: [majority]
tune: {trials: 2, space: {optimizer.lr: [1e-3, 1e-2]}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("study")
    lines = [f"{'good' if row % 2 else 'bad'} film {row}\t{row % 2}\n" for row in range(120)]
    (made / "train.tsv").write_text("text\tlabel\n" + "".join(lines))
    (made / "experiments" / "small").mkdir(parents=True)
    (made / "experiments" / "small" / "study.yaml").write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINECOMB_CACHE", str(made / "cache"))
        patch.chdir(made)
        yield made


def study(*words):
    """In a process of its own: what other tests have loaded into this one is no part of a study."""
    return subprocess.run([sys.executable, "-m", "finecomb", "study", *words], capture_output=True, text=True)


def results(folder):
    return folder / "experiments" / "small" / "results"


def finished(folder):
    return {entry.path.name for entry in index.entries(folder / "runs") if entry.state == "finished"}


@pytest.mark.slow
def test_a_killed_study_goes_on_and_repeats_no_finished_run(folder):
    command = [sys.executable, "-m", "finecomb", "study", "small", "--slots", "2"]
    child = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not finished(folder):
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.1)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    before = {name: (folder / "runs" / name / "result.json").stat().st_mtime_ns for name in finished(folder)}
    assert 0 < len(before) < 8
    done = study("small", "--slots", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("experiments/small/results")
    assert "| full | " in done.stdout
    assert {name: (folder / "runs" / name / "result.json").stat().st_mtime_ns for name in before} == before
    assert len(finished(folder)) == 8
    facts = json.loads((results(folder) / "study.json").read_text())
    assert facts["missing"] == []
    assert {arm["name"] for arm in facts["arms"]} == {"full", "head"}
    assert (results(folder) / "report.html").read_text().startswith("<!doctype html>")


@pytest.mark.slow
def test_trials_never_saw_the_test_set_and_reported_runs_have_fresh_seeds(folder):
    for entry in index.entries(folder / "runs"):
        tested = any(name.startswith("test/") for name in entry.metrics)
        assert tested == (entry.seed != 0)
        assert entry.group == "small"


@pytest.mark.slow
def test_asked_again_nothing_is_trained_and_every_file_stays_the_same(folder):
    before = {path: path.read_bytes() for path in results(folder).rglob("*") if path.is_file()}
    assert study("small").returncode == study("small", "--report").returncode == 0
    assert {path: path.read_bytes() for path in results(folder).rglob("*") if path.is_file()} == before
    assert "8 runs, 8 finished, 0 to do" in study("small", "--dry-run").stdout


@pytest.mark.slow
def test_an_arm_taken_out_of_the_file_leaves_the_table_and_stays_on_the_disk(folder):
    path = folder / "experiments" / "small" / "study.yaml"
    path.write_text(
        STUDY.replace(", head: tuning=head", "").replace("trials: 2", "trials: 3").replace("[1e-3, 1e-2]", "[1e-3, 1e-2, 3e-2]")
    )
    assert "5 runs, 2 finished, 3 to do" in study("small", "--dry-run").stdout  # a third trial, and both seeds wait for it
    path.write_text(STUDY.replace(", head: tuning=head", ""))
    assert "| head |" not in study("small").stdout
    assert len(finished(folder)) == 8


@pytest.mark.parametrize("sweeper", [[], ["hydra/sweeper=optuna"]])
def test_a_launcher_that_would_train_nothing_is_refused(folder, capsys, sweeper):
    assert cli.main(["train", "-m", "hydra/launcher=basic", *sweeper, "seed=1,2", "output_dir=nowhere"]) == 2
    assert "hydra/launcher=basic: this launcher would start no worker" in capsys.readouterr().err
    assert not (folder / "nowhere").exists()


def test_a_mistake_in_any_arm_is_told_before_anything_runs(folder, capsys):
    path = folder / "experiments" / "broken.yaml"
    path.write_text(STUDY.replace("tuning=head", "tuning=haed").replace("metric: accuracy", "metric: accuracy\nbatch: 3"))
    assert cli.main(["study", str(path)]) == 2
    assert "there is no key batch" in capsys.readouterr().err
    path.write_text(STUDY.replace("tuning=head", "tuning=haed"))
    assert cli.main(["study", str(path), "output_dir=elsewhere"]) == 2
    assert "did you mean tuning=head?" in capsys.readouterr().err
    assert not (folder / "elsewhere").exists()


@pytest.mark.slow
@pytest.mark.parametrize("tune", ["{trials: 2, search: tpe}", "{seconds: 0.1, search: random}"])
def test_other_searches_and_budgets_give_each_arm_the_same(folder, tune):
    path = folder / "experiments" / "other.yaml"
    given = tune.replace("}", ", space: {optimizer.lr: {low: 1e-4, high: 1e-2, log: true}}}")
    path.write_text(STUDY.replace("{trials: 2, space: {optimizer.lr: [1e-3, 1e-2]}}", given).replace("seeds: [1, 2]", "seeds: [1]"))
    done = study(str(path), f"output_dir=runs-{'tpe' if 'tpe' in tune else 'seconds'}")
    assert done.returncode == 0, done.stderr
    table = pd.read_parquet(folder / "experiments" / "results" / "results.parquet")
    trials = table[table["role"] == "trial"]
    assert set(table[table["role"] == "confirm"]["arm"]) == {"full", "head"}
    if "tpe" in tune:
        assert trials.groupby("arm").size().to_dict() == {"full": 2, "head": 2}
        assert trials.groupby("arm")["setting"].nunique().to_dict() == {"full": 2, "head": 2}
    else:
        # The last trial of each arm is the one that used its seconds up.
        for _, mine in trials.sort_values("trial").groupby("arm"):
            seconds = mine["train_s"].astype(float)
            assert seconds.sum() >= 0.1
            assert seconds.iloc[:-1].sum() < 0.1
    assert trials["test/accuracy"].isna().all()
    again = study(str(path), f"output_dir=runs-{'tpe' if 'tpe' in tune else 'seconds'}")
    assert again.returncode == 0
    assert pd.read_parquet(folder / "experiments" / "results" / "results.parquet").equals(table)


@pytest.mark.slow
def test_a_search_starts_from_runs_that_are_there(folder, capsys):
    words = [
        "dataset=files",
        "dataset.files.train=train.tsv",
        "model=tiny",
        "trainer.max_epochs=1",
        "trainer.threads=1",
        "logger=none",
    ]
    words += ["output_dir=warm"]
    assert cli.main(["train", "-m", *words, "batch.size=10", "optimizer.lr=1e-3,3e-3", "evaluate.test=false"]) == 0
    assert cli.main(["train", *words, "batch.size=20", "optimizer.lr=2e-3", "evaluate.test=false"]) == 0  # not of this search
    capsys.readouterr()
    search = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.warm_start=[warm]"]
    search += ["optimizer.lr=tag(log, interval(1e-4, 1e-2))"]
    assert cli.main(["train", "-m", *search, *words, "batch.size=10"]) == 0
    told = capsys.readouterr().out
    assert "2 earlier runs count as answers" in told
    assert len(index.entries(folder / "warm")) == 5
