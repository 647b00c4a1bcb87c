"""The sockets of the loopback as they come, change and go: one reading after the other, and what differs."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from lodiag import __version__
from lodiag.clock import NS_PER_S
from lodiag.dataclass import replace
from lodiag.limits import require_choice, require_seconds
from lodiag.model import SCHEMA
from lodiag.model.watch import ConnEvent, Watching
from lodiag.schedule import Schedule
from lodiag.sockets.changes import compare, find_changes
from lodiag.sockets.choosing import is_owned_as_wanted, name_users
from lodiag.sockets.describing import LISTENING
from lodiag.sockets.listing import list_chosen
from lodiag.sockets.options import ConnsOptions, parse_address, parse_state
from lodiag.sockets.ordering import SORT_KEYS
from lodiag.system import System
from lodiag.system.memory import remember_holders

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from typing import TypedDict, Unpack

    from lodiag.model import Report
    from lodiag.model.conns import ConnRecord, ConnsSummary
    from lodiag.sockets.changes import Sight

    class Filters(TypedDict, total=False):
        """What ``list_connections`` takes."""

        proto: str | None
        family: str | None
        states: Collection[str] | None
        port: int | None
        local_port: int | None
        remote_port: int | None
        local_address: str | None
        pid: int | None
        process: str | None
        user: str | None
        unit: str | None
        wildcard: bool
        with_process: bool
        with_cmdline: bool
        with_tcp: bool
        source: str | None


LEAST_INTERVAL_S = 0.1
"""A reading takes some milliseconds, of ten thousand sockets a tenth of a second."""


class Tick(NamedTuple):
    """One reading, compared with the one before.

    Attributes:
        report: Everything that was read to tell what becomes of the sockets that the filters choose.
        elapsed_s: Seconds since the reading before began; ``None`` for the first.
        here: The sockets that the filters choose, in order.
        left: Those that they chose at the reading before: they are there, and the filters choose them no more.
        gone: Those that they chose at the reading before, and that are there no more.
        events: What the reading shows, an event a socket.

    """

    report: Report[ConnRecord, ConnsSummary]
    elapsed_s: float | None
    here: tuple[Sight, ...]
    left: tuple[Sight, ...]
    gone: tuple[Sight, ...]
    events: tuple[ConnEvent, ...]


def watch_connections(
    *,
    interval_s: float = 1.0,
    sort: str = "state",
    keep_going: Callable[[], bool] = lambda: True,
    system: System | None = None,
    **filters: Unpack[Filters],
) -> Iterator[Tick]:
    """Read the sockets that ``list_connections`` lists again and again, and tell what became of each.

    The schedule is steady: a reading that takes longer than the interval is followed by the next one that is due,
    and those between are left out. No more is kept than two readings.

    A socket that leaves what the filters choose has changed; it is not told to be closed when it is not.

    Args:
        interval_s: Seconds from the beginning of a reading to that of the next, 0.1 to 86400.
        sort: See ``list_connections``.
        keep_going: Asked some ten times a second, whether to go on.
        system: The machine; a test's own stands in for it.
        filters: See ``list_connections``.

    Yields:
        A ``Tick`` for each reading; the events of the first say what is ``present``.

    Raises:
        ConfigError: The interval or a filter is out of range.
        UnsupportedError: The socket table cannot be read.

    """
    require_seconds("interval", interval_s, least=LEAST_INTERVAL_S)
    require_choice("sort", sort, SORT_KEYS)
    states, address = filters.get("states"), filters.get("local_address")
    given = {name: value for name, value in filters.items() if name not in {"states", "local_address"}}
    options = ConnsOptions(
        states=None if states is None else frozenset(parse_state(state) for state in states),
        local_address=None if address is None else parse_address(address),
        **given,  # type: ignore[arg-type]  # Filters has their types
    )
    schedule = Schedule(system or System(), round(interval_s * NS_PER_S), keep_going)
    return _watch(_Watch(options, sort, system or System()), schedule)


def describe_start(first: Tick, interval_s: float) -> Watching:
    """Tell from where sockets are watched, by the first reading."""
    return Watching(
        schema=SCHEMA,
        version=__version__,
        started_at=first.report.started_at,
        interval_s=interval_s,
        host=first.report.host,
        source=first.report.source,
        complete=first.report.complete,
        missing=first.report.missing,
        sockets=len(first.here),
    )


def _watch(watch: _Watch, schedule: Schedule) -> Iterator[Tick]:
    yield watch.read(schedule.begin())
    while schedule.wait():
        yield watch.read(schedule.begin())


class _Watch:
    """What is known of the sockets from the last reading."""

    def __init__(self, options: ConnsOptions, sort: str, system: System) -> None:
        self._wanted, self._sort, self._system = options, sort, remember_holders(system)
        self._users = name_users(options.user, system)
        self._numbers = count(1)
        self._known: Sequence[Sight] = ()
        self._shown: frozenset[int] = frozenset()
        self._asked = _widen(options)

    def read(self, elapsed_s: float | None) -> Tick:
        """Read the sockets and compare them with the last reading; ``elapsed_s`` is ``None`` if there was none."""
        report = list_chosen(self._wanted, self._sort, self._system, self._asked)
        # Another source has other names for the same sockets.
        self._wanted = replace(self._wanted, source=report.source)
        self._asked = replace(self._asked, source=report.source)
        found = compare(self._known, tuple(report.records), self._numbers)
        takes_all = self._wanted == self._asked  # then each need not be looked at
        here = found.here if takes_all else tuple(s for s in found.here if self._is_wanted(s.record))
        numbers = frozenset([sight.number for sight in here])
        left = tuple(s for s in found.here if s.number in self._shown and s.number not in numbers)
        gone = tuple(sight for sight in found.gone if sight.number in self._shown)
        at, new = report.started_at, "present" if elapsed_s is None else "opened"
        events = [_make_event("closed", at, sight.record) for sight in gone]
        for sight in (*here, *left):
            if sight.before is None:
                events.append(_make_event(new, at, sight.record))
            elif changes := self._find_changes(sight, sight.before, is_here=sight.number in numbers):
                events.append(_make_event("changed", at, sight.record, changes))
        self._known, self._shown = found.here, numbers
        return Tick(report, elapsed_s, here, left, gone, tuple(events))

    def _find_changes(self, sight: Sight, before: ConnRecord, *, is_here: bool) -> dict[str, object]:
        """Fields that changed; an owner's name alone is none, unless by it the filters choose the socket or do not."""
        is_moved = is_here != (sight.number in self._shown)
        return find_changes(before, sight.record) or ({"owners": before.owners} if is_moved else {})

    def _is_wanted(self, record: ConnRecord) -> bool:
        wanted = self._wanted
        is_in_state = wanted.states is None or record.state in wanted.states
        return is_in_state and is_owned_as_wanted(record, wanted, self._users)


def _widen(options: ConnsOptions) -> ConnsOptions:
    """Ask for what the filters may come to choose, or chose: a socket that is in another state now is not closed.

    What answers is asked for alone, which takes a thousandth of the time: a listener stays one until it is closed, and
    few UDP sockets are connected later.
    """
    answers_only = options.states is not None and options.states <= LISTENING
    states = options.states if answers_only else None
    return replace(options, states=states, pid=None, process=None, user=None, unit=None)


def _make_event(event: str, at: str, record: ConnRecord, before: dict[str, object] | None = None) -> ConnEvent:
    return ConnEvent(event=event, at=at, cookie=record.cookie, before=before, record=record)
