"""What became of each socket from one reading to the next; touches nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from lodiag.model.conns import ConnRecord

ENDING = frozenset({"fin-wait-1", "fin-wait-2", "closing", "last-ack", "time-wait", "close"})
"""States from which no connection comes back (RFC 9293 3.3.2): another with the same ends is a new one."""

UNHELD = frozenset({"syn-recv", "established", "close-wait"})
"""States of a connection that a server may still accept, so that it gets an inode only then."""


class Sight(NamedTuple):
    """A socket as a reading has it, and as the one before had it: ``None`` for a new one.

    ``number`` is its own for as long as it is seen, also where the source tells no cookie.
    """

    number: int
    record: ConnRecord
    before: ConnRecord | None = None


class Comparison(NamedTuple):
    """The sockets of a reading in its order, and those that are gone since the one before."""

    here: tuple[Sight, ...]
    gone: tuple[Sight, ...]


def compare(known: Sequence[Sight], records: Sequence[ConnRecord], numbers: Iterator[int]) -> Comparison:
    """Find each socket of a reading among those of the one before; new ones take the next of ``numbers``.

    A socket is known by its cookie, or else by its inode. A source that tells neither, and a connection that no
    process holds any more, are known by the ends.
    """
    former = dict(zip(_name([sight.record for sight in known]), known, strict=True))
    latter = dict(zip(_name(records), records, strict=True))
    lost = {key: sight for key, sight in former.items() if key not in latter}
    by_ends = {_ends(sight.record): key for key, sight in lost.items() if sight.record.cookie is None}
    here = []
    for key, record in latter.items():
        found = former.get(key)
        if found is None and record.cookie is None:
            found = lost.pop(by_ends.get(_ends(record)), None)
        if found is None or not _is_same(found.record, record):
            here.append(Sight(next(numbers), record))
        else:
            here.append(Sight(found.number, record, found.record))
    seen = {sight.number for sight in here}
    return Comparison(tuple(here), tuple(sight for sight in known if sight.number not in seen))


def _name(records: Iterable[ConnRecord]) -> Iterator[Hashable]:
    """Name each socket; those that nothing tells apart, as listeners of one port may be, are counted."""
    alike: Counter[Hashable] = Counter()
    for record in records:
        name = record.cookie or record.inode
        if name:
            yield name
        else:
            ends = _ends(record)
            alike[ends] += 1
            yield (ends, alike[ends])


def _ends(record: ConnRecord) -> Hashable:
    """Two ends name a connection; what has but one shares it with others, and is named by its owners as well."""
    local, remote = record.local, record.remote
    own = (record.proto, record.family, local.address, local.port)
    return (*own, remote.address, remote.port) if remote else (*own, _pids(record))


def _is_same(before: ConnRecord, after: ConnRecord) -> bool:
    """Whether what has the same name, or the same ends, is the same socket."""
    if after.cookie is not None or (after.inode and before.inode == after.inode):
        return True
    if before.state in ENDING and after.state not in ENDING:
        return False
    return not after.inode or (not before.inode and before.state in UNHELD)


def find_changes(before: ConnRecord, after: ConnRecord) -> dict[str, object]:
    """Fields that changed, as they were: state, ends, backlog, owners by pid, and drops if there are more.

    Queues, timers and what TCP measures change all the time and are none. What was not measured has not changed,
    but for owners that are seen now and were not.
    """
    found: dict[str, object] = {}
    if before.state != after.state:
        found["state"] = before.state
    if before.local != after.local:
        found["local"] = before.local
    if before.remote != after.remote:
        found["remote"] = before.remote
    if after.owners is not None and before.owners != after.owners and _pids(before) != _pids(after):
        found["owners"] = before.owners
    if before.backlog != after.backlog and before.backlog is not None and after.backlog is not None:
        found["backlog"] = before.backlog
    if before.drops is not None and after.drops is not None and before.drops < after.drops:
        found["drops"] = before.drops
    return found


def _pids(record: ConnRecord) -> frozenset[int] | None:
    return None if record.owners is None else frozenset([owner.pid for owner in record.owners])


def measure_rate(sight: Sight, counter: str, elapsed_s: float | None) -> float | None:
    """Bytes a second by a counter of ``tcp`` from the reading before to this one; ``None`` if it was not measured."""
    if sight.before is None or sight.before.tcp is None or sight.record.tcp is None or not elapsed_s:
        return None
    before, after = getattr(sight.before.tcp, counter), getattr(sight.record.tcp, counter)
    return None if before is None or after is None or after < before else (after - before) / elapsed_s
