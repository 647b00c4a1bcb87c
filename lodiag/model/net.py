"""Interfaces, addresses, routes and rules, as the kernel tells them.

A key that ``ip -json`` of iproute2 has too bears its name and its value here, so that what reads the one reads the
other. What it leaves out because there is none is null here.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

FOREVER_S = 0xFFFFFFFF
"""A lifetime without an end (INFINITY_LIFE_TIME, include/net/addrconf.h)."""


class LinkReceived(NamedTuple):
    """What an interface has received since it was made; on a loopback that is what it has sent."""

    bytes: Annotated[int, "Bytes."]
    packets: Annotated[int, "Packets."]
    errors: Annotated[int, "Packets that could not be received."]
    dropped: Annotated[int, "Packets that were dropped."]
    over_errors: Annotated[int | None, "Overruns of the receiver's ring."]
    multicast: Annotated[int | None, "Multicast packets."]
    length_errors: Annotated[int | None, "Packets of a wrong length."]
    crc_errors: Annotated[int | None, "Packets with a wrong checksum of the link."]
    frame_errors: Annotated[int | None, "Packets with a wrong alignment."]
    fifo_errors: Annotated[int | None, "Overruns of the FIFO."]
    missed_errors: Annotated[int | None, "Packets that the interface had no room for."]


class LinkSent(NamedTuple):
    """What an interface has sent since it was made."""

    bytes: Annotated[int, "Bytes."]
    packets: Annotated[int, "Packets."]
    errors: Annotated[int, "Packets that could not be sent."]
    dropped: Annotated[int, "Packets that were dropped; on a loopback, those that were sent while it was down."]
    carrier_errors: Annotated[int | None, "Losses of the carrier while sending."]
    collisions: Annotated[int | None, "Collisions."]
    aborted_errors: Annotated[int | None, "Packets that were given up."]
    fifo_errors: Annotated[int | None, "Underruns of the FIFO."]
    window_errors: Annotated[int | None, "Late collisions."]
    heartbeat_errors: Annotated[int | None, "Missing heartbeats."]
    carrier_changes: Annotated[int | None, "How often the carrier came or went."]


class LinkStats(NamedTuple):
    """Counters of an interface."""

    rx: Annotated[LinkReceived, "What it has received."]
    tx: Annotated[LinkSent, "What it has sent."]


class Link(NamedTuple):
    """An interface; ``None`` for what this kernel does not tell."""

    ifindex: Annotated[int, "Index of the interface."]
    ifname: Annotated[str, "Name of the interface."]
    flags: Annotated[tuple[str, ...], "Flags, such as LOOPBACK and UP."]
    mtu: Annotated[int | None, "Bytes of the largest packet."]
    qdisc: Annotated[str | None, "What queues its packets: noqueue on a loopback that nobody has shaped."]
    operstate: Annotated[str | None, "State: UNKNOWN is that of a loopback that is up."]
    group: Annotated[str | None, "Group of interfaces that it is in."]
    txqlen: Annotated[int | None, "Packets that its queue may hold."]
    link_type: Annotated[str | None, "Kind of link, such as loopback."]
    address: Annotated[str | None, "Address of the link."]
    broadcast: Annotated[str | None, "Broadcast address of the link."]
    xdp: Annotated[bool | None, "Whether an XDP program sees its packets first."]
    stats64: Annotated[LinkStats | None, "Counters since the interface was made."]

    @property
    def is_loopback(self) -> bool:
        """Whether it has the flag of loopbacks."""
        return "LOOPBACK" in self.flags

    @property
    def is_up(self) -> bool:
        """Whether it is up."""
        return "UP" in self.flags


class LinkAddress(NamedTuple):
    """An address of an interface."""

    ifindex: Annotated[int, "Index of the interface."]
    family: Annotated[str, "Family: inet or inet6."]
    local: Annotated[str, "Address."]
    prefixlen: Annotated[int | None, "Bits of the prefix: on a loopback, all addresses of it are local."]
    scope: Annotated[str | None, "How far it is valid: host is this machine."]
    label: Annotated[str | None, "Name that ifconfig(8) shows it under; of IPv4 only."]
    secondary: Annotated[bool | None, "Whether it goes when the first address of its prefix goes; of IPv4 only."]
    dynamic: Annotated[bool | None, "Whether it ends by itself."]
    tentative: Annotated[bool | None, "Whether it may not be used yet: the kernel is asking for duplicates."]
    dadfailed: Annotated[bool | None, "Whether another machine has it."]
    deprecated: Annotated[bool | None, "Whether nothing new should use it."]
    noprefixroute: Annotated[bool | None, "Whether it came without a route for its prefix."]
    valid_life_time: Annotated[int | None, "Seconds until it ends; 4294967295 is never."]
    preferred_life_time: Annotated[int | None, "Seconds until it is deprecated; 4294967295 is never."]
    address: Annotated[str | None, "Address at the other end, which the prefix is of; null if it is of this one."] = (
        None
    )
    broadcast: Annotated[str | None, "Broadcast address of the prefix; of IPv4 only."] = None
    metric: Annotated[int | None, "Metric of the route for its prefix; null for the usual one."] = None


class Route(NamedTuple):
    """A route; one without a device leads nowhere."""

    family: Annotated[str, "Family: ipv4 or ipv6."]
    type: Annotated[str, "What becomes of a packet: local is delivered here, unicast is sent on."]
    dst: Annotated[str, "Addresses that it is for: one, a prefix, or default."]
    src: Annotated[str | None, "Addresses that a packet must come from (iproute2: from); null if any."]
    gateway: Annotated[str | None, "Router that it leads to."]
    dev: Annotated[str | None, "Name of the interface that it leads to; its index if that is gone."]
    table: Annotated[str, "Routing table: local, main, default, or a number."]
    protocol: Annotated[str, "Who made it: kernel, boot, static, or a number."]
    scope: Annotated[str | None, "How far its addresses are: host is this machine; of IPv4 only."]
    prefsrc: Annotated[str | None, "Address that packets are sent from."]
    metric: Annotated[int | None, "Of several, the one with the least is taken."]
    mtu: Annotated[int | None, "Limit of its own on the bytes of a packet."]


class Rule(NamedTuple):
    """A rule that chooses a routing table, or ends the search; they are asked by priority."""

    family: Annotated[str, "Family: ipv4 or ipv6."]
    priority: Annotated[int, "Place among the rules: the least is asked first."]
    inverted: Annotated[bool, "Whether it is for what does not match (iproute2: not)."]
    src: Annotated[str, "Address that a packet comes from; all if any."]
    srclen: Annotated[int | None, "Bits of that address; null if all are meant."]
    dst: Annotated[str | None, "Address that it goes to; null if any."]
    dstlen: Annotated[int | None, "Bits of that address; null if all are meant."]
    iif: Annotated[str | None, "Interface that it comes by: lo is what this machine sends itself."]
    oif: Annotated[str | None, "Interface that its socket is bound to."]
    fwmark: Annotated[str | None, "Mark that it bears."]
    fwmask: Annotated[str | None, "Bits of the mark that count; null if all."]
    tos: Annotated[str | None, "Type of service."]
    ipproto: Annotated[str | None, "Protocol of IP: tcp, udp, icmp, ipv6-icmp, or a number."]
    sport: Annotated[tuple[int, int] | None, "First and last source port."]
    dport: Annotated[tuple[int, int] | None, "First and last destination port."]
    uids: Annotated[tuple[int, int] | None, "First and last user id of who sends (iproute2: uid_start, uid_end)."]
    l3mdev: Annotated[bool, "Whether the table is that of the packet's VRF."]
    table: Annotated[str | None, "Table that is asked: local, main, default, or a number; null if none is."]
    suppress_prefixlen: Annotated[int | None, "Routes of that table with at most so many bits are left out."]
    action: Annotated[str, "lookup, goto, nop, blackhole, unreachable, prohibit, or a number."]
    goto: Annotated[int | None, "Priority of the rule to go on with."]


QUEUES = frozenset({"pfifo", "bfifo", "pfifo_fast", "fq", "fq_codel", "mq", "sfq", "prio"})
"""Kinds of queueing disciplines that queue and, unless told to, neither shape nor drop."""


class Qdisc(NamedTuple):
    """What queues, shapes or harms the packets of an interface; null for what its kind does not know."""

    dev: Annotated[str, "Name of the interface."]
    kind: Annotated[str, "Kind: noqueue, tbf, netem, ..."]
    root: Annotated[bool, "Whether all packets that are sent pass it."]
    rate_bps: Annotated[int | None, "Bits per second that it lets pass."]
    limit: Annotated[int | None, "Room of its queue: bytes for tbf and bfifo, packets for the others."]
    delay_ms: Annotated[float | None, "Milliseconds by which it delays each packet."]
    jitter_ms: Annotated[float | None, "Milliseconds by which that varies."]
    loss_ratio: Annotated[float | None, "Share of packets that it drops, 0 to 1."]
    duplicate_ratio: Annotated[float | None, "Share of packets that it doubles, 0 to 1."]
    reorder_ratio: Annotated[float | None, "Share of packets that it sends out of turn, 0 to 1."]
    corrupt_ratio: Annotated[float | None, "Share of packets that it damages, 0 to 1."]
    drops: Annotated[int | None, "Packets that it has dropped."]
    overlimits: Annotated[int | None, "How often a packet had to wait."]
    backlog_bytes: Annotated[int | None, "Bytes that wait."]


class RouteAnswer(NamedTuple):
    """What the kernel would do with a packet to an address; nothing was sent."""

    dst: Annotated[str, "Address that was asked for."]
    type: Annotated[str | None, "What would become of it: local is delivered here; null if the kernel knows no way."]
    table: Annotated[
        str | None,
        "Table of the route that it takes; as long as nobody has touched the rules, the kernel keeps the tables local "
        "and main in one and may name either.",
    ]
    dev: Annotated[str | None, "Name of the interface that it would leave by."]
    ifindex: Annotated[int | None, "Index of that interface."]
    prefsrc: Annotated[str | None, "Address that it would be sent from."]
    gateway: Annotated[str | None, "Router that it would be sent to."]
    mtu: Annotated[int | None, "Bytes of the largest packet on that way."]
    errno: Annotated[
        str | None, "The system's own word for why it has no way: ENETUNREACH, EACCES, ...; null if it has."
    ]
