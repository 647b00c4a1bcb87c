"""``stream``: how many bits a second go through TCP, and through AF_UNIX beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.benches import Case, Slice, list_paths, open_window, pair_answers, split_cores
from lodiag.benches.options import USUAL_READ_BYTES
from lodiag.system.ends.paths import Path, describe
from lodiag.system.ends.pool import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.benches.options import BenchOptions
    from lodiag.system.ends.pool import Ends

MEASURE = "throughput_bps"
BITS = 8


def list_cases(options: BenchOptions, cores: tuple[int, ...]) -> Iterator[Case]:
    """Yield each path once: the scheduler places the ends, as it does those of other programs."""
    del cores
    placement = "chosen-cores" if options.affinity else "unpinned"
    for family, address in list_paths(options):
        yield Case("stream", "tcp" if family else "unix", family, address, placement, options.affinity)


def measure(case: Case, options: BenchOptions, ends: Ends, now_ns: int) -> list[Slice]:
    """Measure all streams of a slice over the same time."""
    size = options.size_of("stream")
    read_size = USUAL_READ_BYTES if options.size_bytes is None else size
    path = Path("stream", case.family, case.address, options.window_bytes, case.congestion or options.congestion)
    ways = [direction for direction in options.directions for _ in range(options.streams)]
    ends.prepare(2 * len(ways))
    pairs = [ends.connect(path) for _ in ways]
    told = {"size_bytes": size, "read_bytes": read_size, **describe(pairs[0][0])}
    window = open_window("stream", options, now_ns)
    shared = {"start_ns": window.start_ns, "end_ns": window.end_ns, "total_bytes": options.total_bytes}
    tasks = []
    for direction, (client, server) in zip(ways, pairs, strict=True):
        sender, receiver = (client, server) if direction == "to-server" else (server, client)
        send_cores, receive_cores = split_cores(case, direction)
        tasks.append(Task("stream-send", [sender], {**shared, "size_bytes": size}, send_cores))
        tasks.append(Task("stream-receive", [receiver], {**shared, "size_bytes": read_size}, receive_cores))
    found = ends.run(tasks, window.timeout_s)
    if options.total_bytes is not None:  # all of them, so that from the first write to the last read counts
        for sent, received in zip(found[::2], found[1::2], strict=True):
            received["elapsed_ns"] = received["ended_ns"] - sent["begun_ns"]
    return [_add_up(direction, answers, told) for direction, answers in pair_answers(ways, found).items()]


def _add_up(direction: str, streams: list[tuple[dict[str, Any], dict[str, Any]]], told: dict[str, Any]) -> Slice:
    """Put the streams of one direction together."""
    received = [answer for _, answer in streams if answer["bytes"] and answer["elapsed_ns"]]
    senders = [answer for answer, _ in streams]
    speed = sum(answer["bytes"] * BITS * 1e9 / answer["elapsed_ns"] for answer in received)
    again = [answer["retransmits"] for answer in senders if "retransmits" in answer]
    sides = ("client", "server") if direction == "to-server" else ("server", "client")
    return Slice(
        speed if len(received) == len(streams) else None,
        {
            **told,
            "retransmits": sum(again) if again else None,
            "pacing_bytes_per_s": senders[0].get("pacing_bytes_per_s"),
            f"{sides[0]}_cpu_ns": sum(answer["cpu_ns"] for answer in senders),
            f"{sides[0]}_bytes": sum(answer["bytes"] for answer in senders),
            f"{sides[1]}_cpu_ns": sum(answer["cpu_ns"] for _, answer in streams),
            f"{sides[1]}_bytes": sum(answer["bytes"] for _, answer in streams),
            "elapsed_ns": max(answer["elapsed_ns"] for _, answer in streams),
        },
        direction,
    )
