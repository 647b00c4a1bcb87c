"""How to bench: what a caller may choose, checked before anything is opened."""

from __future__ import annotations

from lodiag.dataclass import dataclass
from lodiag.errors import ConfigError
from lodiag.limits import require_choice, require_seconds, require_whole
from lodiag.model import FAMILIES
from lodiag.model.bench import TESTS

ROUNDS, QUICK_ROUNDS = 5, 2
"""Slices of each test, taken in turn: what passes disturbs one of them, and not one test alone."""

SLICE_S = {"stream": 0.1, "rr": 0.045, "crr": 0.05, "udp": 0.07}
"""So that all tests take some 7 s. Each slice of rr still has thousands of round trips."""
QUICK_PART = 0.7
"""Of a slice where there are two: so that all tests take some 2 s."""

WARM_UP_S = {"stream": 0.02, "rr": 0.004, "crr": 0.004, "udp": 0.002}
"""Before a slice begins: TCP finds its window, caches fill, the processor wakes up."""

MOST_STREAMS = 16
"""Each takes two processes, of 9 MiB each."""
MOST_BYTES = {"stream": 1 << 26, "rr": 65_507, "crr": 65_507, "udp": 65_507}
LEAST_BYTES = {"udp": 8}
"""A datagram has its number."""
USUAL_BYTES = {"stream": 1 << 20, "rr": 1, "crr": 1, "udp": 1472}
"""What TCP takes at once without falling behind; a byte as in netperf; what Ethernet carries."""
USUAL_READ_BYTES = 1 << 17
"""Larger reads bring nothing: what was received falls out of the cache."""

MOST_SOURCES = 250
MOST_WINDOW = 1 << 30
MOST_TOTAL_BYTES = 1 << 50
MOST_CORES = 4096
LONGEST_COUNTED_S = 60.0
"""When bytes are counted and not seconds, a slice ends after so long all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """How to bench.

    Attributes:
        tests: Any of ``stream``, ``rr``, ``crr`` and ``udp``.
        time_s: Seconds to measure each test, all its slices together; ``None`` for a fifth to half a second.
        total_bytes: Bytes to send in each slice instead of for a time; for rr and crr, that of all requests.
        streams: Connections at a time, in stream and udp.
        size_bytes: Bytes of a write and a read, a request, or a datagram; ``None`` for each test's usual.
        window_bytes: Socket buffers (SO_SNDBUF, SO_RCVBUF); ``None`` leaves them to the kernel.
        reverse: Whether the server sends, in stream and udp.
        bidir: Whether both send at the same time, likewise.
        congestion: TCP's congestion control; ``None`` for the system's.
        affinity: Cores of the client and the server; ``None`` to choose them for each test.
        busy_poll: Whether both ends of rr wait awake, on two cores.
        quick: Whether to take two slices of each test, which are too few to compare.
        family: ``ipv4`` or ``ipv6``; ``None`` for both.
        graceful: Whether crr closes connections as most programs do, which leaves them in TIME_WAIT.
        source_addresses: Addresses of 127/8 from which crr connects in turn.

    """

    tests: tuple[str, ...] = TESTS
    time_s: float | None = None
    total_bytes: int | None = None
    streams: int = 1
    size_bytes: int | None = None
    window_bytes: int | None = None
    reverse: bool = False
    bidir: bool = False
    congestion: str | None = None
    affinity: tuple[int, int] | None = None
    busy_poll: bool = False
    quick: bool = False
    family: str | None = None
    graceful: bool = False
    source_addresses: int = 1

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for what is out of range, or has no meaning for these tests."""
        for test in self.tests:
            require_choice("test", test, TESTS)
        if self.time_s is not None:
            require_seconds("time", self.time_s, least=0.01)
        if self.total_bytes is not None:
            require_whole("bytes", self.total_bytes, 1, MOST_TOTAL_BYTES)
        require_whole("parallel", self.streams, 1, MOST_STREAMS)
        if self.window_bytes is not None:
            require_whole("window", self.window_bytes, 1, MOST_WINDOW, "bytes")
        if self.family is not None:
            require_choice("family", self.family, FAMILIES)
        require_whole("source-addresses", self.source_addresses, 1, MOST_SOURCES)
        for core in self.affinity or ():
            require_whole("affinity", core, 0, MOST_CORES)
        self._check_size()
        self._check_combinations()

    def _check_size(self) -> None:
        if self.size_bytes is None:
            return
        if len(self.tests) > 1:
            message = "size means something else in each test"
            raise ConfigError(message, "Name the test, as in lodiag bench stream -l 131072.")
        test = self.tests[0]
        require_whole("size", self.size_bytes, LEAST_BYTES.get(test, 1), MOST_BYTES[test], "bytes")

    def _check_combinations(self) -> None:
        tests = set(self.tests)
        alone = (
            (self.time_s is not None and self.total_bytes is not None, "time and bytes exclude each other"),
            (self.reverse and self.bidir, "reverse and bidir exclude each other"),
            (self.streams > 1 and not tests & {"stream", "udp"}, "parallel is for stream and udp"),
            (
                (self.reverse or self.bidir) and not tests & {"stream", "udp"},
                "reverse and bidir are for stream and udp",
            ),
            (self.busy_poll and "rr" not in tests, "busy-poll is for rr"),
            (
                (self.graceful or self.source_addresses > 1) and "crr" not in tests,
                "graceful and source-addresses are for crr",
            ),
            (self.source_addresses > 1 and self.family == "ipv6", "source-addresses are of 127/8, and ::1 is alone"),
            (self.congestion is not None and tests == {"udp"}, "congestion is for TCP"),
        )
        for is_wrong, message in alone:
            if is_wrong:
                raise ConfigError(message, "Leave out one of them, or name another test.")

    @property
    def rounds(self) -> int:
        """Slices of each test."""
        return QUICK_ROUNDS if self.quick else ROUNDS

    @property
    def directions(self) -> tuple[str, ...]:
        """Which ways data goes at the same time."""
        return ("to-server", "to-client") if self.bidir else ("to-client",) if self.reverse else ("to-server",)

    def slice_s(self, test: str) -> float:
        """Seconds that a slice of this test is measured, or may last if bytes are counted."""
        if self.total_bytes is not None:
            return LONGEST_COUNTED_S
        if self.time_s is None:
            return SLICE_S[test] * (QUICK_PART if self.quick else 1)
        return self.time_s / self.rounds

    def warm_up_s(self, test: str) -> float:
        """Seconds before a slice begins, no longer than itself."""
        return 0.0 if self.total_bytes is not None else min(WARM_UP_S[test], self.slice_s(test))

    def size_of(self, test: str) -> int:
        """Bytes of a write, a request or a datagram of this test."""
        return USUAL_BYTES[test] if self.size_bytes is None else self.size_bytes

    def count(self, test: str) -> int | None:
        """Requests of a slice; ``None`` if it lasts for a time."""
        return None if self.total_bytes is None else -(-self.total_bytes // self.size_of(test))
