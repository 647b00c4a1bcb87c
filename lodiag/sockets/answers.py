"""Which socket of a port answers at an address: by the kernel's own lookup, or else by its rules, and what holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.clock import NS_PER_S, rfc3339
from lodiag.model.conns import NO_OWNER
from lodiag.model.who import WhoOwner, WhoSocket
from lodiag.sockets.describing import LISTENING, Describer, leave_out_bound_elsewhere
from lodiag.sockets.options import ConnsOptions
from lodiag.system.sources import SourceRefusedError
from lodiag.targets import family_of, is_wildcard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.model.conns import ConnRecord, Owner
    from lodiag.system import System
    from lodiag.system.facts import Socket

TIME_WAIT = NO_OWNER[0]
SPECIFIC, WILDCARD, DUAL_STACK = range(3)
"""How well a socket's address fits the one that is asked, best first; Linux's order in net/ipv4/inet_hashtables.c."""


class Answer(NamedTuple):
    """The socket that gets what is sent to an address, or ``None``; how that was found, and whether it is certain."""

    row: Socket | None
    method: str
    is_certain: bool = True


class Finder:
    """Finds who answers; ``refused`` is why the kernel was not able to tell, by protocol and family."""

    def __init__(self, system: System, rows: Sequence[Socket], interface: str | None) -> None:
        """Take the sockets of the port, and the loopback interface, by which all comes."""
        self._system, self._interface = system, interface
        self._rows = leave_out_bound_elsewhere([row for row in rows if row.state in LISTENING], system)
        self.refused: dict[tuple[str, str], str] = {}

    def find(self, proto: str, address: str, port: int) -> Answer:
        """Find who gets what is sent to ``address``."""
        kind = proto, family_of(address)
        if kind not in self.refused:
            try:
                # Port 0 is nobody's, so that no connection is found instead of what listens.
                row = self._system.look_up_socket(proto, (address, port), (address, 0), self._interface)
                return Answer(row, "lookup")
            except SourceRefusedError as refusal:
                self.refused[kind] = str(refusal)
        return choose([row for row in self._rows if row.proto == proto], address)


def choose(rows: Sequence[Socket], address: str) -> Answer:
    """Choose among sockets that listen as Linux does: what is bound to the address itself goes before a wildcard."""
    fits = [(fit, row) for row in rows if (fit := rank(row.local[0], address)) is not None]
    fits = [(fit, row) for fit, row in fits if not (fit == DUAL_STACK and row.v6only)]
    if not fits:
        return Answer(None, "table")
    fit, row = min(fits, key=lambda found: (found[0], found[1].family))
    return Answer(row, "table", is_certain=fit != DUAL_STACK or row.v6only is False)


def rank(own: str, address: str) -> int | None:
    """Tell how a socket bound to ``own`` fits ``address``; ``None`` if not at all."""
    if own == address:
        return SPECIFIC
    if not is_wildcard(own):
        return None
    if family_of(own) == family_of(address):
        return WILDCARD
    return DUAL_STACK if family_of(own) == "ipv6" else None


def find_group(row: Socket, listeners: Sequence[Socket]) -> list[Socket]:
    """All listeners that are bound as ``row`` is, if it is not alone: they share the port by SO_REUSEPORT."""
    same = [other for other in listeners if _place(other) == _place(row)]
    return same if len(same) > 1 else []


def _place(row: Socket) -> tuple[object, ...]:
    return row.proto, row.family, row.local, row.interface_index


class Sorts(NamedTuple):
    """The sockets of a port: what answers anybody, what holds the port and answers nobody, what waits out its end."""

    listeners: list[Socket]
    held: list[Socket]
    waits: list[Socket]


def sort_out(rows: Sequence[Socket]) -> Sorts:
    """Sort sockets of a port; the connections that a listener of the port has accepted are of none of the kinds."""
    sorts = Sorts([], [], [])
    sorts.listeners.extend(row for row in rows if row.state in LISTENING)
    taken = {row.local[0] for row in sorts.listeners if row.proto == "tcp"}
    is_all_taken = any(map(is_wildcard, taken))
    for row in rows:
        is_accepted = row.proto == "tcp" and (is_all_taken or row.local[0] in taken)
        if row.state == "bound" or not (row.state in LISTENING or is_accepted):
            (sorts.waits if row.state == TIME_WAIT else sorts.held).append(row)
    return sorts


class Teller:
    """Tells of sockets who owns them, and since when those run."""

    def __init__(self, system: System, rows: Sequence[Socket], *, with_cmdline: bool) -> None:
        """Look up the owners of all ``rows``.

        Whoever still holds the socket after name and start were read is the process that these are of, though the pid
        may have passed from one to another before.
        """
        describer = Describer(system, ConnsOptions(with_cmdline=with_cmdline))
        self._records = dict(zip(rows, map(describer.describe, rows, describer.find_owners(rows)), strict=True))
        pids = {owner.pid for record in self._records.values() for owner in record.owners or ()}
        self._starts = {pid: system.find_start(pid) for pid in pids}
        inodes = {row.inode for row in rows if row.inode}
        still = system.find_holders(inodes, pids) if inodes and pids else {}
        self._still = {inode: {holder.pid for holder in holders} for inode, holders in still.items()}

    def tell(self, row: Socket) -> WhoSocket:
        """Tell of one of the sockets."""
        found = self._records[row]
        return WhoSocket(
            proto=found.proto,
            family=found.family,
            state=found.state,
            local=found.local,
            remote=found.remote,
            interface=found.interface,
            v6only=found.v6only,
            owners=self._find_owners(found),
            no_owner=found.no_owner,
            uid=found.uid,
            user=found.user,
            cgroup=found.cgroup,
            unit=found.unit,
            container=found.container,
            accept_queue=found.accept_queue,
            backlog=found.backlog,
            drops=found.drops,
            inode=found.inode,
            cookie=found.cookie,
        )

    def _find_owners(self, found: ConnRecord) -> tuple[WhoOwner, ...] | None:
        if not found.owners:
            return () if found.owners is not None else None
        pids = self._still.get(found.inode, set()) if found.inode else self._starts.keys()
        return tuple(self._tell_owner(owner) for owner in found.owners if owner.pid in pids) or None

    def _tell_owner(self, owner: Owner) -> WhoOwner:
        start = self._starts[owner.pid]
        return WhoOwner(
            pid=owner.pid,
            process=owner.process,
            user=owner.user,
            fd=owner.fd,
            cmdline=owner.cmdline,
            started_at=None if start is None else write_second(start),
        )


def write_second(seconds: int) -> str:
    """Write seconds since the epoch as RFC 3339 in UTC."""
    return rfc3339(seconds * NS_PER_S).partition(".")[0] + "Z"
