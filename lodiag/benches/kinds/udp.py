"""``udp``: datagrams as fast as they go, and which are lost, doubled or overtaken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.benches import Case, Slice, list_paths, open_window, pair_answers, split_cores
from lodiag.system.ends.paths import Path, describe
from lodiag.system.ends.pool import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.benches.options import BenchOptions
    from lodiag.system.ends.pool import Ends

MEASURE = "received_per_s"
COUNTS = {"received": "received", "overtaken": "reordered", "doubled": "duplicates", "dropped": "dropped"}


def list_cases(options: BenchOptions, cores: tuple[int, ...]) -> Iterator[Case]:
    """Yield each path once, over two cores: on one, a sender that never waits leaves no time to receive."""
    pair = options.affinity or ((cores[0], cores[1]) if len(cores) > 1 else None)
    placement = "chosen-cores" if options.affinity else "across-cores" if pair else "unpinned"
    for family, address in list_paths(options):
        yield Case("udp", "udp" if family else "unix", family, address, placement, pair)


def measure(case: Case, options: BenchOptions, ends: Ends, now_ns: int) -> list[Slice]:
    """Measure all flows of a slice over the same time."""
    size = options.size_of("udp")
    ways = [direction for direction in options.directions for _ in range(options.streams)]
    ends.prepare(2 * len(ways))
    pairs = [ends.connect(Path("datagram", case.family, case.address, options.window_bytes)) for _ in ways]
    told = {"size_bytes": size, "read_bytes": size, **describe(pairs[0][0])}
    window = open_window("udp", options, now_ns)
    times = {"start_ns": window.start_ns, "end_ns": window.end_ns, "total_bytes": options.total_bytes}
    tasks = []
    for direction, (client, server) in zip(ways, pairs, strict=True):
        sender, receiver = (client, server) if direction == "to-server" else (server, client)
        send_cores, receive_cores = split_cores(case, direction)
        tasks.append(Task("udp-send", [sender], {**times, "size_bytes": size}, send_cores))
        tasks.append(Task("udp-receive", [receiver], {"size_bytes": size}, receive_cores))
    found = ends.run(tasks, window.timeout_s)
    for sent, received in zip(found[::2], found[1::2], strict=True):
        if received["timed"] == received["received"]:  # so few that all count, from the first
            received["elapsed_ns"] = received["ended_ns"] - sent["begun_ns"]
    return [_add_up(direction, answers, told) for direction, answers in pair_answers(ways, found).items()]


def _add_up(direction: str, flows: list[tuple[dict[str, Any], dict[str, Any]]], told: dict[str, Any]) -> Slice:
    """Put the flows of one direction together."""
    sent = sum(answer["sent"] for answer, _ in flows)
    receivers = [answer for _, answer in flows]
    counts = {
        field: None if any(answer[name] is None for answer in receivers) else sum(answer[name] for answer in receivers)
        for name, field in COUNTS.items()
    }
    timed = [answer for answer in receivers if answer["timed"] and answer["elapsed_ns"]]
    rate = sum(answer["timed"] * 1e9 / answer["elapsed_ns"] for answer in timed)
    sides = ("client", "server") if direction == "to-server" else ("server", "client")
    size = told["size_bytes"]
    return Slice(
        rate if len(timed) == len(flows) else None,
        {
            **told,
            **counts,
            "sent": sent,
            f"{sides[0]}_cpu_ns": sum(answer["cpu_ns"] for answer, _ in flows),
            f"{sides[0]}_bytes": sent * size,
            f"{sides[1]}_cpu_ns": sum(answer["cpu_ns"] for answer in receivers),
            f"{sides[1]}_bytes": (counts["received"] or 0) * size,
            "elapsed_ns": max(answer["elapsed_ns"] for answer in receivers),
        },
        direction,
    )
