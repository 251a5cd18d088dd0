"""Whether there is a W&B account here, and so whether a mirror is online."""

from __future__ import annotations

import netrc
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlparse


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
