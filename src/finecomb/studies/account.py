"""What became of the rows, as a few lines of text: nothing is silently lost (counts are in each run's result.json too)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from finecomb.runs import files
from finecomb.studies.freeze import Frozen


def funnel_lines(manifest: dict[str, Any], name: str) -> list[str]:
    """A line for each step that dropped or changed rows of a split, and the rows that are left.

    manifest: of a prepared folder, with `funnel` (step, split, rows_in, rows_out, changed, reasons) and `rows` by split.
    """
    steps = [entry for entry in manifest["funnel"] if entry["rows_in"] != entry["rows_out"] or entry["changed"]]
    lines = [f"data {name}: " + ", ".join(f"{split} {rows:,}" for split, rows in manifest["rows"].items())]
    width = max([16, *(len(entry["step"]) + 2 for entry in steps)])
    for entry in steps:
        reasons = [f"{count:,} {reason}" for reason, count in entry["reasons"].items()]
        reasons += [f"{entry['changed']:,} changed"] if entry["changed"] else []
        rows = f"{entry['rows_in']:,} -> {entry['rows_out']:,}" if entry["rows_in"] != entry["rows_out"] else f"{entry['rows_in']:,}"
        lines.append(f"  {entry['step']:<{width}}{entry['split']:<11}{rows:<18} {', '.join(reasons)}".rstrip())
    if annotated := manifest.get("records", {}).get("annotator"):
        lines += [
            f"  rule {rule['name']}: {rule['label']} for {rule['coverage']:.1%} of the texts, {rule['conflict']:.1%} against another rule"
            for rule in annotated["functions"]
        ]
        lines.append(f"  {annotated['caveat']}")
    if weighted := [cell for cell in manifest.get("records", {}).get("sampler", {}).get("cells", {}).items() if "weight" in cell[1]]:
        told = ", ".join(f"{name} {cell['weight']:.3g} ({cell['rows']:,} rows)" for name, cell in weighted[:12])
        lines.append(f"  {'sampler':<{width}}{'train':<11}weights in the loss: {told}{', ...' if len(weighted) > 12 else ''}")
    return lines


def tell_data(jobs: Iterable[Frozen]) -> None:
    """Print the funnel of each prepared folder that jobs still to be trained use, once, on standard error."""
    waiting = [job for job in jobs if not (job.run.path / "result.json").exists()]
    named = {job.record["inputs"]["data"]["directory"]: job.config["dataset"]["name"] for job in waiting}
    for directory, name in named.items():
        for line in funnel_lines(files.read_json(Path(directory) / "manifest.json"), name):
            print(line, file=sys.stderr)


def truncation_line(result: dict[str, Any]) -> str | None:
    """How many texts of each split were cut at batch.max_length, or None when none was."""
    encoded = result.get("counts", {}).get("encoded", {})
    cut = {split: counts for split, counts in encoded.items() if counts["truncated_tokens"]}
    if not cut:
        return None
    told = [
        f"{split} {c['truncated_tokens']:,} tokens of {c['truncated_examples']:,} of {c['examples']:,} texts" for split, c in cut.items()
    ]
    return f"cut at batch.max_length={result['config']['batch']['max_length']}: " + "; ".join(told)
