"""Judgements about sockets at their limits, from records made by hand."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from samples import make_connection, make_finding, make_tcp
from situations import told

from lodiag.judge.drops import judge_lost_segments, judge_overflows, judge_syn_sent, judge_udp_drops
from lodiag.judge.ephemeral import judge_ephemeral_ports, parse_ports
from lodiag.judge.flows import judge_close_wait, judge_stuck_receivers
from lodiag.judge.ports import find_undecided, judge_ports
from lodiag.judge.queues import judge_accept_queues, judge_unaccepted
from lodiag.judge.services import is_same_service
from lodiag.judge.snapshot import Listeners, Snapshot
from lodiag.judge.sockets import find_unjudged, judge_sockets
from lodiag.model.conns import Endpoint, Owner
from lodiag.report import ReportMaker
from lodiag.system import System
from lodiag.system.facts import Condition, Setting
from lodiag.system.fixes import complete

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lodiag.judge.snapshot import Judgement
    from lodiag.model import Finding, Report
    from lodiag.model.conns import ConnRecord

    Judge = Callable[[Snapshot], Iterator[Judgement]]

SETTINGS = {
    "port-range": ("net.ipv4.ip_local_port_range", "32768 60999"),
    "reserved-ports": ("net.ipv4.ip_local_reserved_ports", ""),
    "reuse-of-waiting": ("net.ipv4.tcp_tw_reuse", "2"),
    "reuse-delay": ("net.ipv4.tcp_tw_reuse_delay", "1000"),
    "timestamps": ("net.ipv4.tcp_timestamps", "1"),
}


def make_snapshot(records: Iterable[ConnRecord], later: Iterable[ConnRecord] | None = None, **changes: Any) -> Snapshot:
    """Make a snapshot of which nothing changes unless ``later`` says so; settings are changed by their role."""
    first = tuple(records)
    second = first if later is None else tuple(later)
    settings = {role: Setting(name, changes.pop(role, value)) for role, (name, value) in SETTINGS.items()}
    known: dict[str, Any] = {"processes": {}, "overflows": {}, "localhost": ("127.0.0.1",)} | changes
    by_cookie = {record.cookie: record for record in second if record.cookie}
    return Snapshot(source="sock_diag", records=first, later=by_cookie, settings=settings, **known)


def end(address: str, port: int) -> Endpoint:
    return Endpoint(address=address, port=port)


def make_pair(port: int = 40000, **changes: Any) -> ConnRecord:
    """Make the server's end of a connection to 127.0.0.1:5432."""
    settings: dict[str, Any] = {
        "state": "established",
        "remote": end("127.0.0.1", port),
        "recv_q_bytes": 0,
        "send_q_bytes": 0,
        "accept_queue": None,
        "backlog": None,
        "cookie": f"{port:x}",
        "tcp": make_tcp(),
    }
    return make_connection(**{**settings, **changes})


def make_client(port: int = 40000, **changes: Any) -> ConnRecord:
    """Make its client's end."""
    ends = {"local": end("127.0.0.1", port), "remote": end("127.0.0.1", 5432), "cookie": f"c{port:x}"}
    return make_pair(port, **{**ends, **changes})


def aged(**changes: Any) -> Any:
    return replace(make_tcp(), **changes)


def how(program: tuple[str, str] | None, parents: tuple[int, ...], most_files: int | None = None) -> Condition:
    return Condition(program, parents, is_stopped=False, most_files=most_files)


def codes(judge: Judge, snapshot: Snapshot) -> list[tuple[str, str]]:
    return [(j.finding.code, j.finding.severity) for j in judge(snapshot)]


# --- queues ----------------------------------------------------------------------------------------------------------


def waiting(number: int, age_ms: int = 1000) -> list[ConnRecord]:
    changes = {"inode": 0, "owners": (), "no_owner": "not-accepted", "tcp": aged(last_ack_ms=age_ms)}
    return [make_pair(port, **changes) for port in range(40000, 40000 + number)]


@pytest.mark.parametrize(
    ("queue", "backlog", "expected"),
    [
        (0, 0, []),
        (1, 0, [("accept-queue-full", "warn")]),
        (7, 10, []),
        (8, 10, [("accept-queue-full", "warn")]),
        (11, 10, [("accept-queue-full", "warn")]),
        (None, 10, []),
        (11, None, []),
    ],
)
def test_how_full_a_queue_must_be(queue: int | None, backlog: int | None, expected: list[tuple[str, str]]) -> None:
    snapshot = make_snapshot([make_connection(accept_queue=queue, backlog=backlog), *waiting(queue or 0, 5_000)])
    assert codes(judge_accept_queues, snapshot) == expected


