"""Who is at the ends of connections: processes folded into nodes, and names for what has no process to be seen."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lodiag.flows.pairs import Pair
    from lodiag.model.conns import ConnRecord, Owner

MOST_NAMED = 4
"""Ports, or different programs, that the name of a node has; of more, their number is given."""

MANAGER = 1
"""Pid of the first process."""

OVER = frozenset({"time-wait", "fin-wait-1", "fin-wait-2", "last-ack", "closing"})
"""States of an end that was closed here (RFC 9293 3.6)."""

NO_SOCKET = "no-socket"
"""Nothing is there to receive."""


class Node(NamedTuple):
    """A node; two of the same ``node`` are one."""

    node: str
    kind: str
    name: str | None
    user: str | None = None
    unit: str | None = None
    container: str | None = None
    ports: tuple[int, ...] = ()


class End(NamedTuple):
    """A node at an end of a connection, and its processes there; ``None`` if they may not be seen."""

    node: Node
    owners: tuple[Owner, ...] | None


class Cast:
    """Tells who is at an end.

    Processes are one node if they have the same name, unit and container and listen on the same TCP ports: the workers
    of a server fold into one, services that share an interpreter stay apart. A process that holds a connection to a
    listener of its own program counts as listening too, as the children of a server do that has one for each.
    """

    def __init__(self, records: Iterable[ConnRecord], pairs: Sequence[Pair]) -> None:
        """Learn what each process listens on, and where it runs."""
        self._ports: defaultdict[int, set[int]] = defaultdict(set)
        self._groups: dict[int, tuple[str | None, str | None]] = {}
        self._seen: dict[tuple[int, ...], End] = {}
        for record in records:
            if record.remote is None and record.state == "listen":
                for owner in record.owners or ():
                    self._ports[owner.pid].add(record.local.port)
                    self._groups.setdefault(owner.pid, (record.unit, record.container))
        followed: set[tuple[int, int]] = set()
        for pair in pairs:
            self._place(pair)
            for owner in (pair.server.owners or ()) if pair.server and pair.server.proto == "tcp" else ():
                for listener in pair.listeners:
                    if (owner.pid, id(listener)) not in followed:
                        followed.add((owner.pid, id(listener)))
                        self._count_with(listener, owner)

    def _place(self, pair: Pair) -> None:
        """Learn the group of a process, best from a socket of its own: an accepted one has that of the listener."""
        if pair.client is not None:
            for owner in pair.client.owners or ():
                self._groups[owner.pid] = (pair.client.unit, pair.client.container)
        if pair.server is not None:
            for owner in pair.server.owners or ():
                self._groups.setdefault(owner.pid, (pair.server.unit, pair.server.container))

    def _count_with(self, listener: ConnRecord, owner: Owner) -> None:
        for elder in listener.owners or ():
            if elder.process == owner.process:
                self._ports[owner.pid] |= self._ports[elder.pid]

    def find_client(self, pair: Pair) -> End:
        """Who connected; of a connection that is over nobody knows any more."""
        record = pair.client
        if record is not None and record.owners:
            return self._name_seen(record.owners, record)
        if record is not None:
            return _name_unseen(record) if record.owners is None else _no_process(record)
        end = pair.server
        is_over = end is not None and end.owners == () and end.state in OVER
        return _no_process(end) if end is not None and is_over else _name_unseen(None)

    def find_server(self, pair: Pair) -> End:
        """Who was connected to: the process that holds that end, or else the one that listens there."""
        record = pair.server
        if record is not None and record.owners:
            return self._name_seen(record.owners, record)
        if record is not None and record.owners is None:
            return _name_unseen(record, pair.port)
        if pair.listeners:
            owners = _list_servers(pair.listeners)
            return self._name_seen(owners, pair.listeners[0]) if owners else _name_unseen(pair.listeners[0], pair.port)
        if pair.proto == "udp" or (pair.client is not None and pair.client.state == "syn-sent"):
            return End(Node(f"({NO_SOCKET})", "none", NO_SOCKET), ())
        return _name_unseen(None, pair.port)

    def _name_seen(self, owners: tuple[Owner, ...], record: ConnRecord) -> End:
        pids = tuple(owner.pid for owner in owners)
        if pids not in self._seen:
            self._seen[pids] = self._make(owners, record)
        return self._seen[pids]

    def _make(self, owners: tuple[Owner, ...], record: ConnRecord) -> End:
        names = sorted({owner.process for owner in owners if owner.process})
        if not names:
            return End(_name_unseen(record).node, owners)
        unit, container = self._groups.get(owners[0].pid, (record.unit, record.container))
        ports = tuple(sorted(set().union(*(self._ports.get(owner.pid, ()) for owner in owners))))
        name = "+".join(_shorten(names))
        group = unit or container
        node = f"{name}@{group}" if group else name
        node += f":{','.join(_shorten(list(map(str, ports))))}" if ports else ""
        users = dict.fromkeys(owner.user for owner in owners if owner.user)
        return End(Node(node, "process", name, next(iter(users), record.user), unit, container, ports), owners)


def _list_servers(listeners: Iterable[ConnRecord]) -> tuple[Owner, ...]:
    """List who serves: not the service manager that made a listener and handed it on (sd_listen_fds(3))."""
    owners = {owner.pid: owner for listener in listeners for owner in listener.owners or ()}
    manager = owners.get(MANAGER)
    if manager is not None and any(owner.process != manager.process for owner in owners.values()):
        del owners[MANAGER]
    return tuple(owners.values())


def _shorten(names: Sequence[str]) -> Iterator[str]:
    yield from names[:MOST_NAMED]
    if len(names) > MOST_NAMED:
        yield f"{len(names) - MOST_NAMED} more"


def _name_unseen(record: ConnRecord | None, port: int | None = None) -> End:
    """Name what may not be seen by what its socket tells, and a server by its port: a user has many."""
    ports, suffix = ((), "") if port is None else ((port,), f":{port}")
    if record is None:
        return End(Node(f"?{suffix}", "unknown", None, ports=ports), None)
    for kind, name in (("container", record.container), ("unit", record.unit), ("user", record.user)):
        if name is not None:
            node = f"{name}{suffix}" if kind == "unit" else f"{kind} {name}{suffix}"
            return End(Node(node, kind, name, record.user, record.unit, record.container, ports), None)
    return End(Node(f"?{suffix}", "unknown", None, ports=ports), None)


def _no_process(record: ConnRecord) -> End:
    reason = record.no_owner or record.state
    return End(Node(f"({reason})", "none", reason), ())
