"""How a field of a schema is declared: its help, its bounds, and whether it belongs to a run's identity."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Final

UNSET: Final = object()


def option(
    help: str,
    *,
    allowed: tuple[Any, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
    number_or: tuple[str, ...] | None = None,
    identity: bool = True,
    before: Any = UNSET,
    identity_as: Any = UNSET,
    entry: type | None = None,
) -> Any:
    """Declare a field. It has no default: the YAML file of the choice holds the value, and a missing one is an error.

    allowed: the only values permitted.
    low, high: inclusive bounds of a number.
    number_or: the field is a number or one of these words (annotated Any, because OmegaConf 2.3 cannot merge unions).
    identity: False for what cannot change the result (workers, paths, progress); such a field stays out of the fingerprint.
    before: for a field added after a release: the value that older runs had, so that they keep their fingerprint.
    identity_as: for a field that says where content lies: the value that fingerprints hold in its place, beside the content's hash.
    entry: for a mapping that may be empty: the dataclass of its keys. The composed config holds an instance of it, or None for no keys.
    """
    metadata = {
        "help": help,
        "allowed": allowed,
        "low": low,
        "high": high,
        "number_or": number_or,
        "identity": identity,
        "entry": entry,
    }
    if before is not UNSET:
        metadata["before"] = before
    if identity_as is not UNSET:
        metadata["identity_as"] = identity_as
    return field(metadata=metadata)
