"""From a sweep's values to the words of a command line, by the agent's own code: both ways must train the same config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finecomb.studies.wandb_sweep.sweep_file import WandbSweep


def argv(sweep: WandbSweep, values: Mapping[str, Any]) -> list[str]:
    """The command as the agent would start it, its macros filled in."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    filled = create_sweep_command_args({"args": {name: {"value": value} for name, value in values.items()}})
    filled |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [str(sweep.program)]}
    words: list[str] = []
    for chunk in create_sweep_command(list(sweep.command)):
        words += filled.get(chunk[2:-1], []) if chunk.startswith("${") else [str(chunk)]
    return words


def overrides(sweep: WandbSweep, values: Mapping[str, Any]) -> list[str]:
    """What `finecomb train` gets of it: the words behind the verb, or behind the program where that is the whole command."""
    words = argv(sweep, values)
    if "train" in words:
        words = words[words.index("train") + 1 :]
    else:
        program = next((place for place, word in enumerate(words) if Path(word).name == Path(str(sweep.program)).name), 0)
        words = words[program + 1 :]
    return [word.removeprefix("--") if "=" in word else word for word in words]