def test_to_wait_for_a_moment_in_a_queue_that_has_room_is_none() -> None:
    assert codes(judge_accept_queues, make_snapshot([make_connection(accept_queue=8, backlog=10), *waiting(8)])) == []


def test_of_a_group_only_whose_queue_it_is_is_blamed() -> None:
    """Which of them a connection waits for is not told, but it is not one whose queue is empty."""
    own = Owner(pid=7, process="stuck", user=None, fd=3, cmdline=None)
    stuck = make_connection(accept_queue=2, backlog=1, cookie="a", owners=(own,))
    idle = make_connection(accept_queue=0, backlog=1, cookie="b")
    knocking = make_client(41000, state="syn-sent", timer="retransmit", timer_retransmits=1)
    rows = [idle, stuck, idle, *waiting(2, 20_000), knocking]
    (judgement,) = judge_unaccepted(make_snapshot(rows))
    assert "stuck[7]" in judgement.finding.message
    (judgement,) = judge_accept_queues(make_snapshot(rows))
    assert "stuck[7]" in judgement.finding.message
    assert told(judgement.finding)["clients without an answer"] == 1


@pytest.mark.parametrize(
    ("retransmits", "drops", "queue", "expected"),
    [
        (1, 0, 0, []),
        (2, 0, 0, [("syn-sent-lasting", "fail")]),
        (3, 9, 0, []),
        (4, 9, 0, [("syn-sent-lasting", "warn")]),
        (9, 9, 200, []),
    ],
)
def test_an_overflow_of_long_ago_does_not_hide_a_filter(
    retransmits: int, drops: int, queue: int, expected: list[tuple[str, str]]
) -> None:
    listener = make_connection(accept_queue=queue, backlog=128, drops=drops)
    asking = make_client(41000, state="syn-sent", timer="retransmit", timer_retransmits=retransmits)
    assert codes(judge_syn_sent, make_snapshot([listener, asking])) == expected


@pytest.mark.parametrize(
    ("changes", "drops", "found"),
    [
        ({}, 0, True),
        ({"timer_retransmits": 3}, 0, False),
        ({"timer": "persist"}, 0, False),
        ({"state": "last-ack"}, 0, True),
        ({"state": "syn-sent"}, 0, False),
        ({"local": end("10.0.0.1", 41000)}, 0, False),
        ({}, 1, False),
    ],
)
def test_what_is_sent_again_and_again_is_lost(changes: dict[str, Any], drops: int, *, found: bool) -> None:
    listener = make_connection(accept_queue=0, backlog=128, drops=drops)
    sender = make_client(41000, **{"timer": "retransmit", "timer_retransmits": 4, "send_q_bytes": 5, **changes})
    snapshot = make_snapshot([listener, sender])
    assert codes(judge_lost_segments, snapshot) == ([("segments-lost", "fail")] if found else [])
    passed = make_snapshot([listener, sender], [listener, replace(sender, timer=None, timer_retransmits=None)])
    assert codes(judge_lost_segments, passed) == []


def test_what_differs_is_not_one_finding() -> None:
    """Though it is about the same end, as two listeners of one port are."""
    findings = [make_finding(code="c", subject="s", message=words) for words in ("one", "other", "one")]
    maker = ReportMaker("conns", System())
    report: Report[Any, Any] = maker.make(source="x", summary=None, records=(), findings=findings)
    assert [finding.message for finding in report.findings] == ["one", "other"]


def test_a_queue_that_moves_is_none_however_long() -> None:
    full = make_connection(accept_queue=129, backlog=128)
    assert codes(judge_accept_queues, make_snapshot([full, *waiting(129, 999)])) == []
    assert codes(judge_accept_queues, make_snapshot([full, *waiting(129, 999)], [replace(full, drops=1)])) != []


def test_a_queue_fails_by_who_is_shut_out() -> None:
    full = make_connection(accept_queue=2, backlog=1)
    knocking = make_client(41000, state="syn-sent", timer="retransmit", timer_retransmits=1)
    assert codes(judge_accept_queues, make_snapshot([full, *waiting(2), knocking])) == [("accept-queue-full", "fail")]
    answered = make_snapshot([full, *waiting(2), knocking], [full, *waiting(2), replace(knocking, state="established")])
    assert codes(judge_accept_queues, answered) == [("accept-queue-full", "warn")]
    young = make_snapshot([full, *waiting(2, 0), knocking])
    assert codes(judge_accept_queues, young) == [("accept-queue-full", "fail")]
    moving = make_snapshot([full, *waiting(2, 0), knocking], [full, *waiting(1, 0), knocking])
    assert codes(judge_accept_queues, moving) == []
    dropped = make_snapshot([full, *waiting(2)], [replace(full, drops=3), *waiting(2)])
    assert codes(judge_accept_queues, dropped) == [("accept-queue-full", "fail")]
    overrun = make_snapshot([full, *waiting(2)], [replace(full, drops=3), *waiting(1)])
    assert codes(judge_accept_queues, overrun) == [("accept-queue-full", "warn")], "it moves"


def test_a_queue_that_empties_or_whose_listener_goes_is_none() -> None:
    full = make_connection(accept_queue=2, backlog=1)
    assert codes(judge_accept_queues, make_snapshot([full, *waiting(2)], [replace(full, accept_queue=0)])) == []
    assert codes(judge_accept_queues, make_snapshot([full, *waiting(2)], waiting(2))) == []


def test_what_a_listener_drops_is_an_overflow_only_if_the_kernel_counted_one() -> None:
    """A reset that comes too late is counted as a drop as well."""
    first, second = make_connection(drops=3), make_connection(drops=4)
    assert codes(judge_overflows, make_snapshot([first], [second])) == []
    overflowed = make_snapshot([first], [second], overflows={"accept": 1})
    assert codes(judge_overflows, overflowed) == [("accept-queue-overflow", "warn")]
    full = [replace(row, accept_queue=129) for row in (first, second)]
    assert codes(judge_overflows, make_snapshot(full[:1], full[1:], overflows={"accept": 1})) == [], "it is full"


def test_an_age_that_is_unknown_is_none() -> None:
    rows = [replace(row, tcp=None) for row in waiting(2)]
    assert codes(judge_unaccepted, make_snapshot([make_connection(), *rows])) == []


@pytest.mark.parametrize(("age", "found"), [(9_999, False), (10_000, True)])
def test_how_long_a_connection_may_wait(age: int, *, found: bool) -> None:
    rows = [replace(row, tcp=aged(last_ack_ms=age)) for row in waiting(1)]
    assert bool(codes(judge_unaccepted, make_snapshot([make_connection(), *rows]))) == found


def test_the_listener_of_a_waiting_connection_is_the_nearest() -> None:
    (row,) = waiting(1)
    rows = [replace(row, tcp=aged(last_ack_ms=20_000))]
    wild = make_connection(local=end("0.0.0.0", 5432), cookie="2", inode=2)
    (judgement,) = judge_unaccepted(make_snapshot([wild, make_connection(), *rows]))
    assert judgement.finding.subject == "127.0.0.1:5432"


# --- datagrams and SYNs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "full", "expected"),
    [
        (0, 0, 5, []),
        (None, None, 5, []),
        (4, 4, 5, [("udp-drops", "info")]),
        (4, 6, 0, [("udp-drops", "info")]),
        (4, 6, 2, [("udp-drops", "warn")]),
    ],
)
def test_drops_that_go_on(before: int | None, after: int | None, full: int, expected: list[tuple[str, str]]) -> None:
    """What a socket's filter refuses is counted as a drop, and not as a full buffer."""
    first, second = (make_connection(proto="udp", state="unconnected", drops=n) for n in (before, after))
    assert codes(judge_udp_drops, make_snapshot([first], [second], overflows={"udp": full})) == expected


def test_a_syn_that_a_full_listener_dropped_is_the_listeners_finding() -> None:
    syn = make_client(state="syn-sent", timer="retransmit", timer_retransmits=3)
    assert codes(judge_syn_sent, make_snapshot([syn])) == [("syn-sent-lasting", "warn")]
    assert codes(judge_syn_sent, make_snapshot([syn, make_connection()])) == [("syn-sent-lasting", "fail")]
    for overflowed in (make_connection(drops=1), make_connection(accept_queue=129)):
        assert codes(judge_syn_sent, make_snapshot([syn, overflowed])) == []
    assert codes(judge_syn_sent, make_snapshot([syn], [replace(syn, state="established")])) == []
    assert codes(judge_syn_sent, make_snapshot([replace(syn, timer_retransmits=1)])) == []
    assert codes(judge_syn_sent, make_snapshot([replace(syn, remote=end("192.0.2.1", 5432))])) == []


