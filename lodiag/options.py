"""How to probe: what a caller may choose, checked before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass

from lodiag.errors import ConfigError
from lodiag.limits import require_between, require_choice, require_seconds, require_whole, suggest
from lodiag.model import CLOCKS, FAMILIES, PROTOS

PING_METHODS = {"auto": ("icmp-datagram", "icmp-raw", "udp"), "icmp": ("icmp-datagram", "icmp-raw"), "udp": ("udp",)}
"""Ladders, best first: each rung is tried by opening it, and the first that opens is used."""

PING_CLOCKS = {"auto": CLOCKS, **{clock: (clock,) for clock in CLOCKS}}
"""Ladders, best first: the first that the kernel grants is used."""

LARGEST_PAYLOAD = {"ipv4": 65_507, "ipv6": 65_527}
"""65535 less 20 + 8 bytes of headers; IPv6 leaves its own header out of the length (RFC 8200 section 3)."""

USUAL_COUNT = 4
USUAL_INTERVAL_S = 0.2
USUAL_TIMEOUT_S = 1.0
SHORTEST_INTERVAL_S = 0.0001
"""A shorter schedule could not be kept; 0 stands for "as soon as the last is answered"."""
MOST_PROBES = 1_000_000_000
LARGEST_TTL = 255
MOST_UNDER_WAY = 10_000
"""Twice what a receive buffer of 4 MiB holds; the numbers of 65536 probes differ."""

TRACE_METHODS = {
    "auto": ("udp", "icmp-datagram", "icmp-raw"),
    "icmp": ("icmp-datagram", "icmp-raw"),
    "udp": ("udp",),
    "tcp": ("tcp",),
    "all": (),
}
"""Ladders, best first. UDP leads: it needs no privilege, and no setting makes the kernel ignore it."""

MOST_HOPS = 255
MOST_QUERIES = 10
"""As in traceroute(8)."""
LAST_PORT = 65_535

STATES = (
    "listen",
    "unconnected",
    "established",
    "syn-sent",
    "syn-recv",
    "fin-wait-1",
    "fin-wait-2",
    "close-wait",
    "last-ack",
    "closing",
    "time-wait",
    "close",
    "bound",
)
"""In the order in which they are shown: what answers, what talks, what ends (RFC 9293 3.3.2)."""

LAST_PID = 2**32 - 1
"""A pid of Windows is a DWORD; elsewhere they are smaller."""
_ALIASES = {"listening": "listen", "estab": "established", "unconn": "unconnected", "closed": "close"}
SOURCES = ("sock_diag", "proc", "psutil")
"""Best first: Linux's netlink, Linux's /proc/net, and what every system has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PingOptions:
    """How to ping.

    Attributes:
        count: Probes per address; 0 goes on until interrupted. ``None`` means 4, or with a deadline as many as fit.
        interval_s: Seconds from one probe to the next, on a steady schedule. With 0 the next probe follows
            the answer to the last, or comes after 10 ms; otherwise at least 0.0001.
        flood: Whether to send in bursts, each as soon as the last is answered, whatever the interval. Only the first
            probe of each is timed, and only what is not received is told.
        preload: Probes to have under way at once: that many begin the run, and with an interval of 0 are kept up; of a
            flood it is the longest burst. ``None`` means 1, and of a flood up to 256.
        timeout_s: Seconds after which a probe counts as lost; a later reply is counted as late.
        deadline_s: Seconds after which the whole run ends; ``None`` sets no bound.
        size_bytes: Bytes of payload.
        ttl: TTL or hop limit of the probes, 1 to 255; ``None`` leaves the system's default.
        source_address: Loopback address to send from.
        family: ``ipv4``, ``ipv6``, or ``None`` for every address of a name.
        method: ``auto``, ``icmp`` or ``udp``.
        clock: ``auto`` for the best that is to be had, ``kernel``, ``kernel-rx`` or ``user``.
        max_loss_ratio: Loss above which the run fails, 0 to 1.
        max_rtt_ms: Round trip above which the run fails.
        once: Whether an address is probed no more once it has answered.
        reachable: So many addresses are to answer: if they do, no other needs to; with ``once`` the run ends then.
        keep_replies: Whether the records hold the fate of every probe.

    """

    count: int | None = None
    interval_s: float = USUAL_INTERVAL_S
    flood: bool = False
    preload: int | None = None
    timeout_s: float = USUAL_TIMEOUT_S
    deadline_s: float | None = None
    size_bytes: int = 56
    ttl: int | None = None
    source_address: str | None = None
    family: str | None = None
    method: str = "auto"
    clock: str = "auto"
    max_loss_ratio: float | None = None
    max_rtt_ms: float | None = None
    once: bool = False
    reachable: int | None = None
    keep_replies: bool = True

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for what is out of range, whatever the target."""
        if self.count is not None:
            require_whole("count", self.count, 0, MOST_PROBES)
        require_seconds("interval", self.interval_s, least=SHORTEST_INTERVAL_S, or_zero=True)
        if self.preload is not None:
            require_whole("preload", self.preload, 1, MOST_UNDER_WAY)
        require_seconds("timeout", self.timeout_s)
        if self.deadline_s is not None:
            require_seconds("deadline", self.deadline_s)
        require_whole("size", self.size_bytes, 0, max(LARGEST_PAYLOAD.values()), "bytes")
        if self.ttl is not None:
            require_whole("ttl", self.ttl, 1, LARGEST_TTL)
        require_choice("method", self.method, tuple(PING_METHODS))
        require_choice("clock", self.clock, tuple(PING_CLOCKS))
        if self.family is not None:
            require_choice("family", self.family, FAMILIES)
        if self.max_loss_ratio is not None:
            require_between("max-loss", self.max_loss_ratio * 100, 0, 100, "percent")
        if self.max_rtt_ms is not None:
            require_between("max-rtt", self.max_rtt_ms, 0, 1e9, "ms")
        if self.reachable is not None:
            require_whole("reachable", self.reachable, 1, MOST_PROBES)

    @property
    def most_probes(self) -> int | None:
        """Probes to send to each address; ``None`` if there is no bound."""
        if self.count is None:
            return USUAL_COUNT if self.deadline_s is None and not self.flood else None
        return self.count or None

    @property
    def pace_s(self) -> float:
        """Seconds from one probe to the next; 0 if each follows the answer to the last."""
        return 0.0 if self.flood else self.interval_s

    @property
    def under_way(self) -> int:
        """Probes that may be under way at once without a pause."""
        return self.preload or 1

    @property
    def ladder(self) -> tuple[str, ...]:
        """Methods to try, best first."""
        return PING_METHODS[self.method]

    @property
    def clocks(self) -> tuple[str, ...]:
        """Clocks to try, best first."""
        return PING_CLOCKS[self.clock]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """How to trace.

    Attributes:
        method: ``auto``, ``icmp``, ``udp``, ``tcp``, or ``all`` to compare the three.
        first_hop: TTL to begin with, 1 to 255.
        max_hops: TTL to end with, 1 to 255.
        queries: Probes per hop, 1 to 10; ``None`` means 3, or 2 by each of several methods: a router answers some six.
        timeout_s: Seconds to wait for an answer.
        deadline_s: Seconds after which the whole trace ends.
        port: Destination port of udp and tcp probes; ``None`` reserves one that nothing listens on.
        family: ``ipv4``, ``ipv6``, or ``None`` for whichever the resolver gives first.
        with_mtu: Whether to look for the mtu of the path.
        asks_again: Whether hops that kept silent on the way to one that answered are asked once more.

    """

    method: str = "auto"
    first_hop: int = 1
    max_hops: int = 30
    queries: int | None = None
    timeout_s: float = 1.0
    deadline_s: float = 2.0
    port: int | None = None
    family: str | None = None
    with_mtu: bool = False
    asks_again: bool = True

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for what is out of range."""
        require_choice("method", self.method, tuple(TRACE_METHODS))
        if self.family is not None:
            require_choice("family", self.family, FAMILIES)
        require_whole("first-hop", self.first_hop, 1, MOST_HOPS)
        require_whole("max-hops", self.max_hops, 1, MOST_HOPS)
        if self.first_hop > self.max_hops:
            message = f"first-hop must not exceed max-hops: {self.first_hop} is more than {self.max_hops}"
            raise ConfigError(message)
        if self.queries is not None:
            require_whole("queries", self.queries, 1, MOST_QUERIES)
        require_seconds("timeout", self.timeout_s)
        require_seconds("deadline", self.deadline_s)
        if self.port is not None:
            require_whole("port", self.port, 1, LAST_PORT)
            if self.method == "icmp":
                message = "port has no meaning for icmp probes"
                raise ConfigError(message, "Leave it out, or choose --method udp or tcp.")

    @property
    def probes_per_hop(self) -> int:
        """Probes to send to each hop, by each method."""
        return self.queries or (2 if self.method == "all" else 3)

    @property
    def ladders(self) -> tuple[tuple[str, ...], ...]:
        """Methods to try, of each ladder until one opens.

        A port that was asked for must not be lost by falling back to ICMP.
        """
        if self.method == "all":
            return tuple(TRACE_METHODS[method] for method in ("udp", "icmp", "tcp"))
        return (("udp",) if self.method == "auto" and self.port is not None else TRACE_METHODS[self.method],)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnsOptions:
    """Which sockets to list.

    Attributes:
        proto: ``tcp`` or ``udp``; ``None`` for both.
        family: ``ipv4`` or ``ipv6``, of the socket; ``None`` for both.
        states: Names in ``STATES``; ``None`` for all.
        port: Port that either end must have.
        local_port: Port that this end must have.
        remote_port: Port that the other end must have.
        local_address: Address that this end must have, an IPv4-mapped one as IPv4.
        pid: Process that must own the socket.
        process: Text that an owner's name must contain, in any case.
        user: Name or number of the user who made the socket, or whose process owns it.
        unit: Text that the socket's systemd unit, or its container's id, must contain.
        wildcard: Whether to list sockets bound to every address.
        with_process: Whether to look up owners.
        with_cmdline: Whether to read the owners' command lines.
        with_tcp: Whether to ask what the kernel measured of connections.
        with_findings: Whether to judge them, which takes two readings, and what TCP measured.
        source: One of ``SOURCES``; ``None`` for the best that is to be had.

    """

    proto: str | None = None
    family: str | None = None
    states: frozenset[str] | None = None
    port: int | None = None
    local_port: int | None = None
    remote_port: int | None = None
    local_address: str | None = None
    pid: int | None = None
    process: str | None = None
    user: str | None = None
    unit: str | None = None
    wildcard: bool = True
    with_process: bool = True
    with_cmdline: bool = False
    with_tcp: bool = False
    with_findings: bool = False
    source: str | None = None

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for what is out of range."""
        for name, choice, choices in (
            ("proto", self.proto, PROTOS),
            ("family", self.family, FAMILIES),
            ("source", self.source, SOURCES),
        ):
            if choice is not None:
                require_choice(name, choice, choices)
        for name, port in (("port", self.port), ("local-port", self.local_port), ("remote-port", self.remote_port)):
            if port is not None:
                require_whole(name, port, 0, LAST_PORT)
        if self.pid is not None:
            require_whole("pid", self.pid, 1, LAST_PID)
        for name, wanted in (("process", self.process), ("user", self.user), ("unit", self.unit)):
            if wanted == "":
                message = f"{name} must not be empty: every name contains that"
                raise ConfigError(message)
        if not self.with_process and (self.pid is not None or self.process is not None):
            message = "sockets cannot be chosen by their process when processes are not to be looked up"
            raise ConfigError(message, "Leave out --no-process, or --pid and --process.")

    @property
    def chooses_by_owner(self) -> bool:
        """Whether a socket is chosen by who holds or made it, and not by what it is alone."""
        return any(wanted is not None for wanted in (self.pid, self.process, self.user, self.unit))


def parse_state(text: str) -> str:
    """Name of a state, as STATES has it, from any of the ways in which tools write it; ``ConfigError`` if unknown."""
    name = text.strip().lower().replace("_", "-")
    name = _ALIASES.get(name, name)
    squeezed = {state.replace("-", ""): state for state in STATES}
    found = squeezed.get(name.replace("-", ""))
    if found is None:
        message = f"{text[:40]!r} is not a state of a socket{suggest(name, STATES)}"
        raise ConfigError(message, f"Known states: {', '.join(STATES)}.")
    return found


def parse_address(text: str) -> str:
    """Address of a socket's end in the words of a report; ``ConfigError`` if it is none."""
    from ipaddress import IPv6Address, ip_address

    try:
        address = ip_address(text)
    except ValueError as error:
        message = f"{text[:40]!r} is not an address"
        raise ConfigError(message, "Give it as 127.0.0.2, ::1, 0.0.0.0 or ::.") from error
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            message = f"{text[:40]!r} has a zone, which no address of a socket is shown with"
            raise ConfigError(message, "Leave it out.")
        return str(address.ipv4_mapped or address)
    return str(address)
