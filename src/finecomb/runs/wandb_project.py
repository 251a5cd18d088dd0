"""Runs of a W&B project, through its public API."""

from __future__ import annotations

from typing import Any

from finecomb.config import renamed
from finecomb.core.errors import ConfigError, Problem
from finecomb.runs.wandb_folder import WandbRun

PREFIX = "wandb:"
MOST = 2000


def read(address: str) -> list[WandbRun]:
    """The runs of `wandb:entity/project`, at most 2,000. Raises ConfigError when W&B cannot be asked."""
    path = address.removeprefix(PREFIX)
    if path.count("/") != 1 or not all(path.split("/")):
        raise ConfigError(Problem(f"{address} names no project", "command line", "wandb:entity/project"))
    try:
        found: list[WandbRun] = []
        for run in _api().runs(path, per_page=200):
            if len(found) == MOST:
                break
            found.append(_run(run))
    except ConfigError:
        raise
    except Exception as error:  # W&B's client raises many kinds, none of them told in its documentation
        hint = "wandb login, and check the name; offline folders are read without an account"
        raise ConfigError(Problem(f"W&B cannot be asked for {path}: {error}", address, hint=hint)) from error
    return found


def _api() -> Any:
    import wandb

    return wandb.Api(timeout=30)


def _run(run: Any) -> WandbRun:
    codes = {"finished": 0, "failed": 1, "crashed": 1, "killed": 1}
    return WandbRun(
        id=run.id,
        name=run.name,
        project=run.project,
        group=run.group or "",
        job_type=run.job_type or "",
        tags=list(run.tags),
        config=renamed.current_flat({key: value for key, value in run.config.items() if not key.startswith("_")}),
        summary={key: value for key, value in dict(run.summary).items() if isinstance(value, int | float)},
        exit_code=codes.get(run.state),
    )
