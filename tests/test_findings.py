"""Findings about sockets: the situation is made for real, and so is the healthy one beside it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import jsonschema
import pytest
from running import require_loopback, run_json, run_lodiag
from situations import (
    THIS,
    UDP,
    bind,
    close_orderly,
    connect,
    fill,
    knock,
    listen,
    other_service,
    pick,
    port_of,
    settle,
    take,
    told,
)

from lodiag.conns import list_connections
from lodiag.judge.drops import judge_overflows, judge_udp_drops
from lodiag.judge.flows import judge_close_wait, judge_stuck_receivers
from lodiag.judge.peers import judge_self_connections
from lodiag.judge.ports import judge_held_ports, judge_ports
from lodiag.judge.queues import judge_accept_queues, judge_unaccepted
from lodiag.judge.sockets import judge_sockets
from lodiag.schema import build_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lodiag.judge.snapshot import Judgement, Snapshot

SOON_MS = 300


def later(judge: Callable[..., Iterator[Judgement]]) -> Callable[[Snapshot], Iterator[Judgement]]:
    """Judge with a shorter patience than a user's."""
    return partial(judge, lasting_ms=SOON_MS)


# --- the accept queue ------------------------------------------------------------------------------------------------


def test_a_full_accept_queue_that_shuts_clients_out_is_a_failure(opened: ExitStack) -> None:
    server = listen(opened, backlog=1)
    knock(opened, server, 5)
    (found,) = settle(lambda s: [j for j in judge_accept_queues(s) if j.finding.severity == "fail"], port_of(server))
    assert (found.code, found.subject) == ("accept-queue-full", f"127.0.0.1:{port_of(server)}")
    assert f"[{THIS}]" in found.message
    assert (told(found)["accept_queue"], told(found)["backlog"]) == (2, 1)
    assert told(found)["clients without an answer"] >= 1 or told(found)["dropped between two readings"] >= 1


def test_a_full_queue_exits_with_1_and_names_the_process(opened: ExitStack) -> None:
    server = listen(opened, backlog=0)
    knock(opened, server, 4)
    port = port_of(server)
    settle(lambda s: [j for j in judge_accept_queues(s) if j.finding.severity == "fail"], port)
    done = run_lodiag("conns", "--findings", "-l", "--port", str(port))
    assert done.returncode == 1, done.stdout
    assert "fail  accept-queue-full: the accept queue of" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_full_queue_at_which_nobody_waits_in_vain_is_a_warning(opened: ExitStack) -> None:
    server = listen(opened, backlog=0)
    knock(opened, server)
    (found,) = settle(judge_accept_queues, port_of(server))
    assert found.severity == "warn"


def test_a_burst_that_is_accepted_is_none(opened: ExitStack) -> None:
    server = listen(opened, backlog=4)
    knock(opened, server, 5)

    def accept_all() -> None:
        for _ in range(5):
            opened.enter_context(server.accept()[0])

    assert pick(judge_accept_queues(take(accept_all)), port_of(server)) == []


def test_a_queue_whose_connections_change_is_none(opened: ExitStack) -> None:
    """A small backlog under load is never empty, and yet nobody waits long."""
    server = listen(opened, backlog=1)
    knock(opened, server)

    def replace() -> None:
        opened.enter_context(server.accept()[0])
        knock(opened, server)

    snapshot = take(replace)
    assert [r.accept_queue for r in snapshot.records if r.state == "listen" and r.local.port == port_of(server)] == [1]
    assert pick(judge_accept_queues(snapshot), port_of(server)) == []


def test_an_overflow_between_the_readings_is_a_warning(opened: ExitStack) -> None:
    server = listen(opened, backlog=0)

    def burst() -> None:
        knock(opened, server, 4)
        opened.enter_context(server.accept()[0])

    (found,) = pick(judge_overflows(take(burst)), port_of(server))
    assert (found.code, found.severity) == ("accept-queue-overflow", "warn")
    assert told(found)["dropped between two readings"] >= 1


