"""What ``ping`` tells beside the round trips: ranges of loss, odd replies, and where probes died."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from faking import NS_PER_S, FakeProbe, FakeSystem, refuse
from test_ping import answer, codes, ignore

from lodiag import ping_address
from lodiag.clock import to_ms
from lodiag.histogram import Histogram
from lodiag.rtt import describe_buckets
from lodiag.system.facts import Interface

if TYPE_CHECKING:
    from collections.abc import Callable

    from test_ping import PingReport

    from lodiag.model.ping import PingRecord

LO = Interface(name="lo", is_up=True, addresses=("127.0.0.1",), mtu_bytes=65536)


def ping(
    behave: Callable[[FakeProbe, int], None], *, system: FakeSystem | None = None, **options: Any
) -> tuple[PingRecord, PingReport]:
    """Ping 127.0.0.1 of a machine that answers by ``behave``."""
    report = ping_address("127.0.0.1", system=system or FakeSystem(behave), **options)
    return report.records[0], report


def ping_stamped(behave: Callable[[FakeProbe, int], None]) -> tuple[PingRecord, PingReport]:
    """Ping a machine that stamps."""
    system = FakeSystem(behave)
    system.clocks = {"kernel", "user"}
    return ping(behave, system=system)


def fail_at(*lost: int, unsent: tuple[int, ...] = ()) -> Callable[[FakeProbe, int], None]:
    """Answer all but these."""

    def behave(probe: FakeProbe, seq: int) -> None:
        if seq in unsent:
            raise refuse(1)
        if seq not in lost:
            answer(probe, seq)

    return behave


def test_some_refused_and_some_lost_are_told_each_as_what_they_are() -> None:
    """And not as silence, whichever comes last: others are answered."""
    record, report = ping(fail_at(4, 8, unsent=(1, 5)), count=8)

    assert (record.received, record.lost, record.not_sent, record.error) == (4, 2, 2, "blocked-by-firewall")
    assert codes(report) == {"blocked-by-firewall": "fail", "loss": "warn"}
    refused, lost = report.findings
    assert "2 of 8 probes" in refused.message
    assert "2 of 6 probes" in lost.message


def test_losses_in_a_row_are_outages_whatever_they_are_of() -> None:
    record, _ = ping(fail_at(2, 4, 5, 7, unsent=(6, 9, 10)), count=12, interval_s=0.1, timeout_s=0.35)

    assert [(outage.first_seq, outage.count) for outage in record.outages] == [(4, 4), (9, 2)]
    assert record.outage_count == 2
    assert record.replies is not None
    for outage in record.outages:
        assert outage.started_at == record.replies[outage.first_seq - 1].sent_at
        assert outage.ended_at == record.replies[outage.first_seq + outage.count - 2].sent_at


def test_replies_out_of_order_are_counted_and_a_few_are_no_finding() -> None:
    def behave(probe: FakeProbe, seq: int) -> None:
        probe.answer(seq, after_s=0.15 if seq in late else 0.0001)

    late: set[int] = {3}
    record, report = ping(behave, count=200, interval_s=0.1)
    assert (record.reordered, codes(report)) == (1, {})
    late = {3, 13, 23}
    record, report = ping(behave, count=200, interval_s=0.1)
    assert (record.reordered, codes(report)) == (3, {"reordered": "warn"})


TTLS = {
    "usual": ((64, 64), "64", {}),
    "farther-away": ((62, 62), "64", {"unexpected-ttl": "warn"}),
    "now-and-then": ((64, 62), "64", {"unexpected-ttl": "warn"}),
    "set-by-this-host": ((128, 128), "128", {}),
    "not-told": ((62, 62), None, {}),
}


@pytest.mark.parametrize(("ttls", "setting", "expected"), TTLS.values(), ids=TTLS)
def test_another_ttl_than_this_host_s_is_told(
    ttls: tuple[int, int], setting: str | None, expected: dict[str, str]
) -> None:
    system = FakeSystem(lambda probe, seq: probe.answer(seq, ttl=ttls[seq % 2]))
    system.interfaces = (LO,)
    if setting:
        system.sysctls["net.ipv4.ip_default_ttl"] = setting
    record, report = ping(ignore, system=system)

    assert (record.reply_ttl_min, record.reply_ttl_max) == (min(ttls), max(ttls))
    assert codes(report) == expected


STRAYS = {"all": ((1, 2, 3, 4), "fail"), "one": ((2,), "warn")}


@pytest.mark.parametrize(("seqs", "severity"), STRAYS.values(), ids=STRAYS)
def test_a_reply_from_elsewhere_is_told_and_not_received(seqs: tuple[int, ...], severity: str) -> None:
    def behave(probe: FakeProbe, seq: int) -> None:
        if seq in seqs:
            probe.answer(seq, is_reply=False, address="127.0.0.7", error="reply-from-elsewhere")
        else:
            probe.answer(seq)

    record, report = ping(behave)
    assert (record.strays, record.received) == (len(seqs), 4 - len(seqs))
    assert codes(report)["reply-from-elsewhere"] == severity


PLACES: dict[str, tuple[list[str], str, str]] = {
    "output": (["socket"] * 4, "dropped-on-output", "output rule"),
    "queue": (["queue"] * 4, "dropped-in-queue", "shapes"),
    "past-the-queue": (["interface"] * 4, "timeout", "A rule at prerouting or input"),
    "here-and-there": (["queue", "interface", "interface", "socket"], "timeout", "Try another --method"),
}


@pytest.mark.parametrize(("reached", "code", "words"), PLACES.values(), ids=PLACES)
def test_silence_is_named_by_where_the_probes_died(reached: list[str], code: str, words: str) -> None:
    def behave(probe: FakeProbe, seq: int) -> None:
        probe.reached[seq] = reached[seq - 1]

    record, report = ping_stamped(behave)
    assert (record.lost_unqueued, record.lost_queued, record.lost_sent) == tuple(
        map(reached.count, ("socket", "queue", "interface"))
    )
    assert [reply.reached for reply in record.replies or ()] == reached
    assert codes(report) == {code: "fail"}
    (finding,) = report.findings
    assert words in (finding.hint or "")
    assert {item.source for item in finding.evidence} == {"icmp-datagram socket", "kernel stamps"}


def test_partial_loss_has_its_place_and_its_times_in_the_evidence() -> None:
    def behave(probe: FakeProbe, seq: int) -> None:
        if seq in {2, 3}:
            probe.reached[seq] = "queue"
        else:
            probe.answer(seq, kernel_s=0.000003)

    record, report = ping_stamped(behave)
    assert (record.lost_queued, codes(report)) == (2, {"loss": "warn"})
    (finding,) = report.findings
    assert "shapes" in (finding.hint or "")
    assert [item.value for item in finding.evidence if item.name.startswith(("outage from", "silent"))] == [
        2,
        "2 probes",
    ]


def test_without_stamps_nobody_knows_where_probes_died() -> None:
    record, report = ping(ignore)
    assert (record.lost_unqueued, record.lost_queued, record.lost_sent) == (None, None, None)
    assert codes(report) == {"timeout": "fail"}


def test_a_refusal_that_an_icmp_error_comes_with_has_its_type_and_sender() -> None:
    def behave(probe: FakeProbe, seq: int) -> None:
        if seq == 2:
            probe.answer(seq, after_s=0, is_reply=False, error="rejected-by-firewall")
            raise refuse(1)
        answer(probe, seq)

    record, report = ping(behave)
    assert record.replies is not None
    refused = record.replies[1]
    assert (refused.status, refused.error, refused.icmp_type, refused.reply_from) == (
        *("not-sent", "blocked-by-firewall"),
        *(3, "127.0.0.1"),
    )
    assert (record.icmp_type, record.icmp_code, record.icmp_from) == (3, 0, "127.0.0.1")
    (finding,) = report.findings
    assert "type 3 code 0 (network unreachable) from 127.0.0.1" in [item.value for item in finding.evidence]


def test_buckets_hold_every_round_trip_and_meet_at_their_edges() -> None:
    values = [1, 3, 4, 7, 8, 9, 10, 1_000, 1_023, 1_024, 5 * NS_PER_S, 5 * NS_PER_S]
    buckets = describe_buckets(Histogram(values))

    assert sum(bucket.count for bucket in buckets) == len(values)
    for bucket in buckets:
        assert sum(bucket.from_ms <= to_ms(value) < bucket.below_ms for value in values) == bucket.count
    assert all(one.below_ms <= other.from_ms for one, other in itertools.pairwise(buckets))
