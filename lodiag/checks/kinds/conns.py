"""How many sockets are as a filter says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.checks.keys import bounds, choice, describe_bounds, is_within, shorten, table, text, texts, whole
from lodiag.checks.outcome import Outcome
from lodiag.limits import LAST_PORT
from lodiag.model import FAMILIES, PROTOS
from lodiag.sockets.options import LAST_PID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lodiag.checks.keys import Reading
    from lodiag.system import System


def states(value: Any, reading: Reading) -> tuple[str, ...]:  # noqa: ANN401 - as TOML has it
    """Read states of sockets, as text or as a list, in any spelling."""
    from lodiag.errors import ConfigError
    from lodiag.sockets.options import parse_state

    try:
        return tuple(parse_state(word) for word in texts(value, reading))
    except ConfigError as error:
        message = f"must be states of sockets: {error}"
        raise ValueError(message) from error


def address(value: Any, reading: Reading) -> str:  # noqa: ANN401 - as TOML has it
    """Read the address of a socket's end."""
    from lodiag.errors import ConfigError
    from lodiag.sockets.options import parse_address

    try:
        return parse_address(text(value, reading))
    except ConfigError as error:
        message = f"must be an address, not {shorten(value)}"
        raise ValueError(message) from error


_PORT = whole(0, LAST_PORT)
_FILTERS = {
    "proto": choice(*PROTOS),
    "family": choice(*FAMILIES),
    "state": states,
    "port": _PORT,
    "lport": _PORT,
    "rport": _PORT,
    "local": address,
    "pid": whole(1, LAST_PID),
    "process": text,
    "user": text,
    "unit": text,
}
_NAMES = {"state": "states", "lport": "local_port", "rport": "remote_port", "local": "local_address"}
"""Filters that ``list_connections`` has by another name."""

TARGET = None
REQUIRED = ("count",)
KEYS = {"filter": table(_FILTERS), "count": bounds}


def attempt(settings: Mapping[str, Any], left_s: float, system: System) -> Outcome:
    """Count the sockets."""
    from lodiag.conns import list_connections

    del left_s
    wanted = settings.get("filter", {})
    filters = {_NAMES.get(name, name): value for name, value in wanted.items()}
    with_process = "pid" in wanted or "process" in wanted or "user" in wanted
    report = list_connections(**filters, with_process=with_process, system=system)
    words = " ".join(f"{name} {', '.join(v) if isinstance(v, tuple) else v}" for name, v in wanted.items())
    count, limits = len(report.records), settings["count"]
    message = f"{count} {'socket' if count == 1 else 'sockets'}{' of ' if words else ''}{words}"
    expected = describe_bounds(limits)
    hidden = sum(item.count or 0 for item in report.missing if item.what == "owners")
    most = count + (hidden if "pid" in wanted or "process" in wanted else 0)
    if is_within(count, limits) and is_within(most, limits):
        return Outcome("ok", message, observed=str(count), expected=expected)
    if most > count and count <= limits.get("max", count) and most >= limits.get("min", 0):
        message = f"{message}, and {most - count} of which the owner may not be seen by this user"
        hint = "Run it as root, or as the user of the service."
        return Outcome("error", message, error="owner unseen", observed=str(count), expected=expected, hint=hint)
    return Outcome(
        "fail",
        f"{message}, not {expected}",
        error=f"{count} sockets",
        observed=str(count),
        expected=expected,
        hint="lodiag conns --findings judges them.",
    )
