"""Runs that had finished before with another logger are mirrored from their records to the logger that is requested now."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from finecomb.config.plain import to_plain
from finecomb.launch.freeze import Frozen
from finecomb.launch.outcome import Outcome
from finecomb.runs.directory import RunDirectory


def mirror_finished(ended: Iterable[tuple[Frozen, Outcome]]) -> None:
    """Mirror each reused run that its job's logger has never had, in one process of its own for each logger."""
    wanted: dict[str, list[str]] = {}
    for job, outcome in ended:
        given = to_plain(job.config.logger)
        if outcome.state == "finished" and outcome.reused and is_missing(outcome.run, given):
            wanted.setdefault(json.dumps(given, sort_keys=True), []).append(str(outcome.run.path))
    for text, runs in wanted.items():
        paths, name = list(dict.fromkeys(runs)), json.loads(text)["name"]
        command = [sys.executable, "-P", "-m", "finecomb.training.from_record", *paths]
        done = subprocess.run(command, input=text, capture_output=True, text=True)
        missed = "" if done.returncode == 0 else f"; not all of them: {done.stderr.strip()}"
        print(f"{len(paths)} finished runs are mirrored to {name} from their records{missed}", file=sys.stderr)


def is_missing(run: RunDirectory, logger: dict[str, Any]) -> bool:
    """Whether a finished run was neither trained with this kind of logger nor mirrored to it since."""
    name = logger.get("name", "none")
    return name != "none" and name != run.config.get("logger", {}).get("name") and name not in run.record.mirrored
