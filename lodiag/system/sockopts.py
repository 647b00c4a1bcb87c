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
    """Keep echo replies to other identifiers out of a raw socket's queue, where the kernel can.

    A raw socket is given every reply to anybody, and beside a few hundred others its queue overflows: its own
    replies would then look lost. The filter is a classic BPF program (bpf(4), Linux's socket(7)): of an echo
    reply it compares the identifier, and it lets everything else through. An IPv4 packet begins with its header.
    """
    if sys.platform != "linux":
        return
    reply = ECHO_REPLY[family]
    program = [
        (BPF_LDX_MSH, 0, 0, 0) if family == "ipv4" else (BPF_LDX_IMM, 0, 0, 0),
        (BPF_LD_BYTE, 0, 0, 0),
        (BPF_JEQ, 0, 3, reply),
        (BPF_LD_HALF, 0, 0, 4),
        (BPF_JEQ, 1, 0, ident),
        (BPF_RET, 0, 0, 0),
        (BPF_RET, 0, 0, 0xFFFFFFFF),
    ]
    code = array("B", b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    with suppress(OSError):  # then the replies are told apart when they are read
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), code.buffer_info()[0]))


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
