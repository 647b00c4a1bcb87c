"""Connections of which one end only is there: told apart from those that began or ended while the table was read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.system.facts import Question
from lodiag.system.sources import SourceRefusedError
from lodiag.targets import is_loopback, unmap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.model.conns import ConnRecord
    from lodiag.pairs import Pair
    from lodiag.system import System

LIVE = frozenset({"established", "fin-wait-1", "fin-wait-2"})
"""States in which the other end must be there, too.

Not close-wait: the end that closed waits in fin-wait-2 for a minute, tcp_fin_timeout, and is gone then (tcp(7)).
"""

MOST_LOOKUPS = 500
"""Suspects that are looked up; two lookups take some 0.1 ms."""

PAUSE_S = 0.1
"""What is half closed or half open by chance is no longer so after that."""


class Verdict(NamedTuple):
    """What became of the connections whose other end was not in the table, and how that was found out."""

    missing: tuple[Pair, ...]
    passing: int
    unconfirmed: int
    method: str


def is_suspect(pair: Pair) -> bool:
    """Whether the other end should be there: a TCP connection that lives, inside the loopback."""
    end = pair.lone
    return (
        end is not None
        and end.proto == "tcp"
        and end.state in LIVE
        and not (end.state == "fin-wait-2" and end.owners == ())
        and end.remote is not None
        and is_loopback(end.local.address)
        and is_loopback(end.remote.address)
    )


def confirm(suspects: Sequence[Pair], system: System, source: str | None, *, is_partial: bool) -> Verdict:
    """Look each suspect up twice, a pause apart: whether its other end is missing while it is there itself.

    Where the kernel has no such lookup, the table is read again; one that was partial proves nothing.
    """
    chosen = list(suspects[:MOST_LOOKUPS])
    too_many = len(suspects) - len(chosen)
    try:
        standing = [pair for pair in chosen if _is_half(pair, system)]
        if standing:
            system.wait((), PAUSE_S)
            standing = [pair for pair in standing if _is_half(pair, system)]
        return Verdict(tuple(standing), len(chosen) - len(standing), too_many, "exact lookup")
    except SourceRefusedError:
        if is_partial:
            return Verdict((), 0, len(suspects), "")
        standing = _read_again(suspects, system, source)
        return Verdict(tuple(standing), len(suspects) - len(standing), 0, "second reading")


def _ends(record: ConnRecord) -> tuple[tuple[str, int], tuple[str, int]]:
    far = record.remote or record.local
    return (record.local.address, record.local.port), (far.address, far.port)


def _is_half(pair: Pair, system: System) -> bool:
    """Look for the mirror first: if it goes while this is asked, so does the end itself."""
    end = pair.lone
    if end is None:
        return False
    near, far = _ends(end)
    mirror = system.look_up_socket("tcp", far, near)
    if mirror is not None and mirror.remote is not None and (unmap(mirror.remote[0])[0], mirror.remote[1]) == near:
        return False
    own = system.look_up_socket("tcp", near, far)
    return own is not None and own.state in LIVE and (end.cookie is None or own.cookie == end.cookie)


def _read_again(suspects: Sequence[Pair], system: System, source: str | None) -> list[Pair]:
    system.wait((), PAUSE_S)
    table = system.list_sockets(source, Question(proto="tcp"))
    states = {
        ((unmap(row.local[0])[0], row.local[1]), (unmap(row.remote[0])[0], row.remote[1])): row.state
        for row in table.sockets
        if row.remote is not None
    }
    standing = []
    for pair in suspects:
        near, far = _ends(pair.lone or pair.client)  # type: ignore[arg-type]  # a suspect has a lone end
        if states.get((near, far)) in LIVE and (far, near) not in states:
            standing.append(pair)
    return standing
