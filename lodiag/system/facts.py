"""The plain facts that the sources of ``system`` hand up."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lodiag.model import Missing
    from lodiag.model.conns import ConnTcp


class Question(NamedTuple):
    """What is asked of the socket table, so that no more is read than that; a source may answer with more.

    ``everywhere`` asks for connections of which no end is on the loopback as well.
    """

    proto: str | None = None
    family: str | None = None
    states: frozenset[str] | None = None
    local_port: int | None = None
    remote_port: int | None = None
    with_tcp: bool = False
    everywhere: bool = False


class Socket(NamedTuple):
    """A TCP or UDP socket as its source has it: addresses not yet unmapped, ``None`` for what the source does not tell.

    ``pids`` are its owners where the source tells them; otherwise ``inode`` leads to them.
    """

    proto: str
    family: str
    state: str
    local: tuple[str, int]
    remote: tuple[str, int] | None
    pids: tuple[int, ...] = ()
    inode: int | None = None
    uid: int | None = None
    cookie: str | None = None
    interface_index: int | None = None
    recv_q_bytes: int | None = None
    send_q_bytes: int | None = None
    accept_queue: int | None = None
    backlog: int | None = None
    drops: int | None = None
    timer: str | None = None
    timer_ms: int | None = None
    timer_retransmits: int | None = None
    v6only: bool | None = None
    cgroup_id: int | None = None
    congestion: str | None = None
    tcp: ConnTcp | None = None


class Holder(NamedTuple):
    """A process that holds a socket, and the lowest of the descriptors by which it does."""

    pid: int
    fd: int


class SocketTable(NamedTuple):
    """All sockets of one reading; ``partial`` says which are missing and why, or is ``None``.

    ``refused`` are better sources that could not be had, as name and reason; ``lacks`` are what this one does not tell
    and a filter may ask for: ``unit``, ``user`` and ``bound``.
    """

    source: str
    sockets: tuple[Socket, ...]
    partial: Missing | None
    refused: tuple[tuple[str, str], ...] = ()
    lacks: frozenset[str] = frozenset()


class Group(NamedTuple):
    """A control group: its path, and the systemd unit and the container that the path names."""

    path: str
    unit: str | None
    container: str | None


class Process(NamedTuple):
    """A process; ``None`` for what it hides."""

    pid: int
    name: str | None
    user: str | None
    cmdline: str | None


class Setting(NamedTuple):
    """A kernel parameter; ``None`` if there is none by that name, or it may not be read."""

    name: str
    value: str | None


class Interface(NamedTuple):
    """A loopback interface."""

    name: str
    is_up: bool
    mtu_bytes: int
    addresses: tuple[str, ...]
