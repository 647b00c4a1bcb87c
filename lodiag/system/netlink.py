"""The socket table by sock_diag netlink: what Linux tells any user, filtered in the kernel."""

from __future__ import annotations

from errno import ENOENT
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from lodiag.model import Missing
from lodiag.system import conversation, sock_diag
from lodiag.system.facts import Question, SocketTable
from lodiag.system.sources import SourceRefusedError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from lodiag.system.facts import Socket

NETLINK_SOCK_DIAG = 4
"""include/uapi/linux/netlink.h"""


class Dump(NamedTuple):
    """A question to the kernel."""

    proto: str
    family: str
    request: bytes


def open_socket() -> socket.socket:
    """Open a conversation about sockets; ``SourceRefusedError`` if the kernel has none to offer."""
    return conversation.open_socket(NETLINK_SOCK_DIAG)


def list_sockets(question: Question, connect: Callable[[], socket.socket] = open_socket) -> SocketTable:
    """Read all sockets that listen, wait or are bound, and of the others those with an end on the loopback, or all.

    A kernel that has no diagnosis for one protocol or family still has /proc/net for it. Raises ``SourceRefusedError``
    where the kernel, or a sandbox around this process, has no sock_diag at all. ``connect`` is ``open_socket``, or what
    a test has in its place.
    """
    found: dict[int | None, Socket] = {}
    failed: dict[tuple[str, str], str] = {}
    is_torn = is_answered = False
    for dump in list_dumps(question):
        with connect() as sock:  # one each: what is left of a reply that failed is no answer to the next
            try:
                rows, was_torn = ask(sock, dump)
            except OSError as error:
                failed[dump.proto, dump.family] = error.strerror or str(error)
                continue
        # One that changes its state between two dumps is in both.
        found |= {row.cookie: row for row in rows}
        is_torn, is_answered = is_torn or was_torn, True
    if failed and not is_answered:
        raise SourceRefusedError("; ".join(dict.fromkeys(failed.values())))
    sockets = list(found.values())
    if failed:
        sockets = [row for row in sockets if (row.proto, row.family) not in failed]
    missing = ["the kernel's table changed while it was read, each time that it was"] if is_torn else []
    for (proto, family), reason in failed.items():
        from lodiag.system import procnet

        try:
            instead = procnet.list_sockets(Question(proto, family))
        except SourceRefusedError as refusal:
            missing.append(f"{proto} of {family}: {reason}; {refusal}")
        else:
            sockets += instead.sockets
    return SocketTable(
        "sock_diag",
        sockets,
        Missing(what="some sockets", count=None, why="; ".join(missing)) if missing else None,
        tuple((f"sock_diag of {proto} and {family}", reason) for (proto, family), reason in failed.items()),
    )


def look_up(
    proto: str,
    local: tuple[str, int],
    remote: tuple[str, int],
    connect: Callable[[], socket.socket] = open_socket,
    interface_index: int = 0,
) -> Socket | None:
    """Find the socket that would get what comes to ``local`` from ``remote``, by the kernel's own lookup.

    That is a connection if there is one, else what listens, which of a group by SO_REUSEPORT depends on ``remote``.
    What comes by the interface of ``interface_index`` may go to a socket that is bound to that one.
    ``None`` if there is none. No packet is sent. Raises ``SourceRefusedError`` where there is no such lookup.
    """
    request = sock_diag.encode_lookup(proto, local, remote, sock_diag.MEMORY_EXTENSION, interface_index)
    try:
        with connect() as sock:
            sock.send(request)
            found = sock_diag.decode_reply(proto, memoryview(sock.recv(conversation.REPLY_BYTES))).sockets
    except OSError as error:
        # A kernel that does not diagnose the protocol at all gives ENOENT as well, but then for a dump too.
        if error.errno == ENOENT:
            with connect() as sock:
                _require_diagnosis(sock, proto, local)
            return None
        raise SourceRefusedError(error.strerror or str(error)) from error
    return found[0] if found else None


def _require_diagnosis(sock: socket.socket, proto: str, local: tuple[str, int]) -> None:
    family = "ipv6" if ":" in local[0] else "ipv4"
    request = sock_diag.encode_dump(family, proto, 1 << sock_diag.LISTEN, ports=(local[1], 0))
    try:
        ask(sock, Dump(proto, family, request))
    except OSError as error:
        raise SourceRefusedError(error.strerror or str(error)) from error


def list_dumps(question: Question) -> Iterator[Dump]:
    """Write the dumps that answer a question.

    What has no peer may be bound to every address, and is not filtered by that. Those that listen are in a table of
    their own, and are told at once however many others there are.
    """
    wanted = sock_diag.encode_states(question.states)
    tcp_extensions = sock_diag.TCP_EXTENSIONS if question.with_tcp else 0
    listening, bound, unconnected = (1 << n for n in (sock_diag.LISTEN, sock_diag.BOUND_INACTIVE, sock_diag.CLOSE))
    talking = sock_diag.ALL_STATES & ~(listening | unconnected)
    memory = sock_diag.MEMORY_EXTENSION
    either_end = () if question.everywhere else sock_diag.LOOPBACK
    own: tuple[sock_diag.Condition, ...] = ()
    # A program knows "any of" and not "all of": of several filters the kernel does the one that leaves least.
    if question.port:
        own = either_end = sock_diag.at_port(question.port)
    elif question.local_address:
        own = either_end = sock_diag.at_address(question.local_address)
    kinds = {
        "tcp": (
            (listening, own, memory | tcp_extensions),
            (bound, own, memory),
            (talking, either_end, tcp_extensions),
        ),
        "udp": ((unconnected, own, memory), (1 << sock_diag.ESTABLISHED, either_end, memory)),
    }
    for proto in kinds if question.proto is None else (question.proto,):
        for family in sock_diag.FAMILIES if question.family is None else (question.family,):
            for states, conditions, extensions in kinds[proto]:
                if states & wanted:
                    ports = question.local_port or 0, question.remote_port or 0
                    request = sock_diag.encode_dump(family, proto, states & wanted, conditions, extensions, ports)
                    yield Dump(proto, family, request)


def ask(sock: socket.socket, dump: Dump) -> tuple[list[Socket], bool]:
    """Ask for one dump; the sockets, and whether it was interrupted each time (see ``conversation.ask``)."""
    replies, is_torn = conversation.ask(sock, dump.request, partial(sock_diag.decode_reply, dump.proto))
    return [row for reply in replies for row in reply.sockets], is_torn
