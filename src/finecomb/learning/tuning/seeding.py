"""Random numbers for added tensors, independent of the global state and of the head's."""

from __future__ import annotations

import hashlib

VERSION = "1"


def derive(seed: int, purpose: str) -> int:
    """A seed for one purpose, so that two kinds of tensors never draw the same numbers."""
    return int.from_bytes(hashlib.sha256(f"{purpose} {seed}".encode()).digest()[:7], "big")
