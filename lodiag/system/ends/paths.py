"""Connected sockets for the two ends: made here, so that what keeps them from being connected is told once."""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import ExitStack
from errno import ENOENT
from typing import Any, NamedTuple

from lodiag.errors import ConfigError

FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
KINDS = {"stream": socket.SOCK_STREAM, "datagram": socket.SOCK_DGRAM}

CONNECT_S = 2.0
"""Longer than a lost SYN takes to be sent again, which is a second (RFC 6298 2.1)."""

ANSWER_S = 1
"""Seconds after which an end no longer waits for the other: on a busy machine a process may wait its turn for some."""

BACKLOG = 128


class Path(NamedTuple):
    """Over what two ends are connected: ``family`` and ``address`` are ``None`` for AF_UNIX."""

    kind: str
    family: str | None
    address: str | None
    window_bytes: int | None = None
    congestion: str | None = None


def connect_ends(path: Path) -> tuple[socket.socket, socket.socket]:
    """Give the client's and the server's socket, connected; ``OSError`` if that cannot be had."""
    with ExitStack() as opened:
        pair = _connect(path, opened)
        for sock in pair:
            sock.settimeout(None)
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", ANSWER_S, 0))
        opened.pop_all()
        return pair


def _connect(path: Path, opened: ExitStack) -> tuple[socket.socket, socket.socket]:
    if path.family is None:
        first, second = socket.socketpair(socket.AF_UNIX, KINDS[path.kind])
        for sock in (first, second):
            opened.enter_context(sock)
            _set_window(sock, path.window_bytes)
        return first, second
    if path.kind == "datagram":
        first, second = (opened.enter_context(_bind(path)) for _ in range(2))
        first.connect(second.getsockname())
        second.connect(first.getsockname())
        return first, second
    with open_listener(path) as listener:
        client = opened.enter_context(_prepare(path))
        client.settimeout(CONNECT_S)
        client.connect(listener.getsockname())
        listener.settimeout(CONNECT_S)
        server, _ = listener.accept()
        return client, opened.enter_context(server)


def open_listener(path: Path) -> socket.socket:
    """Give a socket that listens; ``OSError`` if that cannot be had."""
    with ExitStack() as opened:
        sock = opened.enter_context(_bind(path))
        sock.listen(BACKLOG)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", ANSWER_S, 0))
        opened.pop_all()
        return sock


def _bind(path: Path) -> socket.socket:
    with ExitStack() as opened:
        sock = opened.enter_context(_prepare(path))
        sock.bind((path.address, 0) if path.address is not None else "")  # unix(7): the kernel chooses a name
        opened.pop_all()
        return sock


def _prepare(path: Path) -> socket.socket:
    """Open a socket with the options that were asked for, which those that a listener accepts have as well."""
    family = socket.AF_UNIX if path.family is None else FAMILIES[path.family]
    with ExitStack() as opened:
        sock = opened.enter_context(socket.socket(family, KINDS[path.kind]))
        _set_window(sock, path.window_bytes)
        if path.congestion is not None and path.kind == "stream":
            set_congestion(sock, path.congestion)
        if path.kind == "stream" and path.family is not None:  # a response must not wait for an acknowledgement
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.pop_all()
        return sock


def _set_window(sock: socket.socket, window_bytes: int | None) -> None:
    if window_bytes is not None:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, window_bytes)


def set_congestion(sock: socket.socket, name: str) -> None:
    """Choose how TCP avoids congestion; ``ConfigError`` where that is not to be had."""
    if sys.platform != "linux":
        message = "this system does not let a program choose how TCP avoids congestion"
        raise ConfigError(message)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
    except (OSError, ValueError) as error:
        is_unknown = getattr(error, "errno", ENOENT) == ENOENT
        reason = "it is unknown here" if is_unknown else "this user may not"
        message = f"congestion control {name[:40]!r} cannot be used: {reason}"
        raise ConfigError(message, "See: sysctl net.ipv4.tcp_allowed_congestion_control") from error


def check_congestion(name: str) -> None:
    """Raise ``ConfigError`` where this congestion control is not to be had."""
    with socket.socket() as sock:
        set_congestion(sock, name)


def describe(sock: socket.socket) -> dict[str, Any]:
    """Tell what the kernel made of what was asked for: buffers, congestion control, segment size."""
    told: dict[str, Any] = {
        "send_buffer_bytes": sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
        "receive_buffer_bytes": sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
        "congestion": None,
        "segment_bytes": None,
    }
    if sock.family != socket.AF_UNIX and sock.type == socket.SOCK_STREAM:
        told["segment_bytes"] = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        if sys.platform == "linux":
            name = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
            told["congestion"] = name.rstrip(b"\0").decode("ascii", "replace")
    return told
