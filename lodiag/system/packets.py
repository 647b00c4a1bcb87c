"""Bytes of ICMP echo messages and of the Linux error queue: decoding and encoding, no input or output.

Sources: RFC 792 (ICMP), RFC 4443 (ICMPv6), RFC 791 and RFC 8200 (IP headers), RFC 1071 (checksum),
and Linux's include/uapi/linux/errqueue.h (struct sock_extended_err).
"""

from __future__ import annotations

import errno
import struct
from operator import eq

from lodiag.dataclass import dataclass

ECHO_HEADER = struct.Struct("!BBHHH")
"""type, code, checksum, identifier, sequence (RFC 792, RFC 4443 section 4)."""

IPV4_HEADER_BYTES = 20
IPV6_HEADER_BYTES = 40
PAYLOAD_KEY = struct.Struct("!8sQ")
"""What leads each payload, as far as it fits: a key of the run, then the whole sequence number."""

ECHO_REQUEST = {"ipv4": 8, "ipv6": 128}
ECHO_REPLY = {"ipv4": 0, "ipv6": 129}
UNREACHABLE = {"ipv4": 3, "ipv6": 1}
TIME_EXCEEDED = {"ipv4": 11, "ipv6": 3}
PORT_UNREACHABLE = {"ipv4": 3, "ipv6": 4}
TOO_BIG = {"ipv4": (3, 4), "ipv6": (2, 0)}
"""Type and code that come with the mtu of the next link (RFC 1191 section 4, RFC 4443 section 3.2)."""

_PATTERN = bytes(range(256))

_QUOTING = {"ipv4": frozenset({3, 4, 5, 11, 12}), "ipv6": frozenset({1, 2, 3, 4})}
"""Types that carry the offending packet, by RFC 792 and RFC 4443."""

_REJECTED = {"ipv4": frozenset({9, 10, 13}), "ipv6": frozenset({1, 5, 6})}
"""Codes of "unreachable" that mean an administrator's prohibition: RFC 1812 5.2.7.1, RFC 4443 3.1."""

EXTENDED_ERR = struct.Struct("=IBBBBII")
"""errno, origin, type, code, pad, info, data."""

SO_EE_ORIGIN_LOCAL = 1
SO_EE_ORIGIN_ICMP = 2
SO_EE_ORIGIN_ICMP6 = 3


@dataclass(frozen=True, slots=True)
class EchoMessage:
    """An echo reply, or an ICMP error about an echo request of ours."""

    icmp_type: int
    icmp_code: int
    ident: int
    seq: int
    payload: bytes
    checksum_good: bool
    ttl: int | None


@dataclass(frozen=True, slots=True)
class QueuedError:
    """An ICMP error as the Linux error queue reports it."""

    icmp_type: int
    icmp_code: int
    offender: str | None
    mtu_bytes: int | None = None


def checksum(data: bytes) -> int:
    """Internet checksum of RFC 1071: 0 over a message that holds its own right checksum.

    The ones' complement sum of 16-bit words is the number they spell, modulo 65535.
    """
    if len(data) % 2:
        data += b"\0"
    value = int.from_bytes(data, "big")
    total = value % 0xFFFF
    return 0 if total == 0 and value else total ^ 0xFFFF


def encode_echo(family: str, ident: int, seq: int, payload: bytes) -> bytes:
    """Build an echo request; the kernel rewrites ident, and for IPv6 the checksum, where it owns them."""
    head = ECHO_HEADER.pack(ECHO_REQUEST[family], 0, 0, ident, seq & 0xFFFF)
    check = checksum(head + payload)
    return ECHO_HEADER.pack(ECHO_REQUEST[family], 0, check, ident, seq & 0xFFFF) + payload


