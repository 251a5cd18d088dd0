"""What became of the rows, as a few lines of text: nothing is silently lost (counts are in each run's result.json too)."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from finecomb.config.schema.train import Config
from finecomb.data.dataset.manifest import Manifest
from finecomb.launch.freeze import Frozen
from finecomb.runs.result import RunResult


def funnel_lines(manifest: Manifest, name: str) -> list[str]:
    """A line for each step that dropped or changed rows of a split, and the rows that are left.

    manifest: of a prepared folder, with `funnel` (step, split, rows_in, rows_out, changed, reasons) and `rows` by split.
    """
    steps = [entry for entry in manifest.funnel if entry["rows_in"] != entry["rows_out"] or entry["changed"] or entry.get("kept")]
    lines = [f"data {name}: " + ", ".join(f"{split} {rows:,}" for split, rows in manifest.rows.items())]
    width = max([16, *(len(entry["step"]) + 2 for entry in steps)])
    for entry in steps:
        reasons = [f"{count:,} {reason}" for reason, count in entry["reasons"].items()]
        reasons += [f"{entry['changed']:,} changed"] if entry["changed"] else []
        reasons += [f"warning: {count:,} kept: {why}" for why, count in entry.get("kept", {}).items()]
        rows = f"{entry['rows_in']:,} -> {entry['rows_out']:,}" if entry["rows_in"] != entry["rows_out"] else f"{entry['rows_in']:,}"
        lines.append(f"  {entry['step']:<{width}}{entry['split']:<11}{rows:<18} {', '.join(reasons)}".rstrip())
    if any(entry.get("kept") for entry in steps):
        lines.append("  a test set that comes with the data loses no row; cleaner.keep_given_test=false cleans it too")
    if annotated := manifest.records.get("annotator"):
        lines += _labeling_lines(annotated)
    if weighted := [cell for cell in manifest.records.get("sampler", {}).get("cells", {}).items() if "weight" in cell[1]]:
        weights = ", ".join(f"{name} {cell['weight']:.3g} ({cell['rows']:,} rows)" for name, cell in weighted[:12])
        lines.append(f"  {'sampler':<{width}}{'train':<11}weights in the loss: {weights}{', ...' if len(weighted) > 12 else ''}")
    return lines


def _labeling_lines(record: dict[str, Any]) -> list[str]:
    """What the annotator's record says: a table of the labeling functions, the label models side by side, measures, the caveat."""
    lines = []
    if functions := record.get("functions"):
        shares = ("coverage", "overlap", "conflict", "accuracy", "agrees_with_model")
        width = max(8, *(len(each["name"]) for each in functions))
        lines.append(f"  {'function':<{width}}  {'label':<12}{'coverage':>9}{'overlap':>9}{'conflict':>9}{'accuracy':>9}{'with model':>11}")
        for each in functions:
            cells = ["-" if each.get(name) is None else f"{each[name]:.1%}" for name in shares]
            line = f"  {each['name']:<{width}}  {each['label'] or 'its own':<12}" + "".join(f"{cell:>9}" for cell in cells[:4])
            line += f"{cells[4]:>11}"
            notes = [
                f"{word} {', '.join(each[key])}"
                for key, word in (("repeats", "repeats"), ("votes_with", "speaks up with"))
                if each.get(key)
            ]
            lines.append(line + (f"  {'; '.join(notes)}" if notes else ""))
    for name, model in record.get("models", {}).items():
        right = "" if model["accuracy"] is None else f", right on {model['accuracy']:.1%} of {model['known']:,} rows with a known label"
        chosen = "label model " if name == record["model"] else "beside it "
        lines.append(f"  {chosen}{name}: the same label on {model['same_label']:.1%}{right}")
    if left_out := record.get("leave_one_out"):
        share = "-" if left_out["accuracy"] is None else f"{left_out['accuracy']:.1%}"
        # Folders prepared by an earlier version spell it with two l.
        count = left_out.get("labeled", left_out.get("labelled"))
        outcome = f"{count:,} of {left_out['rows']:,} labeled rows get a label from the others, {share} of them the right one"
        lines.append(f"  leaving one out: {outcome}")
    if given := record.get("accuracy_on_given_labels"):
        lines.append(f"  labels that were given: {given['right']:,} of {given['rows']:,} would be the same ({given['share']:.1%})")
    if (had := record.get("given_labels", {})).get("rows") and not had["kept"]:
        lines.append(f"  {had['rows']:,} labels that rows had are replaced; annotator.given_labels=keep keeps them")
    return [*lines, *([f"  {record['caveat']}"] if "caveat" in record else [])]


def print_data_summary(jobs: Iterable[Frozen]) -> None:
    """Print, once and on standard error, the funnel of each prepared folder that jobs still to be trained use, and steps never reached."""
    waiting = [job for job in jobs if job.config.rerun == "all" or not (job.run.path / "result.json").exists()]
    named = {job.record.inputs.data.directory: job.config.dataset.name for job in waiting}
    manifests = {directory: Manifest.read(Path(directory)) for directory in named}
    for directory, name in named.items():
        for line in funnel_lines(manifests[directory], name):
            print(line, file=sys.stderr)
        for step, record in manifests[directory].records.items():
            for warning in record.get("warnings", []):
                print(f"warning: {step}: {warning}", file=sys.stderr)
    capped = [_capped(job.config, manifests[job.record.inputs.data.directory].rows["train"]) for job in waiting]
    for line in dict.fromkeys(filter(None, capped)):
        print(line, file=sys.stderr)


def _capped(config: Config, rows: int) -> str | None:
    """That training ends before trainer.max_steps, or None."""
    trainer, size = config.trainer, config.batch.size
    steps = trainer.max_epochs * math.ceil(rows / size)
    if trainer.max_steps <= steps:
        return None
    end = f"trainer.max_epochs={trainer.max_epochs} ends training after {steps:,} steps"
    return f"trainer.max_steps={trainer.max_steps} is not reached: {end} (data {config.dataset.name}, batch.size={size})"


def truncation_line(result: RunResult) -> str | None:
    """How many texts of each split were cut at batch.max_length, or None when none was."""
    cut = {split: counts for split, counts in result.encoded.items() if counts["truncated_tokens"]}
    if not cut:
        return None
    cuts = [
        f"{split} {c['truncated_tokens']:,} tokens of {c['truncated_examples']:,} of {c['examples']:,} texts" for split, c in cut.items()
    ]
    return f"cut at batch.max_length={result.max_length}: " + "; ".join(cuts)
