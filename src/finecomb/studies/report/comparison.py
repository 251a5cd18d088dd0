"""`finecomb compare`: which way of tuning was better, said no more firmly than the runs allow.

A row is an arm (runs that differ in the seed alone) or a reference. What would make a number mislead, such as an unfinished seed, other
training data or other code, is told under the table and never averaged away; runs tested on different examples are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from finecomb.config import plugins
from finecomb.config.plugins import lower_is_better
from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.studies.analysis import arms, caveats, statistics
from finecomb.studies.analysis import references as reference_rows
from finecomb.studies.analysis.arms import Arm, ComparedRun
from finecomb.studies.analysis.scores import Labels, Predictions, Score, read_predictions, score_rows
from finecomb.studies.report.render import check_output, markdown, render, write

if TYPE_CHECKING:
    import pandas as pd

    from finecomb.studies.report.table import Figure, ReportTable

__all__ = ["Comparison", "Row", "compare", "render"]

# What a table shows unless asked otherwise, by the task's variant; the first decides the order of the rows.
SHOWN = {
    "sequence_classification": ("accuracy", "f1_macro"),
    "sequence_classification multi_label": ("f1_macro", "f1_micro"),
    "regression": ("pearson", "spearman"),
}


@dataclass
class Row:
    """One arm or reference. Costs are None where nothing was measured; seconds are the mean over seeds, memory is the most of any."""

    label: str
    kind: str
    scores: dict[str, Score] = field(default_factory=dict)
    runs: list[ComparedRun] = field(default_factory=list)
    learning_rate: float | None = None
    trainable: int | None = None
    stored_bytes: int | None = None
    train_seconds: float | None = None
    peak_bytes: int | None = None

    @property
    def seeds(self) -> list[int]:
        """The seeds that the scores are averaged over."""
        return [run.seed for run in self.runs]


@dataclass
class Comparison:
    """A table of runs: scores with intervals over seeds and examples, differences to the baseline, costs. Notebooks show it as tables.

    Attributes:
        rows: Best first, references last.
        metrics: Names without the split; the first decides the order of the rows.
        split: What the rows were measured on.
        examples: How many examples that split has.
        baselines: For each metric, the label of the row that others are compared with.
        notes: How to read the table.
        warnings: What makes rows less comparable.
        baseline, references, command: What was requested, for the report.
    """

    rows: list[Row]
    metrics: list[str]
    split: str
    examples: int
    baselines: dict[str, str]
    notes: list[str]
    warnings: list[str]
    baseline: str = "best"
    references: tuple[str, ...] = ()
    command: str = ""

    def to_frame(self) -> pd.DataFrame:
        """One row for each arm and reference; for each metric its value, interval, difference, p value and seed deviation, then costs."""
        import pandas as pd

        from finecomb.studies.report.render import plain_rows

        return pd.DataFrame(plain_rows(self)).set_index("row")

    def to_markdown(self) -> str:
        """The tables with warnings and notes, as Markdown."""
        return markdown(self)

    def to_latex(self, metric: str | None = None) -> str:
        r"""One booktabs table of a metric (None: the first): needs `\usepackage{booktabs}`."""
        return self.report(metric).to_latex()

    def plot(self, kind: str = "intervals", metric: str | None = None) -> Figure:
        """Draw `intervals`, `pareto` or `learning_curves` of a metric (None: the first) as SVG, which a notebook shows.

        Raises:
            ConfigError: There is no such figure of these runs.
        """
        return self.report(metric).plot(kind)

    def report(self, metric: str | None = None, *, name: str = "comparison") -> ReportTable:
        """A study's tables, tests and figures of these rows for one metric (None: the first); `.save(folder)` writes them."""
        from finecomb.studies.analysis.any_runs import collect_runs
        from finecomb.studies.report.table import ReportTable

        arms_of_rows = [Arm(row.label, row.runs) for row in self.rows if row.kind == "arm" and row.runs]
        return ReportTable(
            collect_runs(
                arms_of_rows,
                metric or self.metrics[0],
                name=name,
                command=self.command,
                baseline=self.baseline,
                fitted=self.references,
                warnings=self.warnings,
            )
        )

    def _repr_markdown_(self) -> str:
        return self.to_markdown()