def make_payload(key: bytes, seq: int, size_bytes: int) -> bytes:
    """Payload of probe ``seq``: the run's key and the number, then a pattern that shows lost or moved bytes."""
    return (PAYLOAD_KEY.pack(key, seq) + _PATTERN * (size_bytes // 256 + 1))[:size_bytes]


def resembles(payload: bytes, expected: bytes) -> bool:
    """Whether most bytes agree, and most of the key: ours though damaged, not another's under the same identifier.

    What follows the key and the number is the same in every run of this program.
    """
    if len(payload) != len(expected):
        return False
    key = PAYLOAD_KEY.size // 2
    return _agree(payload[:key], expected[:key]) and _agree(payload, expected)


def _agree(some: bytes, others: bytes) -> bool:
    equal: int = sum(map(eq, some, others))
    return 2 * equal >= len(others)


def strip_ipv4_header(packet: bytes) -> tuple[int | None, bytes]:
    """Split an IPv4 packet into its TTL and its payload; a packet without the header is returned whole.

    Raw sockets deliver the header everywhere, datagram sockets on macOS do and on Linux do not.
    An ICMP message that begins with 0x4? does not exist, so the version field decides.
    """
    if len(packet) < IPV4_HEADER_BYTES or packet[0] >> 4 != 4:  # noqa: PLR2004 - IP version
        return None, packet
    return packet[8], packet[(packet[0] & 0x0F) * 4 :]


def decode_echo(family: str, packet: bytes, ttl: int | None = None) -> EchoMessage | None:
    """Decode what an ICMP socket received; ``None`` unless it is an echo reply or an error about an echo request.

    An echo *request* gives ``None`` as well: a raw socket on the loopback sees its own.
    """
    if family == "ipv4":
        header_ttl, packet = strip_ipv4_header(packet)
        ttl = header_ttl if header_ttl is not None else ttl
    if len(packet) < ECHO_HEADER.size:
        return None
    icmp_type, icmp_code, _, ident, seq = ECHO_HEADER.unpack_from(packet)
    good = family == "ipv6" or checksum(packet) == 0
    payload = packet[ECHO_HEADER.size :]
    if icmp_type == ECHO_REPLY[family]:
        return EchoMessage(icmp_type, icmp_code, ident, seq, payload, good, ttl)
    if icmp_type not in _QUOTING[family]:
        return None
    quoted = strip_ipv4_header(payload)[1] if family == "ipv4" else payload[IPV6_HEADER_BYTES:]
    if len(quoted) < ECHO_HEADER.size:
        return None
    request_type, _, _, ident, seq = ECHO_HEADER.unpack_from(quoted)
    if request_type != ECHO_REQUEST[family]:
        return None
    return EchoMessage(icmp_type, icmp_code, ident, seq, quoted[ECHO_HEADER.size :], good, ttl)


def decode_extended_err(family: str, data: bytes) -> QueuedError | None:
    """Decode a sock_extended_err with the offender's sockaddr behind it; ``None`` unless ICMP caused it."""
    if len(data) < EXTENDED_ERR.size:
        return None
    _, origin, icmp_type, icmp_code, _, info, _ = EXTENDED_ERR.unpack_from(data)
    if origin not in {SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6}:
        return None
    told = info if (icmp_type, icmp_code) == TOO_BIG[family] else 0
    return QueuedError(icmp_type, icmp_code, _offender(family, data[EXTENDED_ERR.size :]), told or None)


def decode_own_mtu(data: bytes) -> int | None:
    """Decode the sock_extended_err of a packet that the own interface is too small for; ``None`` if it is another."""
    if len(data) < EXTENDED_ERR.size:
        return None
    code, origin, _, _, _, mtu, _ = EXTENDED_ERR.unpack_from(data)
    return mtu if (code, origin) == (errno.EMSGSIZE, SO_EE_ORIGIN_LOCAL) else None


def _offender(family: str, sockaddr: bytes) -> str | None:
    """Address of a sockaddr_in (at byte 4) or sockaddr_in6 (at byte 8)."""
    from ipaddress import IPv4Address, IPv6Address

    if family == "ipv4" and len(sockaddr) >= 8:  # noqa: PLR2004 - family, port, address
        return str(IPv4Address(sockaddr[4:8]))
    if family == "ipv6" and len(sockaddr) >= 24:  # noqa: PLR2004 - family, port, flow, address
        return str(IPv6Address(sockaddr[8:24]))
    return None


def name_error(family: str, icmp_type: int, icmp_code: int, *, echo: bool) -> str:
    """Stable code of an ICMP error: rejected-by-firewall, ttl-exceeded, message-too-long, destination-unreachable.

    No host answers an echo request with "port unreachable" of its own accord; nftables does so for
    a bare ``reject``.
    """
    if icmp_type == TIME_EXCEEDED[family]:
        return "ttl-exceeded"
    if (icmp_type, icmp_code) == TOO_BIG[family]:
        return "message-too-long"
    if icmp_type == UNREACHABLE[family] and (
        icmp_code in _REJECTED[family] or (echo and icmp_code == PORT_UNREACHABLE[family])
    ):
        return "rejected-by-firewall"
    return "destination-unreachable"
