"""Interfaces, their addresses, the routes to the loopback and the rules that choose among them, by rtnetlink."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, TypeVar

from lodiag.system import conversation, nlmsg, rtnetlink, rtqdisc, rtroutes
from lodiag.system.facts import Links
from lodiag.system.names import name_interface
from lodiag.system.sources import SourceRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lodiag.model.net import Link, LinkAddress, Qdisc, Route, RouteAnswer, Rule

_Answer = TypeVar("_Answer")

UNSUPPORTED = frozenset({"EOPNOTSUPP", "EPROTONOSUPPORT"})
"""The kernel, or what stands in for one, does not know such questions."""


def try_to(question: Callable[[], _Answer]) -> _Answer | None:
    """Ask what this machine may not tell: then ``None``."""
    try:
        return question()
    except (SourceRefusedError, OSError):
        return None


def list_links() -> tuple[Link, ...]:
    """All interfaces; raises ``SourceRefusedError`` or ``OSError``, as each function here."""
    return _decode_all(rtnetlink.encode_links(), rtnetlink.RTM_NEWLINK, rtnetlink.decode_link)


def list_addresses() -> tuple[LinkAddress, ...]:
    """Addresses of all interfaces, those of IPv4 first."""
    return _decode_all(rtnetlink.encode_addresses(), rtnetlink.RTM_NEWADDR, rtnetlink.decode_address)


def list_routes() -> tuple[Route, ...]:
    """Routes of all tables that packets to 127.0.0.0/8 or ::1 could take."""
    decode = partial(rtroutes.decode_route, name=cache(name_interface))
    payloads = _ask(rtroutes.encode_routes(), rtroutes.RTM_NEWROUTE)
    return _keep(decode(payload) for payload in payloads if rtroutes.concerns_loopback(payload))


def list_routes_of(index: int) -> tuple[Route, ...]:
    """Routes of all tables that lead to the interface of this index."""
    decode, name = partial(rtroutes.decode_route, name=cache(name_interface)), name_interface(index)
    found = _decode_all(rtroutes.encode_routes(), rtroutes.RTM_NEWROUTE, decode)
    return tuple(route for route in found if route.dev == name)


def list_rules() -> tuple[Rule, ...]:
    """All rules, by family and priority."""
    found = _decode_all(rtroutes.encode_rules(), rtroutes.RTM_NEWRULE, rtroutes.decode_rule)
    return tuple(sorted(found, key=lambda rule: (rule.family, rule.priority)))


def list_qdiscs() -> tuple[Qdisc, ...]:
    """What queues the packets of all interfaces."""
    decode = partial(rtqdisc.decode_qdisc, name=cache(name_interface))
    return _decode_all(rtqdisc.encode_qdiscs(), rtqdisc.RTM_NEWQDISC, decode)


def look_up_route(address: str, source: str | None, proto: str | None, port: int | None) -> RouteAnswer:
    """Ask for the way that a packet would take; that there is none is an answer too."""
    try:
        payloads = _ask(rtroutes.encode_lookup(address, source, proto, port), rtroutes.RTM_NEWROUTE)
    except nlmsg.NetlinkError as error:
        code = rtroutes.name_error(error.errno or 0)
        if code is None or code in UNSUPPORTED:
            raise
        return rtroutes.refuse(address, code)
    found = _keep(rtroutes.decode_answer(address, payload, name_interface) for payload in payloads)
    if not found:
        raise nlmsg.NetlinkError(0, "a reply without an answer")
    if found[0].mtu is None and found[0].ifindex is not None:
        for link in _decode_all(rtnetlink.encode_links(found[0].ifindex), rtnetlink.RTM_NEWLINK, rtnetlink.decode_link):
            return found[0]._replace(mtu=link.mtu)
    return found[0]


def read_links() -> Links:
    """All interfaces and their addresses."""
    return Links("rtnetlink", list_links(), list_addresses(), ())


def _decode_all(request: bytes, kind: int, decode: Callable[[bytes], _Answer | None]) -> tuple[_Answer, ...]:
    return _keep(map(decode, _ask(request, kind)))


def _keep(found: Iterator[_Answer | None]) -> tuple[_Answer, ...]:
    return tuple(item for item in found if item is not None)


def _ask(request: bytes, kind: int) -> list[bytes]:
    """Payloads of the messages of a kind; each question is a conversation of its own."""
    with conversation.open_socket(rtnetlink.NETLINK_ROUTE) as sock:
        replies, _ = conversation.ask(sock, request, nlmsg.decode)
    return [message.payload for reply in replies for message in reply.messages if message.kind == kind]
