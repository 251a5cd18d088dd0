"""What `finecomb prepare` found, as tables of a W&B run: funnel, overlap of the splits, samples of what was dropped and changed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finecomb.config.schema.logger import Logger, Wandb
from finecomb.runs.wandb_account import mode, settings


def mirror(told: Mapping[str, Any], folder: Path, logger: Logger) -> None:
    """Log what data.json holds. A mirror that fails is told on standard error and is no reason to fail.

    logger: with logger=wandb its project, entity, group, tags and mode; for any other choice the project is `finecomb`.
    """
    import wandb

    config = logger if isinstance(logger, Wandb) else None
    os.environ.setdefault("WANDB_DATA_DIR", str((folder / "wandb" / "data").resolve()))
    try:
        place: dict[str, Any] = {"project": "finecomb"}
        if config is not None:
            place = {"project": config.project, "entity": config.entity, "group": config.group, "tags": list(config.tags)}
        run = wandb.init(
            mode=mode(config.mode if config else "auto", os.environ), dir=str(folder), reinit="create_new", settings=settings(), **place,
            id=f"data-{told['key']}", resume="allow", name=told["name"], job_type="prepare",
            config={"source": told["source"], "license": told["license"], "content_hash": told["content_hash"]},
        )  # fmt: skip
        run.log(tables(told) | {f"rows/{split}": rows for split, rows in told["rows"].items()})
        run.finish(exit_code=0)
        wandb.teardown(0)
    except Exception as error:  # whatever W&B raises, the data are there
        print(f"finecomb: nothing more goes to W&B: {type(error).__name__}: {error}", file=sys.stderr)


def tables(told: Mapping[str, Any]) -> dict[str, Any]:
    """The tables by name."""
    import wandb

    def table(columns: list[str], rows: list[list[Any]]) -> Any:
        return wandb.Table(columns=columns, data=rows)

    counts = ["rows_in", "rows_out", "bytes_in", "bytes_out", "changed"]
    why = [[", ".join(f"{count:,} {reason}" for reason, count in step["reasons"].items())] for step in told["steps"]]
    funnel = [[step["name"], *(step[key] for key in counts), step["seconds"], *of] for step, of in zip(told["steps"], why, strict=True)]
    overlap = [[pair, found["exact"], found["near"], found["ngram_13"]] for pair, found in told["overlap"].items()]
    samples = [[each["step"], each["reason"], each["split"], each["id"], each["before"], each["after"]] for each in told["examples"]]
    return {
        "data/funnel": table(["step", *counts, "seconds", "reasons"], funnel),
        "data/overlap": table(["splits", "exact", "near", "ngram_13"], overlap),
        "data/samples": table(["step", "reason", "split", "id", "before", "after"], samples),
    }
