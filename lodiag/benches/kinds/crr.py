"""``crr``: how many connections a second, each with a request and its response."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from lodiag.benches import Case, Slice, list_paths, open_window, split_cores
from lodiag.benches.kinds.rr import take_times
from lodiag.system.counters import count_time_wait
from lodiag.system.ends.paths import Path, describe
from lodiag.system.ends.pool import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.benches.options import BenchOptions
    from lodiag.system.ends.pool import Ends

MEASURE = "transactions_per_s"

MOST_GRACEFUL = 2000
"""Connections of a slice from one source that stay in TIME_WAIT for a minute: of five slices, a third of its ports."""


def list_cases(options: BenchOptions, cores: tuple[int, ...]) -> Iterator[Case]:
    """Yield each path once, on one core: there it is fastest, and there it varies least."""
    pair = options.affinity or ((cores[0], cores[0]) if cores else None)
    placement = "chosen-cores" if options.affinity else "same-core" if cores else "unpinned"
    for family, address in list_paths(options):
        yield Case("crr", "tcp" if family else "unix", family, address, placement, pair)


def measure(case: Case, options: BenchOptions, ends: Ends, now_ns: int) -> list[Slice]:
    """Measure the connections of a slice."""
    size = options.size_of("crr")
    ends.prepare(2)
    path = Path("stream", case.family, case.address, options.window_bytes, case.congestion or options.congestion)
    ends.connect(path)  # what keeps one from being made is told at once, and not after thousands of tries
    ends.drop()
    listener = ends.listen(path)
    name = listener.getsockname()
    sources = (
        [f"127.1.0.{number}" for number in range(1, options.source_addresses + 1)]
        if options.source_addresses > 1
        else []
    )
    told = {"size_bytes": size, "read_bytes": size, **describe(listener)}
    window = open_window("crr", options, now_ns)
    settings: dict[str, Any] = {
        "family": int(listener.family),
        "address": name.decode("ascii") if isinstance(name, bytes) else name,
        "size_bytes": size,
        "start_ns": window.start_ns,
        "end_ns": window.end_ns,
        "total": options.count("crr"),
        "most": MOST_GRACEFUL * options.source_addresses if options.graceful and case.family else None,
        "graceful": options.graceful,
        "sources": sources if case.family == "ipv4" else [],
    }
    asking, answering = split_cores(case)
    answering_settings = {"size_bytes": size, "end_ns": window.end_ns}
    waiting = count_time_wait()
    answers = ends.run(
        [Task("crr-ask", [], settings, asking), Task("crr-answer", [listener], answering_settings, answering)],
        window.timeout_s,
    )
    left = count_time_wait()
    told["time_wait_left"] = None if waiting is None or left is None else max(left - waiting, 0)
    return [_take(answers[0], told)]


def _take(answer: dict[str, Any], told: dict[str, Any]) -> Slice:
    times = take_times(answer, told)
    failed = dict(answer["failed"])
    rate = answer["transactions"] * 1e9 / answer["elapsed_ns"] if answer["transactions"] else None
    reasons = {
        "ephemeral-ports": failed.get(errno.EADDRNOTAVAIL, 0) > 0,
        "connection-limit": answer["was_limited"],
    }
    return Slice(
        rate,
        {
            **times.told,
            "failed": sum(failed.values()),
            "failed_errno": next(iter(failed), None),
            "limited_by": next((reason for reason, is_so in reasons.items() if is_so), "cpu"),
        },
    )
