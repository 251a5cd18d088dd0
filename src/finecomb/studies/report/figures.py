"""A study's figures as SVG, by matplotlib without a display: intervals, quality against cost, learning curves, budget curves.

The same analysis gives the same bytes: no date, and ids from a fixed salt.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from finecomb.studies.analysis.frames import CONFIRM, Frames
from finecomb.studies.analysis.rows import Analysis, ColumnTable, Row
from finecomb.studies.report.formatting import is_share
from finecomb.studies.report.tables import heading

if TYPE_CHECKING:
    import pandas as pd

# Okabe & Ito 2008: told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666", "#000000")
_STYLES = ("-", "--", ":", "-.")


def figures(analysis: Analysis, frames: Frames) -> dict[str, str]:
    """File name -> SVG text; only figures for which there are numbers."""
    found: dict[str, str] = {}
    for column in analysis.columns:
        several = len({each.metric for each in analysis.columns if each.name == column.name}) > 1
        suffix = "".join(f"_{re.sub(r'[^a-z0-9]+', '_', part.lower())}" for part in (column.name, column.metric if several else "") if part)
        for name, svg in _of_column(column, frames):
            found[f"{name}{suffix}.svg"] = svg
    return found


def _of_column(column: ColumnTable, frames: Frames) -> Iterator[tuple[str, str]]:
    measured = [row for row in column.rows if row.own is not None]
    if not measured:
        return
    yield "intervals", _intervals(column)
    if any(len(points) > 1 for points in sizes(column, frames).values()):
        yield "data_size", _data_size(column, sizes(column, frames))
    costed = [row for row in measured if row.kind == "arm" and row.costs.get("train_s")]
    if len(costed) > 1:
        yield "pareto", _pareto(column, costed)
    curves = frames.curves[(frames.curves["column"] == column.name) & (frames.curves["role"] == CONFIRM)]
    curves = curves[curves["name"] == f"validation/{column.metric}"]
    if len(curves):
        yield "learning_curves", _learning_curves(column, curves)
    if any(len(row.expected) > 1 for row in column.rows):
        yield "budget", _budget(column)


def _canvas(width: float, height: float) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update(
        {"svg.hashsalt": "finecomb", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    # Readers of a terminal diff are thankful for lines without trailing blanks.
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _factor(column: ColumnTable) -> float:
    return 100.0 if is_share(column.metric) else 1.0


def _wrapped(name: str) -> str:
    """The name of an arm on lines short enough to leave room for the figure."""
    return "\n".join(textwrap.wrap(name, 36, break_long_words=False, break_on_hyphens=False)) or name


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _style(number: int) -> str:
    return _STYLES[number // len(COLOURS) % len(_STYLES)]


def _intervals(column: ColumnTable) -> str:
    """Each row's mean with its interval over seeds and examples, and the seeds themselves."""
    rows = [row for row in column.rows if row.own is not None or row.published is not None]
    figure, axes = _canvas(6.4, 0.6 + sum(0.2 + 0.12 * (_wrapped(row.arm).count("\n") + 1) for row in rows))
    factor = _factor(column)
    for position, row in enumerate(reversed(rows)):
        colour = COLOURS[0] if row.kind == "arm" else COLOURS[6]
        if row.own is None:
            axes.plot([row.published], [position], marker="D", color=colour, linestyle="none", markersize=4)
            continue
        between = row.own.interval or row.own.over_examples
        axes.plot([between.low * factor, between.high * factor], [position, position], color=colour, linewidth=2.2, alpha=0.55)
        if row.values is not None and row.kind == "arm":
            axes.plot(
                row.values * factor, np.full(len(row.values), position), marker="|", color=colour, linestyle="none", markersize=8, alpha=0.8
            )
        axes.plot([row.own.value * factor], [position], marker="o", color=colour, markersize=5)
    axes.set_yticks(range(len(rows)), [_wrapped(row.arm) for row in reversed(rows)])
    axes.set_xlabel(f"{heading(column)} (line: 95 % over seeds and examples; ticks: seeds)")
    axes.grid(axis="x", alpha=0.25)
    return _svg(figure)


def sizes(column: ColumnTable, frames: Frames) -> dict[str, list[tuple[int, Row]]]:
    """Arms that differ in the number of training examples alone, under the rest of their name, each with its sizes."""
    confirmed = frames.results[(frames.results["column"] == column.name) & (frames.results["role"] == CONFIRM)]
    rows_of = {arm: int(group["train_rows"].iloc[0]) for arm, group in confirmed.groupby("arm") if group["train_rows"].notna().all()}
    found: dict[str, list[tuple[int, Row]]] = {}
    for row in column.rows:
        if row.arm in rows_of and row.own is not None:
            name = " ".join(word for word in row.arm.split(" ") if not word.startswith("train=")) or row.arm
            found.setdefault(name, []).append((rows_of[row.arm], row))
    return found