def test_connections_that_are_never_accepted(opened: ExitStack) -> None:
    server = listen(opened)
    knock(opened, server, 2)
    (found,) = settle(later(judge_unaccepted), port_of(server))
    assert (found.code, found.severity) == ("never-accepted", "warn")
    assert f"[{THIS}] has not accepted 2 connections to 127.0.0.1:{port_of(server)}" in found.message
    assert told(found)["accept_queue"] == 2


def test_after_ten_seconds_a_user_is_told(opened: ExitStack) -> None:
    """The one test that waits as long as a user does."""
    server = listen(opened)
    knock(opened, server)
    started = time.monotonic()
    (found,) = settle(judge_sockets, port_of(server))
    assert found.code == "never-accepted"
    assert time.monotonic() - started > 9


def test_a_connection_that_is_accepted_between_the_readings_is_none(opened: ExitStack) -> None:
    server = listen(opened)
    knock(opened, server)
    settle(later(judge_unaccepted), port_of(server))
    snapshot = take(lambda: opened.enter_context(server.accept()[0]))
    assert pick(judge_unaccepted(snapshot, SOON_MS), port_of(server)) == []


def test_a_server_that_is_stopped_is_said_to_be(opened: ExitStack) -> None:
    server = listen(opened)
    port = port_of(server)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[server.fileno()])
    server.close()
    try:
        os.kill(child.pid, signal.SIGSTOP)
        address = "127.0.0.1", port
        client = opened.enter_context(socket.create_connection(address))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        (found,) = settle(later(judge_unaccepted), port)
        assert told(found)["state of the process"] == "stopped"
        assert "kill -CONT" in (found.hint or "")
    finally:
        os.kill(child.pid, signal.SIGCONT)
        child.communicate(b"\n")


# --- connections that were closed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [0, 5, 6], ids=["nothing", "the data", "to the end"])
def test_a_server_that_does_not_close(opened: ExitStack, read: int) -> None:
    server = listen(opened)
    client, accepted = connect(opened, server)
    client.send(b"hello")
    if read:
        accepted.recv(5)
    close_orderly(client)
    if read > 5:
        assert accepted.recv(1) == b""
    (found,) = settle(later(judge_close_wait), port_of(accepted))
    # Who has not seen the end may still work on what was asked.
    assert (found.code, found.severity) == ("close-wait-leak", "warn" if read > 5 else "info")
    (found,) = settle(later(partial(judge_close_wait, slowest_ms=0)), port_of(accepted))
    assert (found.code, found.severity) == ("close-wait-leak", "warn")
    assert f"[{THIS}]" in found.subject
    assert told(found)["unread bytes"] == (5 if not read else 0)
    words = {0: "does not read what came", 5: "does not read from them", 6: "does not call close(2)"}
    assert words[read] in (found.hint or "")


def test_a_client_that_waits_for_the_answer_is_no_leak(opened: ExitStack) -> None:
    """It has closed one direction, as `nc -N` does."""
    server = listen(opened)
    client, accepted = connect(opened, server)
    client.shutdown(socket.SHUT_WR)
    assert accepted.recv(1) == b""
    _wait_for_age(port_of(client))
    snapshot = take()
    assert [r.state for r in snapshot.records if r.remote and r.remote.port == port_of(client)] == ["close-wait"]
    assert pick(judge_close_wait(snapshot, SOON_MS), port_of(accepted)) == []


def test_a_pool_of_clients_is_a_fact_until_there_are_many(opened: ExitStack) -> None:
    server = listen(opened)
    pool = []
    for _ in range(3):
        client, accepted = connect(opened, server)
        close_orderly(accepted)
        pool.append(client)
    server.close()
    ports = [port_of(client) for client in pool]
    (found,) = settle(lambda s: judge_close_wait(s, SOON_MS), *ports)
    assert (found.severity, told(found)["in close-wait"]) == ("info", 3)
    (found,) = settle(lambda s: judge_close_wait(s, SOON_MS, most_kept=3), *ports)
    assert found.severity == "warn"


