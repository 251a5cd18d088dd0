"""What reading the runs shows that makes rows less comparable than they look; the rest is found in the frames, by `analyze`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from finecomb.launch.outcome import in_pieces
from finecomb.runs.provenance import differences
from finecomb.studies.analysis.arms import Arm, ComparedRun


def without_repeats(grouped: Sequence[Arm]) -> tuple[list[Arm], list[str]]:
    """Arms with one run for each seed, the one created last of the finished ones; and a warning for each that is left out."""
    kept, warnings = [], []
    for arm in grouped:
        by_seed: dict[int, list[ComparedRun]] = {}
        for run in arm.runs:
            by_seed.setdefault(run.seed, []).append(run)
        chosen = [max(runs, key=lambda run: (run.state == "finished", run.record.created)) for runs in by_seed.values()]
        left_out = [run for run in arm.runs if run not in chosen]
        warnings += [f"{arm.label}: seed {run.seed} was run more than once; {run.path} is left out for a later one" for run in left_out]
        kept.append(Arm(arm.label, chosen))
    return kept, warnings


def of_memory(runs: Iterable[ComparedRun]) -> Iterable[str]:
    """Runs that were computed in smaller micro-batches than their config says."""
    for run in runs:
        if note := in_pieces(run.record, run.config["batch"]["micro_batches"]):
            yield f"{run.path.name} was {note}"


def other_surroundings(runs: Sequence[ComparedRun]) -> Iterable[str]:
    """Runs made with other packages or on other hardware than the first; other code is found in the frames."""
    known = [run for run in runs if run.provenance]
    groups: dict[tuple[str, ...], list[str]] = {}
    for run in known[1:]:
        lines = differences(known[0].provenance or {}, run.provenance or {})
        found = tuple(line for line in lines if not line.startswith("code"))
        if found:
            groups.setdefault(found, []).append(run.path.name)
    for found, names in groups.items():
        several = f" and {len(names) - 1} more" if len(names) > 1 else ""
        told = f"{names[0]}{several} differs from {known[0].path.name} in {'; '.join(found)}"
        yield f"{told}: times, and numbers within noise, may differ for that"
    if len(known) < len(runs):
        yield f"{len(runs) - len(known)} of {len(runs)} runs have no provenance: whether their code was the same is not known"


def zero_division_note(label: str, metric: str, count: int, runs: int) -> str:
    """How a metric of 0 / 0 was counted."""
    what = f"{label}: {metric} of {count} of {runs} runs is 0 / 0"
    return f"{what} (one class alone is predicted or labeled) and counts as 0, as in scikit-learn."