def _data_size(column: ColumnTable, found: dict[str, list[tuple[int, Row]]]) -> str:
    """Quality against the number of training examples, with intervals over seeds and examples."""
    figure, axes = _canvas(6.4, 4.0)
    factor = _factor(column)
    for number, (name, points) in enumerate(found.items()):
        points = sorted(points, key=lambda point: point[0])
        counts = np.array([count for count, _ in points], dtype=np.float64) * (1 + 0.02 * (number - len(found) / 2))
        means = np.array([row.own.value if row.own else np.nan for _, row in points]) * factor
        ends = [(row.own.interval or row.own.over_examples) if row.own else None for _, row in points]
        low = means - np.array([end.low if end else np.nan for end in ends]) * factor
        high = np.array([end.high if end else np.nan for end in ends]) * factor - means
        axes.errorbar(
            counts,
            means,
            yerr=[low, high],
            color=_colour(number),
            linestyle=_style(number),
            marker="o",
            markersize=3,
            label=_wrapped(name),
            capsize=2,
        )
    axes.set_xscale("log")
    ticks = sorted({count for points in found.values() for count, _ in points})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("training examples (bars: 95 % over seeds and examples)")
    axes.set_ylabel(heading(column))
    axes.legend(frameon=False, fontsize=8, ncols=2)
    axes.grid(alpha=0.25)
    return _svg(figure)


def _pareto(column: ColumnTable, rows: Sequence[Row]) -> str:
    """Quality against training seconds; the area of a dot grows with the trainable parameters; the front is drawn."""
    figure, axes = _canvas(6.4, 4.0)
    factor = _factor(column)
    points = [(float(row.costs["train_s"] or 0), row.own.value * factor if row.own else 0.0, row) for row in rows]
    for number, (seconds, value, row) in enumerate(points):
        size = 20 + 12 * np.log10(max(1.0, row.costs.get("parameters_trainable") or 1.0))
        axes.scatter([seconds], [value], s=size, color=_colour(number), alpha=0.8, label=_wrapped(row.arm))
    front = pareto_front([(seconds, value) for seconds, value, _ in points], lower_is_better=column.lower_is_better)
    line = sorted((points[index][0], points[index][1]) for index in front)
    axes.plot([x for x, _ in line], [y for _, y in line], color="#999999", linewidth=1, linestyle=":", zorder=0)
    axes.set_xlabel("training seconds of one run (larger dot: more trainable parameters)")
    axes.set_ylabel(heading(column))
    axes.legend(frameon=False, fontsize=8, ncols=2)
    axes.grid(alpha=0.25)
    return _svg(figure)


def pareto_front(points: Sequence[tuple[float, float]], *, lower_is_better: bool = False) -> list[int]:
    """Indices of the points (cost, quality) that no other beats in one and equals in the other."""
    sign = -1.0 if lower_is_better else 1.0

    def beaten(cost: float, quality: float) -> bool:
        return any(c <= cost and sign * q >= sign * quality and (c < cost or sign * q > sign * quality) for c, q in points)

    return [index for index, (cost, quality) in enumerate(points) if not beaten(cost, quality)]


def _learning_curves(column: ColumnTable, curves: pd.DataFrame) -> str:
    """The metric on validation by optimizer step: mean over seeds, and one standard deviation."""
    figure, axes = _canvas(6.4, 4.0)
    factor = _factor(column)
    for number, row in enumerate(row for row in column.rows if row.kind == "arm"):
        curve = curves[curves["arm"] == row.arm].groupby("step")["value"].agg(["mean", "std"])
        if not len(curve):
            continue
        steps, mean, spread = curve.index.to_numpy(), curve["mean"].to_numpy() * factor, curve["std"].fillna(0.0).to_numpy() * factor
        axes.plot(steps, mean, color=_colour(number), linestyle=_style(number), marker="o", markersize=3, label=_wrapped(row.arm))
        axes.fill_between(steps, mean - spread, mean + spread, color=_colour(number), alpha=0.15, linewidth=0)
    axes.set_xlabel("optimizer step (band: one standard deviation over seeds)")
    axes.set_ylabel(f"validation/{column.metric}")
    axes.legend(frameon=False, fontsize=8, ncols=2)
    axes.grid(alpha=0.25)
    return _svg(figure)


def _budget(column: ColumnTable) -> str:
    """Expected best validation score after k of the trials (Tang et al. 2020), against training seconds."""
    figure, axes = _canvas(6.4, 4.0)
    factor = _factor(column)
    for number, row in enumerate(row for row in column.rows if row.expected):
        seconds = np.arange(1, len(row.expected) + 1) * (row.trial_seconds or 1.0)
        axes.plot(
            seconds,
            np.asarray(row.expected) * factor,
            color=_colour(number),
            linestyle=_style(number),
            marker="o",
            markersize=3,
            label=_wrapped(row.arm),
        )
    axes.set_xlabel("training seconds of k trials, k = 1, 2, ... (drawn at random from those made)")
    axes.set_ylabel(f"expected best validation/{column.metric}")
    axes.legend(frameon=False, fontsize=8, ncols=2)
    axes.grid(alpha=0.25)
    return _svg(figure)
