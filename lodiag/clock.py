"""Instants, as reports write them."""

from __future__ import annotations

import time

NS_PER_S, NS_PER_MS = 1_000_000_000, 1_000_000


def rfc3339(wall_ns: int) -> str:
    """Write nanoseconds since the epoch as RFC 3339 in UTC, to the microsecond."""
    seconds, rest = divmod(wall_ns, NS_PER_S)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest // 1000:06d}Z"


def to_ms(nanoseconds: float) -> float:
    """Milliseconds, exact to the nanosecond."""
    return round(nanoseconds / NS_PER_MS, 6)
