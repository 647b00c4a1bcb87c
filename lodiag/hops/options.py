"""How to trace: what a caller may choose, checked before anything is opened."""

from __future__ import annotations

from lodiag.dataclass import dataclass
from lodiag.errors import ConfigError
from lodiag.limits import LAST_PORT, require_choice, require_seconds, require_whole
from lodiag.model import FAMILIES

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
