"""What the judgements about sockets look at: two readings of the socket table, and what decides how to read them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from lodiag.dataclass import dataclass
from lodiag.model import Evidence
from lodiag.targets import is_wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lodiag.model import Finding
    from lodiag.model.audit import AuditRecord
    from lodiag.model.conns import ConnRecord, Endpoint
    from lodiag.system.facts import Condition, Setting

MS_PER_S = 1000
CONTINUE = "The process is stopped: let it go on by kill -CONT, or detach the debugger."


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The sockets of a machine at one time, and a moment later: one reading cannot tell a burst from a standstill."""

    source: str
    """Which mechanism told the table."""
    records: Sequence[ConnRecord]
    """All sockets that use the loopback or answer on it, with what TCP measured."""
    held_ports: frozenset[int] = frozenset()
    """Ports at which a TCP socket listens or is bound, at whatever address of this machine."""
    later: Mapping[str, ConnRecord] | None = None
    """By cookie, those of the second reading, without owners; ``None`` if there was none, or no cookies are told."""
    settings: Mapping[str, Setting]
    """Kernel parameters by what they decide, as ``System.read_socket_settings`` has them."""
    processes: Mapping[int, Condition]
    """By pid, those processes of which more than the name matters."""
    localhost: tuple[str, ...] = ()
    """Addresses of the name localhost, in the resolver's order; empty if it has none."""
    overflows: Mapping[str, int]
    """How often the kernel dropped what found a queue full, by kind of queue, between the readings; all sockets'."""

    def again(self, record: ConnRecord) -> ConnRecord | None:
        """Find the same socket in the second reading; ``None`` if it is gone, or there was no such reading."""
        return None if self.later is None or record.cookie is None else self.later.get(record.cookie)

    def is_gone(self, record: ConnRecord) -> bool:
        """Whether a second reading was made and no longer has the socket: what was seen was passing."""
        return self.later is not None and self.again(record) is None

    def read_range(self) -> range:
        """Ports that the kernel gives to clients; none if that was not to be read."""
        setting = self.settings.get("port-range")
        words = (setting.value if setting and setting.value else "").split()
        return range(int(words[0]), int(words[1]) + 1) if len(words) == len(("first", "last")) else range(0)

    def read_number(self, role: str) -> int | None:
        """Value of a kernel parameter that is one number; ``None`` if it was not to be read."""
        setting = self.settings.get(role)
        value = setting.value if setting else None
        return int(value) if value is not None and value.isdecimal() else None


class Judgement(NamedTuple):
    """A finding, and the sockets of the first reading that it is about."""

    finding: Finding
    sockets: tuple[ConnRecord, ...]


class Listeners:
    """TCP sockets that listen, by what they would answer."""

    def __init__(self, records: Iterable[ConnRecord]) -> None:
        """Take those that listen out of ``records``."""
        self.by_port: dict[int, list[ConnRecord]] = defaultdict(list)
        for record in records:
            if record.proto == "tcp" and record.state == "listen":
                self.by_port[record.local.port].append(record)

    def find(self, address: str, port: int) -> tuple[ConnRecord, ...]:
        """Find what would answer a connection to this address and port; several only if they share it.

        The order is the kernel's (compute_score in Linux's net/ipv4/inet_hashtables.c): the very address goes before
        every address, and among these what is bound to an interface, then an IPv4 socket for IPv4.
        """
        there = self.by_port.get(port, [])
        found = [row for row in there if row.local.address == address]
        found = found or [row for row in there if answers_at(row, address)]
        best = max((_rank(row) for row in found), default=None)
        return tuple(row for row in found if _rank(row) == best)


def answers_at(listener: ConnRecord, address: str) -> bool:
    """Whether a listener takes connections to this address, unless another is nearer; a maybe is a yes."""
    if not is_wildcard(listener.local.address):
        return listener.local.address == address
    if ":" in address:
        return listener.local.address == "::"
    return listener.local.address != "::" or listener.v6only is not True


def _rank(row: ConnRecord) -> tuple[bool, bool]:
    return row.interface is not None, row.family == "ipv4"


def pair_up(records: Iterable[ConnRecord]) -> dict[tuple[str, int, str, int], ConnRecord]:
    """Index TCP sockets that have a peer by their ends, this one first, so that a mirror is found by swapping them."""
    return {
        (row.local.address, row.local.port, row.remote.address, row.remote.port): row
        for row in records
        if row.proto == "tcp" and row.remote is not None
    }


def name_end(end: Endpoint, interface: str | None = None) -> str:
    """Write an address and a port as URLs have them, and the interface that a socket is bound to."""
    host = f"[{end.address}]" if ":" in end.address else end.address
    return f"{host}{'' if interface is None else f'%{interface}'}:{end.port}"


def name_owners(record: ConnRecord | AuditRecord) -> str:
    """Name who holds a socket; of several processes the first."""
    if not record.owners:
        return "an unseen process" if record.user is None else f"an unseen process of {record.user}"
    first = record.owners[0]
    more = len(record.owners) - 1
    name = f"{first.process or 'a process'}[{first.pid}]"
    return f"{name} and {more} more" if more else name


def tell_stopped(record: ConnRecord, snapshot: Snapshot) -> tuple[Evidence, ...]:
    """Give as evidence that whoever holds a socket is stopped, by a signal or a debugger."""
    states = [snapshot.processes.get(owner.pid) for owner in record.owners or ()]
    if not states or not all(state is not None and state.is_stopped for state in states):
        return ()
    return (Evidence(name="state of the process", value="stopped", source="process table"),)


def tell_pid(record: ConnRecord) -> tuple[Evidence, ...]:
    """Give the first process that holds a socket as evidence."""
    return tuple(Evidence(name="pid", value=owner.pid, source="process table") for owner in (record.owners or ())[:1])


def seconds(ms: float) -> str:
    """Write an age."""
    return f"{ms / MS_PER_S:.0f} s" if ms >= MS_PER_S else f"{ms:.0f} ms"


def count(number: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