def compare(
    paths: Sequence[str],
    *,
    references: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
    baseline: str = "best",
    output: Path | None = None,
    wanted: Callable[[ComparedRun], bool] | None = None,
    by: str | None = None,
    command: str = "",
) -> Comparison:
    """Compare runs given by run directories, folders of them or sweep records.

    references: rows to add, `majority` and `tfidf_logistic`. metrics: names without the split; None: the task's usual two.
    baseline: `best` (of each metric), or the label of the row that all are compared with. output: a .md or .csv file to write as well.
    wanted: which of the runs to take; None: all. by: a key of the config whose values are the rows; None: everything but the seed.
    command: what the user typed, for the report.

    Raises:
        ConfigError: nothing to compare, runs of different tasks or test examples, an unknown metric, reference or row.
    """
    reference_rows.check(references)
    check_output(output)
    found = chosen(paths, wanted)
    shown = shown_metrics(found, metrics)
    split = "test" if any(run.predictions("test") for run in found) else "validation"
    grouped, warnings = grouped_runs(found, by)
    rows, answers = _measured(grouped, split)
    warnings += caveats.of_arms(grouped, split)
    for name, (prediction, parameters) in _references(references, rows, answers, split, warnings).items():
        rows.append(Row(name, "reference", trainable=parameters))
        answers[name] = [prediction]
    baselines = _score(rows, answers, shown, baseline)
    warnings += caveats.of_records(rows, shown, split)
    examples = len(next(iter(answers.values()))[0].ids)
    ordered = _ordered(rows, shown[0])
    comparison = Comparison(ordered, shown, split, examples, baselines, [], warnings, baseline, tuple(references), command)
    comparison.notes = caveats.notes(comparison, by_name=baseline != "best")
    if output is not None:
        write(comparison, output)
    return comparison


def chosen(paths: Sequence[str], wanted: Callable[[ComparedRun], bool] | None) -> list[ComparedRun]:
    """The runs of these paths that are wanted. Raises ConfigError when there is none."""
    found = [run for run in map(arms.read, arms.find(paths)) if wanted is None or wanted(run)]
    if not found:
        raise ConfigError(Problem("no run matches", ", ".join(paths), hint="`finecomb runs` lists the runs there are"))
    return found


def grouped_runs(found: Sequence[ComparedRun], by: str | None) -> tuple[list[Arm], list[str]]:
    """Arms of runs, and what a reader must know of how they were made. by: see `compare`."""
    grouped, warnings = caveats.without_repeats(arms.group(found))
    if by is None:
        return grouped, warnings
    grouped, told = arms.by_key(grouped, by)
    return grouped, warnings + told


def shown_metrics(found: Sequence[ComparedRun], asked: Sequence[str] | None) -> list[str]:
    """Metrics of a table of these runs, those asked for or the usual ones. Raises ConfigError for what cannot be shown."""
    variants = sorted({run.task for run in found})
    if len(variants) > 1:
        what = f"the runs are of different tasks: {', '.join(variants)}"
        raise ConfigError(Problem(what, hint="compare runs of one task at a time"))
    if variants[0] not in SHOWN:
        raise ConfigError(Problem(f"runs of the task {variants[0]} cannot be compared", allowed=", ".join(SHOWN)))
    allowed = list(statistics.NUMBER_METRICS if variants[0] == "regression" else statistics.CLASS_METRICS)
    if any(len(run.label_names) != 2 for run in found if run.state == "finished") or "multi_label" in variants[0]:
        allowed = [metric for metric in allowed if not metric.endswith("_binary")]
    allowed = [metric for metric in (*allowed, *plugins.metrics(variants[0])) if metric in plugins.metric_names(variants[0])]
    shown = list(dict.fromkeys(asked or SHOWN[variants[0]]))
    unknown = [metric for metric in shown if metric not in allowed]
    if unknown:
        guesses = {metric: nearest(metric, allowed) for metric in unknown}
        raise ConfigError(
            [
                Problem(
                    f"{metric} has no interval over test examples here",
                    allowed=", ".join(allowed),
                    hint=f"did you mean {guess}?" if guess else "",
                )
                for metric, guess in guesses.items()
            ]
        )
    return shown


def _measured(grouped: Sequence[Arm], split: str) -> tuple[list[Row], dict[str, list[Predictions]]]:
    """A row for each arm, and the predictions of its finished runs; raises ConfigError unless all are about the same examples."""
    rows, answers = [], {}
    for arm in grouped:
        files = {run.path: run.predictions(split) for run in arm.runs}
        rate = arm.runs[0].config["optimizer"]["lr"]
        row = Row(arm.label, "arm", runs=[run for run in arm.runs if files[run.path] is not None], learning_rate=rate)
        rows.append(row)
        if row.runs:
            answers[arm.label] = [read_predictions(path) for path in files.values() if path is not None]
            _add_costs(row)
    if not answers:
        states = ", ".join(sorted({run.state for arm in grouped for run in arm.runs}))
        what = f"there is nothing to compare yet: no run is finished and has predictions ({states})"
        raise ConfigError(Problem(what, hint="ask for the runs again; those that were interrupted resume"))
    _check_same_examples(answers, split)
    return rows, answers


