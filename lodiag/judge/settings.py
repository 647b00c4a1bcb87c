"""Why the value of a kernel parameter matters to the loopback; nothing is said of a usual one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.model.iface import IfaceSetting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lodiag.system.facts import Setting

PRIVILEGED_BELOW = 1024
"""Ports that only a privileged process may listen on, if nobody has changed that (ip(7))."""
SHORT_BACKLOG = 128
"""Below it bursts of connections fill the queues of busy services; it was Linux's limit before 5.4, now 4096."""
FEW_PORTS = 4096
"""Below it a client that opens 70 connections a second to one service has none left within the minute of TIME_WAIT."""


def note_settings(settings: Mapping[str, Setting]) -> Iterator[IfaceSetting]:
    """Give each parameter with a word why it matters, if it is unusual."""
    for role, setting in settings.items():
        write = _NOTES.get(role.partition(" ")[0])
        note = None if setting.value is None or write is None else write(setting.value)
        yield IfaceSetting(setting.name, setting.value, note)


def _if(unusual: str, note: str) -> Callable[[str], str | None]:
    return lambda value: note if value == unusual else None


def _note_range(value: str) -> str | None:
    first, last = _numbers(value, 2)
    if last - first + 1 >= FEW_PORTS:
        return None
    return f"only {last - first + 1} ports to connect from"


def _note_unprivileged(value: str) -> str | None:
    (first,) = _numbers(value, 1)
    if first < PRIVILEGED_BELOW:
        return f"any user may listen from {first}"
    return f"privileged: ports below {first}" if first > PRIVILEGED_BELOW else None


def _note_backlog(value: str) -> str | None:
    (most,) = _numbers(value, 1)
    return f"no accept queue beyond {most}" if most < SHORT_BACKLOG else None


def _note_groups(value: str) -> str | None:
    first, last = _numbers(value, 2)
    return "no ping without a privilege" if first > last else None


def _numbers(value: str, count: int) -> list[int]:
    """Numbers of a value; those of a form that no kernel has written so far are taken for usual ones."""
    found = [int(word) for word in value.split() if word.isdecimal()]
    return found if len(found) == count else [PRIVILEGED_BELOW, 2 * 0xFFFF][:count]


_NOTES: dict[str, Callable[[str], str | None]] = {
    "ipv6-disabled": _if("1", "there is no ::1 here"),
    "ipv6-disabled-all": _if("1", "IPv6 was switched off for all"),
    "localnet-routed": _if("1", "lets neighbours in to 127/8"),
    "nonlocal-bind": _if("1", "a bind proves no address"),
    "echo-ignored-ipv4": _if("1", "ping of 127/8 has no answer"),
    "echo-ignored-ipv6": _if("1", "ping of ::1 has no answer"),
    "icmp-groups": _note_groups,
    "port-range": _note_range,
    "unprivileged-ports": _note_unprivileged,
    "backlog-limit": _note_backlog,
    "overflow-reset": _if("1", "a full queue resets clients"),
    "reuse-of-waiting": _if("0", "no port in TIME_WAIT is reused"),
    "timestamps": _if("0", "no port in TIME_WAIT is reused"),
}