# --- connections -----------------------------------------------------------------------------------------------------


def left_open(number: int, **changes: Any) -> list[ConnRecord]:
    age = aged(last_ack_ms=60_000)
    settings: dict[str, Any] = {"state": "close-wait", "tcp": age, "recv_q_bytes": 1, "backlog": None, **changes}
    return [make_client(port, **settings) for port in range(40000, 40000 + number)]


@pytest.mark.parametrize(
    ("rows", "limit", "expected"),
    [
        (left_open(9), 1024, "info"),
        (left_open(10), 1024, "warn"),
        (left_open(1, recv_q_bytes=0), 1024, "warn"),
        (left_open(90), 100, "fail"),
        (left_open(89), 100, "warn"),
        (left_open(90), None, "warn"),
    ],
)
def test_how_bad_a_leak_is(rows: list[ConnRecord], limit: int | None, expected: str) -> None:
    snapshot = make_snapshot(rows, processes={812: how(("postgres", ""), (1,), limit)})
    (judgement,) = judge_close_wait(snapshot)
    assert (judgement.finding.severity, len(judgement.sockets)) == (expected, len(rows))


def test_a_leak_is_told_by_process() -> None:
    other = (Owner(pid=9, process="other", user=None, fd=1, cmdline=None),)
    rows = [*left_open(2), *(replace(row, owners=other, cookie=f"o{row.cookie}") for row in left_open(3))]
    found = [(j.finding.subject, told(j.finding)["in close-wait"]) for j in judge_close_wait(make_snapshot(rows))]
    assert found == [("postgres[812]", 2), ("other[9]", 3)]


def test_a_reader_may_rest_ten_seconds() -> None:
    ages = {"last_sent_ms": 9_000, "last_received_ms": 12_000, "last_ack_ms": 1}
    sender = make_client(timer="persist", send_q_bytes=10, tcp=aged(**ages))
    receiver = make_pair(recv_q_bytes=10, tcp=aged(**ages))
    assert codes(judge_stuck_receivers, make_snapshot([sender, receiver])) == []
    sender, receiver = (replace(row, tcp=aged(**ages | {"last_sent_ms": 10_000})) for row in (sender, receiver))
    assert codes(judge_stuck_receivers, make_snapshot([sender, receiver])) == [("stuck-receiver", "warn")]
    more = [
        replace(sender, local=end("127.0.0.1", 40001), cookie="x"),
        make_pair(40001, recv_q_bytes=9, tcp=receiver.tcp),
    ]
    (judgement,) = judge_stuck_receivers(make_snapshot([sender, receiver, *more]))
    assert (told(judgement.finding)["connections that stand still"], len(judgement.sockets)) == (2, 4)
    reading = replace(receiver, recv_q_bytes=9)
    assert codes(judge_stuck_receivers, make_snapshot([sender, receiver], [sender, reading])) == []
    unaccepted = replace(receiver, inode=0, owners=(), no_owner="not-accepted")
    assert codes(judge_stuck_receivers, make_snapshot([sender, unaccepted])) == []


# --- ports for clients -----------------------------------------------------------------------------------------------


def clients(number: int, first: int = 40000, **changes: Any) -> list[ConnRecord]:
    return [make_client(port, **changes) for port in range(first, first + number)]


def waiting_out(number: int, age_ms: int, first: int = 40000) -> list[ConnRecord]:
    return clients(number, first, state="time-wait", timer="time-wait", timer_ms=60_000 - age_ms, inode=0, owners=())


RANGE = {"port-range": "40000 40099"}


