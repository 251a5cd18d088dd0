"""`finecomb sweep`: the sweep.yaml of a W&B sweep, without its server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finecomb.launch.outcome import exit_code
from finecomb.launch.policy import Policy
from finecomb.studies.search.engine import Pruner, Settings
from finecomb.studies.search.run import run_search, search_name
from finecomb.studies.wandb_sweep import lint, words
from finecomb.studies.wandb_sweep.distributions import dimension
from finecomb.studies.wandb_sweep.sweep_file import WandbSweep

SAMPLERS = {"grid": "grid", "random": "random", "bayes": "gp"}


def run(path: Path, *, count: int | None, policy: Policy, extra: Sequence[str] = (), seed: int = 0) -> int:
    """Check the file, then run it to `count` runs in all (or its run_cap; a grid: all). Returns the exit code."""
    sweep = lint.lint(path, extra)
    trials = count if count is not None else sweep.run_cap
    if trials is None and sweep.method != "grid":
        raise lint.problem_of_count()
    settings = settings_of(sweep, extra, seed)
    return exit_code(run_search(settings, trials=trials, policy=policy, name=f"{sweep.name}-{search_name(settings)[-8:]}"))


def settings_of(sweep: WandbSweep, extra: Sequence[str] = (), seed: int = 0) -> Settings:
    """The sweep as a search. A constant is no part of the space, but of every command."""
    constants = {each.name: each.given["value"] for each in sweep.parameters if "value" in each.given}
    # W&B walks through a grid in alphabetical order of the keys.
    searched = sorted((each for each in sweep.parameters if each.name not in constants), key=lambda each: each.name)
    fixed = (*words.overrides(sweep, constants), *extra)

    def spell(values: Mapping[str, Any]) -> list[str]:
        return [word for word in words.overrides(sweep, values) if word not in fixed]

    return Settings(
        space={each.name: dimension(each) for each in searched},
        sampler=SAMPLERS[sweep.method],
        metric=sweep.metric or "validation/loss",
        mode="max" if sweep.goal == "maximize" else "min",
        seed=seed,
        pruner=pruner(sweep.early_terminate),
        fixed=fixed,
        spell=spell,
    )


def pruner(given: Mapping[str, Any]) -> Pruner:
    """W&B's brackets: min_iter, min_iter x eta, ...; or max_iter / eta, max_iter / eta^2, ... s times."""
    if not given:
        return Pruner()
    eta = int(given.get("eta", 3))
    if "max_iter" in given:
        found = [int(given["max_iter"] / eta**power) for power in range(int(given["s"]), 0, -1)]
    else:
        found = [int(given["min_iter"]) * eta**power for power in range(20)]
    return Pruner("bands", eta=eta, bands=tuple(band for band in dict.fromkeys(found) if band > 0), strict=bool(given.get("strict", False)))
