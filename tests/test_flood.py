"""``lodiag ping --flood`` and what else loads a loopback: every probe is accounted for, in bursts or one by one."""

from __future__ import annotations

import errno
import subprocess
import sys
from typing import Any

import pytest
from faking import FakeProbe, FakeSystem
from running import (
    ALLOW_ICMP_DATAGRAM,
    LO_UP,
    assert_refused,
    environment,
    parse,
    require_loopback,
    rules,
    run_as_nobody,
    run_in_world,
    run_json,
    run_lodiag,
)

from lodiag import ping_address
from lodiag.echo.options import PingOptions
from lodiag.echo.run import PingRun
from lodiag.errors import ConfigError
from lodiag.system import System
from lodiag.system.bursts import SLOTS, BurstProbe
from lodiag.system.probe import MethodRefusedError, SendError

FLOOD = ("ping", "-f", "-q", "-W", "5", "--json")


def flood(*arguments: str) -> dict[str, Any]:
    """Flood, and give the one record."""
    (record,) = run_json(*FLOOD, *arguments)["records"]
    assert (record["sent"], record["not_sent"]) == (record["received"], 0)
    assert (record["lost"], record["duplicates"], record["late"], record["corrupted"]) == (0, 0, 0, 0)
    assert record["replies"] is None
    assert record["sent_per_s"] > 0
    return dict(record)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("arguments", [("-c", "70000"), ("-c", "50", "-s", "65507"), ("-c", "1000", "-l", "7")])
def test_every_probe_of_a_flood_is_accounted_for(address: str, arguments: tuple[str, ...]) -> None:
    """More than 65536, whose numbers come twice; fragments as large as may be; and bursts that fit into nothing."""
    require_loopback(address)
    record = flood(*arguments, address)

    assert record["sent"] == int(arguments[1])
    assert 0 < record["timed"] <= record["sent"]
    if record["clock"] == "kernel" and record["method"] != "udp":
        assert record["timed"] < record["sent"]
        assert record["rtt_user_p50_ms"] is None


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_by_the_clock_of_the_kernel_a_flood_times_every_probe(address: str) -> None:
    require_loopback(address)
    record = flood("-c", "3000", "--clock", "kernel", address)

    assert (record["clock"], record["timed"], record["lesser_clock"]) == ("kernel", 3000, 0)
    assert 0 < record["rtt_min_ms"] <= record["rtt_p50_ms"] <= record["rtt_max_ms"]


STAMPED = pytest.mark.parametrize("arguments", [(), ("--clock", "kernel")], ids=["first stamped", "each stamped"])


@STAMPED
def test_a_flood_of_which_some_may_not_be_sent_times_the_others_rightly(arguments: tuple[str, ...]) -> None:
    """A call that is refused one probe of many does not say so: the rest goes one by one, under other numbers."""
    rule = "icmp type echo-request numgen inc mod 50 0 drop"
    done = run_in_world(rules("output", rule), *FLOOD, "-c", "1000", *arguments, "127.0.0.1")

    (record,) = parse(done)["records"]
    assert (record["sent"], record["received"], record["not_sent"]) == (980, 980, 20)
    assert (record["error"], record["lesser_clock"]) == ("blocked-by-firewall", 0)
    if arguments:
        assert record["timed"] == 980


ONE_BY_ONE = {
    "udp": ("--method", "udp"),
    "user clock": ("--clock", "user"),
    "too short for bursts": ("-s", "15"),
    "one at a time": ("-l", "1"),
}


@pytest.mark.parametrize("arguments", ONE_BY_ONE.values(), ids=ONE_BY_ONE)
def test_a_flood_without_bursts_times_every_probe(arguments: tuple[str, ...]) -> None:
    record = flood("-c", "500", *arguments, "127.0.0.1")

    assert record["timed"] == record["sent"] == 500


def test_a_deadline_ends_a_flood() -> None:
    assert flood("-w", "0.3", "127.0.0.1")["sent"] > SLOTS


def test_a_flood_without_privilege() -> None:
    (record,) = parse(run_as_nobody(*FLOOD, "-c", "500", "127.0.0.1"))["records"]

    assert (record["sent"], record["received"]) == (500, 500)


@STAMPED
def test_a_flood_of_two_addresses_by_datagram_sockets(arguments: tuple[str, ...]) -> None:
    command = (*FLOOD, "-c", "2000", *arguments, "127.0.0.1", "::1")
    done = run_in_world(ALLOW_ICMP_DATAGRAM + LO_UP, *command, as_nobody=True)

    found = [(r["method"], r["sent"], r["received"], r["duplicates"]) for r in parse(done)["records"]]
    assert found == [("icmp-datagram", 2000, 2000, 0)] * 2


def test_beside_another_flood_nothing_is_lost_and_nothing_comes_twice() -> None:
    command = (sys.executable, "-m", "lodiag", "ping", "-f", "-q", "-c", "0", "127.0.0.1")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment()) as other:
        try:
            flood("-c", "20000", "127.0.0.1")
            (beside,) = run_json("ping", "-c", "50", "-i", ".002", "-W", "5", "--json", "127.0.0.1")["records"]
        finally:
            other.terminate()
    assert (beside["received"], beside["duplicates"]) == (50, 0)
    assert other.returncode == 0


