"""A comparison with references, as text, files and the report of a study."""

import csv
import subprocess
import sys

import numpy as np
import pytest

from finecomb import cli
from finecomb.studies.report import verify
from finecomb.studies.report.comparison import compare
from finecomb.studies.report.terminal import render

NAMES = ["negative", "positive"]


def first(comparison, metric):
    return comparison.row(comparison.rows[0].label, metric)


def problem(error):
    return " ".join(" ".join([each.what, each.where, each.allowed, each.hint]) for each in error.value.problems)


def test_a_run_in_the_usual_folder_may_be_named_by_its_fingerprint(make_run, runs, tmp_path, monkeypatch):
    run = make_run("full")
    monkeypatch.chdir(tmp_path)
    assert compare([run.fingerprint]).rows[0].runs[0].path.resolve() == run.path.resolve()


def test_markdown_and_csv_hold_the_rows_the_model_note_and_where_the_records_lie_and_are_deterministic(make_run, runs, tmp_path):
    made = [make_run("full", 0), make_run("full", 1), make_run("head", 0, accuracy=0.7), make_run("head", 1, accuracy=0.7)]
    for name in ("one.md", "two.md", "one.csv", "two.csv"):
        compare([runs], output=tmp_path / name)
    text = (tmp_path / "one.md").read_text()
    assert text == (tmp_path / "two.md").read_text()
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert "sentence-tuned before any tuning here" in text
    assert all(str(run.path) in text for run in made)
    assert "22,000,000" in text
    assert "90.0 MiB" in text
    rows = list(csv.DictReader((tmp_path / "one.csv").open()))
    assert [row["row"] for row in rows] == ["full", "head"]
    assert float(rows[0]["accuracy"]) == first(compare([runs]), "accuracy").value
    assert rows[1]["accuracy_distinguishable"] == "True"
    assert float(rows[0]["training_seconds"]) == 40.5
    assert float(rows[0]["peak_memory_bytes"]) == 2**30 + 0.5
    behind = list(csv.DictReader((tmp_path / "one_runs.csv").open()))
    assert [row["record"] for row in behind] == [str(run.path) for run in made]


