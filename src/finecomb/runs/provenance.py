"""Where a run came from: code, packages, machine and environment, recorded when training starts and compared when it goes on.

Nothing secret is recorded: of the environment only the names listed here, of git no remote addresses.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from finecomb.core import atomic, files
from finecomb.runs.directory import RunDirectory

# What can change a number or explain a speed. A name that is not here is not recorded.
ENVIRONMENT = (
    "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "FINECOMB_CACHE", "FINECOMB_OFFLINE", "HF_HUB_OFFLINE", "KMP_AFFINITY",
    "LOCAL_RANK", "MKL_NUM_THREADS", "NVIDIA_TF32_OVERRIDE", "OMP_NUM_THREADS", "PYTHONHASHSEED", "SLURM_JOB_ID", "TOKENIZERS_PARALLELISM",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "WANDB_MODE", "WANDB_SWEEP_ID", "WORLD_SIZE",
)  # fmt: skip
# Packages whose change may change a number; any other is recorded but not told on resume.
NUMERIC = ("torch", "transformers", "peft", "pytorch-lightning", "numpy", "tokenizers", "torchmetrics", "datasets", "finecomb")
_MAX_DIFF_BYTES = 2_000_000


def collect() -> dict[str, Any]:
    """Everything about here and now: {"time", "argv", "python", "packages", "code", "hardware", "environment"}."""
    return {
        "time": time.time(),
        "argv": sys.argv[1:],
        "python": platform.python_version(),
        "packages": packages(),
        "code": {key: value for key, value in code().items() if key != "diff"},
        "hardware": hardware(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
    }


def save(run: RunDirectory, threads: int) -> list[str]:
    """Write provenance.json (and code.diff) for the attempt that starts now; returns `changes`, of which the file keeps the record too."""
    before, now = _read(run), collect() | {"threads": threads, "attempt": run.status().attempt + 1}
    told = differences(before, now) if before else []
    earlier = before.pop("earlier", []) if before else []
    now["earlier"] = [*earlier, before] if told else earlier
    atomic.write_json(run.path / "provenance.json", now)
    diff = code().get("diff")
    if diff:
        atomic.write_text(run.path / "code.diff", diff)
    return told


def changes(run: RunDirectory, threads: int) -> list[str]:
    """What differs from the attempt before, in words; nothing when there was none."""
    before = _read(run)
    return differences(before, collect() | {"threads": threads}) if before else []


def _read(run: RunDirectory) -> dict[str, Any]:
    path = run.path / "provenance.json"
    return files.read_json(path) if path.exists() else {}


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What changed between two attempts that may keep a resumed run from being bit-equal to an uninterrupted one."""
    pairs = [(name, before["packages"].get(name), now["packages"].get(name)) for name in NUMERIC]
    pairs += [("python", before.get("python"), now.get("python")), ("threads", before.get("threads"), now.get("threads"))]
    pairs += [("processor", before["hardware"].get("processor"), now["hardware"].get("processor"))]
    pairs += [("GPUs", before["hardware"].get("gpus"), now["hardware"].get("gpus"))]
    pairs += [("code", revision(before), revision(now))]
    return [f"{name}: {old} -> {new}" for name, old, new in pairs if old != new]


def revision(record: dict[str, Any]) -> str:
    """The commit that a provenance record names, and whether the code had changes on top."""
    found = record.get("code", {})
    return f"{str(found.get('commit'))[:12]}{' with changes' if found.get('dirty') else ''}"


@functools.cache
def packages() -> dict[str, str]:
    """Version of each installed distribution."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(name.lower().replace("_", "-"), distribution.version)
    return dict(sorted(found.items()))


@functools.cache
def code() -> dict[str, Any]:
    """Git state of the code that runs: {"root", "commit", "branch", "dirty", "untracked", "diff"}; {} outside a repository."""
    folder = Path(__file__).resolve().parent
    root = _git(folder, "rev-parse", "--show-toplevel")
    # A virtual environment inside someone's repository does not make that repository our code.
    if root is None or _git(folder, "ls-files", "--error-unmatch", str(Path(__file__).resolve())) is None:
        return {}
    top = Path(root.strip())
    status = (_git(top, "status", "--porcelain") or "").splitlines()
    diff = _git(top, "diff", "HEAD") or ""
    if len(diff) > _MAX_DIFF_BYTES:
        diff = diff[:_MAX_DIFF_BYTES] + "\n... cut here\n"
    return {
        "root": str(top),
        "commit": (_git(top, "rev-parse", "HEAD") or "").strip() or None,
        "branch": (_git(top, "rev-parse", "--abbrev-ref", "HEAD") or "").strip() or None,
        "dirty": any(not line.startswith("??") for line in status),
        "untracked": [line[3:] for line in status if line.startswith("??")][:100],
        "diff": diff,
    }


def _git(folder: Path, *arguments: str) -> str | None:
    if shutil.which("git") is None:
        return None
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, errors="replace", timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


@functools.cache
def hardware() -> dict[str, Any]:
    """The machine: {"system", "processor", "cores", "memory_bytes", "gpus"}."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": _gpus(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _gpus() -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []
