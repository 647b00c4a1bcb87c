"""``lodiag trace`` on this machine's own loopback, and on machines that cannot be had.

The tests are named after the rows T01 to T10 of the behaviour table that trace was specified by. Rows
that need a broken machine are in ``test_trace_worlds.py``.
"""

from __future__ import annotations

import errno
import re
import shlex
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from faking import NS_PER_S, FakeProbe, FakeSystem, refuse
from running import (
    assert_refused,
    environment,
    parse,
    require_loopback,
    run_as_nobody,
    run_json,
    run_lodiag,
    run_without_netlink,
)
from test_ping import LITERALS, REFUSED

from lodiag import trace_route
from lodiag.errors import ConfigError, PrivilegeError, TargetError
from lodiag.system.facts import Interface
from lodiag.system.probe import MethodRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lodiag.model import Report
    from lodiag.model.trace import HopRecord, TraceSummary
    from lodiag.system.probe import ProbeSocket

    TraceReport = Report[HopRecord, TraceSummary]

# What is reached

REACHED = {
    "T01-v4": ("127.0.0.1", "127.0.0.1", 1),
    "T01-v6": ("::1", "::1", 1),
    "T01-any-of-127": ("127.5.5.5", "127.5.5.5", 1),
    "T01-short-form": ("127.1", "127.0.0.1", 1),
    "T01-udp": ("-U 127.0.0.1", "127.0.0.1", 1),
    "T01-udp-v6": ("-U ::1", "::1", 1),
    "T01-tcp": ("-T 127.0.0.1", "127.0.0.1", 1),
    "T01-tcp-v6": ("-T ::1", "::1", 1),
    "T01-method": ("--method tcp 127.0.0.1", "127.0.0.1", 1),
    "T01-family-v4": ("-4 127.0.0.1", "127.0.0.1", 1),
    "T01-family-v6": ("-6 ::1", "::1", 1),
    "T01-numeric": ("-n 127.0.0.1", "127.0.0.1", 1),
    "T03-max-hops-1": ("-m 1 127.0.0.1", "127.0.0.1", 1),
    "T03-max-hops-255": ("-m 255 127.0.0.1", "127.0.0.1", 1),
    "T04-first-is-max": ("-f 255 -m 255 127.0.0.1", "127.0.0.1", 255),
    "T05-first-5": ("-f 5 127.0.0.1", "127.0.0.1", 5),
    "T05-first-5-tcp": ("-T -f 5 127.0.0.1", "127.0.0.1", 5),
    "T05-first-5-v6": ("-f 5 ::1", "::1", 5),
    "T06-queries-1": ("-q 1 127.0.0.1", "127.0.0.1", 1),
    "T06-queries-10": ("-q 10 127.0.0.1", "127.0.0.1", 1),
    "T07-deadline": ("--deadline 30 -w .5 127.0.0.1", "127.0.0.1", 1),
}
"""Arguments, the address that must be reached, and the hop at which it is."""


@pytest.mark.parametrize(("arguments", "address", "hop"), REACHED.values(), ids=REACHED)
def test_it_is_reached_at_the_first_hop_that_is_asked(arguments: str, address: str, hop: int) -> None:
    require_loopback(address)

    done = run_lodiag("trace", *shlex.split(arguments), "--json")

    report = parse(done)
    summary, (record,) = report["summary"], report["records"]
    queries = int(found[1]) if (found := re.search(r"-q (\d+)", arguments)) else 3
    assert (done.returncode, report["findings"]) == (0, [])
    assert (summary["address"], summary["reached"], summary["hops"]) == (address, True, hop)
    assert (record["hop"], record["address"]) == (hop, address)
    assert (record["sent"], record["received"], record["loss_ratio"]) == (queries, queries, 0)
    assert [probe["status"] for probe in record["probes"]] == ["reached"] * queries


def test_t10_without_a_target_it_is_localhost() -> None:
    report = run_json("trace")

    first = socket.getaddrinfo("localhost", None, type=socket.SOCK_DGRAM)[0][4][0]
    assert (report["summary"]["target"], report["summary"]["address"]) == ("localhost", first)


def test_auto_is_udp() -> None:
    assert run_json("trace", "127.0.0.1")["summary"]["method"] == "udp"


@pytest.mark.parametrize("arguments", ["127.0.0.1", "-U 127.0.0.1", "-T 127.0.0.1", "::1"])
def test_it_needs_no_privilege(arguments: str) -> None:
    require_loopback(arguments.rsplit(maxsplit=1)[-1])

    report = parse(run_as_nobody("trace", "--json", *shlex.split(arguments)))

    assert (report["summary"]["reached"], report["summary"]["hops"]) == (True, 1)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_tcp_reaches_a_port_that_is_open_and_one_that_is_not(address: str) -> None:
    require_loopback(address)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as service:
        service.bind((address, 0))
        port = service.getsockname()[1]
        closed = run_json("trace", "-T", "-p", str(port), address)
        service.listen()
        accepting = run_json("trace", "-T", "-p", str(port), address)

    for report in (closed, accepting):
        assert report["summary"]["port"] == port
        assert report["summary"]["reached"]


def test_udp_to_a_port_of_ones_own_choice() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.connect(taken.getsockname())  # it takes in nothing from others, and nobody else can have the port
        report = run_json("trace", "-U", "-p", str(port), "127.0.0.1")

    assert (report["summary"]["port"], report["summary"]["reached"]) == (port, True)


# What is refused

REFUSED_BY_TRACE = {
    "T03-max-hops-0": ("-m 0 127.0.0.1", "max-hops"),
    "T03-max-hops-256": ("-m 256 127.0.0.1", "max-hops"),
    "T03-max-hops-negative": ("--max-hops=-1 127.0.0.1", "max-hops"),
    "T03-max-hops-word": ("-m many 127.0.0.1", "whole number"),
    "T03-max-hops-400-digits": (f"-m 1{'0' * 400} 127.0.0.1", "max-hops"),
    "T04-first-over-max": ("-f 91 -m 90 127.0.0.1", "91"),
    "T04-first-0": ("-f 0 127.0.0.1", "first-hop"),
    "T04-first-256": ("-f 256 127.0.0.1", "first-hop"),
    "T06-queries-0": ("-q 0 127.0.0.1", "queries"),
    "T06-queries-11": ("-q 11 127.0.0.1", "queries"),
    "T07-deadline-0": ("--deadline 0 127.0.0.1", "deadline"),
    "T07-deadline-inf": ("--deadline inf 127.0.0.1", "deadline"),
    "T07-timeout-0": ("-w 0 127.0.0.1", "timeout"),
    "T07-timeout-nan": ("-w nan 127.0.0.1", "timeout"),
    "T07-timeout-overflow": ("-w 1e400 127.0.0.1", "timeout"),
    "T09-v4-wanted": ("-4 ::1", "::1 is not an IPv4 address"),
    "T09-v6-wanted": ("-6 127.0.0.1", "127.0.0.1 is not an IPv6 address"),
    "T09-both-families": ("-4 -6 127.0.0.1", "not allowed with"),
    "T09-off-the-loopback": ("192.0.2.1", "is not on the loopback"),
    "T09-mapped": ("::ffff:127.0.0.1", "mapped"),
    "T09-zone": ("::1%lo", "zone"),
    "T09-empty": ("''", "is not an address"),
    "T09-two-targets": ("127.0.0.1 127.0.0.2", "127.0.0.2"),
    "two-methods": ("-I -T 127.0.0.1", "not allowed with"),
    "method-unknown": ("--method sctp 127.0.0.1", "sctp"),
    "port-0": ("-p 0 127.0.0.1", "port"),
    "port-65536": ("-p 65536 127.0.0.1", "port"),
    "port-of-icmp": ("-I -p 80 127.0.0.1", "port"),
    "unknown-option": ("--no-such-option 127.0.0.1", "--no-such-option"),
}


@pytest.mark.parametrize(("arguments", "words"), REFUSED_BY_TRACE.values(), ids=REFUSED_BY_TRACE)
def test_it_is_refused(arguments: str, words: str) -> None:
    assert_refused(run_lodiag("trace", *shlex.split(arguments)), words)


SINGLE = [case for case in LITERALS if len(shlex.split(REFUSED[case][0])) == 1 and case != "P31-long-label"]


@pytest.mark.parametrize("case", SINGLE)
def test_nothing_is_opened_for_a_target_that_is_refused(case: str) -> None:
    system = FakeSystem(reach)

    with pytest.raises(TargetError):
        trace_route(shlex.split(REFUSED[case][0])[0], system=system)

    assert system.probes == []


