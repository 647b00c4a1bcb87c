"""A connection to a TCP port: that it is accepted, or with ``state = "refused"`` that it is refused."""

from __future__ import annotations

from lodiag.checks.keys import FAMILY, choice, endpoint
from lodiag.checks.outcome import Answer, combine, point_to_doctor, unresolved
from lodiag.system.connect import connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from lodiag.checks.outcome import Outcome
    from lodiag.system import System

TARGET = "target"
KEYS = {"target": endpoint, "family": FAMILY, "state": choice("open", "refused")}


def attempt(settings: Mapping[str, Any], left_s: float, system: System) -> Outcome:
    """Connect to each address at once."""
    del system
    target, family, state = settings["target"], settings.get("family", "any"), settings.get("state", "open")
    ends = [address for address in target.addresses if family in {"any", "both", family_of(address)}]
    if not ends:
        return unresolved(target, family)
    found = [
        Answer(address, target.port, error, rtt_ms) for address, error, rtt_ms in connect(ends, target.port, left_s)
    ]
    if state == "refused":
        for answer in found:
            is_refused, answer.words = answer.error == "ECONNREFUSED", "refused" if answer.error else "answered"
            answer.error = None if is_refused else answer.error or "open"
    is_odd = any(answer.error not in {None, "open", "ECONNREFUSED"} for answer in found)
    hint = f"{point_to_doctor(target)}." if is_odd else f"lodiag who {target.port} tells who has the port, and where."
    return combine(found, family, expected=state, hint=hint)


def family_of(address: str) -> str:
    """Family of a literal."""
    return "ipv6" if ":" in address else "ipv4"
