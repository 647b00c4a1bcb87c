"""Opening and preparing probe sockets: what all of them share."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from array import array
from contextlib import suppress

from lodiag.errors import UnsupportedError
from lodiag.system.packets import ECHO_REPLY, ECHO_REQUEST
from lodiag.system.probe import MethodRefusedError, SendError

FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
SOL_RAW, ICMP_FILTER, ICMP6_FILTER = 255, 1, 1
"""Linux's include/linux/socket.h, include/uapi/linux/icmp.h and icmpv6.h."""

SO_ATTACH_FILTER = 26
"""Linux's include/uapi/asm-generic/socket.h."""

BPF_LDX_MSH, BPF_LDX_IMM, BPF_LD_BYTE, BPF_LD_HALF, BPF_JEQ, BPF_RET = 0xB1, 0x01, 0x50, 0x48, 0x15, 0x06
BPF_AND, BPF_LSH, BPF_ADD, BPF_ADD_X, BPF_TAX = 0x54, 0x64, 0x04, 0x0C, 0x07
"""x = length of the IPv4 header; x = k; load a byte, a half word at x + k; jump if equal; return k bytes."""

UDP_TRACEROUTE_PORT = 33434
"""Where traceroute(8) begins: nothing is expected to listen there."""

_REFUSED = {errno.EPERM, errno.EACCES, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EPROTOTYPE, 10013}
"""Errors of socket() that mean "not by this method"; 10013 is Windows' WSAEACCES."""


def translate_open_error(error: OSError) -> Exception:
    """Turn the failure to open a socket into a refused method or, the address being at fault, a failed send."""
    if error.errno in _REFUSED:
        name = errno.errorcode.get(error.errno, str(error.errno))
        return MethodRefusedError(f"{name} ({error.strerror})")
    return SendError(error)


def open_socket(family: str, kind: int, source: str | None, proto: int = 0) -> socket.socket:
    """Open a non-blocking socket bound to ``source``; ``MethodRefusedError`` or ``SendError``."""
    try:
        sock = socket.socket(FAMILIES[family], kind, proto)
    except OSError as error:
        raise translate_open_error(error) from error
    try:
        sock.settimeout(0)
        if source is not None:
            sock.bind((source, 0))
    except OSError as error:
        sock.close()
        raise SendError(error) from error
    return sock


def set_ttl(sock: socket.socket, family: str, ttl: int) -> None:
    """Set the TTL or hop limit of what this socket sends; ``UnsupportedError`` where that is refused."""
    option = (socket.IPPROTO_IP, socket.IP_TTL) if family == "ipv4" else (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)
    try:
        sock.setsockopt(*option, ttl)
    except OSError as error:
        message = f"this system refuses to set a TTL on this kind of socket: {error.strerror}"
        raise UnsupportedError(message, "Leave out the TTL, or try another --method.") from error


def refuse_echo_requests(sock: socket.socket, family: str) -> None:
    """Keep echo requests, our own among them, out of a raw socket's queue, where the kernel can.

    A set bit refuses a type, in both Linux's ICMP_FILTER (raw(7)) and RFC 3542's ICMP6_FILTER as Linux has it.
    """
    if family == "ipv4":
        option, refused = (SOL_RAW, ICMP_FILTER), struct.pack("=I", 1 << ECHO_REQUEST[family])
    else:
        words = [0] * 8
        words[ECHO_REQUEST[family] // 32] = 1 << ECHO_REQUEST[family] % 32
        option, refused = (socket.IPPROTO_ICMPV6, ICMP6_FILTER), struct.pack("=8I", *words)
    if sys.platform == "linux":
        sock.setsockopt(*option, refused)


def refuse_other_replies(sock: socket.socket, family: str, ident: int) -> None:
    """Keep what answers another identifier out of a raw socket's queue, where the kernel can, and take out what is in.

    A raw socket is given every reply and error to anybody, and beside a few hundred others, or another program's
    flood, its queue overflows: its own replies would then look lost.
    """
    if sys.platform != "linux":
        return
    program = _pass_ours(family, ident)
    code = array("B", b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    with suppress(OSError):  # then the replies are told apart when they are read
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), code.buffer_info()[0]))
        for _ in range(MOST_QUEUED):
            sock.recv(1, socket.MSG_DONTWAIT)  # of 0 bytes Python makes no call


MOST_QUEUED = 100_000
"""More than the queue of a socket holds: 256 bytes each at the least, of at most 16 MiB where an administrator is
generous."""


def _pass_ours(family: str, ident: int) -> list[tuple[int, int, int, int]]:
    """Write the classic BPF program (bpf(4), Linux's socket(7)) that passes echo replies and errors to ``ident``.

    An IPv4 packet begins with its header. An error quotes a packet behind its own 8 bytes: one of another protocol is
    left out, a fragment of IPv6 passed. What is too short to be read from is left out.
    """
    if family == "ipv4":
        return [
            (BPF_LDX_MSH, 0, 0, 0),
            (BPF_LD_BYTE, 0, 0, 0),
            (BPF_JEQ, 8, 0, ECHO_REPLY[family]),
            (BPF_LD_BYTE, 0, 0, 8 + 9),
            (BPF_JEQ, 0, 8, socket.IPPROTO_ICMP),
            (BPF_LD_BYTE, 0, 0, 8),
            (BPF_AND, 0, 0, 0x0F),
            (BPF_LSH, 0, 0, 2),
            (BPF_ADD_X, 0, 0, 0),
            (BPF_ADD, 0, 0, 8),
            (BPF_TAX, 0, 0, 0),
            (BPF_LD_HALF, 0, 0, 4),
            (BPF_JEQ, 1, 0, ident),
            (BPF_RET, 0, 0, 0),
            (BPF_RET, 0, 0, 0xFFFFFFFF),
        ]
    return [
        (BPF_LDX_IMM, 0, 0, 0),
        (BPF_LD_BYTE, 0, 0, 0),
        (BPF_JEQ, 4, 0, ECHO_REPLY[family]),
        (BPF_LD_BYTE, 0, 0, 8 + 6),
        (BPF_JEQ, 5, 0, socket.IPPROTO_FRAGMENT),
        (BPF_JEQ, 0, 3, socket.IPPROTO_ICMPV6),
        (BPF_LDX_IMM, 0, 0, 8 + 40),
        (BPF_LD_HALF, 0, 0, 4),
        (BPF_JEQ, 1, 0, ident),
        (BPF_RET, 0, 0, 0),
        (BPF_RET, 0, 0, 0xFFFFFFFF),
    ]


def hold_closed_port(family: str, kind: int, address: str) -> socket.socket | None:
    """Bind a port of ``address`` that then answers nobody, so no service can take it while we probe it.

    A UDP socket connected to itself takes in nothing from others, and a TCP socket that is bound
    without listening takes in nothing at all: a probe is answered by "port unreachable", or by RST.
    ``None`` when the address cannot be bound; the probe itself will tell why.
    """
    try:
        sock = socket.socket(FAMILIES[family], kind)
    except OSError:
        return None
    try:
        sock.bind((address, 0))
        if kind == socket.SOCK_DGRAM:
            sock.connect(sock.getsockname())
    except OSError:
        sock.close()
        return None
    return sock
