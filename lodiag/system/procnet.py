"""The socket table in Linux's /proc/net: where sock_diag is not to be had, as in gVisor and WSL 1.

Source: proc(5), and Linux's net/ipv4/tcp_ipv4.c, net/ipv4/udp.c and their counterparts in net/ipv6.
"""

from __future__ import annotations

import sys
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_ntop
from typing import TYPE_CHECKING

from lodiag.model import Missing
from lodiag.model.conns import Endpoint
from lodiag.system.facts import Socket, SocketTable, unmap
from lodiag.system.sock_diag import PEERLESS, name_state, name_timer
from lodiag.system.sources import SourceRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.system.facts import Question

FOLDER = "/proc/net"
FILES = (("tcp", "tcp", "ipv4"), ("tcp6", "tcp", "ipv6"), ("udp", "udp", "ipv4"), ("udp6", "udp", "ipv6"))
TICK_MS = 10
"""Times are in clock ticks of USER_HZ, which is 100 on every architecture that Linux has today."""

LEAST_COLUMNS = 10
RETRANSMITS_COLUMN, PROBES_COLUMN, DROPS_COLUMN = 6, 8, 12
PROBING = {2, 4}
"""Timers of which the tries are probes: keepalive and persist."""
IPV4_DIGITS = 8


def list_sockets(question: Question) -> SocketTable:
    """Read the files of all families that this kernel has; ``SourceRefusedError`` if there is none."""
    found: list[Socket] = []
    unread: list[str] = []
    is_read = False
    for name, proto, family in FILES:
        if question.proto not in {None, proto} or question.family not in {None, family}:
            continue
        try:
            found += decode_table(proto, family, Path(FOLDER, name).read_text(encoding="ascii"))
            is_read = True
        except FileNotFoundError:  # a kernel without IPv6, if not without /proc
            continue
        except OSError as error:
            unread.append(f"{FOLDER}/{name}: {error.strerror}")
    if not is_read:
        raise SourceRefusedError("; ".join(unread) or f"{FOLDER} has no socket table")
    partial = Missing(what="some sockets", count=None, why="; ".join(unread)) if unread else None
    return SocketTable("proc", tuple(found), partial, lacks=frozenset({"unit", "bound", "interface"}))


def decode_table(proto: str, family: str, text: str) -> Iterator[Socket]:
    """Decode one file; a line that is not whole is left out, and of a socket that is in it twice the last one counts.

    The kernel writes it a page at a time, and finds its place again by counting: what was put before it meanwhile
    lets it tell a socket again.
    """
    rows: dict[object, list[str]] = {}
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) >= LEAST_COLUMNS:
            inode, ends = columns[9], (columns[1], columns[2])  # a socket that only waits for its end has no inode
            rows[ends if inode == "0" else inode] = columns
    for columns in rows.values():
        yield _decode_row(proto, family, columns)


def _decode_row(proto: str, family: str, columns: list[str]) -> Socket:
    state = name_state(proto, int(columns[3], 16))
    send_q, recv_q = (int(part, 16) for part in columns[4].split(":"))
    timer, ticks = (int(part, 16) for part in columns[5].split(":"))
    inode = int(columns[9])
    listens = state == "listen"
    runs = timer != 0 and proto == "tcp"
    (local, mapped), (remote, _) = decode_end(columns[1]), decode_end(columns[2])
    return Socket(
        proto=proto,
        family=family,
        state=state,
        local=local,
        remote=None if state in PEERLESS else remote,
        mapped=mapped,
        inode=inode,
        uid=int(columns[7]) if inode else None,
        recv_q_bytes=None if listens else recv_q,
        send_q_bytes=None if listens else send_q,
        accept_queue=recv_q if listens else None,
        drops=int(columns[DROPS_COLUMN]) if proto == "udp" and len(columns) > DROPS_COLUMN else None,
        timer=name_timer(timer) if runs else None,
        timer_ms=ticks * TICK_MS if runs else None,
        timer_retransmits=_count_tries(timer, columns) if runs else None,
    )


def _count_tries(timer: int, columns: list[str]) -> int:
    return int(columns[PROBES_COLUMN]) if timer in PROBING else int(columns[RETRANSMITS_COLUMN], 16)


def decode_end(text: str) -> tuple[Endpoint, bool]:
    """Decode ``0100007F:1F90``, and say whether the address was an IPv4-mapped one, which is given as IPv4.

    Each 32-bit word of the address is written as this machine orders its bytes.
    """
    digits, _, port = text.partition(":")
    raw = b"".join(int(digits[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(digits), 8))
    address, mapped = unmap(inet_ntop(AF_INET if len(digits) == IPV4_DIGITS else AF_INET6, raw))
    return Endpoint(address, int(port, 16)), mapped
