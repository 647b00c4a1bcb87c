"""Interfaces and their addresses by psutil: what every system tells."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

import psutil

from lodiag.model.net import Link, LinkAddress, LinkReceived, LinkSent, LinkStats
from lodiag.system.facts import Links
from lodiag.system.names import index_interface
from lodiag.system.sources import SourceRefusedError

_FAMILIES = {socket.AF_INET, socket.AF_INET6}


def read_links() -> Links:
    """All interfaces and their addresses, as far as psutil tells them; raises ``SourceRefusedError``.

    It gives an alias with a label, lo:1, as an interface of its own that has no state.
    """
    try:
        addresses, states = psutil.net_if_addrs(), psutil.net_if_stats()
    except OSError as error:
        raise SourceRefusedError(error.strerror or str(error)) from error
    counters: dict[str, Any] = {}
    with suppress(OSError):  # /proc is hidden
        counters = psutil.net_io_counters(pernic=True) or {}
    links, found = [], []
    for name, state in states.items():
        index = index_interface(name)
        own = [(label, a) for label, told in addresses.items() for a in told if label.partition(":")[0] == name]
        links.append(_describe_link(name, index, state, [a for _, a in own], counters.get(name)))
        found += [_describe_address(index, label, a) for label, a in own if a.family in _FAMILIES]
    return Links("psutil", tuple(links), tuple(found), ())


def _describe_link(name: str, index: int, state: Any, addresses: list[Any], counted: Any) -> Link:  # noqa: ANN401 - psutil's
    """Of flags, those of ip(8) are told; where psutil has none, LOOPBACK is told by a loopback address."""
    told = [flag.upper() for flag in state.flags.split(",") if flag] or _guess_flags(state, addresses)
    link = next((a.address for a in addresses if a.family == psutil.AF_LINK and a.address), None)
    stats = None
    if counted is not None:
        none = [None] * len(LinkReceived._fields)
        stats = LinkStats(
            LinkReceived(counted.bytes_recv, counted.packets_recv, counted.errin, counted.dropin, *none[4:]),
            LinkSent(counted.bytes_sent, counted.packets_sent, counted.errout, counted.dropout, *none[4:]),
        )
    return Link(
        ifindex=index,
        ifname=name,
        flags=tuple(told),
        mtu=state.mtu,
        qdisc=None,
        operstate=None,
        group=None,
        txqlen=None,
        link_type="loopback" if "LOOPBACK" in told else None,
        address=link,
        broadcast=None,
        xdp=None,
        stats64=stats,
    )


def _guess_flags(state: Any, addresses: list[Any]) -> list[str]:  # noqa: ANN401 - psutil's
    is_loopback = any(a.address == "::1" or a.address.startswith("127.") for a in addresses if a.family in _FAMILIES)
    return [*(["LOOPBACK"] if is_loopback else []), *(["UP"] if state.isup else [])]


def _describe_address(index: int, label: str, told: Any) -> LinkAddress:  # noqa: ANN401 - psutil's
    is_four = told.family == socket.AF_INET
    local = told.address.partition("%")[0]
    packed = socket.inet_pton(told.family, told.netmask) if told.netmask else None
    none = [None] * len(LinkAddress._fields)
    return LinkAddress(
        index,
        "inet" if is_four else "inet6",
        local,
        None if packed is None else int.from_bytes(packed).bit_count(),
        None,
        label if is_four else None,
        *none[6:],
    )
