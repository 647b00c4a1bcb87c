"""Thousands of addresses at once: one loop, one socket, and every address accounted for."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Any

import pytest
from faking import FakeProbe, FakeSystem
from hypothesis import given
from hypothesis import strategies as st
from running import (
    ALLOW_ICMP_DATAGRAM,
    LO_UP,
    assert_refused,
    parse,
    rules,
    run_as_nobody,
    run_in_world,
    run_json,
    run_lodiag,
)

from lodiag import ping_address
from lodiag.echo.fans import MOST_SOCKETS
from lodiag.echo.options import PingOptions
from lodiag.echo.run import PingRun
from lodiag.echo.timetable import Timetable
from lodiag.errors import TargetError
from lodiag.judge.alike import fold_alike
from lodiag.system import System

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """Let this process have 64 at most."""
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, usual[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, usual)


@pytest.mark.parametrize("method", ["auto", "udp"])
@pytest.mark.usefixtures("few_descriptors")
def test_three_thousand_addresses_answer_with_64_descriptors(method: str) -> None:
    targets = [f"127.{n % 3}.{n // 250}.{n % 250}" for n in range(3000)]

    report = ping_address(*targets, count=1, interval_s=0.1, timeout_s=10, method=method)

    assert [record.address for record in report.records] == targets
    assert {(record.sent, record.received, record.duplicates) for record in report.records} == {(1, 1, 0)}
    assert {record.clock for record in report.records} <= {"kernel", "kernel-rx", "user"}
    assert report.summary.answered == 3000
    assert not [finding for finding in report.findings if finding.severity == "fail"]


def test_of_many_it_is_told_whose_replies_come_from_another() -> None:
    """Though that one is probed as well, and with the same numbers."""
    rewriting = rules("prerouting", "icmp type echo-reply ip saddr set 127.0.0.7")
    report = parse(run_in_world(rewriting, "ping", "-c", "2", "-i", ".01", "-W", "5", "--json", "127.0.0.0/26"))

    found = {r["address"]: (r["received"], r["strays"], r["duplicates"], r["corrupted"]) for r in report["records"]}
    assert found.pop("127.0.0.7") == (2, 0, 0, 0)
    assert set(found.values()) == {(0, 2, 0, 0)}
    assert [finding["code"] for finding in report["findings"]] == ["reply-from-elsewhere"]


def test_a_prefix_stands_for_its_addresses() -> None:
    records = run_json("ping", "-c", "1", "-W", "5", "--json", "127.0.0.7/28")["records"]

    assert [(r["target"], r["address"]) for r in records] == [(f"127.0.0.{n}", f"127.0.0.{n}") for n in range(16)]
    assert all(record["received"] for record in records)


def test_the_last_prefix_leaves_out_the_broadcast_address() -> None:
    run = PingRun(("127.255.255.252/30", "::1/128"), PingOptions())

    assert [s.address for s in run.streams] == ["127.255.255.252", "127.255.255.253", "127.255.255.254", "::1"]


REFUSED = {
    "127.0.0.0/8": "16777216 addresses",
    "127.0.0.0/7": "not on the loopback",
    "0.0.0.0/0": "not on the loopback",
    "10.0.0.0/24": "not on the loopback",
    "::/64": "not on the loopback",
    "::ffff:127.0.0.0/120": "not on the loopback",
    "127.0.0.0/33": "not a prefix",
    "127.0.0.0/-1": "not a prefix",
    "127.0.0.0/": "not a prefix",
    "/24": "not a prefix",
    "localhost/24": "not a prefix",
    "127.0.0.0/24/2": "not an address",
    "-6 127.0.0.0/24": "is not of IPv6",
    "-f 127.0.0.0/24": "a flood takes at most",
}


@pytest.mark.parametrize(("arguments", "words"), REFUSED.items(), ids=REFUSED)
def test_prefixes_that_are_refused(arguments: str, words: str) -> None:
    assert_refused(run_lodiag("ping", "-c", "1", *arguments.split()), words)


@given(st.text(alphabet="127.0/:f %x", max_size=24))
def test_nothing_off_the_loopback_is_reached_by_a_prefix(text: str) -> None:
    try:
        run = PingRun((f"{text}/30",), PingOptions(), FakeSystem(FakeProbe.answer))
    except TargetError:
        return
    assert all(stream.address == "::1" or stream.address.startswith("127.") for stream in run.streams)


def test_many_without_privilege_and_one_address_twice() -> None:
    done = run_as_nobody("ping", "-c", "2", "-i", ".05", "-W", "5", "--json", "127.0.0.0/26", "127.1")

    records = parse(done)["records"]
    assert [(r["target"], r["address"]) for r in records][-1] == ("127.1", "127.0.0.1")
    assert [record["received"] for record in records] == [2] * 65


def test_many_by_datagram_sockets() -> None:
    setup = ALLOW_ICMP_DATAGRAM + LO_UP
    records = parse(run_in_world(setup, "ping", "-c", "2", "-i", ".1", "--json", "127.0.0.0/25", as_nobody=True))[
        "records"
    ]

    assert {(r["method"], r["sent"], r["received"], r["reply_ttl_min"]) for r in records} == {
        ("icmp-datagram", 2, 2, 64)
    }


KINDS = {"raw": (), "udp": ("--method", "udp")}


def find(report: dict[str, Any], address: str) -> dict[str, Any]:
    """Find the record of an address."""
    (record,) = (record for record in report["records"] if record["address"] == address)
    return dict(record)


@pytest.mark.parametrize("method", KINDS.values(), ids=KINDS)
def test_of_many_those_that_are_silent_or_rejected_are_told(method: tuple[str, ...]) -> None:
    """An error is told of the address that it is about, whoever sends it; beside it the others answer."""
    setup = rules(
        "input",
        "ip daddr 127.0.0.5 drop",
        "ip daddr 127.0.0.9 reject with icmp type admin-prohibited",
    )
    done = run_in_world(setup, "ping", "-c", "2", "-i", ".05", "-W", ".1", "--json", *method, "127.0.0.0/26")

    report = parse(done)
    assert done.returncode == 1
    assert (find(report, "127.0.0.5")["received"], find(report, "127.0.0.5")["error"]) == (0, "timeout")
    assert find(report, "127.0.0.9")["error"] == "rejected-by-firewall"
    assert report["summary"]["answered"] == 62
    assert {f["subject"] for f in report["findings"] if f["severity"] == "fail"} == {"127.0.0.5", "127.0.0.9"}


def test_what_is_wrong_with_many_is_said_once() -> None:
    done = run_in_world(
        rules("input", "ip daddr 127.0.0.64/26 drop"), "ping", "-q", "-c", "1", "-W", ".1", "127.0.0.0/25"
    )

    assert "64 of 128 addresses answered" in done.stdout
    assert done.stdout.count("fail  ") == 1
    assert "63 more likewise, from 127.0.0.65 to 127.0.0.127" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines()[:130])) <= 80


def test_few_findings_are_left_apart() -> None:
    report = ping_address(
        *[f"127.0.0.{n}" for n in range(3)], count=1, timeout_s=1, system=FakeSystem(lambda _p, _s: None)
    )
    silent = [finding for finding in report.findings if finding.severity == "fail"]

    assert len(silent) == 3
    assert list(fold_alike(silent, most=3)) == silent
    assert [f.subject for f in fold_alike(silent, most=2)] == ["3 addresses"]


def test_a_few_addresses_have_sockets_of_their_own() -> None:
    class Counting(System):
        fans = 0

        def open_fan(self, method: str, address: str, *, source: str | None, size_bytes: int) -> Any:
            self.fans += 1
            return super().open_fan(method, address, source=source, size_bytes=size_bytes)

    for addresses in (MOST_SOCKETS, MOST_SOCKETS + 1):
        system = Counting()
        ping_address(*(f"127.0.0.{n}" for n in range(addresses)), count=1, interval_s=0, method="udp", system=system)
        assert system.fans == (addresses > MOST_SOCKETS)


class Train:
    """A stream that is due at given times."""

    def __init__(self, *times: int) -> None:
        """Keep them."""
        self.times = list(times)

    def next_ns(self) -> int | None:
        """Give the next."""
        return self.times[0] if self.times else None


def test_a_timetable_asks_whom_it_is_due_to_and_forgets_old_plans() -> None:
    trains = [Train(30), Train(10, 40), Train()]
    table = Timetable(trains)

    assert table.next_ns() == 10
    assert table.take_due(9, 5) == []
    assert table.take_due(50, 1) == [1]
    trains[1].times.pop(0)
    table.plan(1)
    trains[0].times[0] = 60
    table.plan(0)
    assert table.take_due(50, 5) == [1]
    assert table.next_ns() == 60
    trains[0].times.clear()
    table.plan(0)
    assert table.next_ns() is None
