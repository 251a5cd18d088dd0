"""`finecomb doctor`: what this machine has, and what each finding means for a run. Asks the network once; imports no torch."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import netrc
import os
import platform
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from finecomb.config.device_rules import FLASH_PACKAGE
from finecomb.core.machine import Machine, this_machine

HUB = "https://huggingface.co"
_TIMEOUT = 5.0
_PACKAGES = ("torch", "transformers", "peft", "pytorch-lightning", "datasets", "hydra-core", "wandb")
_OPTIONAL = {"tensorboard": "logger=tensorboard", "sentencepiece": "tokenizers of XLNet, DeBERTa-v3 and XLM-R that have no fast form"}
_TRUE = ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Finding:
    """state: ok, note or problem. means: what follows for a run."""

    subject: str
    state: str
    found: str
    means: str


def show(console: Console | None = None) -> None:
    """Print every finding."""
    console = console or Console(highlight=False)
    colours = {"ok": "green", "note": "yellow", "problem": "red"}
    for finding in findings(this_machine(), os.environ):
        console.print(f"{finding.state:<8}", style=colours[finding.state], end="", markup=False)
        console.print(f"{finding.subject:<10} {finding.found}", markup=False, soft_wrap=True)
        console.print(f"{'':19}{finding.means}", style="dim" if console.is_terminal else None, markup=False, soft_wrap=True)


def findings(machine: Machine, environment: Mapping[str, str], reachable: Callable[[str], bool] | None = None) -> list[Finding]:
    """Look at device, cores, precision, hub, W&B, disk and versions. Never holds a key."""
    reachable = reachable or is_reachable
    return [
        _device(machine),
        _cores(machine),
        _precision(machine),
        _attention(machine),
        _hub(environment, reachable),
        _wandb(environment),
        _disk(environment),
        *_versions(),
    ]


def _device(machine: Machine) -> Finding:
    if machine.gpus:
        names = ", ".join(machine.gpu_names)
        return Finding(
            "device",
            "ok",
            f"{machine.gpus} GPU(s): {names}",
            "trainer=auto (the default) uses one, trainer=ddp all; -m runs one job on each",
        )
    return Finding(
        "device", "note", "no NVIDIA GPU is visible", "trainer=auto (the default) is trainer=cpu; trainer=gpu is refused when a run starts"
    )


def _cores(machine: Machine) -> Finding:
    means = f"trainer.threads=auto is {machine.cores} for a single run, less for each of several processes or slots"
    return Finding("cores", "ok", f"{machine.cores} usable by this process ({platform.machine()})", means)


def _precision(machine: Machine) -> Finding:
    if machine.gpus and machine.gpu_bf16:
        return Finding("precision", "ok", "the GPUs compute in bfloat16", "trainer.precision=auto is bf16 on them")
    if machine.gpus:
        return Finding(
            "precision", "note", "the GPUs have no bfloat16", "trainer.precision=auto is 32-true on them; 16-mixed is possible and faster"
        )
    if machine.bf16:
        return Finding("precision", "ok", "the processor has bfloat16 instructions", "trainer.precision=auto is bf16")
    return Finding("precision", "note", "the processor has no bfloat16 instructions", "trainer.precision=auto is 32-true")


def _attention(machine: Machine) -> Finding:
    if not machine.gpus:
        return Finding("attention", "ok", "SDPA of torch", "model.attention=flash_attention_2 needs a GPU")
    if importlib.util.find_spec(FLASH_PACKAGE) is None:
        means = "model.attention=flash_attention_2 needs it: pip install flash-attn; SDPA has FlashAttention kernels too"
        return Finding("attention", "ok", "SDPA of torch; flash-attn is not installed", means)
    return Finding("attention", "ok", "SDPA of torch; flash-attn is installed", "model.attention=flash_attention_2 works")


def _hub(environment: Mapping[str, str], reachable: Callable[[str], bool]) -> Finding:
    off = [name for name in ("FINECOMB_OFFLINE", "HF_HUB_OFFLINE") if environment.get(name, "").lower() in _TRUE]
    works = "what is in the cache works, and dist: and file: sources; others need model.name_or_path=DIR or dataset.path=DIR"
    if off:
        return Finding("hub", "note", f"offline by {off[0]}", f"nothing is fetched: {works}")
    address = environment.get("HF_ENDPOINT") or HUB
    if reachable(address):
        return Finding("hub", "ok", f"{address} answers", "hub models and datasets can be fetched")
    return Finding("hub", "note", f"{address} does not answer", f"hub models and datasets cannot be fetched: {works}")


def is_reachable(address: str) -> bool:
    """Whether a server answers, whatever it says."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=_TIMEOUT):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


