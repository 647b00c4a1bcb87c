"""``rr``: how long a request and its response take, over TCP, UDP, and AF_UNIX beside them."""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from lodiag.benches import Case, Slice, list_paths, open_window, split_cores
from lodiag.clock import NS_PER_MS
from lodiag.histogram import Histogram
from lodiag.system.ends.paths import Path, describe
from lodiag.system.ends.pool import Task
from lodiag.system.ends.rr import BIN_BITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.benches.options import BenchOptions
    from lodiag.system.ends.pool import Ends

MEASURE = "rtt_p50_ms"
MEDIAN = 500
"""In tenths of a percent."""


def list_cases(options: BenchOptions, cores: tuple[int, ...]) -> Iterator[Case]:
    """Yield each path on one core, and TCP across two as well, which adds what it takes to wake one up."""
    paths = list(list_paths(options))
    places: list[tuple[str, tuple[int, int] | None]]
    if options.affinity:
        places = [("chosen-cores", options.affinity)]
    elif options.busy_poll:
        places = [("across-cores", (cores[0], cores[1]))]
    else:
        places = [("same-core", (cores[0], cores[0]))] if cores else []
    for placement, pair in places or [("unpinned", None)]:
        for family, address in paths:
            yield Case("rr", "tcp" if family else "unix", family, address, placement, pair)
        for family, address in paths[:-1]:
            yield Case("rr", "udp", family, address, placement, pair)
    if not options.affinity and not options.busy_poll and len(cores) > 1:
        for family, address in paths[:-1]:
            yield Case("rr", "tcp", family, address, "across-cores", (cores[0], cores[1]))


def measure(case: Case, options: BenchOptions, ends: Ends, now_ns: int) -> list[Slice]:
    """Measure the round trips of a slice."""
    size = options.size_of("rr")
    kind = "datagram" if case.proto == "udp" else "stream"
    ends.prepare(2)
    client, server = ends.connect(
        Path(kind, case.family, case.address, options.window_bytes, case.congestion or options.congestion)
    )
    told = {"size_bytes": size, "read_bytes": size, **describe(client)}
    window = open_window("rr", options, now_ns)
    shared = {"size_bytes": size, "spin": options.busy_poll}
    times = {"start_ns": window.start_ns, "end_ns": window.end_ns, "total": options.count("rr")}
    asking, answering = split_cores(case)
    answers = ends.run(
        [Task("rr-ask", [client], {**shared, **times}, asking), Task("rr-answer", [server], shared, answering)],
        window.timeout_s,
    )
    return [take_times(answers[0], told)]


def take_times(answer: dict[str, Any], told: dict[str, Any]) -> Slice:
    """Make a slice of what the asking end has counted; its value is the median."""
    histogram = Histogram(answer["long_ns"])
    half = 1 << BIN_BITS - 1
    histogram.extend(chain.from_iterable(repeat((index << BIN_BITS) + half, count) for index, count in answer["bins"]))
    median_ms = histogram.percentiles_ns([MEDIAN])[0] / NS_PER_MS if len(histogram) else None
    counts: dict[str, Any] = {name: answer[name] for name in ("transactions", "lost", "elapsed_ns") if name in answer}
    return Slice(median_ms, {**told, **counts, "histogram": histogram})
