"""Bytes of Linux's rtnetlink: interfaces and addresses; no input or output.

Sources: rtnetlink(7) and Linux's include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h, if.h and
if_arp.h. Numbers are in the host's byte order, but for addresses. An attribute is decoded by its
presence and its length, never by the version of the kernel: newer kernels append, older ones leave out.
"""

from __future__ import annotations

import struct
import sys
from socket import AF_INET, AF_INET6, AF_UNSPEC, inet_ntop, inet_pton
from typing import TYPE_CHECKING

from lodiag.model.net import Link, LinkAddress, LinkReceived, LinkSent, LinkStats
from lodiag.system.nlmsg import (
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    decode_attributes,
    encode,
    encode_attributes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NETLINK_ROUTE = 0

RTM_NEWLINK, RTM_GETLINK, RTM_SETLINK = 16, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22

LINK = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index, flags, which flags to change"""
ADDRESS = struct.Struct("=BBBBI")
"""struct ifaddrmsg: family, length of the prefix, flags, scope, index"""

IFLA_ADDRESS, IFLA_BROADCAST, IFLA_IFNAME, IFLA_MTU, IFLA_QDISC = 1, 2, 3, 4, 6
IFLA_TXQLEN, IFLA_OPERSTATE, IFLA_STATS64, IFLA_GROUP, IFLA_CARRIER_CHANGES, IFLA_XDP = 13, 16, 23, 27, 35, 43
IFLA_XDP_ATTACHED = 2
IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST, IFA_CACHEINFO, IFA_FLAGS, IFA_RT_PRIORITY = 1, 2, 3, 4, 6, 8, 9

IFF_UP, IFF_RUNNING = 0x1, 0x40
FLAGS = {
    0x8: "LOOPBACK",
    0x2: "BROADCAST",
    0x10: "POINTOPOINT",
    0x1000: "MULTICAST",
    0x80: "NOARP",
    0x200: "ALLMULTI",
    0x100: "PROMISC",
    0x400: "MASTER",
    0x800: "SLAVE",
    0x4: "DEBUG",
    0x8000: "DYNAMIC",
    0x4000: "AUTOMEDIA",
    0x2000: "PORTSEL",
    0x20: "NOTRAILERS",
    0x1: "UP",
    0x10000: "LOWER_UP",
    0x20000: "DORMANT",
    0x40000: "ECHO",
}
"""In the order in which ip(8) has them; it tells of RUNNING (0x40) only its absence, as NO-CARRIER."""
OPERSTATES = ("UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP")
LINK_TYPES = {772: "loopback", 1: "ether", 65534: "none"}
SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}

IFA_F_SECONDARY, IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE, IFA_F_PERMANENT = 0x01, 0x08, 0x20, 0x40, 0x80
IFA_F_NOPREFIXROUTE = 0x200

FAMILIES: dict[int, str] = {AF_INET: "inet", AF_INET6: "inet6"}
LIFETIMES = struct.Struct("=II")
"""Of struct ifa_cacheinfo: seconds until deprecated, seconds until the end."""

_U32, _I32 = struct.Struct("=I"), struct.Struct("=i")
_STATS = (
    *("rx packets", "tx packets", "rx bytes", "tx bytes", "rx errors", "tx errors", "rx dropped", "tx dropped"),
    *("rx multicast", "tx collisions", "rx length_errors", "rx over_errors", "rx crc_errors", "rx frame_errors"),
    *("rx fifo_errors", "rx missed_errors", "tx aborted_errors", "tx carrier_errors", "tx fifo_errors"),
    *("tx heartbeat_errors", "tx window_errors"),
)
"""struct rtnl_link_stats64 as 64-bit words in this order; what is behind them is not decoded."""
LEAST_STATS = 8
"""Words without which there are no statistics."""


def encode_links(index: int = 0) -> bytes:
    """Ask for all interfaces, or for the one of this index."""
    return encode(RTM_GETLINK, NLM_F_ACK if index else NLM_F_DUMP, LINK.pack(AF_UNSPEC, 0, index, 0, 0))


def encode_addresses() -> bytes:
    """Ask for the addresses of all interfaces."""
    return encode(RTM_GETADDR, NLM_F_DUMP, ADDRESS.pack(AF_UNSPEC, 0, 0, 0, 0))


def encode_up(index: int, *, is_up: bool) -> bytes:
    """Ask to bring an interface up, or down."""
    return encode(RTM_NEWLINK, NLM_F_ACK, LINK.pack(AF_UNSPEC, 0, index, IFF_UP if is_up else 0, IFF_UP))


def encode_mtu(index: int, mtu: int) -> bytes:
    """Ask to change the mtu of an interface."""
    body = LINK.pack(AF_UNSPEC, 0, index, 0, 0) + encode_attributes([(IFLA_MTU, _U32.pack(mtu))])
    return encode(RTM_NEWLINK, NLM_F_ACK, body)


def encode_new_address(address: LinkAddress, *, may_exist: bool) -> bytes:
    """Ask to give an interface an address; an error (EEXIST) if it has it and may not."""
    lifetimes = address.preferred_life_time, address.valid_life_time
    further = [] if None in lifetimes else [(IFA_CACHEINFO, LIFETIMES.pack(*lifetimes) + bytes(8))]
    how = NLM_F_REPLACE if may_exist else NLM_F_EXCL
    return encode(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | how, _encode_address(address, further))


def encode_old_address(address: LinkAddress) -> bytes:
    """Ask to take an address away; an error (EADDRNOTAVAIL) if it is not there."""
    return encode(RTM_DELADDR, NLM_F_ACK, _encode_address(address, []))


def _encode_address(address: LinkAddress, further: Sequence[tuple[int, bytes]]) -> bytes:
    family = AF_INET6 if ":" in address.local else AF_INET
    packed = inet_pton(family, address.local)
    scope = next((number for number, name in SCOPES.items() if name == address.scope), 0)
    ends = {IFA_ADDRESS: address.address or address.local, IFA_BROADCAST: address.broadcast}
    attributes = [(IFA_LOCAL, packed), *((kind, inet_pton(family, end)) for kind, end in ends.items() if end), *further]
    if address.metric is not None:
        attributes.append((IFA_RT_PRIORITY, _U32.pack(address.metric)))
    if address.noprefixroute:
        attributes.append((IFA_FLAGS, _U32.pack(IFA_F_NOPREFIXROUTE)))
    if address.label is not None:
        attributes.append((IFA_LABEL, address.label.encode() + b"\0"))
    return ADDRESS.pack(family, address.prefixlen, 0, scope, address.ifindex) + encode_attributes(attributes)


def decode_link(payload: bytes) -> Link | None:
    """Decode what RTM_NEWLINK tells of an interface; ``None`` if it is cut short."""
    if len(payload) < LINK.size:
        return None
    _, kind, index, flags, _ = LINK.unpack_from(payload)
    told = decode_attributes(payload[LINK.size :])
    state, group = number(told.get(IFLA_OPERSTATE)), number(told.get(IFLA_GROUP))
    return Link(
        ifindex=index,
        ifname=text(told.get(IFLA_IFNAME, b"")),
        flags=name_flags(flags),
        mtu=number(told.get(IFLA_MTU)),
        qdisc=text(told[IFLA_QDISC]) if IFLA_QDISC in told else None,
        operstate=None if state is None else OPERSTATES[state] if state < len(OPERSTATES) else str(state),
        group=None if group is None else str(group or "default"),
        txqlen=number(told.get(IFLA_TXQLEN)),
        link_type=LINK_TYPES.get(kind, str(kind)),
        address=_link_address(told.get(IFLA_ADDRESS)),
        broadcast=_link_address(told.get(IFLA_BROADCAST)),
        xdp=bool(number(decode_attributes(told[IFLA_XDP]).get(IFLA_XDP_ATTACHED))) if IFLA_XDP in told else None,
        stats64=_decode_stats(told),
    )


def name_flags(flags: int) -> tuple[str, ...]:
    """Name the flags of an interface as ip(8) does."""
    is_cut = flags & IFF_UP and not flags & IFF_RUNNING
    return (*(["NO-CARRIER"] if is_cut else []), *(name for bit, name in FLAGS.items() if flags & bit))


def _decode_stats(told: Mapping[int, bytes]) -> LinkStats | None:
    data = told.get(IFLA_STATS64, b"")
    words = struct.unpack_from(f"={len(data) // 8}Q", data)
    if len(words) < LEAST_STATS:
        return None
    counts = dict(zip(_STATS, words, strict=False))
    counts["tx carrier_changes"] = number(told.get(IFLA_CARRIER_CHANGES))
    return LinkStats(
        LinkReceived(*(counts.get(f"rx {name}") for name in LinkReceived._fields)),  # type: ignore[arg-type]
        LinkSent(*(counts.get(f"tx {name}") for name in LinkSent._fields)),  # type: ignore[arg-type]
    )


def decode_address(payload: bytes) -> LinkAddress | None:
    """Decode what RTM_NEWADDR tells of an address; ``None`` for one of another family, or if it is cut short."""
    if len(payload) < ADDRESS.size:
        return None
    family, bits, flags, scope, index = ADDRESS.unpack_from(payload)
    told = decode_attributes(payload[ADDRESS.size :])
    local = read_address(family, told.get(IFA_LOCAL, told.get(IFA_ADDRESS)))
    if local is None:
        return None
    peer = read_address(family, told.get(IFA_ADDRESS))
    wide = number(told.get(IFA_FLAGS))
    flags = flags if wide is None else wide
    lifetimes = told.get(IFA_CACHEINFO, b"")
    preferred, valid = LIFETIMES.unpack_from(lifetimes) if len(lifetimes) >= LIFETIMES.size else (None, None)
    return LinkAddress(
        ifindex=index,
        family=FAMILIES[family],
        local=local,
        prefixlen=bits,
        scope=SCOPES.get(scope, str(scope)),
        label=text(told[IFA_LABEL]) if IFA_LABEL in told else None,
        secondary=bool(flags & IFA_F_SECONDARY) if family == AF_INET else None,
        dynamic=not flags & IFA_F_PERMANENT,
        tentative=bool(flags & IFA_F_TENTATIVE),
        dadfailed=bool(flags & IFA_F_DADFAILED),
        deprecated=bool(flags & IFA_F_DEPRECATED),
        noprefixroute=bool(flags & IFA_F_NOPREFIXROUTE),
        valid_life_time=valid,
        preferred_life_time=preferred,
        address=None if peer == local else peer,
        broadcast=read_address(family, told.get(IFA_BROADCAST)),
        metric=number(told.get(IFA_RT_PRIORITY)),
    )


def read_address(family: int, packed: bytes | None) -> str | None:
    """Address of a family as text; ``None`` if there is none, or it is of no known family."""
    if packed is None or family not in FAMILIES or len(packed) != (4 if family == AF_INET else 16):
        return None
    return inet_ntop(family, packed)


def number(data: bytes | None) -> int | None:
    """Number of 8, 16, 32 or 64 bits; ``None`` if there is none."""
    return int.from_bytes(data, sys.byteorder) if data and len(data) in {1, 2, 4, 8} else None


def text(data: bytes) -> str:
    """Name in an attribute: the kernel does not ask that it be text."""
    return data.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def _link_address(data: bytes | None) -> str | None:
    return None if data is None else ":".join(f"{byte:02x}" for byte in data)
