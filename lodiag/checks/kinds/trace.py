"""That the loopback stays on this host: its target is reached, in one hop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.checks.causes import find_cause
from lodiag.checks.keys import choice, host, port, whole
from lodiag.checks.outcome import Outcome
from lodiag.hops.options import MOST_HOPS, TRACE_METHODS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lodiag.system import System

TARGET = "target"
KEYS = {
    "target": host,
    "family": choice("any", "ipv4", "ipv6"),
    "method": choice(*TRACE_METHODS),
    "port": port,
    "max_hops": whole(1, MOST_HOPS),
}


def verify(settings: Mapping[str, Any]) -> None:
    """Refuse a port where there is none."""
    if settings.get("method") == "icmp" and "port" in settings:
        message = "port has no meaning for icmp probes"
        raise ValueError(message)


def attempt(settings: Mapping[str, Any], left_s: float, system: System) -> Outcome:
    """Trace; more than one hop is a failure unless ``max_hops`` allows more."""
    from lodiag.trace import trace_route

    target, family, most = settings["target"], settings.get("family", "any"), settings.get("max_hops", 1)
    if not target.addresses:
        return Outcome("fail", target.unknown, error="unknown name", is_permanent=True, hint="See /etc/hosts.")
    report = trace_route(
        target.host,
        method=settings.get("method", "auto"),
        max_hops=min(most + 1, MOST_HOPS),
        queries=1,
        timeout_s=min(left_s, 1.0),
        deadline_s=left_s,
        port=settings.get("port"),
        family=None if family == "any" else family,
        system=system,
    )
    found = report.summary
    expected = f"reached in {most} hops at most" if most > 1 else "reached in one hop"
    if found.reached and found.hops is not None and found.hops <= most:
        message = f"{found.address} is reached by {found.method} in {found.hops} {'hop' if found.hops == 1 else 'hops'}"
        return Outcome("ok", message, observed=str(found.hops), expected=expected)
    words = f"is {found.hops} hops away" if found.reached else "was not reached"
    cause, hint = find_cause(report)
    error = "too far" if found.reached else "not reached"
    return Outcome("fail", f"{found.address} {words}{cause}", error=error, expected=expected, hint=hint)