def test_a_reader_that_is_still_at_it_is_no_leak(opened: ExitStack) -> None:
    server = listen(opened)
    client, accepted = connect(opened, server)
    client.send(bytes(1000))
    close_orderly(client)
    settle(later(judge_close_wait), port_of(accepted))
    assert pick(judge_close_wait(take(lambda: accepted.recv(100)), SOON_MS), port_of(accepted)) == []


def _wait_for_age(port: int) -> None:
    """Wait until the kernel has heard nothing of the connections of this port for longer than a test is patient."""
    patience = time.monotonic() + 20
    while time.monotonic() < patience:
        rows = [r for r in take().records if r.remote and port in {r.local.port, r.remote.port} and r.tcp]
        if rows and all((r.tcp.last_ack_ms or 0) > SOON_MS for r in rows if r.tcp):
            return


# --- receivers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_closed", [False, True], ids=["a sender that waits", "a sender that has closed"])
def test_a_receiver_that_does_not_read(opened: ExitStack, *, is_closed: bool) -> None:
    server = listen(opened)
    client, accepted = connect(opened, server)
    fill(client)
    port = port_of(client)
    if is_closed:
        close_orderly(client)
    (found,) = settle(later(judge_stuck_receivers), port)
    assert (found.code, found.severity) == ("stuck-receiver", "warn")
    assert f"[{THIS}] does not read enough from 127.0.0.1:{port_of(accepted)} -> 127.0.0.1:{port}" in found.message
    assert told(found)["unsent at the sender"] > 0
    assert told(found)["unread at the receiver"] > 0
    assert ("closed it or ended" in found.message) == is_closed


def test_a_receiver_that_reads_slowly_is_none(opened: ExitStack) -> None:
    server = listen(opened)
    client, accepted = connect(opened, server)
    fill(client)
    settle(later(judge_stuck_receivers), port_of(client))
    snapshot = take(lambda: accepted.recv(100))
    assert pick(judge_stuck_receivers(snapshot, SOON_MS), port_of(client)) == []


def test_a_pause_of_a_moment_is_none(opened: ExitStack) -> None:
    server = listen(opened)
    client, _ = connect(opened, server)
    fill(client)
    assert pick(judge_sockets(take()), port_of(client)) == []


def test_unread_bytes_for_which_nobody_waits_are_none(opened: ExitStack) -> None:
    server = listen(opened)
    client, _ = connect(opened, server)
    client.send(bytes(100))
    _wait_for_age(port_of(client))
    assert pick(judge_stuck_receivers(take(), SOON_MS), port_of(client)) == []


# --- what is not what it seems ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_connection_to_itself(opened: ExitStack, address: str) -> None:
    sock = bind(opened, address)
    sock.connect(sock.getsockname())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    (found,) = pick(judge_self_connections(take()), port_of(sock))
    assert (found.code, found.severity) == ("self-connection", "fail")
    assert f"[{THIS}] is connected to itself at" in found.message


def test_the_repair_of_a_self_connection_keeps_what_was_reserved(opened: ExitStack) -> None:
    sock = bind(opened)
    sock.connect(sock.getsockname())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    (found,) = list_connections(port=port_of(sock), with_findings=True).findings
    first, last = map(int, told(found)["net.ipv4.ip_local_port_range"].split())
    assert first <= port_of(sock) <= last
    assert found.fix
    before = told(found)["net.ipv4.ip_local_reserved_ports"]
    after = ",".join(filter(None, [before, str(port_of(sock))]))
    assert found.fix.commands == (f"sysctl -w net.ipv4.ip_local_reserved_ports={after}",)
    assert found.fix.undo == (f"sysctl -w net.ipv4.ip_local_reserved_ports={before}",)


def test_a_udp_socket_connected_to_itself_is_none(opened: ExitStack) -> None:
    """PostgreSQL had one for its statistics."""
    sock = bind(opened, kind=UDP)
    sock.connect(sock.getsockname())
    assert pick(judge_sockets(take()), port_of(sock)) == []


# --- datagrams -------------------------------------------------------------------------------------------------------


def test_datagrams_that_are_being_lost(opened: ExitStack) -> None:
    reader = bind(opened, kind=UDP, rcvbuf=2048)
    sender = bind(opened, kind=UDP)

    def flood() -> None:
        for _ in range(100):
            sender.sendto(bytes(500), reader.getsockname())

    flood()
    (found,) = pick(judge_udp_drops(take(flood)), port_of(reader))
    assert (found.code, found.severity) == ("udp-drops", "warn")
    assert told(found)["dropped between two readings"] == 100
    (found,) = pick(judge_udp_drops(take()), port_of(reader))
    assert found.severity == "info"
    assert "has dropped" in found.message


# --- who answers at a port -------------------------------------------------------------------------------------------


def codes_at(snapshot: Snapshot, port: int) -> dict[str, str]:
    return {finding.code: finding.severity for finding in pick(judge_ports(snapshot), port)}


@pytest.mark.parametrize("address", ["::1", "::"])
def test_a_service_that_only_ipv6_reaches(opened: ExitStack, address: str) -> None:
    require_loopback("::1")
    port = port_of(listen(opened, address, v6only=1))
    assert codes_at(take(), port) == {"family-mismatch": "warn"}


@pytest.mark.parametrize("place", [("127.0.0.1", 1), ("0.0.0.0", 1), ("::", 0)], ids=str)
def test_what_answers_where_localhost_leads_is_healthy(opened: ExitStack, place: tuple[str, int]) -> None:
    address, v6only = place
    port = port_of(listen(opened, address, v6only=v6only) if ":" in address else listen(opened, address))
    assert not set(codes_at(take(), port).values()) & {"warn", "fail"}


def test_a_service_at_both_addresses_is_healthy(opened: ExitStack) -> None:
    require_loopback("::1")
    port = port_of(listen(opened))
    listen(opened, "::1", port)
    assert codes_at(take(), port) == {}


def test_two_services_on_one_port(opened: ExitStack) -> None:
    require_loopback("::1")
    port = port_of(listen(opened))
    with other_service("::1", port) as pid:
        (found,) = pick(judge_ports(take()), port)
    assert (found.code, found.severity, found.subject) == ("two-services-on-one-port", "fail", f"localhost:{port}")
    assert f"[{THIS}]" in found.message
    assert f"[{pid}]" in found.message


def test_two_workers_of_a_service_are_one(opened: ExitStack) -> None:
    """As docker-proxy is, one process a family."""
    require_loopback("::1")
    port = port_of(listen(opened))
    opened.close()
    with other_service("127.0.0.1", port), other_service("::1", port):
        assert codes_at(take(), port) == {}


def test_strangers_that_share_a_port(opened: ExitStack) -> None:
    port = port_of(listen(opened, reuseport=1))
    with other_service("127.0.0.1", port, reuse=True) as pid:
        (found,) = pick(judge_ports(take()), port)
    assert (found.code, found.severity) == ("reuseport-strangers", "warn")
    assert f"[{pid}]" in found.message


def test_different_programs_of_one_parent_are_strangers(opened: ExitStack) -> None:
    port = port_of(bind(opened, reuseport=1))
    with (
        other_service("127.0.0.1", port, reuse=True, remark="one"),
        other_service("127.0.0.1", port, reuse=True, remark="other"),
    ):
        assert codes_at(take(), port) == {"reuseport-strangers": "warn"}


def test_workers_that_share_a_port_are_healthy(opened: ExitStack) -> None:
    port = port_of(bind(opened, reuseport=1))
    with (
        other_service("127.0.0.1", port, reuse=True),
        other_service("127.0.0.1", port, reuse=True),
        other_service("127.0.0.1", port, reuse=True),
    ):
        assert codes_at(take(), port) == {}


def test_a_process_that_shares_a_port_with_itself_is_healthy(opened: ExitStack) -> None:
    port = port_of(listen(opened, reuseport=1))
    listen(opened, port=port, reuseport=1)
    assert codes_at(take(), port) == {}


