"""What passes over the loopback interfaces, one reading after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.clock import NS_PER_S, rfc3339
from lodiag.limits import require_choice, require_seconds
from lodiag.links.records import SOURCES, look_at_links
from lodiag.model import names_of, to_plain
from lodiag.model.iface import IfaceReading
from lodiag.schedule import Schedule
from lodiag.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lodiag.model.iface import IfaceRecord
    from lodiag.model.net import LinkStats

LEAST_INTERVAL_S = 0.1
COUNTED = {"stats64", "queue"}
"""Fields that change with every packet."""


def watch_interfaces(
    *,
    interval_s: float = 1.0,
    interface: str | None = None,
    source: str | None = None,
    keep_going: Callable[[], bool] = lambda: True,
    system: System | None = None,
) -> Iterator[tuple[IfaceReading, ...]]:
    """Read the loopback interfaces again and again, and tell what passed over each and what changed.

    Args:
        interval_s: Seconds from the beginning of a reading to that of the next, 0.1 to 86400.
        interface: See ``list_interfaces``, as for ``source``.
        source: ``rtnetlink`` or ``psutil``.
        keep_going: Asked some ten times a second, whether to go on.
        system: The machine; a test's own stands in for it.

    Yields:
        A reading of each interface; the first has no rates. One that is gone is left out.

    Raises:
        ConfigError: The interval is out of range, or there is no such loopback interface.
        UnsupportedError: The interfaces cannot be read.

    """
    require_seconds("interval", interval_s, least=LEAST_INTERVAL_S)
    if source is not None:
        require_choice("source", source, SOURCES)
    machine = system or System()
    schedule = Schedule(machine, round(interval_s * NS_PER_S), keep_going)
    return _watch(machine, schedule, source, interface)


def _watch(
    machine: System, schedule: Schedule, source: str | None, interface: str | None
) -> Iterator[tuple[IfaceReading, ...]]:
    known: dict[int | None, IfaceRecord] = {}
    while True:
        elapsed_s, at = schedule.begin(), rfc3339(machine.wall_ns())
        records = look_at_links(machine, source, interface)
        yield tuple(_compare(known.get(record.ifindex), record, elapsed_s, at) for record in records)
        known = {record.ifindex: record for record in records}
        if not schedule.wait():
            return


def _compare(before: IfaceRecord | None, now: IfaceRecord, elapsed_s: float | None, at: str) -> IfaceReading:
    rates = dict.fromkeys(("bytes", "packets", "errors", "dropped"))
    if before is not None and before.stats64 and now.stats64 and elapsed_s:
        rates = {name: _rate(before.stats64, now.stats64, name, elapsed_s) for name in rates}
    return IfaceReading(
        at=at,
        ifname=now.ifname,
        up="UP" in now.flags,
        before=None if before is None else _find_changes(before, now) or None,
        **{f"{name}_per_s": rate for name, rate in rates.items()},
    )


def _rate(before: LinkStats, now: LinkStats, name: str, elapsed_s: float) -> float | None:
    """Rate of a counter: of what was sent, which a loopback receives too; but of what is wrong in either direction."""
    is_wrong = name in {"errors", "dropped"}
    counts = [getattr(stats.tx, name) + (getattr(stats.rx, name) if is_wrong else 0) for stats in (before, now)]
    return None if counts[1] < counts[0] else round((counts[1] - counts[0]) / elapsed_s, 3)


def _find_changes(before: IfaceRecord, now: IfaceRecord) -> dict[str, Any]:
    names = [name for name in names_of(type(now)) if name not in COUNTED]
    changed = [name for name in names if _steady(getattr(before, name)) != _steady(getattr(now, name))]
    return {name: to_plain(getattr(before, name)) for name in changed}


def _steady(value: object) -> object:
    """Leave out lifetimes, which pass by themselves."""
    if not isinstance(value, tuple):
        return value
    return tuple(part[:-3] if isinstance(part, tuple) else part for part in value)
