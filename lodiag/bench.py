"""How fast the local stack is: throughput, latency and connection rate, between two processes of lodiag's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.benches.against import KINDS
from lodiag.benches.asking import Service, choose_tests, find_service, prepare_baseline, require_plain
from lodiag.benches.options import BenchOptions
from lodiag.benches.run import Bench
from lodiag.limits import require_choice, require_whole
from lodiag.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lodiag.model import Report
    from lodiag.model.bench import BenchRecord, BenchSummary

SAVED_RUNS = 3
"""Runs of a baseline: two of one machine differ more than two slices of one run."""
MOST_RUNS = 100


def bench_loopback(  # noqa: PLR0913 - iperf3 has more
    *tests: str,
    time_s: float | None = None,
    total_bytes: int | None = None,
    streams: int = 1,
    size_bytes: int | None = None,
    window_bytes: int | None = None,
    reverse: bool = False,
    bidir: bool = False,
    congestion: str | None = None,
    affinity: tuple[int, int] | None = None,
    busy_poll: bool = False,
    quick: bool = False,
    family: str | None = None,
    graceful: bool = False,
    source_addresses: int = 1,
    runs: int = 1,
    baseline: str | None = None,
    fail_if: Sequence[str] = (),
    against: str | int | None = None,
    request: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    system: System | None = None,
) -> Report[BenchRecord, BenchSummary]:
    """Measure how fast the loopback of this machine is.

    Args:
        tests: Any of ``stream``, ``rr``, ``crr`` and ``udp``; none, or ``all``, stands for all of them.
        time_s: See ``BenchOptions``, as for all that follow.
        total_bytes: Bytes to send in each slice instead of for a time.
        streams: Connections at a time.
        size_bytes: Bytes of a write, a request, or a datagram.
        window_bytes: Socket buffers.
        reverse: Whether the server sends.
        bidir: Whether both send.
        congestion: TCP's congestion control.
        affinity: Cores of the client and the server.
        busy_poll: Whether both ends of rr wait awake.
        quick: Whether to take two slices of each test instead of five.
        family: ``ipv4``, ``ipv6``, or ``None`` for both.
        graceful: Whether crr closes as most programs do.
        source_addresses: Addresses from which crr connects.
        runs: How often to measure everything; a baseline is better for three.
        baseline: File with the JSON of an earlier report, which the new one is judged by.
        fail_if: Limits of speed beside the baseline, such as ``stream<0.9``; without any, every test that certainly
            became slower is a failure.
        against: A port, or an address and a port, of a running service to measure instead, beside the stack.
        request: What to ask it: ``http``, ``echo``, ``none``, or ``auto`` to find out by an HTTP request.
        progress: Called with the slices that are done and those that there will be, while nothing is measured.
        system: The machine; a test's own stands in for it.

    Returns:
        A report with a ``BenchRecord`` for each test and path.

    Raises:
        ConfigError: An option is out of range, this machine does not have what it names, or the baseline is of
            another machine or other parameters; nothing was sent.
        TargetError: The service is not on the loopback; nothing was sent.
        UnsupportedError: The two processes cannot be had.

    """
    machine = system or System()
    options = BenchOptions(
        tests=choose_tests(tests),
        time_s=time_s,
        total_bytes=total_bytes,
        streams=streams,
        size_bytes=size_bytes,
        window_bytes=window_bytes,
        reverse=reverse,
        bidir=bidir,
        congestion=congestion,
        affinity=affinity,
        busy_poll=busy_poll,
        quick=quick,
        family=family,
        graceful=graceful,
        source_addresses=source_addresses,
    )
    require_whole("runs", runs, 1, MOST_RUNS)
    require_choice("request", request, KINDS)
    if against is not None:
        require_plain(options, runs, baseline)
        targets = find_service(against, family, machine)
        return Bench(machine, options, 1, None, progress, Service(*targets, request)).run()
    return Bench(machine, options, runs, prepare_baseline(machine, options, baseline, fail_if), progress).run()