@pytest.mark.parametrize("addresses", [("192.0.2.1",), ("127.0.0.1", "192.0.2.1"), ("::ffff:127.0.0.1",)])
def test_every_address_of_a_name_is_checked(addresses: tuple[str, ...]) -> None:
    system = FakeSystem(reach, addresses=addresses)

    with pytest.raises(TargetError, match="some-name"):
        trace_route("some-name", system=system)

    assert system.probes == []


OPTIONS: dict[str, dict[str, Any]] = {
    "first-over-max": {"first_hop": 31},
    "queries": {"queries": 11},
    "port": {"port": 65_536},
    "method": {"method": "sctp"},
    "deadline": {"deadline_s": float("nan")},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_library_refuses_what_the_command_line_refuses(options: dict[str, Any]) -> None:
    system = FakeSystem(reach)

    with pytest.raises(ConfigError):
        trace_route("127.0.0.1", system=system, **options)

    assert system.probes == []


# What is printed

NUMBER = (int, float)
OPTIONAL = (int, float, type(None))
RECORD_FIELDS: dict[str, Any] = {
    "hop": int,
    "address": (str, type(None)),
    "method": str,
    "probes": list,
    "sent": int,
    "received": int,
    "loss_ratio": OPTIONAL,
    "rtt_last_ms": OPTIONAL,
    "rtt_min_ms": OPTIONAL,
    "rtt_avg_ms": OPTIONAL,
    "rtt_max_ms": OPTIONAL,
    "rtt_stddev_ms": OPTIONAL,
    "reply_ttl": (int, type(None)),
    "interface": (str, type(None)),
    "mtu_bytes": (int, type(None)),
}
PROBE_FIELDS: dict[str, Any] = {
    "rtt_ms": OPTIONAL,
    "reply_ttl": (int, type(None)),
    "interface": (str, type(None)),
    "status": str,
    "icmp_type": (int, type(None)),
    "icmp_code": (int, type(None)),
}
SUMMARY_FIELDS: dict[str, Any] = {
    "target": str,
    "address": str,
    "method": str,
    "reached": bool,
    "hops": (int, type(None)),
    "interface": (str, type(None)),
    "mtu_bytes": (int, type(None)),
}


def test_json_has_every_field_and_its_type() -> None:
    report = run_json("trace", "127.0.0.1")

    (record,) = report["records"]
    assert not {name for name, kind in SUMMARY_FIELDS.items() if not isinstance(report["summary"][name], kind)}
    assert not {name for name, kind in RECORD_FIELDS.items() if not isinstance(record[name], kind)}
    for probe in record["probes"]:
        assert not {name for name, kind in PROBE_FIELDS.items() if not isinstance(probe[name], kind)}
        assert (probe["icmp_type"], probe["icmp_code"]) == (3, 3)
    assert 0 < record["rtt_min_ms"] <= record["rtt_avg_ms"] <= record["rtt_max_ms"]


def test_a_row_for_each_hop() -> None:
    done = run_lodiag("trace", "127.0.0.1")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("trace of 127.0.0.1 by udp")
    assert re.search(r"^ +1 +127\.0\.0\.1 +lo +64 +3 +0 % .*reached$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_traceroute_agrees(address: str) -> None:
    if shutil.which("traceroute") is None:
        pytest.skip("traceroute is not installed")
    require_loopback(address)
    command = ["traceroute", "-n", "-w", "5", address]
    theirs = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())

    report = run_json("trace", address)

    hops = [line.split()[:2] for line in theirs.stdout.splitlines()[1:]]
    assert hops == [[str(record["hop"]), record["address"]] for record in report["records"]]


# Machines that cannot be had: time passes there only when lodiag waits


def reach(probe: FakeProbe, seq: int) -> None:
    """Be one hop away."""
    probe.answer(seq)


def ignore(_: FakeProbe, __: int) -> None:
    """Answer nothing."""


def path(*hops: str | None) -> Callable[[FakeProbe, int], None]:
    """Lead over these hops, of which ``None`` is silent, to the target."""

    def behave(probe: FakeProbe, seq: int) -> None:
        assert probe.ttl is not None
        back = 64 - min(probe.ttl - 1, len(hops))
        if probe.ttl > len(hops):
            probe.answer(seq, ttl=back)
        elif (router := hops[probe.ttl - 1]) is not None:
            probe.answer(seq, is_reply=False, address=router, error="ttl-exceeded", ttl=back)

    return behave


def codes(report: TraceReport) -> dict[str, str]:
    """Severity of each finding, by its code."""
    return {finding.code: finding.severity for finding in report.findings}


def hops_of(report: TraceReport) -> list[tuple[int, str | None]]:
    """Give the number and address of each hop."""
    return [(record.hop, record.address) for record in report.records]


def test_t02_not_reached_fails_and_silent_hops_are_kept() -> None:
    report = trace_route("127.0.0.1", max_hops=4, system=FakeSystem(ignore))

    assert (report.summary.reached, report.summary.hops, report.exit_status) == (False, None, 1)
    assert hops_of(report) == [(1, None), (2, None), (3, None), (4, None)]
    for record in report.records:
        assert (record.sent, record.received, record.loss_ratio, record.rtt_avg_ms) == (3, 0, 1.0, None)
        assert {(p.status, p.error, p.address, p.rtt_ms) for p in record.probes} == {("timeout", "timeout", None, None)}
    assert codes(report) == {"timeout": "fail"}


def test_t02_a_silent_hop_on_the_way_is_kept() -> None:
    report = trace_route("127.0.0.2", queries=1, system=FakeSystem(path("192.0.2.2", None, "203.0.113.2")))

    assert hops_of(report) == [(1, "192.0.2.2"), (2, None), (3, "203.0.113.2"), (4, "127.0.0.2")]
    assert (report.summary.reached, report.summary.hops) == (True, 4)


LEAVING = {
    "a-router-on-the-way": (path("192.0.2.2"), "leaves-loopback"),
    "two-routers": (path("192.0.2.2", "198.51.100.2"), "leaves-loopback"),
    "a-silent-router-before-another": (path(None, "198.51.100.2"), "leaves-loopback"),
    "the-target-itself-two-hops-away": (path("127.0.0.2"), "leaves-loopback"),
    "a-silent-router": (path(None), "nearer-hops-silent"),
}


@pytest.mark.parametrize(("behave", "code"), LEAVING.values(), ids=LEAVING)
def test_more_than_one_hop_is_a_finding(behave: Callable[[FakeProbe, int], None], code: str) -> None:
    report = trace_route("127.0.0.2", queries=1, system=FakeSystem(behave))

    assert report.summary.reached
    assert (codes(report), report.exit_status) == ({code: "fail"}, 1)
    (finding,) = report.findings
    assert finding.hint
    assert finding.evidence


def test_lost_probes_are_not_taken_for_hops() -> None:
    """The near hop is asked again, with many probes, before a far answer is believed."""
    report = trace_route("127.0.0.1", queries=1, system=FakeSystem(lambda p, seq: p.answer(seq) if seq >= 10 else None))

    assert (report.summary.reached, report.summary.hops) == (True, 1)
    assert (report.findings, report.exit_status) == ((), 0)
    assert (report.records[0].sent, report.records[0].received) == (11, 10)


def test_nothing_sent_is_an_interruption() -> None:
    report = trace_route("127.0.0.1", deadline_s=1e-10, system=FakeSystem(reach))

    assert (report.records, codes(report)) == ((), {"interrupted": "fail"})


@pytest.mark.parametrize(("method", "words"), {"udp": "without an answer", "tcp": "accept queue"}.items())
def test_silence_of_a_service_is_not_blamed_on_a_filter(method: str, words: str) -> None:
    for port, said in ((53, True), (None, False)):
        report = trace_route("127.0.0.1", method=method, port=port, max_hops=2, system=FakeSystem(ignore))
        assert codes(report) == {"timeout": "fail"}
        assert (words in (report.findings[0].hint or "")) is said


def test_more_probes_than_descriptors_end_the_trace_where_they_are_used_up() -> None:
    """The probes that are under way are reported as what they are, and the limit is not called the cause."""

    def limit(_: FakeProbe, seq: int) -> None:
        if seq > 40:
            raise refuse(errno.EMFILE)

    report = trace_route("127.0.0.1", method="tcp", max_hops=255, system=FakeSystem(limit))

    assert codes(report) == {"timeout": "fail"}
    assert sum(record.sent for record in report.records) == 40
    assert [record.hop for record in report.records] == list(range(1, 41))


def test_out_of_hops_is_not_called_silence() -> None:
    report = trace_route("127.0.0.2", queries=1, max_hops=2, system=FakeSystem(path("192.0.2.2", "198.51.100.2")))

    assert hops_of(report) == [(1, "192.0.2.2"), (2, "198.51.100.2")]
    assert (report.summary.reached, report.exit_status) == (False, 1)
    assert codes(report)["leaves-loopback"] == "fail"
    assert "timeout" not in codes(report)


def test_t05_a_first_hop_of_5_is_shown_as_5() -> None:
    report = trace_route("127.0.0.1", first_hop=5, queries=1, system=FakeSystem(reach))

    assert (hops_of(report), report.summary.hops, report.exit_status) == ([(5, "127.0.0.1")], 5, 0)


def test_t07_deadline_bounds_the_whole() -> None:
    system = FakeSystem(ignore)

    report = trace_route("127.0.0.1", timeout_s=60.0, deadline_s=2.0, system=system)

    assert report.duration_ms == 2000
    assert system.now_ns == 2 * NS_PER_S
    assert (report.summary.reached, report.exit_status) == (False, 1)


def test_t07_by_default_silence_takes_one_timeout() -> None:
    report = trace_route("127.0.0.1", system=FakeSystem(ignore))

    assert 1000 <= report.duration_ms <= 1200
    assert [record.hop for record in report.records] == list(range(1, 31))


def test_t08_a_rejection_ends_the_trace_and_is_annotated() -> None:
    def reject(probe: FakeProbe, seq: int) -> None:
        probe.answer(seq, is_reply=False, error="rejected-by-firewall")

    report = trace_route("127.0.0.1", system=FakeSystem(reject))

    (record,) = report.records
    assert (report.summary.reached, report.exit_status) == (False, 1)
    assert {(p.status, p.error, p.icmp_type, p.icmp_code) for p in record.probes} == {
        ("unreachable", "rejected-by-firewall", 3, 0)
    }
    assert codes(report) == {"rejected-by-firewall": "fail"}


def test_what_could_not_be_sent_is_not_loss() -> None:
    def fail(_: FakeProbe, __: int) -> None:
        raise refuse(errno.EPERM)

    report = trace_route("127.0.0.1", system=FakeSystem(fail))

    (record,) = report.records
    assert (record.sent, record.received, record.loss_ratio) == (0, 0, None)
    assert {(p.status, p.error) for p in record.probes} == {("not-sent", "blocked-by-firewall")}
    assert (codes(report), report.exit_status) == ({"blocked-by-firewall": "fail"}, 1)


def test_one_lost_probe_does_not_hide_the_hop() -> None:
    report = trace_route("127.0.0.1", system=FakeSystem(lambda p, seq: None if seq == 1 else p.answer(seq)))

    (record,) = report.records
    assert [probe.status for probe in record.probes] == ["timeout", "reached", "reached"]
    assert (record.sent, record.received, record.loss_ratio) == (3, 2, 1 / 3)
    assert report.summary.reached


def test_one_lost_probe_is_not_taken_for_a_router() -> None:
    report = trace_route("127.0.0.1", queries=1, system=FakeSystem(lambda p, seq: None if seq == 1 else p.answer(seq)))

    assert (hops_of(report), codes(report), report.exit_status) == ([(1, "127.0.0.1")], {}, 0)


@pytest.mark.parametrize("distance", [1_000, -1_000, 65_536, 1 << 40])
def test_an_answer_to_what_was_never_sent_is_ignored(distance: int) -> None:
    report = trace_route("127.0.0.1", max_hops=2, system=FakeSystem(lambda p, seq: p.answer(seq + distance)))

    assert hops_of(report) == [(1, None), (2, None)]


def test_duplicates_and_late_answers_change_nothing() -> None:
    def behave(probe: FakeProbe, seq: int) -> None:
        for delay_s in (0.001, 0.001, 0.002):
            probe.answer(seq, after_s=delay_s)

    report = trace_route("127.0.0.1", system=FakeSystem(behave))

    (record,) = report.records
    assert (record.sent, record.received, record.rtt_max_ms) == (3, 3, 1)


def test_interface_is_the_loopback_that_has_an_address_of_the_family() -> None:
    system = FakeSystem(reach)
    system.interfaces = (
        Interface("lo1", is_up=True, mtu_bytes=1500, addresses=("::1",)),
        Interface("lo0", is_up=True, mtu_bytes=16_384, addresses=("127.0.0.1",)),
    )

    summary = trace_route("127.0.0.1", system=system).summary

    assert (summary.interface, summary.mtu_bytes) == ("lo0", 16_384)


class Ladder(FakeSystem):
    """A machine that refuses these methods."""

    def __init__(self, *refused: str) -> None:
        """Be one hop away by all others."""
        super().__init__(reach)
        self._refused = refused

    def open_probe(  # noqa: PLR0913 - as System has it
        self, method: str, family: str, address: str, *, source: str | None, size_bytes: int, port: int | None = None
    ) -> ProbeSocket:
        """Refuse, or open."""
        if method in self._refused:
            reason = f"no {method} here"
            raise MethodRefusedError(reason)
        return super().open_probe(method, family, address, source=source, size_bytes=size_bytes, port=port)


RUNGS = {
    "auto": ((), "auto", "udp"),
    "auto-without-udp": (("udp",), "auto", "icmp-datagram"),
    "auto-with-raw-only": (("udp", "icmp-datagram"), "auto", "icmp-raw"),
    "icmp": ((), "icmp", "icmp-datagram"),
    "icmp-with-raw-only": (("icmp-datagram",), "icmp", "icmp-raw"),
    "udp": ((), "udp", "udp"),
    "tcp": ((), "tcp", "tcp"),
}


@pytest.mark.parametrize(("refused", "method", "expected"), RUNGS.values(), ids=RUNGS)
def test_the_first_method_that_opens_is_used(refused: tuple[str, ...], method: str, expected: str) -> None:
    report = trace_route("127.0.0.1", method=method, system=Ladder(*refused))

    assert (report.summary.method, report.source, report.records[0].method) == (expected, expected, expected)
    assert [refusal.method for refusal in report.summary.refused] == list(refused)


def test_without_any_method_it_is_an_error_and_nothing_is_sent() -> None:
    system = Ladder("icmp-datagram", "icmp-raw")

    with pytest.raises(PrivilegeError) as caught:
        trace_route("127.0.0.1", method="icmp", system=system)

    assert (caught.value.code, system.probes) == ("no-permission", [])
    assert caught.value.hint is not None
    assert "--method udp" in caught.value.hint


def test_the_socket_is_closed() -> None:
    system = FakeSystem(reach)
    trace_route("127.0.0.1", system=system)

    assert [probe.is_closed for probe in system.probes] == [True]


def test_an_answer_to_what_was_sent_again_has_no_round_trip() -> None:
    def behave(probe: FakeProbe, seq: int) -> None:
        probe.answer(seq, after_s=0.9, was_resent=seq == 1)

    report = trace_route("127.0.0.1", queries=2, system=FakeSystem(behave))

    (record,) = report.records
    assert (record.received, record.loss_ratio, report.summary.reached) == (2, 0, True)
    assert [probe.rtt_ms for probe in record.probes] == [None, 900]
    assert record.rtt_max_ms == 900


class Mixed(FakeSystem):
    """A machine where TCP alone behaves otherwise than by reaching the target."""

    def __init__(self, behave: Callable[[FakeProbe, int], None]) -> None:
        """Behave so by TCP."""
        super().__init__(lambda probe, seq: behave(probe, seq) if probe.method == "tcp" else reach(probe, seq))


def give_up(_: FakeProbe, __: int) -> None:
    """Have no descriptor left."""
    raise refuse(errno.EMFILE)


MIXED: dict[str, tuple[Callable[[FakeProbe, int], None], int | None, set[str], str]] = {
    "descriptors": (give_up, None, {"too-many-open-files"}, "the limit on open files is reached"),
    "a-service": (ignore, 80, {"methods-differ"}, "may have a full accept queue, or a filter drops TCP"),
    "farther-away": (
        path("192.0.2.2"),
        None,
        {"methods-differ", "leaves-loopback"},
        "UDP at hop 1, ICMP at hop 1, TCP at hop 2",
    ),
}


@pytest.mark.parametrize(("behave", "port", "found", "words"), MIXED.values(), ids=MIXED)
def test_a_method_that_differs_is_not_always_blocked(
    behave: Callable[[FakeProbe, int], None], port: int | None, found: set[str], words: str
) -> None:
    report = trace_route("127.0.0.1", method="all", port=port, system=Mixed(behave))

    assert set(codes(report)) == found
    assert any(words in finding.message for finding in report.findings)


def test_where_netlink_is_refused_the_route_stays_unknown() -> None:
    report = parse(run_without_netlink("trace", "--json", "127.0.0.1"))

    assert (report["summary"]["reached"], report["summary"]["route"], report["findings"]) == (True, None, [])
    assert report["records"][0]["interface"] == "lo"
