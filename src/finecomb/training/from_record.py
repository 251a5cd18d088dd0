"""Mirrors finished runs from their records: `python -m finecomb.training.from_record RUN_DIR ...`, the logger's config as JSON on stdin."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections.abc import Sequence

from finecomb.config import plugins
from finecomb.config.plain import from_plain
from finecomb.config.schema.logger import Logger, Wandb
from finecomb.runs.directory import RunDirectory
from finecomb.runs.metrics import concise
from finecomb.runs.result import RunResult
from finecomb.training import logger
from finecomb.training.mirrors import Mirror


def main(paths: Sequence[str]) -> int:
    """Mirror each run; returns how many were not mirrored."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    given, missed = json.load(sys.stdin), 0
    for path in paths:
        run = RunDirectory(path)
        with run.lock():
            plugins.load(run.record.plugins)
            if mirror(run, from_plain({**run.config, "logger": given}).logger):
                run.write_record(dataclasses.replace(run.record, mirrored=[*run.record.mirrored, given["name"]]))
            else:
                missed += 1
    return missed


def mirror(run: RunDirectory, config: Logger) -> bool:
    """Log metrics.jsonl, the final metrics, costs and tables of a finished run, as its worker would have; whether it worked.

    What belongs to the process that trained (its system metrics, code and console) is not in the record and is not logged.
    """
    outcome = run.outcome() or RunResult()
    if isinstance(config, Wandb):
        config = dataclasses.replace(config, system_metrics=False, code=False, console=False)
    loggers = logger.build(config, run)
    final = {"step": outcome.steps, **outcome.metrics}
    for line in [*run.metrics(), final]:
        values = {name: value for name, value in concise(line).items() if name not in ("step", "seconds") and value is not None}
        for each in loggers:
            each.log_metrics(values, line["step"])
    logger.finish(loggers, 0)
    return not any(isinstance(each, Mirror) and each.is_off for each in loggers)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
