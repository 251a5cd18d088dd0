"""Tables, figures and pages of a study, from synthetic frames."""

import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from synthetic import frames

from finecomb.core.errors import ConfigError
from finecomb.studies.analysis import frames as frame_files
from finecomb.studies.analysis.analyze import analyze
from finecomb.studies.report import tables
from finecomb.studies.report.figures import pareto_front
from finecomb.studies.report.latex import latex
from finecomb.studies.report.report import ReportTable


def write_report(given, folder):
    ReportTable(given).write(folder)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_numbers_of_a_table_are_those_of_its_answers():
    given = frames()
    (column,) = analyze(given).columns
    for row in column.rows:
        runs = given.results[(given.results["arm"] == row.arm) & (given.results["role"] == "confirm")]
        assert row.values == pytest.approx(runs["test/accuracy"].to_numpy())
        assert row.own.value == pytest.approx(runs["test/accuracy"].mean())
    full, head = column.rows
    assert full.to_baseline is None
    assert head.to_baseline.value == pytest.approx(head.own.value - full.own.value)
    assert (full.best, head.best, head.as_good, head.verdict) == (True, False, False, "worse")
    assert head.smallest_sign_flip == 0.25


def test_written_twice_or_read_back_every_file_is_the_same(tmp_path):
    given = frames(columns=("a", "b"))
    for name in ("one", "two"):
        frame_files.write(given, tmp_path / name)
        write_report(given, tmp_path / name)
    frame_files.write(frame_files.read(tmp_path / "one"), tmp_path / "three")
    write_report(frame_files.read(tmp_path / "one"), tmp_path / "three")
    assert files(tmp_path / "one") == files(tmp_path / "two") == files(tmp_path / "three")
    expected = {
        "study.json",
        "results.parquet",
        "examples.parquet",
        "curves.parquet",
        "results.csv",
        "table.md",
        "table.tex",
        "report.html",
        "reproduce.md",
    }
    assert expected <= set(files(tmp_path / "one"))
    assert {f"figures/{name}_{column}.svg" for name in ("intervals", "pareto", "learning_curves", "budget") for column in "ab"} <= set(
        files(tmp_path / "one")
    )


def test_a_figure_that_is_no_longer_drawn_is_removed(tmp_path):
    write_report(frames(), tmp_path)
    assert (tmp_path / "figures" / "budget.svg").exists()
    write_report(frames(tune=False), tmp_path)
    assert not (tmp_path / "figures" / "budget.svg").exists()


def test_a_missing_seed_is_told_and_not_averaged_away():
    given = frames()
    given.results = given.results[~((given.results["arm"] == "head") & (given.results["seed"] == 2))]
    given.examples = given.examples[~((given.examples["arm"] == "head") & (given.examples["seed"] == 2))]
    text = tables.markdown(analyze(given))
    assert "Warning: head: seeds 2 are missing; its numbers are of 2 seeds" in text
    assert analyze(given).columns[0].rows[1].sign_flip is None  # no longer paired


def test_an_arm_without_any_run_keeps_its_row():
    given = frames()
    given.results = given.results[given.results["arm"] != "head"]
    given.examples = given.examples[given.examples["arm"] != "head"]
    text = tables.markdown(analyze(given))
    assert re.search(r"\| head \| not measured \|", text)


def test_answers_to_other_examples_are_not_put_beside_the_rest():
    given = frames()
    head = given.examples["arm"] == "head"
    given.examples.loc[head, "id"] = "x" + given.examples.loc[head, "id"]
    given = frame_files.Frames(
        given.facts, given.results, pd.concat([given.examples, frames(arms=("full", "lora")).examples.query("arm == 'lora'")]), given.curves
    )
    analysis = analyze(given)
    assert any("head: tested on other examples" in line for line in analysis.columns[0].warnings)


@pytest.mark.parametrize(
    ("field", "expected"), [("code", "different code"), ("machine", "2 machines"), ("data", "trained on different data")]
)
def test_runs_that_differ_in_code_machine_or_data_are_stated(field, expected):
    given = frames()
    given.results.loc[given.results["arm"] == "head", field] = "another"
    assert any(expected in line for line in tables.warnings(analyze(given)))


