"""Records of what was measured."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import TYPE_CHECKING, Any

from lodiag.benches import load
from lodiag.benches.shares import LATENCIES
from lodiag.clock import NS_PER_MS, to_ms
from lodiag.histogram import Histogram
from lodiag.model.bench import BenchBucket, BenchRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lodiag.benches import Case, Slice
    from lodiag.benches.options import BenchOptions
    from lodiag.benches.rounds import Failure, Key, Measured

KEPT = (
    *("size_bytes", "read_bytes", "send_buffer_bytes", "receive_buffer_bytes", "segment_bytes", "congestion"),
    "limited_by",
)
"""What is the same in all slices; of the reasons why a rate is limited, the first that is not the processor counts."""

ADDED = (
    "retransmits",
    "transactions",
    "failed",
    "sent",
    "received",
    "time_wait_left",
    "dropped",
    "reordered",
    "duplicates",
)
PERCENTILES = {"rtt_min_ms": 0, "rtt_p50_ms": 500, "rtt_p90_ms": 900, "rtt_p99_ms": 990, "rtt_p999_ms": 999}
"""In tenths of a percent."""
LONGEST = 1000
BYTES_PER_GB = 1e9
BITS = 8
NOTHING: dict[str, Any] = dict.fromkeys(
    (
        *("port", "client_core", "server_core", "throughput_bps", "throughput_low_bps", "throughput_high_bps"),
        *("client_cpu_s_per_gb", "server_cpu_s_per_gb", "pacing_bps", "transactions_per_s", *PERCENTILES),
        *("rtt_max_ms", "closing", "source_addresses", "lost", "loss_ratio", "received_per_s", "unix_ratio"),
        *("status_line", "error", "errno", "direction", "compared", *KEPT, *ADDED),
    )
)


def make_records(measured: Measured, cases: Sequence[Case], options: BenchOptions) -> list[BenchRecord]:
    """Make the records of all cases, in their order."""
    found = []
    for case in cases:
        keys = [key for key in measured.slices if key.case == case]
        found += [_make(key, measured, options) for key in keys]
        if not keys:
            found.append(BenchRecord(**_describe(case, options) | _explain(measured.failures.get(case))))
    return _compare_with_unix(found)


def _describe(case: Case, options: BenchOptions) -> dict[str, Any]:
    client, server = case.cores or (None, None)
    has_streams = case.test in {"stream", "udp"}
    return {
        **NOTHING,
        "test": case.test,
        "proto": case.proto,
        "family": case.family,
        "address": case.address,
        "placement": case.placement,
        "client_core": client,
        "server_core": server,
        "streams": options.streams if has_streams else 1,
        "measured_ms": 0.0,
        "measure": load(case.test).MEASURE,
        "slices": (),
        "taken_ratios": (),
        "run_slices": (),
        "histogram": (),
    }


def _explain(failure: Failure | None) -> dict[str, Any]:
    return {} if failure is None else {"error": failure.code, "errno": failure.errno}


def _make(key: Key, measured: Measured, options: BenchOptions) -> BenchRecord:
    pieces, case = measured.slices[key], key.case
    values = measured.values(key)
    told: dict[str, Any] = _describe(case, options) | {"direction": key.direction, "slices": values}
    told["taken_ratios"] = tuple(piece.told.get("taken") for piece in pieces if piece.value is not None)
    told["run_slices"] = tuple(measured.run_slices[key])
    told |= {name: _first(pieces, name) for name in KEPT} | {name: _add(pieces, name) for name in ADDED}
    told["measured_ms"] = to_ms(sum(piece.told.get("elapsed_ns", 0) for piece in pieces))
    if told["measure"] == "throughput_bps" and values:
        told |= {"throughput_low_bps": min(values), "throughput_high_bps": max(values)}
    if values:
        told[told["measure"]] = statistics.median(values)
    told |= tell_times(pieces) | _tell_cpu(pieces) | _tell_case(case, pieces, options)
    if told["sent"] is not None:
        told |= _tell_loss(told)
    failure = measured.failures.get(case)
    if failure is None and any(piece.told.get("lost") for piece in pieces):
        told["error"] = "timeout"
    return BenchRecord(**told | _explain(failure))


def _tell_case(case: Case, pieces: Iterable[Slice], options: BenchOptions) -> dict[str, Any]:
    """What one kind of test alone has."""
    if case.test == "stream":
        pacing = _first(reversed([*pieces]), "pacing_bytes_per_s")
        return {"pacing_bps": None if pacing is None else float(pacing * BITS)}
    if case.test == "udp":
        rate = [piece.value * piece.told["size_bytes"] * BITS for piece in pieces if piece.value is not None]
        return {"throughput_bps": statistics.median(rate)} if rate else {}
    if case.test == "crr":
        is_abrupt = not options.graceful and case.family is not None
        reasons = [piece.told["limited_by"] for piece in pieces]
        return {
            "closing": "abortive" if is_abrupt else "graceful",
            "source_addresses": options.source_addresses if case.family == "ipv4" else 1 if case.family else None,
            "limited_by": next((reason for reason in reasons if reason != "cpu"), "cpu"),
        }
    rates = [p.told["transactions"] * 1e9 / p.told["elapsed_ns"] for p in pieces if p.told["elapsed_ns"]]
    return {"transactions_per_s": statistics.median(rates)} if rates else {}


def tell_times(pieces: Iterable[Slice]) -> dict[str, Any]:
    """Percentiles of all slices' round trips together."""
    merged = Histogram()
    counts: Counter[tuple[int, int]] = Counter()
    for piece in pieces:
        if "histogram" in piece.told:
            for low, high, count in piece.told["histogram"].buckets():
                counts[low, high] += count
                merged.extend([(low + high) // 2] * count)
    if not len(merged):
        return {}
    times = merged.percentiles_ns([*PERCENTILES.values(), LONGEST])
    return {
        **{name: to_ms(ns) for name, ns in zip([*PERCENTILES, "rtt_max_ms"], times, strict=True)},
        "histogram": tuple(
            BenchBucket(from_ms=to_ms(low), below_ms=to_ms(high + 1), count=count)
            for (low, high), count in sorted(counts.items())
        ),
    }


def _tell_cpu(pieces: Iterable[Slice]) -> dict[str, Any]:
    pieces = list(pieces)
    told = {}
    for side in ("client", "server"):
        cpu_ns, size = _add(pieces, f"{side}_cpu_ns"), _add(pieces, f"{side}_bytes")
        if cpu_ns is not None and size:
            told[f"{side}_cpu_s_per_gb"] = cpu_ns / NS_PER_MS / 1000 / (size / BYTES_PER_GB)
    return told


def _tell_loss(told: dict[str, Any]) -> dict[str, Any]:
    lost = max(told["sent"] - (told["received"] - told["duplicates"]), 0)
    return {"lost": lost, "loss_ratio": lost / told["sent"] if told["sent"] else None}


def _first(pieces: Iterable[Slice], name: str) -> Any:  # noqa: ANN401 - whatever was told
    return next((piece.told[name] for piece in pieces if piece.told.get(name) is not None), None)


def _add(pieces: Iterable[Slice], name: str) -> int | None:
    """Sum of what the slices told; ``None`` if one did not."""
    found = [piece.told.get(name) for piece in pieces]
    return None if None in found else sum(value for value in found if value is not None)


def speed(record: BenchRecord) -> float | None:
    """What a test measured, so that more is faster."""
    value: float | None = getattr(record, record.measure)
    return 1 / value if value and record.measure in LATENCIES else value


def _compare_with_unix(records: list[BenchRecord]) -> list[BenchRecord]:
    """Say what each is of AF_UNIX in the same place."""
    from lodiag.dataclass import replace

    base = {
        (record.test, record.placement, record.direction): speed(record) for record in records if record.proto == "unix"
    }
    found = []
    for record in records:
        own, unix = speed(record), base.get((record.test, record.placement, record.direction))
        ratio = own / unix if own and unix and record.proto != "unix" else None
        found.append(replace(record, unix_ratio=ratio))
    return found
