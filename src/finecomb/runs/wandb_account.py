"""Whether there is a W&B account here, and so whether a mirror is online; and how W&B is to behave there."""

from __future__ import annotations

import netrc
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlparse

# Names with x_ are W&B's to change, so that only those it knows are passed. Packages, code and machine stand in provenance.json.
_SETTINGS: dict[str, Any] = {
    "silent": True,
    "save_code": False,
    "disable_job_creation": True,
    "x_save_requirements": False,
    "init_timeout": 30,  # seconds to reach the server before the run is mirrored offline
    "finish_timeout": 60,  # seconds for the last upload
    "finish_timeout_raises": False,
}


def mode(asked: str, environment: Mapping[str, str]) -> Any:
    """Online or offline (or what WANDB_MODE says), for logger.mode=auto by whether there is an account. Never asks."""
    if asked != "auto":
        return asked
    return environment.get("WANDB_MODE") or ("online" if has_account(environment) else "offline")


def has_account(environment: Mapping[str, str]) -> bool:
    """Whether a key for W&B's server is in the environment or in the netrc file. The key itself is not kept."""
    if environment.get("WANDB_API_KEY") or environment.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlparse(environment.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(environment.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def settings(*, system_metrics: bool = False, console: bool = False) -> Any:
    """How W&B is to behave in a mirror; settings that the installed version does not know are left out.

    system_metrics: log the use of the machine over time. console: log what this process prints.
    """
    import wandb

    chosen = _SETTINGS | {"x_disable_stats": not system_metrics, "console": "wrap" if console else "off"}
    return wandb.Settings(**{name: value for name, value in chosen.items() if name in wandb.Settings.model_fields})