def test_costs_are_those_of_one_machine():
    given = frames()
    slow = (given.results["arm"] == "head") & (given.results["seed"] == 3)
    given.results.loc[slow, ["machine", "train_s"]] = ["another", 100.0]
    assert analyze(given).columns[0].rows[1].costs["train_s"] == 2.0


def test_one_seed_decides_nothing():
    text = tables.markdown(analyze(frames(seeds=(1,))))
    assert "cannot tell: one seed" in text
    assert "(examples only)" in text
    assert "| worse |" not in text


@pytest.mark.parametrize("baseline", ["best", "full"])
def test_a_collapsed_seed_leaves_the_table_standing(baseline):
    given = frames(baseline=baseline, lift=0.3)
    given.facts = replace(given.facts, columns=[replace(given.facts.columns[0], metric="mcc")])
    collapsed = (given.examples["arm"] == "head") & (given.examples["seed"] == 1)
    given.examples.loc[collapsed, "prediction"] = "positive"
    analysis = analyze(given)
    full, head = analysis.columns[0].rows
    assert (analysis.columns[0].baseline, full.best, head.best) == ("full", True, False)
    assert head.values[0] == 0.0
    assert 0 < head.p < 1
    assert "head: mcc of 1 of 3 runs is 0 / 0" in tables.markdown(analysis)


@pytest.mark.parametrize("baseline", ["best", "full"])
def test_every_arm_of_an_exact_tie_is_bold_and_no_size_is_required(baseline):
    given = frames(baseline=baseline)
    full = given.examples[given.examples["arm"] == "full"]
    given.examples.loc[given.examples["arm"] == "head", "prediction"] = full["prediction"].to_numpy()
    analysis = analyze(given)
    assert [row.best for row in analysis.columns[0].rows] == [True, True]
    text = tables.markdown(analysis)
    assert "+0.00" in text
    assert "of the size seen" not in text


def test_the_best_of_many_equal_arms_is_no_finding():
    """Corrected by Holm alone, about one table in ten of equal arms had a finding against its best row."""
    analysis = analyze(frames(baseline="best", lift=0.0, arms=("a", "b", "c", "d", "e"), seeds=(1, 2, 3, 4, 5)))
    rows = [row for row in analysis.columns[0].rows if row.to_baseline is not None]
    assert len(rows) == 4
    assert all(row.p > row.to_baseline.p for row in rows)
    assert "for the choice of the best row" in tables.markdown(analysis)


def test_p_values_are_adjusted_over_the_whole_study():
    alone = analyze(frames(lift=0.03)).columns[0].rows[1]
    among = analyze(frames(lift=0.03, columns=("a", "b", "c"))).columns[0].rows[1]
    assert alone.p == pytest.approx(alone.to_baseline.p)
    assert among.p >= among.to_baseline.p
    text = tables.markdown(analyze(frames(columns=("a", "b", "c"))))
    assert "corrected by Holm for the 3 comparisons" in text


def test_published_numbers_stand_beside_the_arms_with_their_source():
    reference = {"name": "full (a paper)", "kind": "published", "scores": {"": 94.8}, "spread": {"": 0.2}, "source": "a paper, table 2"}
    given = frames(references=[reference])
    text = tables.markdown(analyze(given))
    assert "| full (a paper) | 94.8 |" in text
    assert "full (a paper): a paper, table 2." in text
    assert r"94.8 $\pm$ 0.2" in latex(analyze(given))


def test_latex_marks_the_best_and_what_is_not_shown_to_be_worse():
    text = latex(analyze(frames(arms=("full", "a_b", "head"), lift=0.0)))
    assert text.count(r"\textbf") == 1
    assert text.count(r"\underline") == 2
    assert r"a\_b" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    assert all(line.count("&") == 2 for line in text.splitlines() if line.endswith(r"\\"))