def test_a_specific_address_that_shadows_the_wildcard(opened: ExitStack) -> None:
    port = port_of(listen(opened, "0.0.0.0", reuseport=1))
    with other_service("127.0.0.1", port, reuse=True) as pid:
        (found,) = pick(judge_ports(take()), port)
    assert (found.code, found.severity) == ("specific-shadows-wildcard", "warn")
    assert f"127.0.0.1:{port} is answered by" in found.message
    assert found.message.index(f"[{pid}]") < found.message.index(f"[{THIS}]")


def test_a_service_at_another_address(opened: ExitStack) -> None:
    port = port_of(listen(opened, "127.0.0.2"))
    assert codes_at(take(), port) == {"only-at-another-address": "info"}


def test_a_port_that_is_held(opened: ExitStack) -> None:
    sock = bind(opened)
    found = pick(judge_held_ports(take()), port_of(sock))
    if not found:
        pytest.skip("this kernel does not tell sockets that are bound and do not listen")
    assert [(f.code, f.severity) for f in found] == [("port-held", "info")]
    assert f"[{THIS}] holds 127.0.0.1:{port_of(sock)}" in found[0].message
    assert pick(judge_held_ports(take(sock.listen)), port_of(sock)) == []


def test_a_port_that_changes_hands_meanwhile_is_not_judged(opened: ExitStack) -> None:
    server = listen(opened, "127.0.0.2")
    port = port_of(server)
    assert pick(judge_ports(take(server.close)), port) == []


# --- the command -----------------------------------------------------------------------------------------------------


def test_a_report_with_findings_is_as_the_schema_has_it(opened: ExitStack) -> None:
    sock = bind(opened)
    sock.connect(sock.getsockname())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    report = run_json("conns", "--findings", "--port", str(port_of(sock)))
    jsonschema.validate(report, build_schema())
    assert [finding["code"] for finding in report["findings"]] == ["self-connection"]


def test_filters_choose_what_is_reported_and_not_what_is_known(opened: ExitStack) -> None:
    require_loopback("::1")
    port = port_of(listen(opened))
    quiet = port_of(listen(opened))
    with other_service("::1", port):
        report = run_json("conns", "--findings", "-4", "--port", str(port))
        assert [row["local"]["address"] for row in report["records"]] == ["127.0.0.1"]
        assert [finding["code"] for finding in report["findings"]] == ["two-services-on-one-port"]
        assert run_json("conns", "--findings", "--port", str(quiet))["findings"] == []


def test_without_the_option_nothing_is_judged(opened: ExitStack) -> None:
    sock = bind(opened)
    sock.connect(sock.getsockname())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert list_connections(port=port_of(sock)).findings == ()
    assert list_connections(port=port_of(sock), with_findings=True).exit_status == 1


@pytest.mark.parametrize("source", ["proc", "psutil"])
def test_a_source_that_knows_less_says_what_was_not_judged(opened: ExitStack, source: str) -> None:
    server = listen(opened, backlog=0)
    knock(opened, server, 3)
    report = run_json("conns", "--findings", "--source", source, "--lport", str(port_of(server)))
    assert report["findings"] == []
    assert any("most findings cannot be made" in item["why"] for item in report["missing"])
    assert not report["complete"]


def test_without_owners_it_is_judged_as_far_as_can_be(opened: ExitStack) -> None:
    server = listen(opened, backlog=0)
    knock(opened, server, 4)
    settle(judge_accept_queues, port_of(server))
    report = run_json("conns", "--findings", "--no-process", "-l", "--port", str(port_of(server)))
    assert [finding["code"] for finding in report["findings"]] == ["accept-queue-full"]
    assert "an unseen process of" in report["findings"][0]["message"]


def test_sockets_that_come_and_go_while_they_are_judged_do_no_harm(opened: ExitStack) -> None:
    server = listen(opened, backlog=64)
    is_over = threading.Event()

    def churn() -> None:
        while not is_over.is_set():
            with ExitStack() as stack:
                connect(stack, server)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(3):
            assert pick(judge_sockets(take()), port_of(server)) == []
    finally:
        is_over.set()
        thread.join()
