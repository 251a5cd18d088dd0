"""What stands under a table: how to read it, and everything that makes its rows less comparable than they look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from finecomb.config.plugins import lower_is_better
from finecomb.launch.outcome import in_pieces
from finecomb.runs.provenance import differences
from finecomb.studies.analysis import references, statistics
from finecomb.studies.analysis.arms import Arm, ComparedRun
from finecomb.studies.analysis.statistics.corrected import few_seeds, uneven_seeds

if TYPE_CHECKING:
    from finecomb.studies.report.comparison import Comparison, Row

# Predictions hold float64 logits, from which the recorded metric was computed in the same precision.
_TOLERANCE = 1e-5


def without_repeats(grouped: Sequence[Arm]) -> tuple[list[Arm], list[str]]:
    """Arms with one run for each seed, the one created last of the finished ones; and a warning for each that is left out."""
    kept, warnings = [], []
    for arm in grouped:
        by_seed: dict[int, list[ComparedRun]] = {}
        for run in arm.runs:
            by_seed.setdefault(run.seed, []).append(run)
        chosen = [max(runs, key=lambda run: (run.state == "finished", run.record.get("created", 0.0))) for runs in by_seed.values()]
        left_out = [run for run in arm.runs if run not in chosen]
        warnings += [f"{arm.label}: seed {run.seed} was run more than once; {run.path} is left out for a later one" for run in left_out]
        kept.append(Arm(arm.label, chosen))
    return kept, warnings


def of_arms(grouped: Sequence[Arm], split: str) -> list[str]:
    """Unfinished runs, missing predictions, unequal seeds, other data, smaller micro-batches than planned, other code or machine."""
    measured = [(arm.label, [run for run in arm.runs if run.predictions(split)]) for arm in grouped]
    return [
        *_missing(grouped, split),
        *_unequal_seeds(measured),
        *_other_data(measured),
        *(f"{label}: {line}" for label, runs in measured for line in of_memory(runs)),
        *_other_code([run for _, runs in measured for run in runs]),
    ]


def _missing(grouped: Sequence[Arm], split: str) -> Iterable[str]:
    for arm in grouped:
        for run in arm.runs:
            if run.state != "finished":
                yield f"{arm.label}: seed {run.seed} is {run.state} and not in the numbers ({run.path})"
            elif run.predictions(split) is None:
                yield f"{arm.label}: seed {run.seed} has no {split} predictions and is not in the numbers ({run.path})"


def _unequal_seeds(measured: Sequence[tuple[str, list[ComparedRun]]]) -> Iterable[str]:
    seeds = {label: tuple(run.seed for run in runs) for label, runs in measured if runs}
    if len(set(seeds.values())) > 1:
        told = "; ".join(f"{label}: {', '.join(map(str, each))}" for label, each in seeds.items())
        yield f"rows are averaged over different seeds ({told})"


def _other_data(measured: Sequence[tuple[str, list[ComparedRun]]]) -> Iterable[str]:
    groups: dict[Any, list[str]] = {}
    for label, runs in measured:
        for run in runs:
            groups.setdefault(run.data.get("content_hash"), []).append(label)
    if len(groups) > 1:
        told = "; ".join(f"{', '.join(dict.fromkeys(labels))}: {str(content)[:12]}" for content, labels in groups.items())
        yield f"rows were trained on different data, evaluated on the same examples ({told})"


def of_memory(runs: Iterable[ComparedRun]) -> Iterable[str]:
    """Runs that were computed in smaller micro-batches than their config says."""
    for run in runs:
        if note := in_pieces(run.record, run.config):
            yield f"{run.path.name} was {note}"


def _other_code(runs: Sequence[ComparedRun]) -> Iterable[str]:
    known = [run for run in runs if run.provenance]
    groups: dict[tuple[str, ...], list[str]] = {}
    for run in known[1:]:
        found = tuple(differences(known[0].provenance or {}, run.provenance or {}))
        if found:
            groups.setdefault(found, []).append(run.path.name)
    for found, names in groups.items():
        several = f" and {len(names) - 1} more" if len(names) > 1 else ""
        told = f"{names[0]}{several} differs from {known[0].path.name} in {'; '.join(found)}"
        yield f"{told}: times, and numbers within noise, may differ for that"
    if len(known) < len(runs):
        yield f"{len(runs) - len(known)} of {len(runs)} runs have no provenance: whether their code was the same is not known"


def of_records(rows: Sequence[Row], metrics: Sequence[str], split: str) -> list[str]:
    """Runs whose predictions do not give the metric that the run itself recorded."""
    warnings = []
    for row in rows:
        for metric in metrics if row.scores else ():
            recorded = [float(value) for value in (run.recorded(f"{split}/{metric}") for run in row.runs) if value is not None]
            if not recorded or len(recorded) < len(row.runs):
                continue
            mean = sum(recorded) / len(recorded)
            if abs(mean - row.scores[metric].value) > _TOLERANCE:
                warnings.append(f"{row.label}: the predictions give {metric} {row.scores[metric].value:.6f}, the runs recorded {mean:.6f}")
    return warnings


def notes(comparison: Comparison, *, by_name: bool) -> list[str]:
    """How to read the table: data, weights, intervals, references."""
    runs = [run for row in comparison.rows for run in row.runs]
    lines = [_data(runs, comparison), *_models(runs)]
    lines.append(
        f"[low, high]: {statistics.LEVEL:.0%} interval for other seeds and other {comparison.split} examples together (crossed variances, "
        "Student's t), paired by example. It is of one comparison and not corrected for the number of rows; `beyond noise` is."
    )
    if any(len(row.runs) == 1 for row in comparison.rows) or any(row.kind == "reference" for row in comparison.rows):
        lines.append(
            f"Rows of one seed, and references: percentile interval over examples alone, from {statistics.RESAMPLES:,} resamples. "
            "Of a single run it says nothing of other seeds, so that nothing is beyond noise there (–)."
        )
    lines += _widthless(comparison)
    lines += _undefined(comparison)
    lines.append(f"Minus ...: difference to that row. {_correction(comparison, by_name)}")
    for metric in comparison.metrics:
        deviations = {row.label: row.scores[metric].spread.deviation for row in comparison.rows if metric in row.scores}
        if not lower_is_better(metric) and (line := uneven_seeds(deviations)):
            lines.append(f"{metric}: {line}")
    if not by_name:
        lines.append(f"The best row is the best on these same {comparison.split} examples, which flatters its own value a little.")
    lines.append("Seed deviation: standard deviation over seeds (n - 1); not measured with one seed.")
    lines += [f"{row.label}: {references.SETTINGS[row.label]}." for row in comparison.rows if row.kind == "reference"]
    return lines


def _correction(comparison: Comparison, by_name: bool) -> str:
    meaning = "Beyond noise: p below 0.05, for other seeds and examples, corrected within each metric"
    rows = sum(bool(row.scores) for row in comparison.rows)
    limits = few_seeds([len(row.runs) for row in comparison.rows if row.kind == "arm" and row.runs])
    if by_name:
        return f"{meaning} for the {rows - 1} comparisons with that row (Holm).{limits}"
    return f"{meaning} for the choice of the best of {rows} rows, so that a table of equal rows has a finding in 5 % at most.{limits}"


def _undefined(comparison: Comparison) -> Iterable[str]:
    """Values that are 0 / 0, and comparisons that cannot be made."""
    for row in comparison.rows:
        for metric, score in row.scores.items():
            if score.zero_divisions:
                yield zero_division_note(row.label, metric, score.zero_divisions, max(1, len(row.runs)))
            elif score.value != score.value:
                yield f"{row.label}: {metric} is undefined for these answers; the row is not compared."
            elif score.interval.low != score.interval.low:
                yield f"{row.label}: {metric} is undefined without some of the examples, so that it has no interval and is not compared."


def zero_division_note(label: str, metric: str, count: int, runs: int) -> str:
    """How a metric of 0 / 0 was counted."""
    what = f"{label}: {metric} of {count} of {runs} runs is 0 / 0"
    return f"{what} (one class alone is predicted or labeled) and counts as 0, as in scikit-learn."


def _data(runs: Sequence[ComparedRun], comparison: Comparison) -> str:
    names = ", ".join(dict.fromkeys(str(run.config["dataset"]["name"]) for run in runs))
    trained = sorted({rows for run in runs if (rows := run.fact("counts.rows.train")) is not None})
    training = f"{' or '.join(f'{rows:,}' for rows in trained)} training and " if trained else ""
    line = f"Data: {names}, {training}{comparison.examples:,} {comparison.split} examples."
    if comparison.split == "validation":
        line += " There are no test predictions: these are validation numbers, on which the checkpoint and perhaps more was chosen."
    return line


def _widthless(comparison: Comparison) -> Iterable[str]:
    """A metric that is the same on every resample: the bootstrap cannot imagine errors that were never made."""
    scores = [(row.label, metric, score) for row in comparison.rows for metric, score in row.scores.items()]
    flat = list(dict.fromkeys(label for label, _, score in scores if score.interval.low == score.interval.high))
    if flat:
        # Hanley & Lippman-Hand 1983: without an error in n trials, the 95 % bound of the rate of errors is about 3 / n.
        unseen = f"with {comparison.examples} examples, errors in {3 / comparison.examples:.1%} of cases may go unseen"
        yield f"{', '.join(flat)}: an interval without width is no certainty; {unseen}."


def _models(runs: Sequence[ComparedRun]) -> Iterable[str]:
    for name, note in dict.fromkeys((run.config["model"]["name"], run.config["model"].get("note") or "") for run in runs):
        yield f"Model: {name}{f' ({note})' if note else ''}."
