"""How files are fetched from servers, an option of datasets that collect."""

from __future__ import annotations

from dataclasses import dataclass

from finecomb.config.schema.base import option


@dataclass
class Fetch:
    """How files are fetched from servers that many people share: one connection, pauses, patience."""

    user_agent: str = option("how requests name themselves; say where you can be reached: NAME/1.0 (+ADDRESS)")
    allow_private: bool = option("also speak to loopback, private and reserved addresses, and plain http:")
    delay: float = option("least seconds between two requests", low=0.0)
    retries: int = option("how often in a row a request that brings nothing (429, 500, 502 to 504, no connection) is repeated", low=0)
    backoff: float = option("seconds before the first repetition; doubled each time, and Retry-After is obeyed", low=0.0)
    connect_timeout: float = option("seconds to connect", low=0.01)
    read_timeout: float = option("seconds without a byte", low=0.01)
    answer_timeout: float = option("seconds until the head of an answer is there", low=0.01)
    least_rate: int = option("bytes per second, over read_timeout, below which a transfer counts as broken", low=0)
    max_bytes: int = option("largest file that is fetched", low=1)
