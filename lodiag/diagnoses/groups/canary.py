"""The canary: one byte to an own listener by TCP and UDP. What it meets are symptoms; others name the cause."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lodiag.diagnoses import WORDS, Diagnosis, Seen, find, tell_met
from lodiag.targets import ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.diagnoses.survey import Survey
    from lodiag.system.attempts import Met

GROUP = "canary"
CODES = {
    "timeout": "timeout",
    "ECONNREFUSED": "refused",
    "ENETUNREACH": "network-unreachable",
    "ENETDOWN": "network-unreachable",
    "EHOSTUNREACH": "host-unreachable",
    "EADDRINUSE": "no-free-port",
    "EAGAIN": "no-free-port",
    "EADDRNOTAVAIL": "address-not-available",
    "EAFNOSUPPORT": "address-family-not-supported",
    "EPERM": "blocked-by-firewall",
    "EACCES": "route-prohibited",
    "EINVAL": "route-blackhole",
    "ENOBUFS": "no-buffer-space",
    "EMFILE": "too-many-open-files",
    "ENFILE": "too-many-open-files",
}
"""Names that ``ping`` and ``trace`` have for the same."""

_WORDS = {
    "timeout": "is not answered in time",
    "refused": "is refused, though it is sent to a socket that listens",
    "network-unreachable": "finds no route",
    "host-unreachable": "finds the host unreachable",
    "address-not-available": "finds no address to be sent from",
    "no-free-port": "cannot be sent: no port is free",
    "address-family-not-supported": "cannot be sent: no socket of that family can be had",
    "blocked-by-firewall": "is refused by the packet filter or what acts like one (EPERM)",
    "route-prohibited": "is prohibited (EACCES)",
    "route-blackhole": "finds a blackhole (EINVAL)",
    "no-buffer-space": "finds the queue full",
    "too-many-open-files": "cannot be sent: the limit on open files is reached",
}


def look(family: str, survey: Survey) -> Seen:
    """Find that what is sent to oneself is not answered."""
    met = [survey.canary[proto, family] for proto in ("tcp", "udp")]
    measured = _tell_briefly(family, met)
    failed = [item for item in met if item.error is not None]
    if not failed:
        return Seen(measured)
    codes = [CODES.get(item.error or "", "send-failed") for item in failed]
    code = next((code for code in codes if code != "timeout"), codes[0])
    protos = " and ".join(item.proto.upper() for item in failed)
    found = find(
        code,
        "fail",
        ADDRESSES[family],
        f"what is sent to oneself at {ADDRESSES[family]} by {protos} {_WORDS.get(code, 'cannot be sent')}",
        tuple(map(tell_met, met)),
        impact=f"{WORDS[family]} does not work over the loopback.",
        hint="No cause was found: look at the packet filter, at routes and rules, and at what confines processes.",
        confidence="possible",
        families={family},
    )
    return Seen(measured, (found,))


def _tell_briefly(family: str, met: Sequence[Met]) -> str:
    """Tell what all probes of a family met, in half a line; what is the same for all is told once."""
    errors = {item.error for item in met}
    if len(errors) == 1 and None not in errors:
        return f"{ADDRESSES[family]} {errors.pop()}"
    told = ", ".join(f"{item.proto} {item.error or round(item.took_ms, 2)}" for item in met)
    return f"{ADDRESSES[family]} {told}{' ms' if met[-1].error is None else ''}"


DIAGNOSES = tuple(
    Diagnosis(
        GROUP,
        family,
        f"does a byte that is sent to oneself at {address} arrive",
        tuple(dict.fromkeys(CODES.values())),
        partial(look, family),
    )
    for family, address in ADDRESSES.items()
)
