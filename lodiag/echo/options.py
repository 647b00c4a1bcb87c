"""How to ping: what a caller may choose, checked before anything is opened."""

from __future__ import annotations

from lodiag.dataclass import dataclass
from lodiag.limits import require_between, require_choice, require_seconds, require_whole
from lodiag.model import CLOCKS, FAMILIES

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PingOptions:
    """How to ping.

    Attributes:
        count: Probes per address; 0 goes on until interrupted. ``None`` means 4, or with a deadline as many as fit.
        interval_s: Seconds from one probe to the next, on a steady schedule. With 0 the next probe follows
            the answer to the last, or comes after 10 ms; otherwise at least 0.0001.
        flood: Whether to send in bursts, each as soon as the last is answered, whatever the interval. Only the first
            probe of each is timed, or with the clock ``kernel`` each, and only what is not received is told.
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
