"""Connections of which one end only was seen: told apart from those that began or ended while the table was read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.system.facts import Question
from lodiag.system.sources import SourceRefusedError
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lodiag.flows.pairs import End, Pair
    from lodiag.model.conns import ConnRecord
    from lodiag.system import System
    from lodiag.system.facts import Socket

LIVE = frozenset({"established", "fin-wait-1", "fin-wait-2"})
"""States in which the other end must be there, too.

Not close-wait: the end that closed waits in fin-wait-2 for a minute, tcp_fin_timeout, and is gone then (tcp(7)).
"""

OVER = "time-wait"

MOST_LOOKUPS = 500
"""Suspects that are looked up; two lookups take some 0.1 ms."""

PAUSES_S = 0.1, 0.4
"""What is half there by chance is no longer so after the first; on a busy machine a reset may wait for a core longer.

What is missing costs these half a second, and what is not nothing more than the first.
"""


class Verdict(NamedTuple):
    """What is true of the suspects, by their one end: whether the other is missing, or there after all."""

    missing: frozenset[tuple[End, End]]
    there: frozenset[tuple[End, End]]
    unconfirmed: int
    method: str


def list_suspects(pairs: Iterable[Pair]) -> Iterator[ConnRecord]:
    """List the ends whose other end should be there: of TCP connections that live, inside the loopback."""
    for pair in pairs:
        end = pair.lone
        if (
            end is not None
            and end.proto == "tcp"
            and end.state in LIVE
            and not (end.state == "fin-wait-2" and end.owners == ())
            and end.remote is not None
            and is_loopback(end.local.address)
            and is_loopback(end.remote.address)
        ):
            yield end


def ends_of(record: ConnRecord) -> tuple[End, End]:
    """Give this end and the other."""
    far = record.remote or record.local
    return (record.local.address, record.local.port), (far.address, far.port)


def confirm(suspects: Sequence[ConnRecord], system: System, source: str | None, *, is_partial: bool) -> Verdict:
    """Look each suspect up again, pauses apart: whether its other end is missing while it is there itself.

    Where the kernel has no such lookup, the table is read again, for one reading may miss a socket that is there, as
    tables are read in pieces that do not wait for each other; one that was partial proves nothing.
    """
    chosen = suspects[:MOST_LOOKUPS]
    try:
        mirrors = {ends_of(end): _find_mirror(end, system) for end in chosen}
        standing = [end for end in chosen if mirrors[ends_of(end)] is None and _is_there(end, system)]
        for pause_s in PAUSES_S:
            if not standing:
                break
            system.wait((), pause_s)
            standing = [end for end in standing if _find_mirror(end, system) is None and _is_there(end, system)]
        missing = frozenset(map(ends_of, standing))
        there = frozenset(ends for ends, found in mirrors.items() if found is not None and found.state != OVER)
        return Verdict(missing, there, len(suspects) - len(chosen), "exact lookup")
    except SourceRefusedError:
        if is_partial:
            return Verdict(frozenset(), frozenset(), len(suspects), "")
        return _read_again(suspects, system, source)


def _find_mirror(end: ConnRecord, system: System) -> Socket | None:
    """Find the other end. It is looked for first: if it goes meanwhile, so does the end itself."""
    near, far = ends_of(end)
    found = system.look_up_socket("tcp", far, near)
    return found if found is not None and found.remote == near else None


def _is_there(end: ConnRecord, system: System) -> bool:
    found = system.look_up_socket("tcp", *ends_of(end))
    return found is not None and found.state in LIVE and _has_cookie(found, end)


def _read_again(suspects: Sequence[ConnRecord], system: System, source: str | None) -> Verdict:
    standing, there = list(suspects), set()
    for pause_s in PAUSES_S:
        if not standing:
            break
        system.wait((), pause_s)
        table = system.list_sockets(source, Question(proto="tcp"))
        rows: dict[tuple[End, End], Socket] = {(row.local, row.remote): row for row in table.sockets if row.remote}
        there |= {ends_of(end) for end in standing if ends_of(end)[::-1] in rows}
        standing = [end for end in standing if ends_of(end) not in there and _is_same(end, rows.get(ends_of(end)))]
    return Verdict(frozenset(map(ends_of, standing)), frozenset(there), 0, f"{len(PAUSES_S)} more readings")


def _is_same(end: ConnRecord, row: Socket | None) -> bool:
    """Whether a socket is still what it was: its ends may be those of another one by now."""
    return row is not None and (row.state, row.inode) == (end.state, end.inode) and _has_cookie(row, end)


def _has_cookie(row: Socket, end: ConnRecord) -> bool:
    return end.cookie is None or row.cookie is None or f"{row.cookie:x}" == end.cookie
