"""How many jobs run at once, and on which devices."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from finecomb.config.schema.train import Config
from finecomb.core.machine import Machine


def how_many(asked: int | None, *, needs_gpu: bool, processes: int, machine: Machine) -> int:
    """Jobs at once: what was asked, else one for each set of GPUs a job needs, else one."""
    if asked is not None:
        return max(1, asked)
    return max(1, machine.gpus // processes) if needs_gpu else 1


def planned(configs: Sequence[Config], asked: int | None, machine: Machine) -> int:
    """`how_many` before devices are resolved, which depends on it: slots share the machine's cores."""
    if asked is not None:
        return max(1, asked)
    needs_gpu = any(config.trainer.accelerator == "gpu" or (config.trainer.accelerator == "auto" and machine.gpus) for config in configs)
    processes = [config.trainer.devices for config in configs]
    most = max((machine.gpus if count == "auto" else int(count) for count in processes), default=1)
    return how_many(None, needs_gpu=needs_gpu, processes=max(1, most), machine=machine)


def gpu_names(machine: Machine, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Names of the GPUs we may use, as CUDA_VISIBLE_DEVICES knows them."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() and name.strip() != "-1"]
    return [str(number) for number in range(machine.gpus)]


class Gpus:
    """Hands out the GPUs that the fewest jobs use."""

    def __init__(self, names: Sequence[str]) -> None:
        self._load = dict.fromkeys(names, 0)

    def take(self, count: int) -> Taken:
        """`count` different GPUs (fewer when the machine has fewer)."""
        names = sorted(self._load, key=lambda name: self._load[name])[:count]
        for name in names:
            self._load[name] += 1
        return Taken(names, self._load)


class Taken:
    """The GPUs of one job."""

    def __init__(self, names: list[str], load: dict[str, int]) -> None:
        self.names, self._load = names, load

    def give_back(self) -> None:
        """The job has ended."""
        for name in self.names:
            self._load[name] -= 1
        self.names = []
