"""Bytes of Linux's rtnetlink: routes, the rules that choose among their tables, and lookups; no input or output.

Sources: rtnetlink(7) and Linux's include/uapi/linux/rtnetlink.h and fib_rules.h. See ``rtnetlink`` for the conventions.
"""

from __future__ import annotations

import errno
import struct
from socket import AF_INET, AF_INET6, AF_UNSPEC, inet_ntop, inet_pton
from typing import TYPE_CHECKING

from lodiag.model.net import Route, RouteAnswer, Rule
from lodiag.system.nlmsg import NLM_F_ACK, NLM_F_DUMP, decode_attributes, encode, encode_attributes
from lodiag.system.rtnetlink import SCOPES, number, read_address, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34

ROUTE = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, bits of the destination and of the source, tos, table, protocol, scope, type, flags"""
RULE = struct.Struct("=BBBBBxxBI")
"""struct fib_rule_hdr: family, bits of the destination and of the source, tos, table, action, flags"""

RTM_F_CLONED, RTM_F_LOOKUP_TABLE = 0x200, 0x1000
RTA_DST, RTA_SRC, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_METRICS = 1, 2, 4, 5, 6, 7, 8
RTA_MULTIPATH, RTA_CACHEINFO, RTA_TABLE, RTA_IP_PROTO, RTA_DPORT = 9, 12, 15, 27, 29
RTAX_MTU = 2
NEXT_HOP = struct.Struct("=HBBi")
"""struct rtnexthop: length, flags, hops, index of the interface"""
CACHE_ERROR = struct.Struct("=12xi")
"""Of struct rta_cacheinfo: the error, as a negative number."""

TYPES = (
    *("unspec", "unicast", "local", "broadcast", "anycast", "multicast"),
    *("blackhole", "unreachable", "prohibit", "throw", "nat", "xresolve"),
)
TABLES = {253: "default", 254: "main", 255: "local"}
PROTOCOLS = {1: "redirect", 2: "kernel", 3: "boot", 4: "static", 9: "ra", 16: "dhcp"}
IP_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 132: "sctp"}
FAMILIES: dict[int, str] = {AF_INET: "ipv4", AF_INET6: "ipv6"}
BITS_PER_BYTE = 8

FRA_DST, FRA_SRC, FRA_IIFNAME, FRA_GOTO, FRA_PRIORITY, FRA_FWMARK = 1, 2, 3, 4, 6, 10
FRA_SUPPRESS_PREFIXLEN, FRA_TABLE, FRA_FWMASK, FRA_OIFNAME, FRA_L3MDEV, FRA_UID_RANGE = 14, 15, 16, 17, 19, 20
FRA_IP_PROTO, FRA_SPORT_RANGE, FRA_DPORT_RANGE = 22, 23, 24
ACTIONS = {1: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
FIB_RULE_INVERT = 2
ALL_BITS = 0xFFFFFFFF

_PORTS, _UIDS, _I32 = struct.Struct("=HH"), struct.Struct("=II"), struct.Struct("=i")
_LOOPBACK: dict[int, tuple[bytes, int]] = {AF_INET: (b"\x7f\0\0\0", 8), AF_INET6: (bytes(15) + b"\1", 128)}


def encode_routes(family: int = AF_UNSPEC) -> bytes:
    """Ask for all routes of all tables."""
    return encode(RTM_GETROUTE, NLM_F_DUMP, ROUTE.pack(family, *[0] * 8))


def encode_rules(family: int = AF_UNSPEC) -> bytes:
    """Ask for all rules."""
    return encode(RTM_GETRULE, NLM_F_DUMP, RULE.pack(family, *[0] * 6))


def encode_lookup(address: str, source: str | None, proto: str | None = None, port: int | None = None) -> bytes:
    """Ask for the way that a packet to ``address`` from ``source`` would take, to a port if one is given."""
    family = AF_INET6 if ":" in address else AF_INET
    packed = [inet_pton(family, end) for end in (address, *([source] if source else []))]
    lengths = [len(end) * BITS_PER_BYTE for end in packed] + ([] if source else [0])
    attributes = [*zip((RTA_DST, RTA_SRC), packed, strict=False)]
    if proto is not None:
        attributes.append((RTA_IP_PROTO, bytes([next(n for n, name in IP_PROTOCOLS.items() if name == proto)])))
    if port is not None:
        attributes.append((RTA_DPORT, port.to_bytes(2, "big")))
    body = ROUTE.pack(family, *lengths, 0, 0, 0, 0, 0, RTM_F_LOOKUP_TABLE) + encode_attributes(attributes)
    return encode(RTM_GETROUTE, NLM_F_ACK, body)


def concerns_loopback(payload: bytes) -> bool:
    """Whether a route is for addresses of the loopback, be it by a prefix as wide as that of the default route."""
    if len(payload) < ROUTE.size:
        return False
    family, bits, *_, flags = ROUTE.unpack_from(payload)
    if family not in FAMILIES or flags & RTM_F_CLONED:  # one that is a note of the IPv6 stack on a way it took
        return False
    return _meets_loopback(family, decode_attributes(payload[ROUTE.size :]).get(RTA_DST), bits)


def _meets_loopback(family: int, packed: bytes | None, bits: int) -> bool:
    own, own_bits = _LOOPBACK[family]
    if packed is None or len(packed) != len(own):
        return bits == 0
    shift = len(own) * BITS_PER_BYTE - min(bits, own_bits)
    return int.from_bytes(packed) >> shift == int.from_bytes(own) >> shift


def decode_route(payload: bytes, name: Callable[[int], str | None]) -> Route | None:
    """Decode what RTM_NEWROUTE tells of a route; ``None`` for another family, or if it is cut short.

    ``name`` names an interface by its index. Of a route with several next hops, the first is told.
    """
    if len(payload) < ROUTE.size:
        return None
    family, bits, source_bits, _, table, protocol, scope, kind, _ = ROUTE.unpack_from(payload)
    if family not in FAMILIES:
        return None
    told = decode_attributes(payload[ROUTE.size :])
    told = _first_hop(told) | told
    index = number(told.get(RTA_OIF))
    return Route(
        family=FAMILIES[family],
        type=_name_type(kind),
        dst=_write_prefix(family, told.get(RTA_DST), bits) or "default",
        src=_write_prefix(family, told.get(RTA_SRC), source_bits),
        gateway=read_address(family, told.get(RTA_GATEWAY)),
        dev=None if index is None else name(index) or str(index),
        table=_name_table(told.get(RTA_TABLE), table),
        protocol=PROTOCOLS.get(protocol, str(protocol)),
        scope=SCOPES.get(scope, str(scope)) if family == AF_INET else None,
        prefsrc=read_address(family, told.get(RTA_PREFSRC)),
        metric=number(told.get(RTA_PRIORITY)),
        mtu=number(decode_attributes(told.get(RTA_METRICS, b"")).get(RTAX_MTU)),
    )


def _first_hop(told: Mapping[int, bytes]) -> dict[int, bytes]:
    hops = told.get(RTA_MULTIPATH, b"")
    if len(hops) < NEXT_HOP.size:
        return {}
    size, _, _, index = NEXT_HOP.unpack_from(hops)
    return decode_attributes(hops[NEXT_HOP.size : size]) | {RTA_OIF: _I32.pack(index)}


def decode_answer(address: str, payload: bytes, name: Callable[[int], str | None]) -> RouteAnswer | None:
    """Decode the answer to a lookup; ``None`` if it is cut short."""
    route = decode_route(payload, name)
    if route is None:
        return None
    told = decode_attributes(payload[ROUTE.size :])
    cache = told.get(RTA_CACHEINFO, b"")
    code = -CACHE_ERROR.unpack_from(cache)[0] if len(cache) >= CACHE_ERROR.size else 0
    return RouteAnswer(
        dst=address,
        type=route.type,
        table=route.table,
        dev=route.dev,
        ifindex=number(told.get(RTA_OIF)),
        prefsrc=route.prefsrc,
        gateway=route.gateway,
        mtu=route.mtu,
        errno=name_error(code),
    )


def refuse(address: str, error: str) -> RouteAnswer:
    """Say of an address that the kernel knows no way to it."""
    return RouteAnswer(address, None, None, None, None, None, None, None, error)


def name_error(code: int) -> str | None:
    """Name an error by its number; ``None`` for 0."""
    return errno.errorcode.get(code, str(code)) if code else None


def decode_rule(payload: bytes) -> Rule | None:
    """Decode what RTM_NEWRULE tells of a rule; ``None`` for another family, or if it is cut short."""
    if len(payload) < RULE.size:
        return None
    family, dst_bits, src_bits, tos, table, action, flags = RULE.unpack_from(payload)
    if family not in FAMILIES:
        return None
    told = decode_attributes(payload[RULE.size :])
    src, dst = read_address(family, told.get(FRA_SRC)), read_address(family, told.get(FRA_DST))
    whole = len(_LOOPBACK[family][0]) * BITS_PER_BYTE
    mark, mask, suppressed = (number(told.get(key)) for key in (FRA_FWMARK, FRA_FWMASK, FRA_SUPPRESS_PREFIXLEN))
    proto = number(told.get(FRA_IP_PROTO))
    is_lookup = ACTIONS.get(action) == "lookup" and not number(told.get(FRA_L3MDEV))
    return Rule(
        family=FAMILIES[family],
        priority=number(told.get(FRA_PRIORITY)) or 0,
        inverted=bool(flags & FIB_RULE_INVERT),
        src=src or ("all" if src_bits == 0 else inet_ntop(family, bytes(whole // BITS_PER_BYTE))),
        srclen=None if src_bits in {whole, 0} else src_bits,
        dst=dst or (None if dst_bits == 0 else inet_ntop(family, bytes(whole // BITS_PER_BYTE))),
        dstlen=None if dst_bits in {whole, 0} else dst_bits,
        iif=text(told[FRA_IIFNAME]) if FRA_IIFNAME in told else None,
        oif=text(told[FRA_OIFNAME]) if FRA_OIFNAME in told else None,
        fwmark=hex(mark or 0) if mark or mask not in {None, ALL_BITS, 0} else None,
        fwmask=None if mask in {None, ALL_BITS, 0} else hex(mask),
        tos=hex(tos) if tos else None,
        ipproto=None if proto is None else IP_PROTOCOLS.get(proto, str(proto)),
        sport=_decode_range(_PORTS, told.get(FRA_SPORT_RANGE)),
        dport=_decode_range(_PORTS, told.get(FRA_DPORT_RANGE)),
        uids=_decode_range(_UIDS, told.get(FRA_UID_RANGE)),
        l3mdev=bool(number(told.get(FRA_L3MDEV))),
        table=_name_table(told.get(FRA_TABLE), table) if is_lookup else None,
        suppress_prefixlen=None if suppressed in {None, ALL_BITS} else suppressed,
        action=ACTIONS.get(action, str(action)),
        goto=number(told.get(FRA_GOTO)),
    )


def _decode_range(shape: struct.Struct, data: bytes | None) -> tuple[int, int] | None:
    if data is None or len(data) < shape.size:
        return None
    first, last = shape.unpack_from(data)
    return first, last


def _write_prefix(family: int, packed: bytes | None, bits: int) -> str | None:
    """Write a prefix as ip(8) does: without its length if it is one address; ``None`` if it is all."""
    address = read_address(family, packed)
    if address is None:
        return None
    return address if bits == len(packed or b"") * BITS_PER_BYTE else f"{address}/{bits}"


def _name_table(attribute: bytes | None, field: int) -> str:
    table = number(attribute)
    table = field if table is None else table
    return TABLES.get(table, str(table))


def _name_type(kind: int) -> str:
    return TYPES[kind] if kind < len(TYPES) else str(kind)