def _wandb(environment: Mapping[str, str]) -> Finding:
    mode = environment.get("WANDB_MODE", "").lower()
    if mode in ("offline", "disabled"):
        return Finding("W&B", "note", f"{mode} by WANDB_MODE", "runs are written to files; `wandb sync` uploads offline ones later")
    if environment.get("WANDB_API_KEY"):
        return Finding("W&B", "ok", "an account, by WANDB_API_KEY", "logger=wandb is online")
    if _in_netrc(environment):
        return Finding("W&B", "ok", "an account, by the netrc file", "logger=wandb is online")
    return Finding(
        "W&B", "note", "no account", "logger=wandb writes offline files without asking; `wandb login` connects, `wandb sync` uploads"
    )


def _in_netrc(environment: Mapping[str, str]) -> bool:
    host = (environment.get("WANDB_BASE_URL") or "https://api.wandb.ai").split("//")[-1].split("/")[0]
    # W&B's cloud has two names; `wandb login` stores the key under either, by its version.
    cloud = ("api.wandb.ai", "api.forge.coreweave.com")
    path = Path(environment.get("NETRC") or Path.home() / ".netrc")
    try:
        known = netrc.netrc(str(path)) if path.is_file() else None
        return known is not None and any(known.authenticators(name) for name in (cloud if host in cloud else (host,)))
    except (OSError, netrc.NetrcParseError):
        return False


def _disk(environment: Mapping[str, str]) -> Finding:
    cache = Path(environment.get("FINECOMB_CACHE") or Path.home() / ".cache" / "finecomb")
    places = {"runs": Path.cwd(), "cache": cache}
    free = {name: shutil.disk_usage(_existing(path)).free for name, path in places.items()}
    found = ", ".join(f"{count / 1e9:.0f} GB free for {name} ({places[name]})" for name, count in free.items())
    if min(free.values()) < 2e9:
        return Finding("disk", "problem", found, "a run of BERT base keeps 0.4 to 1.8 GB; set output_dir=DIR or FINECOMB_CACHE elsewhere")
    return Finding("disk", "ok", found, "a run keeps what trains, once as a result and twice as checkpoints with the optimizer")


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _versions() -> list[Finding]:
    known = {name: _version(name) for name in _PACKAGES}
    python = ".".join(map(str, sys.version_info[:3]))
    text = ", ".join([f"Python {python}", *(f"{name} {version}" for name, version in known.items() if version)])
    absent = [name for name, version in known.items() if version is None]
    if absent:
        found = Finding("versions", "problem", f"not installed: {', '.join(absent)}", f"runs cannot start. {text}")
    elif not (3, 11) <= sys.version_info[:2] <= (3, 13):
        found = Finding("versions", "problem", text, "finecomb is tested with Python 3.11 to 3.13")
    else:
        found = Finding("versions", "ok", text, "recorded with each run; a resumed run tells when they have changed")
    missing = {name: use for name, use in _OPTIONAL.items() if _version(name) is None}
    extras = [
        Finding("extra", "note", f"{name} is not installed", f"needed for {use}: pip install 'finecomb[{name}]'")
        for name, use in missing.items()
    ]
    return [found, *extras]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
