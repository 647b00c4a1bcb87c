"""Changes as rtnetlink requests, handed to the kernel all at once."""

from __future__ import annotations

import errno
import os
import sys
from socket import AF_INET, AF_INET6, SO_SNDBUF, SOL_SOCKET, inet_pton
from typing import TYPE_CHECKING

from lodiag.system import conversation, rtnetlink, rtqdisc, rtroutes
from lodiag.system.change import ChangeRefusedError
from lodiag.system.nlmsg import (
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLMSG_ERROR,
    NLMSG_HEADER,
    encode,
    encode_attributes,
)
from lodiag.system.sources import SourceRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket

    from lodiag.model.net import Route, Rule
    from lodiag.system.change import Change


ROOM = 1024
"""What the kernel wants to be free beside the bytes of a message."""
WIDEST = 0xFF
"""Largest number of a table that fits the field in a request's head; others are in an attribute alone."""


def apply(changes: Sequence[Change]) -> None:
    """Make changes by one system call; ``ChangeRefusedError`` names the first that the kernel refused."""
    requests = b"".join(_number(_encode(change), at, len(changes)) for at, change in enumerate(changes, 1))
    try:
        with conversation.open_socket(rtnetlink.NETLINK_ROUTE) as sock:
            sock.setsockopt(SOL_SOCKET, SO_SNDBUF, len(requests) + ROOM)  # as far as the system lets it grow
            sock.send(requests)
            found = _read_error(sock, len(changes))
    except SourceRefusedError as refusal:
        raise ChangeRefusedError(changes[0], errno.EPROTONOSUPPORT, f"no rtnetlink: {refusal}") from refusal
    except OSError as error:
        raise ChangeRefusedError(changes[0], error.errno or errno.EIO, error.strerror or str(error)) from error
    if found is not None:
        at, code = found
        raise ChangeRefusedError(changes[at - 1], code, os.strerror(code))


def _number(request: bytes, sequence: int, last: int) -> bytes:
    """Give a request its number, and the room that the next one begins behind; only the last is to be confirmed."""
    size, kind, flags, _, port = NLMSG_HEADER.unpack_from(request)
    flags = flags if sequence == last else flags & ~NLM_F_ACK
    return NLMSG_HEADER.pack(size, kind, flags, sequence, port) + request[NLMSG_HEADER.size :] + bytes(-size % 4)


def _read_error(sock: socket, last: int) -> tuple[int, int] | None:
    """Number and error of the first request that was refused; ``None`` if the last is confirmed and none was.

    The kernel answers in order, each by a datagram of its own: those that are refused, and the last in any case.
    """
    first = None
    while True:
        reply = sock.recv(conversation.REPLY_BYTES)
        _, kind, _, sequence, _ = NLMSG_HEADER.unpack_from(reply)
        code = -int.from_bytes(reply[NLMSG_HEADER.size :][:4], sys.byteorder, signed=True)
        if kind == NLMSG_ERROR and code and first is None:
            first = sequence, code
        if kind == NLMSG_ERROR and sequence == last:
            return first


def _encode(change: Change) -> bytes:
    if change.address is not None:
        if change.verb == "del":
            return rtnetlink.encode_old_address(change.address)
        return rtnetlink.encode_new_address(change.address, may_exist=change.verb == "restore")
    if change.route is not None:
        return _encode_route(change.route, change)
    return _encode_link(change) if change.rule is None else _encode_rule(change.rule, change)


def _encode_link(change: Change) -> bytes:
    if change.verb == "mtu" and change.mtu is not None:
        return rtnetlink.encode_mtu(change.ifindex, change.mtu)
    if change.verb == "no-qdisc":
        return rtqdisc.encode_no_qdisc(change.ifindex)
    return rtnetlink.encode_up(change.ifindex, is_up=change.verb == "up")


def _encode_route(route: Route, change: Change) -> bytes:
    """Write a route without a source, and of one next hop."""
    family = AF_INET6 if route.family == "ipv6" else AF_INET
    address, _, bits = ("", "", "0") if route.dst == "default" else route.dst.partition("/")
    whole = len(inet_pton(family, "::" if family == AF_INET6 else "0.0.0.0")) * rtroutes.BITS_PER_BYTE  # noqa: S104 - its size
    table = _number_of(rtroutes.TABLES, route.table)
    attributes = [(rtroutes.RTA_TABLE, table.to_bytes(4, sys.byteorder))]
    ends = {rtroutes.RTA_DST: address, rtroutes.RTA_GATEWAY: route.gateway, rtroutes.RTA_PREFSRC: route.prefsrc}
    attributes += [(kind, inet_pton(family, end)) for kind, end in ends.items() if end]
    numbers = {rtroutes.RTA_OIF: change.ifindex if route.dev else None, rtroutes.RTA_PRIORITY: route.metric}
    attributes += [(kind, value.to_bytes(4, sys.byteorder)) for kind, value in numbers.items() if value]
    if route.mtu:
        metrics = encode_attributes([(rtroutes.RTAX_MTU, route.mtu.to_bytes(4, sys.byteorder))])
        attributes.append((rtroutes.RTA_METRICS, metrics))
    head = rtroutes.ROUTE.pack(
        *(
            family,
            int(bits or whole),
            0,
            0,
            table if table <= WIDEST else 0,
            _number_of(rtroutes.PROTOCOLS, route.protocol),
        ),
        *(_number_of(rtnetlink.SCOPES, route.scope or "global"), rtroutes.TYPES.index(route.type), 0),
    )
    return _frame(rtroutes.RTM_NEWROUTE, change.verb == "del-route", head + encode_attributes(attributes))


def _encode_rule(rule: Rule, change: Change) -> bytes:
    """Write a rule that looks at no more than the ends of a packet."""
    family = AF_INET6 if rule.family == "ipv6" else AF_INET
    ends = {rtroutes.FRA_DST: rule.dst, rtroutes.FRA_SRC: rule.src if rule.src != "all" else None}
    packed = {kind: inet_pton(family, end) for kind, end in ends.items() if end}
    table = _number_of(rtroutes.TABLES, rule.table or "0")
    attributes = [(rtroutes.FRA_PRIORITY, rule.priority.to_bytes(4, sys.byteorder)), *packed.items()]
    attributes += [(rtroutes.FRA_TABLE, table.to_bytes(4, sys.byteorder))] if table else []
    given = {rtroutes.FRA_DST: rule.dstlen, rtroutes.FRA_SRC: rule.srclen}
    bits = [given[kind] or len(packed.get(kind, b"")) * rtroutes.BITS_PER_BYTE for kind in ends]
    head = rtroutes.RULE.pack(
        family, *bits, 0, table if table <= WIDEST else 0, _number_of(rtroutes.ACTIONS, rule.action), 0
    )
    return _frame(rtroutes.RTM_NEWRULE, change.verb == "del-rule", head + encode_attributes(attributes))


def _frame(kind: int, is_removal: bool, body: bytes) -> bytes:  # noqa: FBT001 - which of two requests
    if is_removal:
        return encode(kind + 1, NLM_F_ACK, body)
    return encode(kind, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body)


def _number_of(names: dict[int, str], name: str) -> int:
    numbers = {known: number for number, known in names.items()}
    return numbers[name] if name in numbers else int(name)
