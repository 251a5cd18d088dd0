"""The numbers of a study or comparison, computed from its frames alone: scores, intervals, tests, costs, and caveats.

A comparison is a study without a plan: it may have several metrics of one column, its references are rows like any other, p is corrected
within each metric, and its rows are in the order of their scores.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from finecomb.config.plugins import lower_is_better, task_facts
from finecomb.runs.sum_metrics import PREFIX
from finecomb.studies.analysis.facts import ColumnFacts
from finecomb.studies.analysis.frames import CONFIRM, REFERENCE, TRIAL, Frames
from finecomb.studies.analysis.rows import BETTER, NOT_SHOWN, ONE_SEED, UNDEFINED, WORSE, Analysis, ColumnTable, Row
from finecomb.studies.analysis.scores import Labels, Predictions, best, scorer, value_range, zero_divisions
from finecomb.studies.analysis.statistics import Floats, Interval, budget, significance, two_way
from finecomb.studies.analysis.statistics.corrected import LEVEL, corrected
from finecomb.studies.analysis.statistics.seeds import probability_of_improvement, seeds_needed, smallest_p, summary, t_interval

if TYPE_CHECKING:
    import pandas as pd

SIZES, COSTS = ("parameters_trainable", "stored_bytes", "artifact_bytes"), ("train_s", "peak_bytes", "tokens_per_s")
# Predictions hold float64 logits, from which the recorded metric was computed in the same precision.
_TOLERANCE = 1e-5


def analyze(frames: Frames) -> Analysis:
    """Compute everything; deterministic."""
    columns = [_column(frames, column, metric) for column in frames.facts.columns for metric in column.metrics or [column.metric]]
    _correct(columns, best_row=frames.facts.baseline == "best", comparison=is_comparison(frames))
    if is_comparison(frames):
        place = {row.arm: number for number, row in enumerate(sorted(columns[0].rows, key=columns[0].rank))}
        for column in columns:
            column.rows.sort(key=lambda row: place[row.arm])
    for column in columns:
        for row in column.rows:
            _judge(row, column.lower_is_better)
    return Analysis(frames.facts, columns, [*frames.facts.warnings, *_study_warnings(frames)])


def is_comparison(frames: Frames) -> bool:
    """Whether the runs were named by the user, and not by a study."""
    return frames.facts.is_comparison


def _correct(columns: Sequence[ColumnTable], *, best_row: bool, comparison: bool) -> None:
    """Fill in the corrected p.

    A named baseline: Holm over the study. The best row: within each column, and for the number of columns. Metrics of a comparison are
    views of the same answers, and p is corrected within each.
    """
    compared = [[row for row in column.rows if row.competes and row.to_baseline is not None] for column in columns]
    families = [rows for rows in compared if rows] if best_row or comparison else [[row for rows in compared for row in rows]]
    factor = 1 if comparison else len(families)
    for rows in families:
        candidates = sum(not row.to_baseline.undefined for row in rows if row.to_baseline) + 1
        found = corrected([row.to_baseline for row in rows if row.to_baseline], rows=candidates if best_row else None)
        for row, p in zip(rows, found, strict=True):
            row.p = p if p is None or not best_row else min(1.0, p * factor)


def _column(frames: Frames, column: ColumnFacts, metric: str) -> ColumnTable:
    column = replace(column, metric=metric)
    results = frames.results[frames.results["column"] == column.name]
    examples = frames.examples[frames.examples["column"] == column.name]
    warnings: list[str] = []
    rows = _rows(frames, column, results)
    measured = _answers(rows, examples, warnings)
    score = _scorer(column, measured)
    counted = len(next(iter(measured.values()))[0].ids) if measured else 0
    left_out = _score_rows(rows, measured, score, counted, metric)
    _count_zero_divisions(column, rows, measured)
    arms = [row for row in rows if row.competes and row.values is not None]
    baseline, best_arm = (_named(arms, name, column.metric) for name in (frames.facts.baseline, "best"))
    for row in rows:
        if row.values is not None and baseline is not None and row is not baseline:
            _compare(row, baseline, left_out)
    _mark_best(arms, best_arm, left_out)
    split = str(examples["split"].iloc[0]) if len(examples) else "test"
    warnings += _column_warnings(frames, column, rows, results)
    return ColumnTable(column.name, column.metric, split, counted, baseline.arm if baseline else "", rows, column, warnings)


def _rows(frames: Frames, column: ColumnFacts, results: pd.DataFrame) -> list[Row]:
    """Every arm of the study, whether or not it has runs, then the references."""
    rows = []
    confirmed = results[results["role"] == CONFIRM]
    machines = confirmed["machine"].value_counts()
    for arm in frames.facts.arms:
        runs = confirmed[confirmed["arm"] == arm.name]
        row = Row(arm.name, "arm", sorted(int(seed) for seed in runs["seed"]))
        row.missing = [seed for seed in arm.seeds if seed not in row.seeds]
        row.setting, row.edges = " ".join(arm.chosen[column.name]), list(arm.edges[column.name])
        same = runs[runs["machine"] == machines.index[0]] if len(machines) else runs
        row.costs = {name: _mean(runs, name) for name in SIZES} | {name: _mean(same, name) for name in COSTS}
        _add_trials(row, results[(results["role"] == TRIAL) & (results["arm"] == arm.name)], f"validation/{column.metric}")
        rates = runs["learning_rate"].dropna().tolist() if "learning_rate" in runs else []
        row.learning_rate = rates[0] if rates else None
        rows.append(row)
    for reference in frames.facts.references:
        if reference.kind == "fitted":
            fitted = results[(results["role"] == REFERENCE) & (results["arm"] == reference.name)]
            rows.append(Row(reference.name, "fitted", [0], costs={"parameters_trainable": _mean(fitted, "parameters_trainable")}))
        elif column.name in reference.scores:
            value, spread = reference.scores[column.name], reference.spread.get(column.name)
            rows.append(Row(reference.name, "published", published=value, spread=spread, source=reference.source))
    for row in rows:
        row.competes = row.kind == "arm" or (is_comparison(frames) and row.kind == "fitted")
    return rows


def _mean(table: pd.DataFrame, name: str) -> float | None:
    values = table[name].dropna().astype(float).tolist() if name in table else []
    return sum(values) / len(values) if values else None


def _add_trials(row: Row, trials: pd.DataFrame, metric: str) -> None:
    values = trials[metric].dropna().astype(float).tolist() if metric in trials else []
    row.trials = len(values)
    if values:
        sign = -1.0 if lower_is_better(metric.split("/")[1]) else 1.0
        row.expected = (sign * budget.expected_best([sign * value for value in values])).tolist()
        row.trial_seconds = _mean(trials, "train_s")


def _answers(rows: Sequence[Row], examples: pd.DataFrame, warnings: list[str]) -> dict[str, list[Predictions]]:
    """By arm the answers of each seed. An arm that answered other examples than most is left out, and said so."""
    found: dict[str, list[Predictions]] = {}
    for row in rows:
        groups = [group for _, group in examples[examples["arm"] == row.arm].groupby("seed", sort=True)]
        if groups:
            found[row.arm] = [_predictions(group) for group in groups]
    sets: dict[Any, list[str]] = {}
    for arm, runs in found.items():
        for run in runs:
            sets.setdefault((run.ids, tuple(run.label)), []).append(arm)
    if len(sets) > 1:
        usual = max(sets, key=lambda key: len(sets[key]))
        others = sorted({arm for key, arms in sets.items() if key != usual for arm in arms})
        warnings.append(f"{', '.join(others)}: tested on other examples than the rest, and therefore not in the table")
        found = {arm: runs for arm, runs in found.items() if arm not in others}
    return found


def _predictions(rows: pd.DataFrame) -> Predictions:
    # A column that only other tasks' runs have is empty here.
    sums = [name for name in rows.columns if name.startswith(PREFIX) and rows[name].notna().all()]
    by_name = {name.removeprefix(PREFIX): rows[name].tolist() for name in sums}
    return Predictions(tuple(rows["id"]), rows["label"].tolist(), rows["prediction"].tolist(), by_name)


def _scorer(column: ColumnFacts, measured: dict[str, list[Predictions]]) -> Any:
    runs, labels = _typed(column, measured)
    return scorer(runs, [column.metric], labels) if runs else None


def _typed(column: ColumnFacts, measured: dict[str, list[Predictions]]) -> tuple[list[Predictions], Labels]:
    """All runs with their answers as numbers, names or lists of names, and the classes."""
    runs = [run for each in measured.values() for run in each]
    exclusive, facts = "multi_label" not in str(column.task), task_facts(str(column.task))
    if facts is not None and facts.answers == "sums":
        return runs, Labels(column.labels, summed=str(column.task))
    if facts is not None and facts.answers == "numbers":
        return [Predictions(run.ids, [float(x) for x in run.label], [float(x) for x in run.prediction]) for run in runs], Labels(None)
    if not exclusive:
        runs = [Predictions(run.ids, [json.loads(x) for x in run.label], [json.loads(x) for x in run.prediction]) for run in runs]
    seen = {name for run in runs for side in (run.label, run.prediction) for value in side for name in ([value] if exclusive else value)}
    known = column.labels or []
    return runs, Labels([*known, *sorted(seen - set(known))], exclusive=exclusive)


def _count_zero_divisions(column: ColumnFacts, rows: Sequence[Row], measured: dict[str, list[Predictions]]) -> None:
    if not measured:
        return
    runs, labels = _typed(column, measured)
    undefined = zero_divisions(runs, [column.metric], labels)[:, 0]
    start = 0
    for arm, own in measured.items():
        next(row for row in rows if row.arm == arm).zero_divisions = int(undefined[start : start + len(own)].sum())
        start += len(own)


def _in_range(own: two_way.Difference, metric: str) -> two_way.Difference:
    """With intervals that end where the metric does: a value beyond cannot be the true one, so that the interval covers as before."""
    low, high = value_range(metric)

    def cut(between: Interval) -> Interval:
        return Interval(max(low, between.low), min(high, between.high))

    return replace(own, interval=own.interval and cut(own.interval), over_examples=cut(own.over_examples))


def _score_rows(rows: Sequence[Row], measured: dict[str, list[Predictions]], score: Any, examples: int, metric: str) -> dict[str, Floats]:
    """Fill in the values of each row; returns their jackknife replicates [G, m]."""
    if score is None:
        return {}
    plain = score(np.ones((1, examples)))[0, :, 0]
    replicates = two_way.replicates(lambda weights: score(weights)[:, :, 0], examples)
    left_out: dict[str, Floats] = {}
    start = 0
    for arm, runs in measured.items():
        end = start + len(runs)
        row = next(row for row in rows if row.arm == arm)
        row.values, left_out[arm] = plain[start:end], replicates[:, start:end]
        row.described, row.over_seeds = summary(row.values.tolist()), t_interval(row.values.tolist())
        own = two_way.difference(row.values, None, left_out[arm], None, seedless=row.kind != "arm")
        row.own = _in_range(own, metric)
        start = end
    return left_out


def _named(arms: Sequence[Row], name: str, metric: str) -> Row | None:
    if name != "best":
        return next((row for row in arms if row.arm == name), None)
    defined = [row for row in arms if row.own is not None and np.isfinite(row.own.value)]
    return defined[best([row.own.value for row in defined if row.own], metric)] if defined else None


def _difference(row: Row, baseline: Row, left_out: dict[str, Floats]) -> two_way.Difference:
    assert row.values is not None
    assert baseline.values is not None
    seedless = {"seedless": row.kind != "arm", "theirs_seedless": baseline.kind != "arm"}
    return two_way.difference(row.values, baseline.values, left_out[row.arm], left_out[baseline.arm], **seedless)


def _compare(row: Row, baseline: Row, left_out: dict[str, Floats]) -> None:
    assert row.values is not None
    assert baseline.values is not None
    row.to_baseline = _difference(row, baseline, left_out)
    if row.kind != "arm" or baseline.kind != "arm":
        return
    row.improvement = probability_of_improvement(row.values.tolist(), baseline.values.tolist())
    if row.seeds == baseline.seeds and len(row.seeds) > 1:
        row.sign_flip, row.smallest_sign_flip = (
            significance.sign_flip(row.values.tolist(), baseline.values.tolist()),
            smallest_p(len(row.seeds)),
        )
    found = row.to_baseline
    if found.by_seeds is not None and found.value:
        of_seeds = float(row.values.var(ddof=1) + baseline.values.var(ddof=1))
        row.needed = seeds_needed(found.value, of_seeds, found.by_examples**2)


def _mark_best(arms: Sequence[Row], best_arm: Row | None, left_out: dict[str, Floats]) -> None:
    """Best (every arm of a tie), and those that are not shown to be worse than it, corrected for the choice of the best."""
    if best_arm is None or best_arm.values is None or best_arm.own is None:
        return
    others = [row for row in arms if row is not best_arm and row.own is not None and np.isfinite(row.own.value)]
    found = [_difference(row, best_arm, left_out) for row in others]
    best_arm.best = True
    for row, difference, p in zip(others, found, corrected(found, rows=len(others) + 1), strict=True):
        # Means of equal values may differ in the last digit.
        row.best = abs(difference.value) <= 1e-12
        row.as_good = not row.best and (p is None or p >= LEVEL)


def _judge(row: Row, lower: bool) -> None:
    if row.to_baseline is None or not row.competes:
        return
    if row.p is None:
        row.verdict = UNDEFINED if row.to_baseline.undefined else ONE_SEED
    elif row.p >= LEVEL:
        row.verdict = NOT_SHOWN
    else:
        row.verdict = BETTER if (row.to_baseline.value > 0) != lower else WORSE


def _column_warnings(frames: Frames, column: ColumnFacts, rows: Sequence[Row], results: pd.DataFrame) -> list[str]:
    found = []
    for row in rows:
        if row.kind == "arm" and row.missing:
            why = dict.fromkeys(each.why for each in frames.facts.missing if each.arm == row.arm and each.role == CONFIRM)
            reasons = f" ({', '.join(why)})" if any(why) else ""
            missing = f"seeds {', '.join(map(str, row.missing))} are missing{reasons}"
            found.append(f"{row.arm}: {missing}; its numbers are of {len(row.seeds)} seeds")
        if row.edges:
            found.append(f"{row.arm}: the chosen {' '.join(row.edges)} is at the edge of what was tried; a better one may lie beyond")
        if line := _recorded_otherwise(row, column.metric, results):
            found.append(line)
    confirmed = results[results["role"] == CONFIRM]
    of_rows = {int(value) for value in confirmed["train_rows"].dropna()} if "train_rows" in confirmed else set()
    if confirmed["data"].nunique() > 1:
        sizes = f" ({', '.join(f'{size:,}' for size in sorted(of_rows))} training examples)" if len(of_rows) > 1 else ""
        found.append(f"arms were trained on different data{sizes}, and tested on the same examples")
    if confirmed["machine"].nunique() > 1:
        usual = confirmed["machine"].value_counts().index[0]
        found.append(f"runs were made on {confirmed['machine'].nunique()} machines; cost columns are of {usual} alone")
    return found


def _recorded_otherwise(row: Row, metric: str, results: pd.DataFrame) -> str | None:
    """That the answers of a row do not give what its runs recorded, or None."""
    runs = results[(results["role"] == CONFIRM) & (results["arm"] == row.arm)]
    split = next((split for split in ("test", "validation") if f"{split}/{metric}" in runs), None)
    if row.kind != "arm" or row.own is None or split is None or runs[f"{split}/{metric}"].isna().any():
        return None
    mean = float(runs[f"{split}/{metric}"].astype(float).mean())
    if abs(mean - row.own.value) <= _TOLERANCE:
        return None
    return f"{row.arm}: the predictions give {metric} {row.own.value:.6f}, the runs recorded {mean:.6f}"


def _study_warnings(frames: Frames) -> list[str]:
    found = []
    runs = frames.results[frames.results["role"] != REFERENCE]
    if len(runs) and runs["code"].nunique() > 1:
        runs_by_code = ", ".join(f"{code}: {count} runs" for code, count in runs["code"].value_counts().items())
        found.append(f"runs were made with different code ({runs_by_code})")
    seeds = {arm.name: tuple(arm.seeds) for arm in frames.facts.arms}
    if len(set(seeds.values())) > 1:
        found.append("arms have different seeds: " + "; ".join(f"{name}: {', '.join(map(str, each))}" for name, each in seeds.items()))
    waiting = [each for each in frames.facts.missing if each.role == TRIAL]
    if waiting:
        found.append(
            f"{len(waiting)} trials have not finished, so that arms had unequal budgets: "
            + ", ".join(sorted({each.arm for each in waiting}))
        )
    return found
