"""What this machine has, found without torch."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """cores: usable by this process. gpus: visible. bf16, gpu_bf16: whether the processor, and every visible GPU, computes in bfloat16.

    shared: jobs at once divide it; on a cluster each has a node's share of its own.
    """

    cores: int
    gpus: int
    bf16: bool
    gpu_bf16: bool = False
    gpu_names: tuple[str, ...] = ()
    shared: bool = True


# Where jobs will run, when that is not here.
_ELSEWHERE: contextvars.ContextVar[Machine | None] = contextvars.ContextVar("machine", default=None)


@contextlib.contextmanager
def running_on(machine: Machine) -> Iterator[None]:
    """Configs frozen inside are for this machine."""
    token = _ELSEWHERE.set(machine)
    try:
        yield
    finally:
        _ELSEWHERE.reset(token)


def this_machine() -> Machine:
    """The machine that jobs run on: this one, unless `running_on` says otherwise."""
    return _ELSEWHERE.get() or _found()


@functools.cache
def _found() -> Machine:
    """Look once; the answer does not change while a command runs."""
    gpus = _gpus()
    return Machine(
        cores=cores(),
        gpus=len(gpus),
        bf16=_cpu_bf16(),
        # bfloat16 came with compute capability 8.0 (Ampere).
        gpu_bf16=bool(gpus) and all(capability >= 8.0 for _, capability in gpus),
        gpu_names=tuple(name for name, _ in gpus),
    )


def cores() -> int:
    """Cores this process may use: its affinity, less where a control group grants a smaller share."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = Path("/sys/fs/cgroup/cpu.max")
    if limit.is_file():
        quota, _, period = limit.read_text().strip().partition(" ")
        if quota.isdigit() and period.isdigit():
            count = min(count, max(1, round(int(quota) / int(period))))
    return max(1, count)


def _cpu_bf16() -> bool:
    """Whether the processor has bfloat16 instructions; without them autocast is slower than float32."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return False
    flags = next((line for line in info.read_text().splitlines() if line.startswith("flags")), "")
    return bool({"avx512_bf16", "amx_bf16"} & set(flags.split()))


def _gpus() -> list[tuple[str, float]]:
    """Name and compute capability of each visible NVIDIA GPU, as the driver's own tool reports them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    tool = shutil.which("nvidia-smi")
    if tool is None or visible in ("", "-1", "NoDevFiles"):
        return []
    query = [tool, "--query-gpu=index,uuid,name,compute_cap", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.strip().splitlines()
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in lines if line.count(",") == 3]
    wanted = None if visible is None else [item.strip() for item in visible.split(",")]
    kept = [row for row in rows if wanted is None or any(item == row[0] or row[1].startswith(item) for item in wanted)]
    return [(name, float(capability) if capability.replace(".", "").isdigit() else 0.0) for _, _, name, capability in kept]
