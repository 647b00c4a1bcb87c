"""What ``bench`` finds: settings made for real in a namespace, the rest by records made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from running import LO_UP, parse, run_in_world
from samples import BENCH, make_bench_record

from lodiag.benches.aside import Idle, Tracking
from lodiag.judge.bench import judge_bench
from lodiag.judge.bench_words import Around
from lodiag.model.bench import BenchInterference, BenchSetting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.model.bench import BenchRecord

HEALTHY = replace(BENCH.summary, interference=(), steal_ratio=0.0, throttled_ms=0.0, elapsed_ms=6000.0)


def find(records: Sequence[BenchRecord] = (), *, around: dict[str, Any] | None = None, **changes: Any) -> set[str]:
    """Codes of what is found on a machine that is healthy but for these changes."""
    settings = Around(interfaces=None, settings={}, interface="lo", **(around or {}))
    summary = replace(HEALTHY, **changes)
    return {finding.code for finding in judge_bench(summary, records, settings)}


def machine(**changes: Any) -> dict[str, Any]:
    """Give the changes of a summary whose machine differs so."""
    return {"machine": replace(HEALTHY.machine, **changes)}


def stream(*slices: float, **changes: Any) -> BenchRecord:
    """Give a stream of these slices, in Gbit/s."""
    values = tuple(value * 1e9 for value in slices)
    return make_bench_record(slices=values, throughput_bps=values[0], **changes)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (machine(qdisc="tbf"), "lo-qdisc"),
        (machine(qdisc="fq"), "lo-queue"),
        (machine(mtu_bytes=1500), "lo-mtu"),
        (machine(settings=(BenchSetting(name="net.ipv4.tcp_wmem", value="4096 4096 8192"),)), "small-tcp-buffers"),
        ({"steal_ratio": 0.05}, "cpu-stolen"),
        ({"throttled_ms": 900.0}, "cpu-throttled"),
        ({"interference": (BenchInterference(pid=7, process="hog", cores_used=0.9),)}, "others-interfere"),
        ({"around": {"idle": Idle(0.5, 0.9, 200, 10)}}, "slow-start-after-idle"),
        ({"around": {"tracking": Tracking(5, 45, 32)}}, "conntrack-on-loopback"),
        ({"around": {"changes": [("python", "3.11", "3.12")]}}, "machine-changed"),
    ],
)
def test_each_cause_is_found_alone(changes: dict[str, Any], code: str) -> None:
    assert find(**changes) == {code}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        machine(qdisc=None, mtu_bytes=None, settings=(BenchSetting(name="net.ipv4.tcp_rmem", value=None),)),
        {"steal_ratio": None, "throttled_ms": None},
        {"steal_ratio": 0.01, "throttled_ms": 20.0},
        {"around": {"idle": Idle(0.5, 0.6, 200, 10)}},
        {"around": {"idle": Idle(0.5, 0.9, 200, 200)}},
        {"around": {"tracking": Tracking(5, 30, 32)}},
    ],
)
def test_nothing_is_found_of_what_is_healthy_or_unknown(changes: dict[str, Any]) -> None:
    assert find(**changes) == set()


FAST, SLOW = (40.0, 41.0, 42.0, 43.0), (20.0, 21.0, 22.0, 25.0)


@pytest.mark.parametrize(
    ("four", "six", "is_found"),
    [
        (FAST, SLOW, True),
        (SLOW, FAST, True),
        (FAST, (*SLOW, 40.0), False),
        (FAST, FAST, False),
        (FAST, SLOW[:2], False),
    ],
)
def test_one_family_is_slower_only_if_it_is_in_every_slice(
    four: tuple[float, ...],
    six: tuple[float, ...],
    is_found: bool,  # noqa: FBT001 - one of many values
) -> None:
    found = find([stream(*four), stream(*six, family="ipv6", address="::1")])
    assert found == ({"family-asymmetry"} if is_found else set())


def test_nothing_is_said_of_speeds_while_others_use_the_processors() -> None:
    hog = (BenchInterference(pid=7, process="hog", cores_used=0.9),)
    records = [stream(*FAST), stream(*SLOW, family="ipv6", address="::1")]
    assert find(records, interference=hog) == {"others-interfere"}


@pytest.mark.parametrize(("pacing", "is_found"), [(8e9, True), (None, False)])
def test_pacing_is_told_where_another_control_is_faster(pacing: float | None, is_found: bool) -> None:  # noqa: FBT001
    records = [stream(*SLOW, pacing_bps=pacing), stream(*FAST, congestion="reno")]
    assert find(records) == ({"congestion-paces"} if is_found else set())


def test_settings_that_cost_speed_are_found_for_real_and_repaired() -> None:
    setup = "\n".join(
        [
            f"{LO_UP} mtu 9000",
            "tc qdisc add dev lo root pfifo",
            "nft 'add table inet t; add chain inet t c { type filter hook input priority 0; }'",
            "nft 'add rule inet t c ct state established accept'",
            "echo 4096 4096 65536 > /proc/sys/net/ipv4/tcp_rmem",
        ]
    )
    report = parse(run_in_world(setup, "bench", "stream", "-n", "1000000", "--quick", "-4", "--json"))
    found = {finding["code"]: finding for finding in report["findings"]}
    assert {"lo-queue", "lo-mtu", "small-tcp-buffers", "conntrack-on-loopback"} <= set(found)
    assert found["lo-queue"]["fix"]["commands"] == ["tc qdisc del dev lo root"]
    assert found["lo-mtu"]["fix"]["undo"] == ["ip link set lo mtu 9000"]
    assert found["small-tcp-buffers"]["fix"]["commands"] == ["sysctl -w net.ipv4.tcp_rmem='4096 131072 6291456'"]
    assert report["records"][0]["segment_bytes"] < 9000


def test_a_pause_is_looked_at_between_two_rounds() -> None:
    setup = f"{LO_UP}\nsysctl -qw net.ipv4.tcp_congestion_control=reno"
    report = parse(run_in_world(setup, "bench", "stream", "-t", "0.05", "-4", "--json"))
    assert report["records"][0]["congestion"] == "reno"
    assert {finding["severity"] for finding in report["findings"]} <= {"info", "warn"}
