"""The tables of a study or comparison as cells, Markdown and CSV. The same analysis gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from finecomb.config.plugins import lower_is_better
from finecomb.studies.analysis.caveats import zero_division_note
from finecomb.studies.analysis.frames import Frames
from finecomb.studies.analysis.references import SETTINGS
from finecomb.studies.analysis.rows import NOT_SHOWN, Analysis, ColumnTable, Row
from finecomb.studies.analysis.statistics.corrected import few_seeds, uneven_seeds
from finecomb.studies.report.formatting import NONE, bytes_text, interval_text, is_share, pipes, writer_of


@dataclass(frozen=True)
class Grid:
    """A titled table of cells as text; the first column stands left, the others right. marks: cells that are best, or as good."""

    title: str
    header: list[str]
    cells: list[list[str]]


def grids(analysis: Analysis) -> list[Grid]:
    """An overview where there are several columns, then for each column its scores and differences, then costs."""
    several = [_overview(analysis)] if len(analysis.columns) > 1 else []
    once = {column.name: column for column in reversed(analysis.columns)}.values()
    costs = [_costs(column, rates=analysis.facts.is_comparison) for column in reversed(once)]
    return [*several, *(_scores(column) for column in analysis.columns), *costs]


def row_names(analysis: Analysis) -> list[str]:
    """Every row of any column, in order."""
    return list(dict.fromkeys(row.arm for column in analysis.columns for row in column.rows))


def markdown(analysis: Analysis) -> str:
    """table.md."""
    facts = analysis.facts
    title = [f"# {facts.name}", facts.question] if facts.question else [f"# {facts.name}"]
    return "\n\n".join(title) + "\n\n" + markdown_of(grids(analysis), warnings(analysis), notes(analysis))


def markdown_of(given: Sequence[Grid], warned: Sequence[str], noted: Sequence[str]) -> str:
    """Tables with warnings and notes."""
    parts = []
    for grid in given:
        parts.append("\n".join([f"**{grid.title}**", "", *pipes([grid.header, ["---"] + ["---:"] * (len(grid.header) - 1), *grid.cells])]))
    if warned:
        parts.append("\n".join(f"- Warning: {line}" for line in warned))
    parts.append("\n".join(f"- {line}" for line in noted))
    return "\n\n".join(parts) + "\n"


def heading(column: ColumnTable) -> str:
    """Data, split, metric and unit of a column."""
    unit = ", %" if is_share(column.metric) else ""
    name = column.name or column.facts.dataset or ""
    return f"{name}: {column.split}/{column.metric}{unit}"


def _overview(analysis: Analysis) -> Grid:
    cells = []
    for name in row_names(analysis):
        found = [next((row for row in column.rows if row.arm == name), None) for column in analysis.columns]
        cells.append([name, *(_value(row, column) if row else NONE for row, column in zip(found, analysis.columns, strict=True))])
    return Grid("all columns, mean ± half of the 95 % interval over seeds and examples", ["", *map(heading, analysis.columns)], cells)


def _value(row: Row, column: ColumnTable) -> str:
    show = writer_of(column.metric)
    if row.kind == "published" and row.published is not None:
        return f"{row.published:g}" + (f" ± {row.spread:g}" if row.spread is not None else "")
    if row.own is None:
        return "not measured"
    half = "" if row.own.interval is None or row.kind != "arm" else f" ± {show((row.own.interval.high - row.own.interval.low) / 2, False)}"
    text = f"{show(row.own.value, False)}{half}"
    return f"**{text}**" if row.best else text


def _scores(column: ColumnTable) -> Grid:
    against = f"minus {column.baseline}" if column.baseline else "difference"
    header = ["", column.metric, "95 % interval", "std", against, "95 % interval", "p (corrected)", "verdict", "seeds"]
    return Grid(heading(column), header, [_score_cells(row, column) for row in column.rows])


def _score_cells(row: Row, column: ColumnTable) -> list[str]:
    show = writer_of(column.metric)
    if row.kind == "published" and row.published is not None:
        spread = NONE if row.spread is None else f"{row.spread:g}"
        return [row.arm, f"{row.published:g}", NONE, spread, *[NONE] * 3, "published", NONE]
    if row.own is None or row.described is None:
        return [row.arm, "not measured", *[NONE] * 6, "0"]
    value = show(row.own.value, False)
    value = f"**{value}**" if row.best else value
    own = row.own.interval or row.own.over_examples
    mark = "" if row.own.interval is not None else " (examples only)"
    deviation = NONE if row.kind != "arm" else "not measured" if row.described.deviation is None else show(row.described.deviation, False)
    seeds = str(len(row.seeds)) if row.kind == "arm" else NONE
    return [row.arm, value, interval_text(own, show, False) + mark, deviation, *_difference_cells(row, show), seeds]


def _difference_cells(row: Row, show: Callable[[float, bool], str]) -> list[str]:
    found = row.to_baseline
    if found is None:
        return [NONE] * 4
    between = found.interval or found.over_examples
    mark = "" if found.interval is not None else " (examples only)"
    p = NONE if row.p is None else "< 0.001" if row.p < 0.001 else f"{row.p:.3f}"
    return [show(found.value, True), interval_text(between, show, True) + mark, p, row.verdict or NONE]


def _costs(column: ColumnTable, *, rates: bool) -> Grid:
    """rates: show learning rates, which a study has in its settings."""
    rows = [row for row in column.rows if row.kind != "published"]
    tuned = any(row.setting for row in rows)
    header = ["", *(["chosen setting", "trials"] if tuned else []), *(["learning rate"] if rates else [])]
    header += ["trainable parameters", "stored", "training seconds", "peak memory", "tokens per second"]
    cells = []
    for row in rows:
        costs = row.costs
        chosen = [row.setting or NONE, str(row.trials) if row.trials else NONE] if tuned else []
        chosen += [NONE if row.learning_rate is None else f"{row.learning_rate:g}"] if rates else []
        trainable, seconds, rate = costs.get("parameters_trainable"), costs.get("train_s"), costs.get("tokens_per_s")
        cells.append(
            [
                row.arm,
                *chosen,
                NONE if trainable is None else f"{trainable:,.0f}",
                bytes_text(costs.get("stored_bytes")),
                NONE if seconds is None else f"{seconds:.1f}",
                bytes_text(costs.get("peak_bytes")),
                NONE if rate is None else f"{rate:,.0f}",
            ]
        )
    name = column.name or str(column.facts.dataset or "")
    return Grid(f"{name}: cost of one run (means over seeds, on one machine)", header, cells)


def warnings(analysis: Analysis) -> list[str]:
    """Everything that makes rows less comparable, each with its column."""
    several = len({column.name for column in analysis.columns}) > 1
    own = [f"{column.name}: {line}" if several else line for column in analysis.columns for line in column.warnings]
    return list(dict.fromkeys([*analysis.warnings, *own]))


def notes(analysis: Analysis) -> list[str]:
    """How to read the tables."""
    found = [f"{column.name or column.facts.dataset}: {column.examples:,} {column.split} examples." for column in analysis.columns]
    if any(column.split == "validation" for column in analysis.columns):
        found.append("There are no test predictions: these are validation numbers, on which the checkpoint and perhaps more was chosen.")
    models = {(column.facts.model, column.facts.model_note) for column in analysis.columns if column.facts.model}
    found += [f"Model: {name}{f' ({note})' if note else ''}." for name, note in sorted(models, key=str)]
    found.append(
        "95 % interval: for other seeds and other test examples together (crossed variances, Student's t; one seed: examples only). "
        "std: standard deviation over seeds (n - 1) on these examples."
    )
    found += _correction(analysis)
    for column in analysis.columns:
        if not lower_is_better(column.metric):
            found += [uneven_seeds({row.arm: row.described.deviation if row.described else None for row in column.rows}) or ""]
    for column in analysis.columns:
        found += [
            zero_division_note(row.arm, column.metric, row.zero_divisions, max(1, len(row.seeds)))
            for row in column.rows
            if row.zero_divisions
        ]
        found += _undefined(column)
    found += _power(analysis)
    tune = analysis.facts.tune
    if tune:
        budget = f"{tune.trials} trials" if tune.trials else f"{tune.seconds:g} seconds of training"
        found.append(
            f"Each arm had {budget} ({tune.search} search, seed {tune.seed}), chosen on validation without a look at the test set; "
            "the numbers above are of its winner on other seeds."
        )
    if analysis.facts.baseline == "best":
        found.append("The baseline is the best row on these same examples, which flatters its own value.")
    for column in analysis.columns:
        found += [f"{row.arm}: {row.source}." for row in column.rows if row.source]
        if analysis.facts.is_comparison:
            found += [f"{row.arm}: {SETTINGS[row.arm]}." for row in column.rows if row.kind == "fitted"]
    return list(dict.fromkeys(filter(None, found)))


def _undefined(column: ColumnTable) -> Iterator[str]:
    """Values without an interval, and intervals without a width: the jackknife cannot imagine errors that were never made."""
    measured = [row for row in column.rows if row.own is not None]
    for row in measured:
        if row.own is not None and row.own.undefined and row.kind == "arm":
            what = "for these answers" if row.own.value != row.own.value else "without some of the examples, so that it has no interval"
            yield f"{row.arm}: {column.metric} is undefined {what}; the row is not compared."
    flat = [row.arm for row in measured if row.interval and row.interval.low == row.interval.high]
    if flat:
        # Hanley & Lippman-Hand 1983: without an error in n trials, the 95 % bound of the rate of errors is about 3 / n.
        unseen = f"with {column.examples} examples, errors in {3 / column.examples:.1%} of cases may go unseen"
        yield f"{', '.join(flat)}: an interval without width is no certainty; {unseen}."


def _correction(analysis: Analysis) -> list[str]:
    """What p is corrected for."""
    comparisons = sum(row.p is not None for column in analysis.columns for row in column.rows)
    if not comparisons:
        return []
    how = f"by Holm for the {comparisons} comparisons of this study"
    if analysis.facts.baseline == "best":
        how = "for the choice of the best row"
        how += f" and the {len(analysis.columns)} columns" if len(analysis.columns) > 1 else ""
    if analysis.facts.is_comparison:
        rows = max(sum(row.competes and row.own is not None for row in column.rows) for column in analysis.columns)
        best = analysis.facts.baseline == "best"
        how = f"for the choice of the best of {rows} rows" if best else f"by Holm for the {rows - 1} comparisons with that row"
        how += ", within each metric" if len(analysis.columns) > 1 else ""
    limits = few_seeds([len(row.seeds) for column in analysis.columns for row in column.rows if row.p is not None])
    return [
        f"p: of the difference over seeds and examples, two-sided, corrected {how}, so that a study of equal arms has a finding in "
        f"5 % at most; better or worse below 0.05.{limits} Intervals are of one comparison and not corrected, so that one may exclude "
        "0 where no difference is shown. Bold: the best mean of the column."
    ]


def _power(analysis: Analysis) -> list[str]:
    """What the number of seeds can show at best."""
    found = []
    flips = {row.smallest_sign_flip for column in analysis.columns for row in column.rows if row.smallest_sign_flip is not None}
    if flips and max(flips) > 0.05:
        found.append(
            f"An exact sign-flip test paired by seed could not go below p = {max(flips):g} with so few seeds, whatever the difference."
        )
    for column in analysis.columns:
        place = f"{column.name}, " if column.name else ""
        open_rows = [row for row in column.rows if row.verdict == NOT_SHOWN and row.to_baseline and row.to_baseline.value]
        seeds_needed = ", ".join(f"{row.arm} {row.needed}" for row in open_rows if row.needed)
        if seeds_needed:
            found.append(f"{place}seeds of each arm that would show a difference of the size seen with a chance of 80 %: {seeds_needed}.")
        if few := ", ".join(row.arm for row in open_rows if not row.needed):
            found.append(f"{place}{few}: too few test examples to show a difference of the size seen, whatever the number of seeds.")
    return found


def csv(frames: Frames) -> str:
    """results.csv: results.parquet as text, one row for each run."""
    text: str = frames.results.to_csv(index=False, lineterminator="\n")
    return text


def plain_rows(analysis: Analysis) -> list[dict[str, object]]:
    """One row for each arm and column, as numbers; None where nothing is known."""
    return [_plain_row(row, column) for column in analysis.columns for row in column.rows]


def _plain_row(row: Row, column: ColumnTable) -> dict[str, object]:
    score = row.own and (row.own.interval or row.own.over_examples)
    found = row.to_baseline
    between = found and (found.interval or found.over_examples)
    return {
        "column": column.name,
        "metric": f"{column.split}/{column.metric}",
        "row": row.arm,
        "kind": row.kind,
        "seeds": len(row.seeds),
        "value": row.own.value if row.own else row.published,
        "low": score and score.low,
        "high": score and score.high,
        "compared_with": column.baseline if found else None,
        "difference": found and found.value,
        "difference_low": between and between.low,
        "difference_high": between and between.high,
        "p": row.p,
        "verdict": row.verdict or None,
        "std": row.described.deviation if row.described else row.spread,
    }


def plain_table(grid: Grid) -> list[Sequence[str]]:
    """Header and cells without Markdown's bold, for pages that mark the best themselves."""
    return [grid.header, *([cell.replace("**", "") for cell in row] for row in grid.cells)]
