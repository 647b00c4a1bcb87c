"""``lodiag ping --clock``: whose clock times a round trip, and what is said where it cannot be the best."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from faking import FakeProbe, FakeSystem
from running import (
    ALLOW_ICMP_DATAGRAM,
    assert_refused,
    parse,
    require_loopback,
    rules,
    run_as_nobody,
    run_in_world,
    run_without_stamps,
)
from test_ping import FAST, answer, codes

from lodiag import ping_address
from lodiag.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from test_ping import PingReport

    from lodiag.model.ping import PingRecord


def answer_as(kernel_s: float, after_s: float = 0.0001, **changes: Any) -> Callable[[FakeProbe, int], None]:
    """Answer each probe, timed by the kernel and later by the process."""
    return lambda probe, seq: probe.answer(seq, after_s=after_s, kernel_s=kernel_s, **changes)


def ping_clocked(
    behave: Callable[[FakeProbe, int], None], *clocks: str, **options: Any
) -> tuple[PingRecord, PingReport]:
    """Ping a machine that grants these clocks."""
    system = FakeSystem(behave)
    system.clocks = {"user", *clocks}
    report = ping_address("127.0.0.1", system=system, **options)
    return report.records[0], report


@pytest.mark.parametrize("clocks", [("kernel", "kernel-rx"), ("kernel-rx",)], ids=["kernel", "kernel-rx"])
def test_the_round_trip_is_by_the_best_clock_that_is_granted(clocks: tuple[str, ...]) -> None:
    record, report = ping_clocked(answer_as(0.000003), *clocks)

    assert (record.clock, record.lesser_clock) == (clocks[0], 0)
    assert (record.rtt_p50_ms, record.rtt_max_ms, record.rtt_user_p50_ms, record.rtt_user_p99_ms) == (
        0.003,
        0.003,
        0.1,
        0.1,
    )
    assert record.replies is not None
    assert {(r.clock, r.rtt_ms, r.rtt_user_ms) for r in record.replies} == {(clocks[0], 0.003, 0.1)}
    assert codes(report) == {}


def test_without_stamps_the_round_trip_is_by_the_clock_of_the_process() -> None:
    record, report = ping_clocked(answer)

    assert (record.clock, record.lesser_clock, record.rtt_p50_ms, record.rtt_user_p50_ms) == ("user", 0, 0.01, 0.01)
    assert codes(report) == {}


@pytest.mark.parametrize("clock", ["kernel", "kernel-rx"])
def test_a_clock_that_is_asked_for_and_refused_is_an_error(clock: str) -> None:
    with pytest.raises(UnsupportedError, match=f"no {clock} stamps") as caught:
        ping_clocked(answer, clock=clock)

    assert caught.value.hint is not None
    assert "--clock" in caught.value.hint


def test_the_limit_on_round_trips_is_on_those_of_the_best_clock() -> None:
    _, report = ping_clocked(answer_as(0.000003), "kernel", max_rtt_ms=0.05)

    assert report.exit_status == 0


def test_a_probe_that_the_clock_was_set_at_is_timed_by_the_next_best_and_told() -> None:
    def behave(probe: FakeProbe, seq: int) -> None:
        probe.answer(seq, after_s=0.0001, kernel_s=None if seq == 2 else 0.000003)

    record, report = ping_clocked(behave, "kernel")

    assert record.replies is not None
    assert [(r.clock, r.rtt_ms) for r in record.replies] == [
        ("kernel", 0.003),
        ("user", 0.1),
        ("kernel", 0.003),
        ("kernel", 0.003),
    ]
    assert (record.clock, record.lesser_clock, record.rtt_max_ms) == ("kernel", 1, 0.1)
    assert (codes(report), report.exit_status) == ({"lesser-clock": "info"}, 0)


def test_stamps_that_never_come_are_told() -> None:
    record, report = ping_clocked(answer, "kernel")

    assert (record.clock, record.lesser_clock, record.rtt_p50_ms) == ("user", 4, 0.01)
    assert codes(report) == {"lesser-clock": "info"}


def test_what_is_no_reply_has_no_time_and_no_clock() -> None:
    record, _ = ping_clocked(answer_as(0.000003, is_reply=False, error="rejected-by-firewall"), "kernel", count=1)

    assert record.replies is not None
    assert [(r.clock, r.rtt_ms, r.rtt_user_ms) for r in record.replies] == [(None, None, None)]
    assert (record.clock, record.rtt_user_p50_ms) == ("kernel", None)


def test_a_late_reply_has_both_times() -> None:
    record, _ = ping_clocked(answer_as(0.2, after_s=0.25), "kernel", count=2, timeout_s=0.1)

    assert record.replies is not None
    assert (record.replies[0].status, record.replies[0].rtt_ms, record.replies[0].rtt_user_ms) == ("late", 200, 250)


DELAYS = {"as-python-takes": (0.0001, False), "at-the-limit": (0.001003, False), "of-a-busy-machine": (0.004, True)}


@pytest.mark.parametrize(("after_s", "told"), DELAYS.values(), ids=DELAYS)
def test_a_long_wait_for_the_processor_is_told(after_s: float, told: bool) -> None:  # noqa: FBT001 - a column
    _, report = ping_clocked(answer_as(0.000003, after_s), "kernel")

    assert (codes(report), report.exit_status) == ({"scheduling-delay": "warn"} if told else {}, 0)
    for finding in report.findings:
        assert "0.003 ms" in finding.message
        assert "3.997 ms" in finding.message
        assert [item.value for item in finding.evidence[1:]] == ["0.003 ms", "4.000 ms"]


def test_two_waits_are_no_median() -> None:
    """One stall delays what is sent to many addresses meanwhile, each once or twice."""
    _, report = ping_clocked(answer_as(0.000003, 0.004), "kernel", count=2)

    assert codes(report) == {}


def test_one_wait_of_a_hundred_is_no_finding() -> None:
    _, report = ping_clocked(
        lambda p, seq: p.answer(seq, after_s=0.1 if seq == 7 else 0.0001, kernel_s=0.000003), "kernel", count=100
    )

    assert codes(report) == {}


def test_where_stamps_are_refused_the_process_times() -> None:
    done = run_without_stamps("ping", *FAST, "--method", "udp", "--json", "127.0.0.1")

    (record,) = parse(done)["records"]
    assert (record["clock"], record["lesser_clock"]) == ("user", 0)
    assert record["rtt_p50_ms"] == record["rtt_user_p50_ms"] > 0


@pytest.mark.parametrize("clock", ["kernel", "kernel-rx"])
def test_where_stamps_are_refused_they_cannot_be_asked_for(clock: str) -> None:
    done = run_without_stamps("ping", *FAST, "--method", "udp", "--clock", clock, "127.0.0.1")

    assert_refused(done, f"the kernel gives no {clock} stamps on udp sockets here")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_stamps_need_no_privilege(address: str) -> None:
    require_loopback(address)
    if sys.platform != "linux":
        pytest.skip("only Linux stamps")
    done = run_as_nobody("ping", *FAST, "--method", "udp", "--clock", "kernel", "--json", address)

    (record,) = parse(done)["records"]
    assert (record["clock"], record["lesser_clock"], record["lost"]) == ("kernel", 0, 0)
    assert 0 < record["rtt_p50_ms"] <= record["rtt_user_p50_ms"]


WORLDS = {
    "icmp-raw-v4": ("icmp-raw", "127.0.0.1", "icmp type echo-request"),
    "icmp-raw-v6": ("icmp-raw", "::1", "icmpv6 type echo-request"),
    "icmp-datagram-v4": ("icmp-datagram", "127.0.0.1", "icmp type echo-request"),
    "icmp-datagram-v6": ("icmp-datagram", "::1", "icmpv6 type echo-request"),
    "udp-v4": ("udp", "127.0.0.1", "meta l4proto udp udp length 64"),
    "udp-v6": ("udp", "::1", "meta l4proto udp udp length 64"),
}


@pytest.mark.parametrize(("method", "address", "match"), WORLDS.values(), ids=WORLDS)
def test_stamps_stay_with_their_probes_where_some_cannot_be_sent(method: str, address: str, match: str) -> None:
    """A send that a firewall refuses takes a number of the kernel's or does not, and its stamp never comes."""
    setup = (ALLOW_ICMP_DATAGRAM if method == "icmp-datagram" else "") + rules(
        "output", f"{match} numgen inc mod 3 0 drop"
    )
    arguments = ("ping", "-c", "12", "-i", ".001", "-W", "0.3", "--method", method.partition("-")[0], "--json", address)
    report = parse(run_in_world(setup, *arguments, as_nobody=method != "icmp-raw"))

    (record,) = report["records"]
    assert (record["method"], record["clock"], record["lesser_clock"]) == (method, "kernel", 0)
    assert (record["received"], record["lost"] + record["not_sent"]) == (8, 4)


@pytest.mark.parametrize("hook", ["input", "output"])
def test_where_nothing_comes_through_the_wait_for_stamps_ends(hook: str) -> None:
    targets = [f"127.0.1.{number}" for number in range(1, 101)]
    done = run_in_world(rules(hook, "drop"), "ping", "-c", "1", "-W", ".1", "--json", *targets)

    report = json.loads(done.stdout)
    assert (done.returncode, report["summary"]["received"]) == (1, 0)
    assert {record["clock"] for record in report["records"]} == {"kernel"}
