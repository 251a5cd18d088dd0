"""What `finecomb annotate agreement` shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = list[str | float | None]


def show(summary: Mapping[str, Any]) -> None:
    """Print the agreement of annotators as tables; a dash where a number cannot be computed."""
    from rich.console import Console

    console = Console(highlight=False)
    answered = ", ".join(f"{name} {count:,}" for name, count in summary["answered"].items())
    console.print(f"{summary['rows']:,} rows; answered by {answered}", markup=False)
    if "labels" in summary:
        _labels(console, summary["labels"])
    if "spans" in summary:
        _spans(console, summary["spans"])
    if "labels" not in summary and "spans" not in summary:
        console.print("nobody gave a label", markup=False)


def _labels(console: Any, labels: Mapping[str, Any]) -> None:
    from finecomb.runs.show import table

    two, whole = labels["rows_with_two"], labels["rows_with_all"]
    alpha = f"{_number(labels['krippendorff_alpha'])}{_interval(labels.get('krippendorff_alpha_95'))}"
    console.print(f"\nKrippendorff's alpha {alpha} on {two:,} rows with two answers or more", markup=False)
    console.print(f"Fleiss' kappa {_number(labels['fleiss_kappa'])} on {whole:,} rows that all answered\n", markup=False)
    rows: list[Row] = [
        [" and ".join(pair["annotators"]), f"{pair['rows']:,}", _number(pair["agreement"]),
         _number(pair["cohen_kappa"]) + _interval(pair.get("cohen_kappa_95"))]
        for pair in labels["pairs"]
    ]  # fmt: skip
    table(console, ["pair", "rows in common", "same", "Cohen's kappa"], rows)
    names = list(labels["per_label"][0]["given"])
    per_label: list[Row] = [
        [each["label"], *(f"{each['given'][name]:,}" for name in names), _number(each["krippendorff_alpha"])]
        for each in labels["per_label"]
    ]
    console.print()
    table(console, ["label", *(f"given by {name}" for name in names), "alpha, this label or not"], per_label)
    for pair in labels["pairs"]:
        one, other = pair["annotators"]
        console.print(f"\nrows: {one}; columns: {other}", markup=False)
        counts: list[Row] = [
            [name, *(f"{count:,}" for count in line)] for name, line in zip(labels["categories"], pair["confusion"], strict=True)
        ]
        table(console, ["", *labels["categories"]], counts)


def _spans(console: Any, spans: Mapping[str, Any]) -> None:
    from finecomb.runs.show import table

    console.print()
    rows: list[Row] = []
    for pair in spans["pairs"]:
        for each in [{"label": "all"} | {name: pair[name] for name in ("exact", "overlap")}, *pair["per_label"]]:
            first = " and ".join(pair["annotators"]) if each["label"] == "all" else ""
            interval = _interval(pair.get("exact_95")) if each["label"] == "all" else ""
            counts = " / ".join(f"{count:,}" for count in each["exact"]["spans"])
            rows.append([first, each["label"], counts, _number(each["exact"]["f1"]) + interval, _number(each["overlap"]["f1"])])
    table(console, ["pair", "spans of", "each", "F1, exact", "F1, overlap"], rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(bounds: list[float] | None) -> str:
    return "" if bounds is None else f" [{bounds[0]:.3f}, {bounds[1]:.3f}]"