@pytest.mark.parametrize(
    ("rows", "changes", "expected"),
    [
        (clients(79), {}, []),
        (clients(80), {}, [("ephemeral-low", "warn")]),
        (clients(99), {}, [("ephemeral-low", "warn")]),
        (clients(100), {}, [("ephemeral-exhausted", "fail")]),
        (clients(100), {"port-range": "40000 40100"}, [("ephemeral-exhausted", "fail")]),
        (clients(100), {"port-range": None}, []),
        (clients(100), {"reuse-of-waiting": None}, []),
        (clients(60), {"reserved-ports": "40060-40099"}, [("ephemeral-exhausted", "fail")]),
        (waiting_out(100, 1001), {}, []),
        (waiting_out(100, 1000), {}, [("ephemeral-exhausted", "fail")]),
        (waiting_out(100, 1001), {"reuse-delay": "5000"}, [("ephemeral-exhausted", "fail")]),
        (waiting_out(100, 1001), {"reuse-delay": None}, []),
        (waiting_out(100, 59_000), {"reuse-of-waiting": "0"}, [("ephemeral-exhausted", "fail")]),
        (waiting_out(100, 59_000), {"timestamps": "0"}, [("ephemeral-exhausted", "fail")]),
        ([*clients(50), *waiting_out(50, 0, 40050)], {}, [("ephemeral-exhausted", "fail")]),
        ([*clients(50), *waiting_out(50, 2000, 40050)], {}, []),
        (clients(50) + clients(50, 40050, remote=end("127.0.0.2", 5432)), {}, []),
        (clients(50) + clients(50, 40050, local=end("127.0.0.2", 1)), {}, []),
    ],
)
def test_ports_that_are_used_up(rows: list[ConnRecord], changes: dict[str, Any], expected: list[Any]) -> None:
    assert codes(judge_ephemeral_ports, make_snapshot(rows, None, **{**RANGE, **changes})) == expected


def test_a_moment_without_ports_is_none() -> None:
    assert codes(judge_ephemeral_ports, make_snapshot(clients(100), clients(10), **RANGE)) == []


def test_a_port_that_listens_is_not_for_clients() -> None:
    found = codes(judge_ephemeral_ports, make_snapshot(clients(98), None, held_ports=frozenset({40099, 80}), **RANGE))
    assert found == [("ephemeral-exhausted", "fail")], "of 99 the kernel looks at 98"


@pytest.mark.parametrize(
    ("text", "ports"), [(None, set()), ("", set()), ("8080", {8080}), ("1-3,9", {1, 2, 3, 9}), ("7, 8", {7, 8})]
)
def test_lists_of_ports(text: str | None, ports: set[int]) -> None:
    assert parse_ports(text) == ports


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other commands")
def test_only_what_is_to_blame_is_repaired() -> None:
    def repair(**changes: Any) -> tuple[str, ...]:
        (judgement,) = judge_ephemeral_ports(make_snapshot(**{**RANGE, **changes}))
        fix = complete(judgement.finding).fix
        return fix.commands if fix else ()

    assert repair(records=clients(100)) == ("sysctl -w net.ipv4.ip_local_port_range='32768 60999'",)
    wide = [make_client(port) for port in range(32768, 61000)]
    assert repair(records=wide, **{"port-range": "32768 60999"}) == ()
    old = waiting_out(100, 30_000)
    assert repair(records=old, **{"reuse-of-waiting": "0"}) == ("sysctl -w net.ipv4.tcp_tw_reuse=2",)
    assert repair(records=old, timestamps="0") == ("sysctl -w net.ipv4.tcp_timestamps=1",)


# --- who answers -----------------------------------------------------------------------------------------------------


def at(address: str, inode: int, pid: int | None = None, **changes: Any) -> ConnRecord:
    owners = None if pid is None else (Owner(pid=pid, process=f"p{pid}", user=None, fd=1, cmdline=None),)
    family = "ipv6" if ":" in address else "ipv4"
    settings: dict[str, Any] = {"unit": None, "cgroup": None, "v6only": False if family == "ipv6" else None}
    return make_connection(
        local=end(address, 5432),
        inode=inode,
        cookie=f"{inode:x}",
        owners=owners,
        family=family,
        **{**settings, **changes},
    )


ONE, OTHER = ("python3", "/srv/one.py"), ("python3", "/srv/other.py")


