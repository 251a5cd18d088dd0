"""The command line: help, one clear screen for each mistake, exit codes, and Hydra's habits behind the verbs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from finecomb import cli
from finecomb.config import plugins
from finecomb.config.sources import known_groups, offered, options
from finecomb.core.errors import ConfigError, Problem

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.chdir(tmp_path)


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = cli.main(list(words))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def command(*words: str, env=None, stdin="") -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **(env or {})}
    return subprocess.run(
        [sys.executable, "-m", "finecomb", *words], capture_output=True, text=True, env=environment, input=stdin, timeout=120
    )


# Help


def test_help_lists_every_verb_and_every_choice_with_a_line_about_it(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    lines = [line.strip().removeprefix("* ") for line in out.splitlines()]
    for verb in cli.VERBS:
        assert any(line.startswith(f"{verb} ") for line in lines)
    for group in known_groups():
        assert f"{group}=" in lines
        for name in offered(group):
            assert any(line.startswith(f"{name} ") and len(line.split(maxsplit=1)) == 2 for line in lines), f"{group}={name}"


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_with_examples(verb, capsys):
    try:
        code = cli.main([verb, "--help"])
    except SystemExit as left:
        code = left.code
    out = capsys.readouterr().out
    assert code in (0, None)
    assert f"finecomb {verb}" in out
    assert "examples:" in out


def test_train_help_shows_the_config_that_the_overrides_compose(capsys):
    _, out, _ = run(capsys, "train", "--help", "tuning=lora", "tuning.r=5")
    assert "with these overrides" in out
    assert "\n  r: 5\n" in out


def test_no_words_at_all_are_a_question_for_help(capsys):
    assert run(capsys)[1] == run(capsys, "--help")[1]


# Mistakes


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], ["there is no verb trian", "did you mean finecomb train?"]),
        (["seed=1"], ["finecomb train seed=1"]),
        (["train", "tuning=lorra"], ["command line: tuning=lorra", "bitfit, full", "did you mean tuning=lora?"]),
        (["train", "batch.sise=3", "loss=huber"], ["2 problems", "did you mean batch.size?", "loss=huber cannot serve"]),
        (["train", "--cfg", "job", "batch.sise=3"], ["did you mean batch.size?"]),
        (["train", "--cfg", "jab"], ["invalid choice: 'jab'"]),
        (["train", "--fast"], ["--fast"]),
        (["train", "--config-name", "x"], ["--config-name is not supported"]),
        (["train", "-cp", "x"], ["--config-path is not supported"]),
        (["train", "--experimental-rerun", "x"], ["--experimental-rerun is not supported"]),
        (["train", "--config-dir", "absent"], ["absent does not exist"]),
        (["train", "hydra.sweep.dri=x"], ["hydra.sweep.dri"]),
        (["train", "hydra/launcher=best"], ["hydra/launcher"]),
        (["train", "seed=0,1"], ["add -m"]),
        (["train", "-m", "seed=0,x", "tuning=lora,lorra"], ["seed=x is not a whole number", "tuning=lorra: there is no such choice"]),
        (["train", "-m", "loss=huber,mse", "seed=0,1"], ["one problem", "loss=huber cannot serve"]),
        (["explain", "-m", "seed=0,1"], ["explain takes the overrides of one job"]),
        (["runs", "shwo"], ["invalid choice: 'shwo'"]),
        (["runs", "show"], ["takes 1 run(s), and got 0"]),
        (["runs", "show", "3f2a"], ["there is no run 3f2a"]),
        (["runs", "list", "lora"], ["lora is no choice"]),
        (["runs", "list", "tunning=lora"], ["tunning is no config group", "did you mean tuning?"]),
        (["runs", "list", "--state", "done"], ["invalid choice: 'done'"]),
        (["compare", "absent"], ["absent"]),
        (["compare"], ["the following arguments are required"]),
        (["predict", "absent", "text"], ["there is no run absent"]),
    ],
)
def test_a_mistake_gets_one_clear_screen_and_exit_code_2_and_leaves_nothing(words, said, capsys, tmp_path):
    code, out, err = run(capsys, *words)
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    for text in said:
        assert text in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


def test_an_argument_named_in_an_experiment_file_is_told_with_its_line(capsys, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "e.yaml").write_text("# @package _global_\noptimizer:\n  learning_rate: 1\n")
    code, _, err = run(capsys, "train", "--config-dir", "mine", "experiment=e")
    assert code == 2
    assert "e.yaml:3" in err
    assert "optimizer.learning_rate: there is no such key" in err


def test_the_screen_is_plain_text_without_colours_when_piped():
    done = command("train", "tuning=lorra")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert done.stderr.startswith("finecomb: one problem\n")


def test_a_bug_keeps_its_whole_traceback(monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("finecomb.launch.freeze.freeze", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli.main(["train", "model=tiny"])


# Hydra's habits


def test_cfg_prints_the_composed_config_and_a_part_of_it(capsys):
    code, out, _ = run(capsys, "train", "--cfg", "job", "--package", "tuning", "tuning=lora", "--tuning.r=3")
    assert (code, "r: 3\n" in out, "seed" in out) == (0, True, False)
    assert "hydra" not in run(capsys, "train", "-c", "job")[1]
    assert "finecomb" in run(capsys, "train", "--cfg", "hydra")[1]


def test_flags_may_stand_between_overrides(capsys):
    assert "r: 3\n" in run(capsys, "train", "tuning=lora", "--cfg", "job", "tuning.r=3")[1]


def test_hydras_own_help_and_info_stay_reachable(capsys):
    assert "Hydra" in run(capsys, "train", "--hydra-help")[1]
    assert "tuning/lora" in run(capsys, "train", "--info", "defaults", "tuning=lora")[1]


def test_a_choice_of_ones_own_is_in_help_config_and_completion(capsys, tmp_path, monkeypatch):
    (tmp_path / "mine" / "conf" / "tuning").mkdir(parents=True)
    (tmp_path / "mine" / "conf" / "tuning" / "wide.yaml").write_text(
        "# wide updates\ndefaults:\n  - /tuning/lora@_here_\n  - _self_\nr: 256\n"
    )
    assert "wide updates" in run(capsys, "train", "--config-dir", "mine", "--help")[1]
    assert "r: 256\n" in run(capsys, "train", "--config-dir", "mine", "--cfg", "job", "tuning=wide")[1]
    monkeypatch.setenv("COMP_LINE", "finecomb train tuning=w")
    assert run(capsys, "-sc", "query=bash")[1].split() == ["tuning=wide"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("finecomb tr", ["train"]),
        ("finecomb ", list(cli.VERBS)),
        ("finecomb train tuning=l", ["tuning=lora"]),
        ("finecomb explain tuning=l", ["tuning=lora"]),
        ("finecomb train tuning=lora tuning.r", ["tuning.r="]),
        ("finecomb train -m tuning=head,lora experiment=ma", ["experiment=main_job"]),
        ("finecomb train scheduler=", [f"scheduler={name}" for name in options("scheduler")]),
        ("finecomb train optimizer=_", []),
        ("finecomb train model=ti", []),
        ("finecomb runs sh", []),
    ],
)
def test_completion_knows_verbs_and_what_follows_them(line, words, capsys, monkeypatch):
    monkeypatch.setenv("COMP_LINE", line)
    assert run(capsys, "-sc", "query=bash")[1].split() == words


def test_completion_installs_itself_behind_the_verb(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/finecomb"])
    code, out, _ = run(capsys, "train", "-sc", "install=bash")
    assert code == 0
    assert out.rstrip().endswith("hydra_bash_completion finecomb")


# Running, with what trains left out


class Fake:
    """Stands in for freeze and launch: notes what it got, and returns the outcome it was told."""

    def __init__(self, monkeypatch, tmp_path, state="finished", **outcome):
        from finecomb.launch.outcome import Outcome
        from finecomb.runs.directory import RunDirectory

        folder = tmp_path / "runs" / "a-0123456789ab"
        folder.mkdir(parents=True)
        if state == "finished":
            (folder / "result.json").write_text('{"metrics": {"validation/accuracy": 0.5, "test/accuracy": 0.75, "test/mcc": null}}')
        self.compositions = []
        monkeypatch.setattr("finecomb.launch.freeze.freeze", lambda composition: self.compositions.append(composition) or composition)
        monkeypatch.setattr("finecomb.api.training.print_data_summary", lambda jobs: None)
        result = Outcome(RunDirectory(folder), state, **outcome)
        monkeypatch.setattr("finecomb.api.training.launch", lambda frozen, **options: [result])


def test_a_run_ends_with_its_metrics_and_its_directory_on_the_last_line(capsys, monkeypatch, tmp_path):
    fake = Fake(monkeypatch, tmp_path)
    code, out, _ = run(capsys, "train", "tuning=lora", "--tuning.r=3", "seed=2")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["accuracy", "0.5", "0.75"] in lines
    assert ["mcc", "-"] in lines
    assert out.splitlines()[-1] == str(tmp_path / "runs" / "a-0123456789ab")
    (composition,) = fake.compositions
    assert (composition.config.tuning.r, composition.config.seed) == (3, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


def test_a_run_that_had_finished_says_so(capsys, monkeypatch, tmp_path):
    Fake(monkeypatch, tmp_path, reused=True)
    assert "nothing was trained" in run(capsys, "train")[1]


def test_a_failed_run_exits_with_1_and_names_its_traceback(capsys, monkeypatch, tmp_path):
    Fake(monkeypatch, tmp_path, state="failed", error="Traceback ...\nValueError: the loss is not a number")
    code, out, err = run(capsys, "train")
    assert code == 1
    assert "ValueError: the loss is not a number" in err
    assert "rank0.log" in err
    assert "rerun=failed" in err
    assert out.splitlines()[-1].endswith("a-0123456789ab")


def test_an_error_of_the_user_that_only_the_worker_sees_exits_with_2(capsys, monkeypatch, tmp_path):
    Fake(monkeypatch, tmp_path, state="failed", error="no linear map is named so\n   allowed query, value", user_error=True)
    code, _, err = run(capsys, "train")
    assert code == 2
    assert "no linear map is named so" in err
    assert "allowed query, value" in err
    assert "rerun=failed" in err
    assert "traceback" not in err


def test_what_freezing_finds_comes_out_of_hydra_as_the_users_error(capsys, monkeypatch):
    def refuse(composition):
        raise ConfigError(Problem("the column sentence is not in a.csv"))

    monkeypatch.setattr("finecomb.launch.freeze.freeze", refuse)
    code, _, err = run(capsys, "train", "model=tiny")
    assert code == 2
    assert "the column sentence is not in a.csv" in err


def test_a_stop_is_told_and_keeps_the_signals_exit_code(capsys, monkeypatch):
    from finecomb.launch.signals import Interruption

    def stopped(composition):
        raise Interruption(15)

    monkeypatch.setattr("finecomb.launch.freeze.freeze", stopped)
    code, _, err = run(capsys, "train")
    assert code == 143
    assert "the same command resumes" in err


@pytest.mark.parametrize(
    "overrides",
    [["seed=0,1", "tuning=lora"], ["tuning=lora,lora", "tuning.r=2,4"], ["seed=range(2)", "cleaner.steps.unicode.form=NFC,NFKC"]],
)
def test_many_jobs_reach_the_launcher_as_single_ones(overrides, monkeypatch, capsys):
    from finecomb.studies import sweep

    seen = []

    def note(self, compositions):
        seen.extend(compositions)
        raise ConfigError(Problem("enough"))

    monkeypatch.setattr(sweep.Sweep, "run", note)
    assert cli.main(["train", "-m", *overrides]) == 2
    assert len(seen) == {0: 2, 1: 4, 2: 4}[["seed=0,1", "tuning=lora,lora", "seed=range(2)"].index(overrides[0])]
    assert all(not any("," in word for word in composition.overrides) for composition in seen)


def test_a_value_beside_a_swept_choice_may_belong_to_that_choice_alone(monkeypatch):
    from finecomb.studies import sweep

    seen = []

    def note(self, compositions):
        seen.extend(compositions)
        raise ConfigError(Problem("enough"))

    monkeypatch.setattr(sweep.Sweep, "run", note)
    cli.main(["train", "-m", "optimizer=sgd,sgd", "optimizer.momentum=0.5", "output_dir=elsewhere"])
    assert [composition.config.optimizer.momentum for composition in seen] == [0.5, 0.5]
    assert all("++" not in word for composition in seen for word in composition.overrides)


# Verbs that read


def test_compare_passes_what_it_is_given(monkeypatch, capsys):
    got = {}
    monkeypatch.setattr("finecomb.studies.report.comparison.compare", lambda paths, **given: got.update(given, paths=paths) or "a table")
    monkeypatch.setattr("finecomb.studies.report.terminal.render", str)
    options = ["--references", "majority,tfidf_logistic", "--metrics", "accuracy", "--output", "t.tex", "--spread", "std"]
    assert run(capsys, "compare", "a", "b", *options)[1] == "a table\n"
    assert callable(got.pop("accept"))
    assert got == {
        "paths": ["a", "b"],
        "references": ["majority", "tfidf_logistic"],
        "metrics": ["accuracy"],
        "baseline": "best",
        "output": Path("t.tex"),
        "spread": "std",
        "by": None,
        "command": "finecomb compare a b --references majority,tfidf_logistic --metrics accuracy --output t.tex --spread std",
    }


def test_predict_passes_what_it_is_given(monkeypatch):
    got = {}
    monkeypatch.setattr("finecomb.serving.predict.predict_command", lambda run, texts, **options: got.update(options, run=run, texts=texts))
    assert cli.main(["predict", "3f2a", "one text", "another", "--pair", "p", "--pair", "q", "--format", "tsv"]) == 0
    assert (got["run"], got["texts"], got["pairs"], got["output"], got["file"]) == (
        "3f2a",
        ["one text", "another"],
        ["p", "q"],
        "tsv",
        None,
    )


def test_runs_tells_an_empty_folder_from_a_filter_that_finds_nothing(capsys):
    assert "no runs in" in run(capsys, "runs")[1]
    assert "are like that" in run(capsys, "runs", "list", "--state", "failed")[1]


def test_version(capsys):
    from finecomb import __version__

    assert run(capsys, "--version")[1] == f"finecomb {__version__}\n"