def test_latex_has_a_caption_with_the_legend_a_label_parameters_and_a_choice_of_spread():
    analysis = analyze(frames(arms=("full", "head"), lift=0.3))
    text = latex(analysis)
    assert r"\label{tab:synthetic}" in text
    caption = next(line for line in text.splitlines() if line.startswith(r"\caption{Which is better? Mean $\pm$ half of the 95"))
    assert r"$^{-}$: worse than full ($p < 0.05$, corrected)." in caption
    full, head = analysis.columns[0].rows
    half = 50 * (head.interval.high - head.interval.low)
    assert rf"head & {100 * head.value:.2f} $\pm$ {half:.2f}$^{{-}}$ & 1,000 \\" in text
    by_seeds = latex(analysis, spread="std", parameters=False)
    assert rf"\textbf{{{100 * full.value:.2f} $\pm$ {100 * full.std:.2f}}} \\" in by_seeds
    assert "parameters" not in by_seeds
    assert "standard deviation over seeds" in by_seeds
    assert set(re.findall(r"\\begin{(\w+)}", text)) == set(re.findall(r"\\end{(\w+)}", text)) == {"table", "tabular"}


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.problems = [], [], [], []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href") and value and not value.startswith("#")]
        if tag not in ("meta", "link", "br", "img", "use", "path", "stop", "rect", "circle", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open and self.open.pop() != tag:
                self.problems.append(tag)


def test_the_page_needs_no_network_and_no_two_drawings_share_an_id(tmp_path):
    write_report(frames(columns=("a", "b")), tmp_path)
    text = (tmp_path / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert page.links == []
    assert page.problems == []
    assert len(page.ids) == len(set(page.ids)) > 20
    references = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    assert references <= set(page.ids)
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text


def test_what_is_written_is_escaped(tmp_path):
    given = frames(arms=("full", "<b>&"))
    write_report(given, tmp_path)
    assert "<b>&<" not in (tmp_path / "report.html").read_text()
    assert "&lt;b&gt;&amp;" in (tmp_path / "report.html").read_text()


def test_every_cell_has_its_command(tmp_path):
    write_report(frames(), tmp_path)
    text = (tmp_path / "reproduce.md").read_text()
    assert "finecomb train -m dataset=movie_reviews tuning=head optimizer.lr=0.01 seed=1,2,3" in text
    assert "| 0 | optimizer.lr=1.0 | 0.5000 | head-trial-0-0 |" in text


def test_the_pareto_front_holds_what_nothing_beats():
    assert pareto_front([(1, 0.5), (2, 0.7), (3, 0.6), (2, 0.6), (4, 0.9)]) == [0, 1, 4]
    assert pareto_front([(1, 0.5), (2, 0.4), (3, 0.6)], lower_is_better=True) == [0, 1]


def test_arms_that_differ_in_their_training_examples_are_drawn_against_them(tmp_path):
    given = frames(arms=("full train=80", "full train=160", "head train=80"))
    for arm in ("full train=80", "full train=160", "head train=80"):
        given.results.loc[given.results["arm"] == arm, "train_rows"] = int(arm.split("=")[1])
    write_report(given, tmp_path)
    drawn = (tmp_path / "figures" / "data_size.svg").read_text()
    assert "training examples" in drawn
    assert ">full<" in drawn
    write_report(frames(), tmp_path)
    assert not (tmp_path / "figures" / "data_size.svg").exists()


def test_numbers_and_label_sets_are_read_back_exactly():
    assert frame_files.text_of(0.1 + 0.2) == repr(0.1 + 0.2)
    assert frame_files.text_of(["a", "b"]) == '["a", "b"]'
    assert frame_files.text_of(np.float64(2.5)) == "2.5"


def test_a_broken_file_is_named(tmp_path):
    frame_files.write(frames(), tmp_path)
    (tmp_path / "results.parquet").write_bytes(b"no parquet")
    with pytest.raises(ConfigError, match=r"results\.parquet cannot be read"):
        frame_files.read(tmp_path)


@pytest.mark.clock
def test_a_table_of_two_hundred_runs_takes_less_than_two_seconds(slow_machine):
    given = frames(
        arms=tuple(f"arm {number}" for number in range(20)), seeds=tuple(range(1, 11)), examples=1000, baseline="arm 0", lift=0.01
    )
    tables.markdown(analyze(frames()))  # imports
    spent = []
    while len(spent) < 5 and (not spent or spent[-1] >= 2.0):  # a machine that is busy may need other tries
        started = time.process_time()
        text = tables.markdown(analyze(given))
        spent.append(time.process_time() - started)
    if spent[-1] >= 2.0:
        slow_machine(spent)
    assert spent[-1] < 2.0, spent
    assert text.count("| 10 |") >= 20
