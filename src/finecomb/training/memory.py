"""Memory of this process: resident on a CPU, reserved by torch on a GPU."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch


def now(device: torch.device) -> int:
    """Bytes in use."""
    if device.type == "cuda":
        return int(torch.cuda.memory_reserved(device))
    statistics = Path("/proc/self/statm")
    return int(statistics.read_text().split()[1]) * resource.getpagesize() if statistics.exists() else peak(device)


def peak(device: torch.device) -> int:
    """The most bytes that were ever in use."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike getrusage, this does not count what the parent used before it started us.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
