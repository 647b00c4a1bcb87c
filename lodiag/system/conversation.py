"""Talking to the kernel by netlink: a question, and all of the reply."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Protocol, TypeVar

from lodiag.system.nlmsg import NetlinkError
from lodiag.system.sources import SourceRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

REPLY_BYTES = 1 << 16
"""A dump comes in datagrams of at most 32 KiB."""

TRIES = 3
"""How often a dump that the kernel calls inconsistent (NLM_F_DUMP_INTR) is asked for."""

WAIT_S = 5.0


class Part(Protocol):
    """A decoded datagram of a reply."""

    @property
    def is_torn(self) -> bool:
        """Whether the kernel calls the dump inconsistent."""

    @property
    def is_last(self) -> bool:
        """Whether it ends the reply."""


_Part = TypeVar("_Part", bound=Part)


def open_socket(protocol: int) -> socket.socket:
    """Open a conversation with the kernel; ``SourceRefusedError`` if it has none to offer."""
    if not hasattr(socket, "AF_NETLINK"):
        message = "this system has no netlink"
        raise SourceRefusedError(message)
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    except OSError as error:
        raise SourceRefusedError(error.strerror or str(error)) from error
    sock.settimeout(WAIT_S)
    return sock


def ask(sock: socket.socket, request: bytes, decode: Callable[[memoryview], _Part]) -> tuple[list[_Part], bool]:
    """Ask for one reply, again if it was interrupted; its datagrams, decoded, and whether it was to the last.

    Raises ``OSError`` for a refusal, for a reply that is not whole, and if none comes.
    """
    for _ in range(TRIES):
        sock.send(request)
        parts = _receive(sock, decode)
        is_torn = any(part.is_torn for part in parts)
        if not is_torn:
            break
    return parts, is_torn


def _receive(sock: socket.socket, decode: Callable[[memoryview], _Part]) -> list[_Part]:
    parts: list[_Part] = []
    buffer = bytearray(REPLY_BYTES)
    view = memoryview(buffer)
    while not parts or not parts[-1].is_last:
        size, _, flags, _ = sock.recvmsg_into([buffer])
        if flags & socket.MSG_TRUNC:
            raise NetlinkError(0, "a reply did not fit")
        parts.append(decode(view[:size]))
    return parts
