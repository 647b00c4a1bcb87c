"""What of the stack keeps a loopback slow: each with what was measured of it."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

from lodiag.judge.bench_words import describe, make
from lodiag.model import Evidence
from lodiag.model.net import QUEUES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.judge.bench_words import Around
    from lodiag.model import Finding
    from lodiag.model.bench import BenchRecord, BenchSummary

USUAL_MTU = 65_536
"""Of the loopback in Linux (drivers/net/loopback.c): the largest IPv4 packet fits."""
USUAL_QDISCS = frozenset({"noqueue", "noop", None})
"""None at all, or that of an interface that was never up, or one that could not be read."""
LITTLE_BUFFER = 1 << 19
"""Greatest tcp_rmem or tcp_wmem that is called tiny: with less, a write of 1 MiB waits for its reader several times."""
LINUX_BUFFERS = {"net.ipv4.tcp_rmem": "4096 131072 6291456", "net.ipv4.tcp_wmem": "4096 16384 4194304"}
"""What Linux sets where there is memory enough (tcp(7))."""
LONG_STEAL = 0.02
LONG_THROTTLE = 0.01
"""Shares of the time that are worth telling."""
ASYMMETRY = 1.3
"""By how much every slice of one family is faster than every one of the other; by nothing, it happens once in 126."""
FEWEST_SLICES = 4
LONG_IDLE = 1.5
PACED = 1.2
"""How many times as fast another congestion control is, slice by slice, before it is worth telling."""
BUSY_CORES = 0.2


def judge_stack(summary: BenchSummary, records: Sequence[BenchRecord], around: Around) -> Iterator[Finding]:
    """Judge settings that cost speed, and what took it."""
    yield from _judge_interface(summary, records, around)
    yield from _judge_buffers(summary, records)
    yield from _judge_idle(summary, around)
    yield from _judge_tracking(around)
    yield from _judge_processors(summary)
    if sum(item.cores_used for item in summary.interference) <= BUSY_CORES:
        yield from _judge_families(records)
        yield from _judge_pacing(records)


def _judge_interface(summary: BenchSummary, records: Sequence[BenchRecord], around: Around) -> Iterator[Finding]:
    machine, name = summary.machine, around.interface or "lo"
    interface = Evidence(name="interface", value=name, source="interface flags")
    if machine.qdisc not in USUAL_QDISCS:
        evidence = (interface, Evidence(name="qdisc", value=machine.qdisc, source="rtnetlink"), *_measured(records))
        message = f"packets of {name} pass the queueing discipline {machine.qdisc}, which a loopback does without"
        code = "lo-queue" if machine.qdisc in QUEUES else "lo-qdisc"
        yield make(code, "warn", name, message, evidence, "It delays, drops or at least locks.")
    if machine.mtu_bytes not in {None, USUAL_MTU}:
        mss = next(
            (record.segment_bytes for record in records if record.test == "stream" and record.segment_bytes), None
        )
        evidence = (
            interface,
            Evidence(name="mtu", value=machine.mtu_bytes, source="rtnetlink"),
            *([Evidence(name="segment_bytes", value=mss, source="TCP_MAXSEG")] if mss else []),
            *_measured(records),
        )
        message = f"{name} has mtu {machine.mtu_bytes}, and not {USUAL_MTU}"
        hint = "The smaller a packet is, the more of them the kernel has to handle for the same bytes."
        yield make("lo-mtu", "warn", name, message, evidence, hint)


def _judge_buffers(summary: BenchSummary, records: Sequence[BenchRecord]) -> Iterator[Finding]:
    for setting in summary.machine.settings:
        sizes = (setting.value or "").split()
        if setting.name in LINUX_BUFFERS and sizes and int(sizes[-1]) < LITTLE_BUFFER:
            told = Evidence(name=setting.name, value=setting.value, source="kernel parameter")
            message = f"{setting.name} lets a TCP buffer grow to no more than {sizes[-1]} bytes"
            usual = Evidence(name="usual", value=LINUX_BUFFERS[setting.name], source="tcp(7)")
            hint = "Writers wait for readers more often than they must."
            yield make("small-tcp-buffers", "warn", setting.name, message, (told, usual, *_measured(records)), hint)


def _judge_idle(summary: BenchSummary, around: Around) -> Iterator[Finding]:
    idle = around.idle
    if idle is None or idle.window_after >= idle.window_before or idle.after_ms < LONG_IDLE * idle.warm_ms:
        return
    name = "net.ipv4.tcp_slow_start_after_idle"
    value = next((setting.value for setting in summary.machine.settings if setting.name == name), None)
    evidence = (
        Evidence(name="burst after a pause", value=f"{idle.after_ms:.3f} ms", source="bench"),
        Evidence(name="burst without one", value=f"{idle.warm_ms:.3f} ms", source="bench"),
        Evidence(name="window before the pause", value=idle.window_before, source="TCP_INFO"),
        Evidence(name="window after it", value=idle.window_after, source="TCP_INFO"),
        Evidence(name=name, value=value, source="kernel parameter"),
    )
    ratio = idle.after_ms / idle.warm_ms
    message = f"after a pause TCP begins with a small window again, and a burst takes {ratio:.1f} times as long"
    yield make("slow-start-after-idle", "info", name, message, evidence, "Some of that is the cold cache's.")


def _judge_tracking(around: Around) -> Iterator[Finding]:
    found = around.tracking
    if found is None or found.after - found.before < found.opened:
        return
    name = "net.netfilter.nf_conntrack_count"
    evidence = (
        Evidence(name="connections opened", value=found.opened, source="bench"),
        Evidence(name=f"{name} before", value=found.before, source="/proc/sys"),
        Evidence(name=f"{name} after", value=found.after, source="/proc/sys"),
    )
    message = "the packet filter tracks every connection of the loopback"
    hint = "Each packet is looked up, and crr fills the table: except it by a rule with notrack at the raw hooks."
    yield make("conntrack-on-loopback", "info", "packet filter", message, evidence, hint)


def _judge_processors(summary: BenchSummary) -> Iterator[Finding]:
    elapsed_ms = summary.elapsed_ms
    if summary.throttled_ms is not None and elapsed_ms and summary.throttled_ms > LONG_THROTTLE * elapsed_ms:
        evidence = (
            Evidence(name="stopped", value=f"{summary.throttled_ms:.0f} of {elapsed_ms:.0f} ms", source="cpu.stat"),
            Evidence(name="cpu.max", value=summary.machine.cpu_max, source="control group"),
        )
        message = f"the quota of its control group stopped the benchmark for {summary.throttled_ms:.0f} ms"
        yield make(
            "cpu-throttled", "warn", "processors", message, evidence, "Services in the same group are stopped too."
        )
    if summary.steal_ratio is not None and summary.steal_ratio > LONG_STEAL:
        stolen = Evidence(name="steal", value=f"{summary.steal_ratio:.1%}", source="/proc/stat")
        message = f"the host gave {summary.steal_ratio:.1%} of the processors' time to other machines"
        hint = "No result of this run is the machine's own."
        yield make("cpu-stolen", "warn", "processors", message, (stolen,), hint)


def _judge_families(records: Sequence[BenchRecord]) -> Iterator[Finding]:
    """Tell where one family is faster in every slice."""
    by_path = {_same(record): record for record in records if record.family == "ipv4"}
    for six in records:
        four = by_path.get(_same(six)) if six.family == "ipv6" else None
        if four is None or min(len(four.slices), len(six.slices)) < FEWEST_SLICES:
            continue
        fast, slow = (four, six) if _is_faster(four, six) else (six, four)
        if _is_faster(fast, slow):
            evidence = tuple(
                Evidence(
                    name=f"{record.measure} of {record.address}", value=getattr(record, record.measure), source="bench"
                )
                for record in (fast, slow)
            )
            message = f"{describe(slow)} is slower than {fast.address} in every slice"
            hint = "Look at what only one family has: rules of the packet filter, options, tunnels."
            yield make("family-asymmetry", "warn", str(slow.address), message, evidence, hint)


def _judge_pacing(records: Sequence[BenchRecord]) -> Iterator[Finding]:
    """Tell where a congestion control that paces costs speed, though there is no congestion to avoid."""
    streams = [record for record in records if record.test == "stream" and record.proto == "tcp" and record.slices]
    for own, other in permutations(streams, 2):
        if own.address != other.address or own.direction != other.direction or own.congestion == other.congestion:
            continue
        if own.pacing_bps and _is_faster(other, own, PACED):
            evidence = tuple(
                Evidence(name=f"throughput_bps by {record.congestion}", value=record.throughput_bps, source="bench")
                for record in (own, other)
            )
            message = f"{own.congestion} paces what is sent over the loopback; {other.congestion} is faster"
            hint = "A program can choose for its own sockets: TCP_CONGESTION."
            yield make("congestion-paces", "info", str(own.congestion), message, evidence, hint)


def _same(record: BenchRecord) -> tuple[object, ...]:
    return record.test, record.proto, record.placement, record.direction


def _is_faster(one: BenchRecord, other: BenchRecord, times: float = ASYMMETRY) -> bool:
    """Whether every slice of one is so many times as fast as every slice of the other."""
    if one.measure == "rtt_p50_ms":
        return max(one.slices) * times < min(other.slices)
    return min(one.slices) > max(other.slices) * times


def _measured(records: Sequence[BenchRecord]) -> tuple[Evidence, ...]:
    """Tell what TCP reached beside AF_UNIX, which none of it concerns."""
    streams = [record for record in records if record.test == "stream" and record.unix_ratio is not None]
    return tuple(
        Evidence(
            name=f"stream to {record.address}",
            value=f"{(record.throughput_bps or 0) / 1e9:.3g} Gbit/s, {record.unix_ratio:.2f} of AF_UNIX",
            source="bench",
        )
        for record in streams[:2]
    )