@pytest.mark.clock
def test_a_table_of_nine_runs_on_two_thousand_examples_takes_under_two_seconds_and_no_torch(make_run, runs):
    truth = (np.random.default_rng(1).random(2000) < 0.5).astype(int)
    for tuning in ("full", "head", "lora"):
        for seed in range(3):
            guess = np.where(np.random.default_rng(seed).random(2000) < 0.9, truth, 1 - truth)
            columns = {"id": [f"{row}" for row in range(2000)], "label": [NAMES[each] for each in truth]}
            make_run(tuning, seed, columns=columns | {"prediction": [NAMES[each] for each in guess]})
    code = f"""
import resource, sys
from finecomb.studies.report.comparison import compare
from finecomb.studies.report.terminal import render
print(render(compare([{runs!r}])))
assert not {{"torch", "transformers", "sklearn", "datasets"}} & set(sys.modules), set(sys.modules)
print(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
"""
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "| full |" in out
    assert float(out.splitlines()[-1]) < 4, "CPU seconds; about 1.3 on the machine this was written on"


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A prepared data set of 300 sentences, of which one word gives the label away."""
    from finecomb.config.compose import compose as compose_config
    from finecomb.data.prepare import prepare

    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    lines = [f"{'good' if row % 3 else 'bad'} film number {row},{NAMES[row % 3 > 0]}" for row in range(300)]
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    config = compose_config(["dataset=files", f"dataset.files.train={tmp_path / 'train.csv'}"]).config
    return prepare(config.dataset, config.cleaner, task_variant="sequence_classification")


def test_references_are_fitted_on_the_train_split_of_the_runs_and_pair_with_them(make_run, runs, prepared):
    test = prepared.load()["test"]
    label = [NAMES[index] for index in test["label"]]
    columns = {"id": list(test["id"]), "label": label, "prediction": [NAMES[1]] * (len(label) - 1) + [NAMES[0]]}
    make_run("head", columns=columns, directory=prepared.directory, data=prepared.content_hash)
    comparison = compare([runs], references=["majority", "tfidf_logistic"])
    assert comparison.warnings == []
    assert [(row.label, row.kind) for row in comparison.rows] == [
        ("head", "arm"),
        ("tfidf_logistic", "fitted"),
        ("majority", "fitted"),
    ]
    assert comparison.row("majority", "accuracy").value == pytest.approx(label.count("positive") / len(label))
    assert comparison.row("tfidf_logistic", "accuracy").value == 1.0
    assert comparison.baselines["accuracy"] == "tfidf_logistic"
    assert comparison.to_markdown() == compare([runs], references=["majority", "tfidf_logistic"]).to_markdown()


def test_references_without_their_data_are_named_and_the_table_stands(make_run, runs, prepared):
    make_run("head")
    comparison = compare([runs], references=["majority"])
    assert [row.label for row in comparison.rows] == ["head"]
    assert "no reference rows" in comparison.warnings[-1]


def test_references_are_refused_when_their_examples_are_not_those_of_the_runs(make_run, runs, prepared):
    make_run("head", directory=prepared.directory, data=prepared.content_hash)
    comparison = compare([runs], references=["majority"])
    assert [row.label for row in comparison.rows] == ["head"]
    assert "no reference rows" in comparison.warnings[-1]


def test_on_a_terminal_of_100_columns_no_number_is_broken(make_run, runs, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    make_run("full")
    make_run("top_layers", accuracy=0.6)
    comparison = compare([runs])
    text = render(comparison)
    for row in comparison.rows:
        interval = row.interval
        assert f"[{100 * interval.low:.2f}, {100 * interval.high:.2f}]" in text
    assert text == render(comparison)


@pytest.mark.parametrize("by", [[], ["--by", "tuning"]])
def test_the_report_of_any_runs_holds_what_a_studys_holds(make_run, runs, tmp_path, capsys, by):
    for seed in range(3):
        for epochs in (1, 2):
            make_run("full", seed, accuracy=0.9, trainer__max_epochs=epochs)
            make_run("head", seed, accuracy=0.7, trainer__max_epochs=epochs)
    make_run("lora", 0, finished=False)
    words = ["compare", runs, "--report", str(tmp_path / "report"), *by]
    assert cli.main(words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "report")
    names = {path.name for path in (tmp_path / "report").iterdir()}
    wanted = {"table.md", "table.tex", "results.csv", "results.parquet", "examples.parquet", "report.html", "reproduce.md", "figures"}
    assert wanted <= names
    table = (tmp_path / "report" / "table.md").read_text()
    table = table[table.index("p (corrected)") :]
    row = next(line for line in table.splitlines() if line.startswith("| tuning=head" if by else "| head trainer.max_epochs=1"))
    assert "worse" in row
    assert "finecomb train " in (tmp_path / "report" / "reproduce.md").read_text()
    assert verify.verify_study(tmp_path / "report") == []
    before = (tmp_path / "report" / "report.html").read_bytes()
    assert cli.main(words) == 0
    assert (tmp_path / "report" / "report.html").read_bytes() == before


def test_a_comparison_has_the_figures_page_and_latex_of_a_study(make_run, runs, tmp_path):
    for seed in range(3):
        make_run("full", seed, accuracy=0.95)
        make_run("head", seed, accuracy=0.6)
    table = compare([runs], output=tmp_path / "table.tex")
    text = (tmp_path / "table.tex").read_text()
    assert text == table.to_latex()
    assert cli.main(["compare", str(runs), "--output", str(tmp_path / "std.tex"), "--spread", "std"]) == 0
    by_seeds = (tmp_path / "std.tex").read_text()
    assert "standard deviation over seeds" in by_seeds
    assert "standard deviation over seeds" not in text
    assert by_seeds.splitlines()[1:] == table.to_latex(spread="std").splitlines()[1:]  # the first line names the command
    assert "22,000,000" in text
    assert "worse than full" in text
    assert "test/f1\\_macro" in text
    assert table.plot("intervals") == table.plot("intervals_accuracy") != table.plot("intervals_f1_macro")
    assert table.to_html().count("<figure") >= 4