def test_losses_in_a_flood_are_counted_and_told() -> None:
    done = run_in_world(
        rules("input", "icmp type echo-reply numgen inc mod 50 0 drop"),
        *("ping", "-f", "-c", "1000", "-W", ".05", "127.0.0.1"),
    )

    assert done.stdout.count("no reply (timeout)") == 20
    assert "loss: 20 of 1000" in done.stdout
    assert "time=" not in done.stdout


@STAMPED
@pytest.mark.parametrize("as_nobody", [False, True])
def test_a_flood_that_is_rejected_is_told_so(arguments: tuple[str, ...], *, as_nobody: bool) -> None:
    reject = "icmp type echo-request reject with icmp type admin-prohibited"
    world = (ALLOW_ICMP_DATAGRAM if as_nobody else "") + rules("input", reject)
    done = run_in_world(world, *FLOOD, "-c", "20", *arguments, "127.0.0.1", as_nobody=as_nobody)

    (record,) = parse(done)["records"]
    assert (record["received"], record["error"]) == (0, "rejected-by-firewall")


@STAMPED
def test_a_flood_that_may_not_be_sent_is_told_so(arguments: tuple[str, ...]) -> None:
    done = run_in_world(rules("output", "drop"), *FLOOD, "-c", "3", *arguments, "127.0.0.1")

    (record,) = parse(done)["records"]
    assert (record["sent"], record["not_sent"], record["error"]) == (0, 3, "blocked-by-firewall")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_flood_that_finds_the_interface_down_says_what_it_did_not_send(address: str) -> None:
    report = parse(run_in_world(":", *FLOOD, "-c", "3", address))

    (record,) = report["records"]
    assert (record["sent"], record["not_sent"]) == (0, 3)
    assert [finding["code"] for finding in report["findings"]] == ["lo-down"]


def test_what_comes_out_of_order_is_taken_apart() -> None:
    try:
        probe = System().open_burst_probe("icmp-raw", "ipv4", "127.0.0.1", source=None, size_bytes=56)
    except MethodRefusedError as refusal:
        pytest.skip(str(refusal))
    assert isinstance(probe, BurstProbe)
    try:
        assert probe.send_burst(1, 20)[0] == 20
        harvest = probe.receive_burst(3, 20)
        assert harvest is not None
        assert harvest.whole == 0
        assert [answer.seq for answer in harvest.answers] == list(range(1, 21))
        assert all(answer.intact and answer.is_reply for answer in harvest.answers)
        assert probe.receive_burst(21, 1) is None
    finally:
        probe.close()


@pytest.mark.parametrize("is_flood", [False, True])
def test_what_is_refused_is_not_tried_again_at_once(*, is_flood: bool) -> None:
    tried_ns: list[int] = []

    def behave(_: FakeProbe, seq: int) -> None:
        tried_ns.append(system.now_ns)
        raise SendError(OSError(errno.EPERM, f"probe {seq}"))

    system = FakeSystem(behave)
    report = ping_address("127.0.0.1", count=3, interval_s=0, flood=is_flood, system=system)

    assert report.records[0].not_sent == 3
    assert [at - tried_ns[0] for at in tried_ns] == [0, 10_000_000, 20_000_000]


def test_preload_is_sent_at_once_and_then_the_interval_is_kept() -> None:
    system = FakeSystem(FakeProbe.answer)
    ping_address("127.0.0.1", count=6, interval_s=1, preload=4, system=system)

    assert [round(at / 1e9, 3) for _, at in system.probes[0].sent] == [0, 0, 0, 0, 1, 2]


def test_without_an_interval_as_many_are_kept_under_way_as_were_asked_for() -> None:
    most = 0

    def behave(probe: FakeProbe, seq: int) -> None:
        nonlocal most
        probe.answer(seq, after_s=0.001 * (1 + seq % 3))
        most = max(most, len(probe.under_way))

    report = ping_address("127.0.0.1", count=50, interval_s=0, preload=5, system=FakeSystem(behave))

    assert report.records[0].received == 50
    assert most == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-f", "-i", "1"), "not allowed with"),
        (("-A", "-f"), "not allowed with"),
        (("-f", "-l", "0"), "preload must be"),
        (("-f", "--live"), "--live"),
        (("-f", "--sweep", "1..9"), "--flood"),
        (("-l", "10001"), "preload must be"),
        (("-l", "many"), "whole number"),
    ],
)
def test_loads_that_are_refused(arguments: tuple[str, ...], words: str) -> None:
    assert_refused(run_lodiag("ping", *arguments, "127.0.0.1"), words)


def test_a_flood_of_the_library_needs_an_end() -> None:
    with pytest.raises(ConfigError, match="count or a deadline"):
        ping_address("127.0.0.1", flood=True)


def test_a_flood_that_is_stopped_tells_what_was_sent() -> None:
    run = PingRun(("127.0.0.1",), PingOptions(flood=True, clock="user", method="udp"))
    for event in run:
        if event.reply.seq == 10:
            run.stop()
    assert run.report().records[0].sent >= 10
