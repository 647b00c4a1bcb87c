"""The plain facts that the sources of ``system`` hand up."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.model import Missing
    from lodiag.model.conns import ConnTcp, Endpoint
    from lodiag.model.net import Link, LinkAddress


def unmap(address: str) -> tuple[str, bool]:
    """Give an IPv4-mapped address (::ffff:a.b.c.d, RFC 4291 2.5.5.2) as IPv4, and whether it was one."""
    if address.startswith("::ffff:") and "." in address:
        return address[7:], True
    return address, False


class Question(NamedTuple):
    """What is asked of the socket table, so that no more is read than that; a source may answer with more.

    ``port`` is one that either end has; ``everywhere`` asks for connections of which no end is on the loopback as well.
    """

    proto: str | None = None
    family: str | None = None
    states: frozenset[str] | None = None
    local_port: int | None = None
    remote_port: int | None = None
    with_tcp: bool = False
    everywhere: bool = False
    port: int | None = None
    local_address: str | None = None


class Socket(NamedTuple):
    """A TCP or UDP socket as its source has it; ``None`` for what the source does not tell.

    ``pids`` are its owners where the source tells them; otherwise ``inode`` leads to them.
    """

    proto: str
    family: str
    state: str
    local: Endpoint
    remote: Endpoint | None
    pids: tuple[int, ...] = ()
    mapped: bool = False
    inode: int | None = None
    uid: int | None = None
    cookie: int | None = None
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
    """A process that holds a socket, and the lowest of the descriptors by which it does; ``None`` if that is untold."""

    pid: int
    fd: int | None


class SocketTable(NamedTuple):
    """All sockets of one reading; ``partial`` says which are missing and why, or is ``None``.

    ``refused`` are better sources that could not be had, as name and reason; ``lacks`` are what this one does not tell
    and a filter may ask for: ``unit``, ``user``, ``bound`` and ``interface``.
    """

    source: str
    sockets: Sequence[Socket]
    partial: Missing | None
    refused: tuple[tuple[str, str], ...] = ()
    lacks: frozenset[str] = frozenset()


class Group(NamedTuple):
    """A control group: its path, and the systemd unit and the container that the path names; ``None`` if unknown."""

    path: str | None
    unit: str | None
    container: str | None


class Process(NamedTuple):
    """A process; ``None`` for what it hides."""

    pid: int
    name: str | None
    user: str | None
    cmdline: str | None


class Condition(NamedTuple):
    """How a process is; ``None`` for what it hides.

    ``program`` is its name and the first word behind it that is no option, such as the script that it runs, without
    digits; ``parents`` are its ancestors, the nearest first; ``most_files`` is its limit on open files.
    """

    program: tuple[str, str] | None
    parents: tuple[int, ...]
    is_stopped: bool | None
    most_files: int | None


class Setting(NamedTuple):
    """A kernel parameter; ``None`` if there is none by that name, or it may not be read."""

    name: str
    value: str | None


class Links(NamedTuple):
    """All interfaces and their addresses, by the best source that was to be had; ``refused`` are better ones."""

    source: str
    links: tuple[Link, ...]
    addresses: tuple[LinkAddress, ...]
    refused: tuple[tuple[str, str], ...]

    def loopbacks(self) -> tuple[Interface, ...]:
        """Those that carry the LOOPBACK flag."""
        return tuple(
            Interface(
                link.ifname, link.is_up, link.mtu, tuple(a.local for a in self.addresses if a.ifindex == link.ifindex)
            )
            for link in self.links
            if link.is_loopback and link.mtu is not None
        )


class Privilege(NamedTuple):
    """What decides whether this process may change interfaces; ``None`` for what this system does not tell.

    The namespaces are inode numbers; ``owner`` is the user namespace that owns the network namespace.
    """

    is_held: bool | None
    """Whether it has CAP_NET_ADMIN in its own user namespace."""
    user_namespace: int | None
    network_namespace: int | None
    owner: int | None


class Interface(NamedTuple):
    """A loopback interface."""

    name: str
    is_up: bool
    mtu_bytes: int
    addresses: tuple[str, ...]


class Opening(NamedTuple):
    """An interface by which packets for 127.0.0.0/8 are let in, and the kernel parameter that says so."""

    interface: str
    setting: Setting


class Forward(NamedTuple):
    """A rule of the packet filter that sends on what other hosts send here; ``None`` for what it leaves to others.

    ``rule`` is where it stands; ``ports`` are those that it takes, ``address`` and ``port`` where it sends them, ``at``
    the address that they must have been sent to. Of one that ``is_hidden`` it is not told where it sends them.
    """

    rule: str
    proto: str | None
    ports: str | None
    address: str | None
    port: int | None
    at: str | None = None
    is_hidden: bool = False


class Forwards(NamedTuple):
    """All such rules, ``None`` if they may not be read, and why some or all are missing, or ``None``."""

    rules: tuple[Forward, ...] | None
    untold: str | None


class Namespaces(NamedTuple):
    """How many other network namespaces are in use, and whether that is all there may be."""

    others: int
    is_whole: bool