@pytest.mark.parametrize(
    ("first", "second", "units", "same"),
    [
        ((ONE, (50, 1)), (ONE, (50, 1)), (None, None), True),
        ((ONE, (50, 1)), (OTHER, (50, 1)), (None, None), False),
        ((ONE, (50, 1)), (ONE, (60, 1)), (None, None), False),
        ((ONE, (1,)), (ONE, (1,)), (None, None), False),
        ((ONE, (1,)), (ONE, (11, 1)), (None, None), False),
        ((ONE, (1,)), (ONE, (10, 1)), (None, None), True),
        ((ONE, (1,)), (ONE, (1,)), ("a.service", "a.service"), True),
        ((ONE, (1,)), (ONE, (1,)), ("user@0.service", "user@0.service"), False),
        ((ONE, (1,)), (ONE, (1,)), ("a.scope", "a.scope"), False),
        ((None, ()), (ONE, (1,)), (None, None), True),
    ],
)
def test_what_makes_one_service(first: Any, second: Any, units: tuple[str | None, str | None], *, same: bool) -> None:
    processes = {10: how(*first), 20: how(*second)}
    rows = at("127.0.0.1", 1, 10, unit=units[0]), at("::1", 2, 20, unit=units[1])
    assert is_same_service(*rows, processes) is same


@pytest.mark.parametrize(("init", "same"), [(ONE, True), (OTHER, False), (None, False)])
def test_children_of_the_first_process_are_workers_if_it_is_their_program(init: Any, *, same: bool) -> None:
    """As the first process of a container is; elsewhere it is the parent of whoever has lost its own."""
    processes = {1: how(init, ()), 10: how(ONE, (1,)), 20: how(ONE, (1,))}
    assert is_same_service(at("127.0.0.1", 1, 10), at("::1", 2, 20), processes) is same


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({}, {}, None),
        ({"unit": "a.service"}, {"unit": "b.service"}, False),
        ({"unit": "a.service"}, {"unit": "a.service"}, None),
        ({"unit": "a.service"}, {"unit": "init.scope"}, None),
        ({"unit": "a.service"}, {}, None),
        ({"container": "0123"}, {"container": "4567"}, False),
        ({"container": "0123"}, {}, None),
    ],
)
def test_services_are_told_apart_by_their_group_where_processes_are_hidden(
    first: dict[str, Any], second: dict[str, Any], *, same: bool | None
) -> None:
    rows = at("127.0.0.1", 1, **first), at("::1", 2, **second)
    assert is_same_service(*rows, {}) is same
    snapshot = make_snapshot(rows)
    assert find_undecided(snapshot) == ((5432,) if same is None else ())
    said = [item.what for item in find_unjudged(snapshot, rows)]
    assert said == (["who listens at port 5432"] if same is None else [])


@pytest.mark.parametrize(
    ("rows", "asked", "inode"),
    [
        ([("0.0.0.0", {}), ("127.0.0.1", {})], "127.0.0.1", 1),
        ([("::", {}), ("0.0.0.0", {})], "127.0.0.1", 1),
        ([("::", {})], "127.0.0.1", 0),
        ([("::", {"v6only": True})], "127.0.0.1", None),
        ([("::", {"v6only": True})], "::1", 0),
        ([("0.0.0.0", {})], "::1", None),
        ([("0.0.0.0", {}), ("0.0.0.0", {"interface": "lo"})], "127.0.0.1", 1),
        ([("127.0.0.1", {"family": "ipv6", "mapped": True}), ("127.0.0.1", {})], "127.0.0.1", 1),
        ([("127.0.0.2", {})], "127.0.0.1", None),
    ],
)
def test_who_answers(rows: list[tuple[str, dict[str, Any]]], asked: str, inode: int | None) -> None:
    listeners = Listeners(replace(at(address, number), **changes) for number, (address, changes) in enumerate(rows))
    assert [row.inode for row in listeners.find(asked, 5432)] == ([] if inode is None else [inode])


def test_what_is_not_known_of_a_listener_is_not_held_against_it() -> None:
    """/proc/net does not tell whether an IPv6 socket takes IPv4."""
    assert codes(judge_ports, make_snapshot([at("::", 1, v6only=None)])) == []
    assert codes(judge_ports, make_snapshot([at("::", 1, v6only=True)])) == [("family-mismatch", "warn")]


def test_every_finding_names_what_it_is_about() -> None:
    split = at("127.0.0.1", 1, unit="a.service"), at("::1", 2, unit="b.service")
    rows = [make_connection(accept_queue=200), *waiting(200), *left_open(20), *split]
    found: list[Finding] = [j.finding for j in judge_sockets(make_snapshot(rows))]
    assert found
    for finding in found:
        assert finding.subject
        assert finding.evidence
        assert finding.hint
        assert finding.message[0].islower() or finding.subject in finding.message