def _check_same_examples(answers: dict[str, list[Predictions]], split: str) -> None:
    sets: list[tuple[Predictions, list[str]]] = []
    for label, predictions in answers.items():
        for each in predictions:
            labels = next((labels for known, labels in sets if each.same_examples(known)), None)
            if labels is None:
                sets.append((each, labels := []))
            labels.append(label)
    if len(sets) > 1:
        what = f"the runs were not evaluated on the same {split} examples, so no table can hold them"
        groups = "; ".join(f"{', '.join(dict.fromkeys(labels))}: {len(each.ids)} examples" for each, labels in sets)
        raise ConfigError(Problem(what, where=groups, hint="compare runs of one data set and one dataset.split.seed at a time"))


def _add_costs(row: Row) -> None:
    first = row.runs[0]
    seconds = [run.fact("time.train_s") for run in row.runs]
    peaks = [run.fact("memory.peak_bytes") for run in row.runs]
    row.trainable, row.stored_bytes = first.fact("parameters.trainable"), first.fact("parameters.stored_bytes")
    row.train_seconds = sum(seconds) / len(seconds) if None not in seconds else None
    row.peak_bytes = max(peaks) if None not in peaks else None


def _references(
    names: Sequence[str], rows: Sequence[Row], answers: dict[str, list[Predictions]], split: str, warnings: list[str]
) -> dict[str, tuple[Predictions, int]]:
    """Answers of the references, fitted on the training split of the first measured row; a warning where that cannot be had."""
    if not names:
        return {}
    first = next(row for row in rows if row.runs)
    if len({each.data.get("content_hash") for row in rows for each in row.runs}) > 1:
        warnings.append(f"references are fitted on the training data of {first.label}; other rows were trained on other data")
    data = first.runs[0].data
    try:
        found = reference_rows.answers(names, Path(data["directory"]), data["content_hash"], split)
    except ConfigError as error:
        warnings.append(f"no reference rows: {error}")
        return {}
    if all(answers[first.label][0].same_examples(predictions) for predictions, _ in found.values()):
        return found
    warnings.append(f"no reference rows: the prepared data in {data['directory']} hold other {split} examples than the runs answered")
    return {}


def _score(rows: list[Row], answers: dict[str, list[Predictions]], metrics: list[str], baseline: str) -> dict[str, str]:
    """Fill the scores of the rows; returns the label of each metric's baseline."""
    measured = [row for row in rows if row.label in answers]
    labels = [row.label for row in measured]
    if baseline != "best" and baseline not in labels:
        close = nearest(baseline, labels)
        hint = f"did you mean {close}?" if close else ""
        raise ConfigError(Problem(f"no row is called {baseline}", allowed=", ".join(["best", *labels]), hint=hint))
    index = None if baseline == "best" else labels.index(baseline)
    seedless = [row.kind == "reference" for row in measured]
    scored = score_rows([answers[label] for label in labels], metrics, _labels(measured, answers), index, seedless)
    for row, scores in zip(measured, scored, strict=True):
        row.scores = scores
    return {metric: next(row.label for row in measured if row.scores[metric].difference is None) for metric in metrics}


def _labels(measured: Sequence[Row], answers: dict[str, list[Predictions]]) -> Labels:
    first = next(row.runs[0] for row in measured if row.runs)
    if first.task == "regression":
        return Labels(None)
    seen = {name for each in answers.values() for run in each for side in (run.label, run.prediction) for name in _names(side)}
    return Labels([*first.label_names, *sorted(seen - set(first.label_names))], exclusive="multi_label" not in first.task)


def _names(values: Sequence[object]) -> set[str]:
    return {str(name) for value in values for name in (value if isinstance(value, list) else [value])}


def _ordered(rows: Sequence[Row], metric: str) -> list[Row]:
    """Arms by score, best first, then references likewise; rows without a score come last."""
    sign = 1 if lower_is_better(metric) else -1

    def key(row: Row) -> tuple[bool, bool, float, str]:
        value = row.scores[metric].value if row.scores else float("nan")
        return row.kind == "reference", value != value, sign * value if value == value else 0.0, row.label

    return sorted(rows, key=key)
