"""Bytes of Linux's sock_diag netlink protocol: requests and replies, no input or output.

Sources: sock_diag(7), netlink(7), and Linux's include/uapi/linux/inet_diag.h, sock_diag.h, tcp.h and netlink.h.
Numbers are in the host's byte order, but for ports and addresses. An attribute is decoded by its presence and its
length, never by the version of the kernel: newer kernels append, older ones leave out.
"""

from __future__ import annotations

import struct
from functools import cache
from socket import AF_INET, AF_INET6, AF_UNSPEC, inet_ntop, inet_pton
from typing import TYPE_CHECKING, Any, NamedTuple

from lodiag.model.conns import ConnTcp, Endpoint
from lodiag.system.facts import Socket, unmap
from lodiag.system.nlmsg import (
    ATTRIBUTE,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_HEADER,
    decode_attributes,
    encode,
    read_header,
    require_success,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

FAMILIES = {"ipv4": AF_INET, "ipv6": AF_INET6}
PROTOCOLS = {"tcp": 6, "udp": 17}

STATES = {
    1: "established",
    2: "syn-sent",
    3: "syn-recv",
    4: "fin-wait-1",
    5: "fin-wait-2",
    6: "time-wait",
    7: "close",
    8: "close-wait",
    9: "last-ack",
    10: "listen",
    11: "closing",
    12: "syn-recv",
}
"""enum in net/tcp_states.h; 12 is TCP_NEW_SYN_RECV, which the kernel shows as 3."""
ESTABLISHED, CLOSE, LISTEN, BOUND_INACTIVE = 1, 7, 10, 13
_STATE_NAMES = {"tcp": STATES | {CLOSE: "bound"}, "udp": STATES | {CLOSE: "unconnected"}}
"""A TCP socket that is closed is in no table, unless as one that is bound and does not listen."""

ALL_STATES = 0xFFF
"""Bits 0 to 11: what is there. Bit 13, bound and not listening, is one that older kernels ignore."""

TIMERS = {1: "retransmit", 2: "keepalive", 3: "time-wait", 4: "persist", 5: "delayed-ack"}
"""idiag_timer; 0 is none."""

SOCK_DIAG_BY_FAMILY = 20
REQUEST = struct.Struct("=BBBBI48s")
"""struct inet_diag_req_v2: family, protocol, extensions, padding, states, and struct inet_diag_sockid"""
_MESSAGE_FIELDS = "BBBB2s2s16s16sIQIIIII"
MESSAGE = struct.Struct(f"={_MESSAGE_FIELDS}")
"""struct inet_diag_msg: family, state, timer, retransmits, ports, addresses, interface, cookie, expiry of the timer,
queues, uid, inode"""
PORTS = struct.Struct("!HH")
NO_COOKIE = b"\xff" * 8

INFO, CONG, SKMEMINFO, SKV6ONLY, CGROUP_ID = 2, 4, 7, 11, 21
SHUTDOWN = 8
"""A whole socket always tells it; of one that only waits for its end the kernel has kept no more than the addresses."""
MEMORY_EXTENSION = 1 << SKMEMINFO - 1
TCP_EXTENSIONS = (1 << INFO - 1) | (1 << CONG - 1) | (1 << SKMEMINFO - 1)
SKMEM_DROPS = 8
"""Index of SK_MEMINFO_DROPS among the 32-bit words of SKMEMINFO."""

REQ_BYTECODE = 1
JMP, S_COND, D_COND = 1, 7, 8
OPERATION = struct.Struct("=BBH")
CONDITION = struct.Struct("=BBxxi")
"""struct inet_diag_hostcond: family, length of the prefix, port (-1 for any); the prefix follows."""

SYN_SENT = STATES[2]
PEERLESS = frozenset({"listen", "unconnected", "bound"})
"""States of a socket that talks to nobody in particular."""

_U32, _U64 = struct.Struct("=I"), struct.Struct("=Q")
_TCP_FIELDS = {
    "last_sent_ms": (44, _U32, 1),
    "last_received_ms": (52, _U32, 1),
    "last_ack_ms": (56, _U32, 1),
    "rtt_ms": (68, _U32, 1000),
    "rttvar_ms": (72, _U32, 1000),
    "cwnd": (80, _U32, 1),
    "retransmits": (100, _U32, 1),
    "bytes_acked": (120, _U64, 1),
    "bytes_received": (128, _U64, 1),
    "min_rtt_ms": (148, _U32, 1000),
    "delivery_rate_bps": (160, _U64, 1),
    "rwnd_limited_ms": (176, _U64, 1000),
    "bytes_sent": (200, _U64, 1),
}
"""Offset in struct tcp_info (include/uapi/linux/tcp.h), width, and how many units of it make one of the field's."""
BITS_PER_BYTE = 8
NO_MIN_RTT_MS = 0xFFFFFFFF / 1000
"""What the kernel writes before it has measured any."""


ANY_PORT = -1


class Condition(NamedTuple):
    """That an end of a socket, ``S_COND`` (local) or ``D_COND``, has an address within a prefix, and a port."""

    end: int
    family: int
    bits: int
    address: bytes
    port: int = ANY_PORT


LOOPBACK = tuple(
    Condition(end, family, bits, address)
    for family, bits, address in ((AF_INET, 8, b"\x7f\0\0\0"), (AF_INET6, 128, b"\0" * 15 + b"\1"))
    for end in (S_COND, D_COND)
)
"""Either end on the loopback. The kernel matches a condition of IPv4 with mapped addresses of IPv6 sockets too."""


def at_port(port: int) -> tuple[Condition, ...]:
    """Either end has this port."""
    return tuple(Condition(end, AF_UNSPEC, 0, b"", port) for end in (S_COND, D_COND))


def at_address(address: str) -> tuple[Condition, ...]:
    """This end has this address."""
    family = AF_INET6 if ":" in address else AF_INET
    packed = inet_pton(family, address)
    return (Condition(S_COND, family, len(packed) * BITS_PER_BYTE, packed),)


def encode_any_of(conditions: Iterable[Condition]) -> bytes:
    """Write the program by which the kernel passes sockets of which any condition holds.

    An operation says how many bytes to go on if it holds, and if not; a socket is passed by coming to the very end
    of the program, and left out by jumping four bytes beyond.
    """
    parts = [(c, CONDITION.pack(c.family, c.bits, c.port) + c.address) for c in conditions]
    program = b""
    for condition, prefix in reversed(parts):
        size = OPERATION.size + len(prefix)
        if not program:
            program = OPERATION.pack(condition.end, size, size + OPERATION.size) + prefix
        else:
            accept = OPERATION.pack(JMP, OPERATION.size, OPERATION.size + len(program))
            program = OPERATION.pack(condition.end, size, size + OPERATION.size) + prefix + accept + program
    return program


def encode_states(names: Collection[str] | None) -> int:
    """Bits of the states of these names, of all for ``None``; 0 for names that a socket of neither protocol has."""
    if names is None:
        return ALL_STATES | 1 << BOUND_INACTIVE
    bits = sum(1 << number for number, name in STATES.items() if name in names)
    bits |= 1 << CLOSE if "unconnected" in names else 0
    return bits | (1 << BOUND_INACTIVE if "bound" in names else 0)


def encode_dump(  # noqa: PLR0913, PLR0917 - what a request is made of
    family: str,
    proto: str,
    states: int,
    conditions: Iterable[Condition] = (),
    extensions: int = 0,
    ports: tuple[int, int] = (0, 0),
) -> bytes:
    """Write the request for all sockets of a family and protocol that are in ``states`` (a bit each).

    ``ports`` are those that this end and the other must have; 0 stands for any.
    """
    ends = PORTS.pack(*ports) + bytes(36) + NO_COOKIE
    body = REQUEST.pack(FAMILIES[family], PROTOCOLS[proto], extensions, 0, states, ends)
    program = encode_any_of(conditions)
    if program:
        body += ATTRIBUTE.pack(ATTRIBUTE.size + len(program), REQ_BYTECODE) + program
    return encode(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, body)


def encode_lookup(
    proto: str, local: tuple[str, int], remote: tuple[str, int], extensions: int = 0, interface_index: int = 0
) -> bytes:
    """Write the request for the one socket to which the kernel would give what comes to ``local`` from ``remote``.

    The addresses are literals of one family. UDP's lookup has the ends the other way round (net/ipv4/udp_diag.c).
    A socket that is bound to an interface is found only by the index of that one; 0 is that of none.
    """
    family = "ipv6" if ":" in local[0] else "ipv4"
    ends = (local, remote) if proto == "tcp" else (remote, local)
    addresses = b"".join(inet_pton(FAMILIES[family], address).ljust(16, b"\0") for address, _ in ends)
    own = PORTS.pack(*(port for _, port in ends)) + addresses + _U32.pack(interface_index) + NO_COOKIE
    body = REQUEST.pack(FAMILIES[family], PROTOCOLS[proto], extensions, 0, ALL_STATES, own)
    return encode(SOCK_DIAG_BY_FAMILY, 0, body)


class Reply(NamedTuple):
    """What one datagram of the kernel tells."""

    sockets: list[Socket]
    is_torn: bool
    """Whether the kernel calls the dump inconsistent."""
    is_last: bool


def decode_reply(proto: str, datagram: memoryview) -> Reply:
    """Decode a datagram: some hundred sockets, most of them in messages of the same size, which are read at one go.

    What is no socket of IPv4 or IPv6 is left out. Raises ``NetlinkError`` if the reply is, or ends in, a refusal, or is
    not whole.
    """
    sockets: list[Socket] = []
    is_torn = False
    offset, end = 0, len(datagram)
    while offset < end:
        size, kind, flags = read_header(datagram, offset)
        is_torn |= bool(flags & NLM_F_DUMP_INTR)
        if kind == SOCK_DIAG_BY_FAMILY and size >= SHORTEST:
            offset += _decode_run(proto, datagram[offset:], sockets)
            continue
        if kind in {NLMSG_ERROR, NLMSG_DONE}:
            require_success(datagram[offset + NLMSG_HEADER.size : offset + size])
        if kind == NLMSG_DONE:
            return Reply(sockets, is_torn, is_last=True)
        offset += size + 3 & ~3
    return Reply(sockets, is_torn, is_last=False)


def _decode_run(proto: str, data: memoryview, sockets: list[Socket]) -> int:
    """Decode the first message, and those behind it that have the same header; the bytes that they are.

    All of it is one loop, and ``tuple.__new__`` makes what the class itself would take three times as long to make:
    with 100 000 sockets this is where the time goes.
    """
    size, first_kind, first_flags = HEADER_START.unpack_from(data)
    stride = size + 3 & ~3
    if len(data) < stride:  # the last, whose padding may be left out
        data = memoryview(bytes(data) + bytes(stride - len(data)))
    messages = _messages_of(size).iter_unpack(data[: len(data) // stride * stride])
    append, new, done = sockets.append, tuple.__new__, 0
    states, told = _STATE_NAMES[proto], _Attributes()
    # fmt: off
    for (length, kind, flags, number, state_number, timer_number, tries, sport, dport, src, dst, index, cookie,
         expires, rqueue, wqueue, uid, inode, tail) in messages:
        # fmt: on
        if length != size or kind != first_kind or flags != first_flags:
            break
        done += stride
        family, addresses = _FAMILIES_BY_NUMBER.get(number, NO_FAMILY)
        if addresses is None:
            continue
        state = states.get(state_number) or name_state(proto, state_number)
        is_whole, drops, v6only, cgroup_id, congestion, info = told[tail]
        address, mapped = addresses[src]
        local = new(Endpoint, (address, sport[0] << 8 | sport[1]))
        remote = tcp = accept_queue = backlog = timer = timer_ms = retransmits = None
        recv_q, send_q = rqueue, wqueue
        if state == "listen":
            recv_q, send_q, accept_queue, backlog = None, None, rqueue, wqueue
        elif state not in PEERLESS:
            remote = new(Endpoint, (addresses[dst][0], dport[0] << 8 | dport[1]))
            tcp = None if info is None else decode_tcp_info(info, has_talked=state != SYN_SENT)
        if timer_number:
            timer, timer_ms, retransmits = name_timer(timer_number), expires, tries
        owner = uid if inode or is_whole else None
        # fmt: off
        append(new(Socket, (
            proto, family, state, local, remote, (), mapped, inode, owner, cookie, index or None,
            recv_q, send_q, accept_queue, backlog, drops, timer, timer_ms, retransmits,
            v6only, cgroup_id, congestion, tcp,
        )))
        # fmt: on
    return done


@cache
def _messages_of(size: int) -> struct.Struct:
    """Messages of this size: of the header what tells kinds apart, the fixed part, and the attributes as bytes."""
    return struct.Struct(f"=IHH8x{_MESSAGE_FIELDS}{size - SHORTEST}s{-size % 4}x")


SHORTEST = NLMSG_HEADER.size + MESSAGE.size
HEADER_START = struct.Struct("=IHH")


def name_state(proto: str, number: int) -> str:
    """Name a state by its number, which netlink and /proc/net share."""
    return _STATE_NAMES[proto].get(number) or f"unknown-{number}"


def name_timer(number: int) -> str | None:
    """Name a timer by its number, likewise; ``None`` if none runs."""
    return TIMERS.get(number, f"unknown-{number}") if number else None


class _Addresses(dict[bytes, tuple[str, bool]]):
    """Addresses by their 16 bytes in a message: as text, an IPv4-mapped one as IPv4, and whether it was one."""

    def __init__(self, family: int) -> None:
        super().__init__()
        self._family = family

    def __missing__(self, raw: bytes) -> tuple[str, bool]:
        self[raw] = found = unmap(inet_ntop(self._family, raw[:4] if self._family == AF_INET else raw))
        return found


_FAMILIES_BY_NUMBER = {number: (name, _Addresses(number)) for name, number in FAMILIES.items()}
NO_FAMILY: tuple[str, None] = "", None


class _Attributes(dict[bytes, tuple[Any, ...]]):
    """What the attributes of a socket tell, by their bytes, which are the same for most sockets of a control group.

    That is whether the socket is whole, drops, v6only, control group, congestion control and tcp_info's bytes;
    ``None`` for those that are not there.
    """

    def __missing__(self, tail: bytes) -> tuple[Any, ...]:
        found = decode_attributes(tail)
        self[tail] = told = (
            SHUTDOWN in found,
            _decode_drops(found[SKMEMINFO]) if SKMEMINFO in found else None,
            found[SKV6ONLY][:1] == b"\1" if SKV6ONLY in found else None,
            _U64.unpack_from(found[CGROUP_ID])[0] if len(found.get(CGROUP_ID, b"")) >= _U64.size else None,
            found[CONG].partition(b"\0")[0].decode("ascii", "replace") if CONG in found else None,
            found.get(INFO),
        )
        return told


def _decode_drops(memory: bytes) -> int | None:
    end = (SKMEM_DROPS + 1) * _U32.size
    if len(memory) < end:
        return None
    return int(_U32.unpack_from(memory, end - _U32.size)[0])


def decode_tcp_info(data: bytes, *, has_talked: bool = True) -> ConnTcp:
    """Decode struct tcp_info as far as this kernel has it; the rest is ``None``, and so is what was not measured yet.

    Before the handshake is over the times of the last events are those since the machine was started.
    """
    values: dict[str, Any] = dict.fromkeys(_TCP_FIELDS)
    for name, (offset, width, units) in _TCP_FIELDS.items():
        if offset + width.size <= len(data):
            value = width.unpack_from(data, offset)[0]
            values[name] = value if units == 1 else value / units
    if not values["rtt_ms"]:
        values |= {"rtt_ms": None, "rttvar_ms": None}
    if values["min_rtt_ms"] == NO_MIN_RTT_MS:
        values["min_rtt_ms"] = None
    rate = values["delivery_rate_bps"]
    values["delivery_rate_bps"] = rate * BITS_PER_BYTE if rate else None
    if not has_talked:
        values |= {"last_sent_ms": None, "last_received_ms": None, "last_ack_ms": None}
    return ConnTcp(**values)
