"""``lodiag map``: the test opens the connections, then asks lodiag who talks to whom."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from running import (
    LO_UP,
    assert_refused,
    environment,
    parse,
    run_as_nobody,
    run_in_world,
    run_lodiag,
)

from lodiag import map_flows
from lodiag.cli import main
from lodiag.errors import ConfigError
from lodiag.model import Missing
from lodiag.system import System
from lodiag.system.sources import SourceRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lodiag.system.facts import Question, Socket, SocketTable

    Row = dict[str, Any]
    Ask = Callable[..., dict[str, Any]]

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
THIS = os.getpid()


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run ``lodiag map ... --json`` in this process, so that it sees this process's sockets whoever runs it."""

    def run(*arguments: str) -> dict[str, Any]:
        status = main(["map", *arguments, "--json"])
        out, err = capsys.readouterr()
        assert (status, err) == (0, "")
        report: dict[str, Any] = json.loads(out)
        return report

    return run


def bind(opened: ExitStack, kind: int, address: str) -> socket.socket:
    """Bind a socket to a free port of ``address``, and listen if it can; skip the test where there is no such."""
    sock = opened.enter_context(closing(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)))
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((address, 0))
    except OSError as error:
        pytest.skip(f"no socket on {address}: {error}")
    if kind == TCP:
        sock.listen()
    return sock


def connect(opened: ExitStack, server: socket.socket, address: str) -> tuple[socket.socket, socket.socket]:
    """Connect to a listener by ``address``: the client's end and the server's."""
    client = opened.enter_context(closing(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)))
    client.connect((address, port_of(server)))
    accepted, _ = server.accept()
    for sock in (client, accepted):
        leave_nothing(sock)
    return client, opened.enter_context(closing(accepted))


def leave_nothing(sock: socket.socket) -> None:
    """Have a socket closed by RST, so that it leaves no TIME_WAIT to the tests that follow."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def flows_at(report: dict[str, Any], port: int) -> list[Row]:
    """Take the flows to a port that a test's server has; connections of earlier tests may be waiting out their end."""
    return [
        flow
        for flow in report["records"]
        if flow["port"] == port and (flow["client"]["name"], flow["direction"]) != ("time-wait", "guessed")
    ]


def flow_at(report: dict[str, Any], port: int) -> Row:
    """Take the one flow to that port of which the client has not gone."""
    found = [flow for flow in flows_at(report, port) if flow["client"]["name"] != "time-wait"]
    assert len(found) == 1, report["records"]
    return found[0]


def settle(ask: Ask, port: int, is_so: Callable[[list[Row]], bool]) -> list[Row]:
    """Wait until the flows to a port are so: an ACK may be delayed (RFC 9293 3.8.6.3)."""
    patience = time.monotonic() + 10
    while True:
        flows = flows_at(ask("--port", str(port)), port)
        if is_so(flows):
            return flows
        assert time.monotonic() < patience, flows
        time.sleep(0.02)


def pids_of(node: Row) -> list[int]:
    return [owner["pid"] for owner in node["owners"]]


def states_of(flow: Row) -> dict[tuple[str | None, str | None], int]:
    return {(s["client_state"], s["server_state"]): s["connections_in_state"] for s in flow["states"]}


BOTH_ESTABLISHED = ("established", "established")


# --- both ends joined ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server_at", "client_to", "mapped"),
    [
        ("127.0.0.1", "127.0.0.1", False),
        ("127.0.0.2", "127.0.0.2", False),
        ("::1", "::1", False),
        ("0.0.0.0", "127.0.0.1", False),
        ("::", "::1", False),
        ("::", "127.0.0.1", True),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
    ],
)
def test_both_ends_are_one_connection(  # noqa: PLR0913 - what a pair is made of
    opened: ExitStack, ask: Ask, source: str, server_at: str, client_to: str, *, mapped: bool
) -> None:
    server = bind(opened, TCP, server_at)
    pairs = [connect(opened, server, client_to) for _ in range(3)]
    flow = flow_at(ask("--source", source), port_of(server))
    assert (flow["connections"], states_of(flow)) == (3, {BOTH_ESTABLISHED: 3})
    assert (flow["direction"], flow["mapped"]) == ("known", mapped)
    for end in (flow["client"], flow["server"]):
        assert (end["kind"], end["name"], pids_of(end)) == ("process", psutil.Process().name(), [THIS])
    assert port_of(server) in flow["server"]["ports"]
    assert len(pairs) == 3


def test_bytes_round_trips_and_queues_are_those_of_both_ends(opened: ExitStack, ask: Ask, source: str) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    for _ in range(2):
        client, accepted = connect(opened, server, "127.0.0.1")
        client.sendall(b"x" * 5000)
        accepted.sendall(b"y" * 70)
        read = 0
        while read < 4990:
            read += len(accepted.recv(4990 - read))
        assert len(client.recv(70, socket.MSG_WAITALL)) == 70
    names = ["to_server_bytes", "to_client_bytes", "server_recv_q_bytes", "client_recv_q_bytes", "server_send_q_bytes"]
    flow = flow_at(ask("--source", source), port_of(server))
    measured = {
        "sock_diag": [10_000, 140, 20, 0, 0],
        "proc": [None, None, 20, 0, 0],
        "psutil": [None] * 5,
    }
    assert [flow[name] for name in names] == measured[source]
    if source == "sock_diag":
        assert 0 < flow["rtt_p50_ms"] <= flow["rtt_max_ms"]
    else:
        assert (flow["rtt_p50_ms"], flow["rtt_max_ms"]) == (None, None)


def test_the_end_of_a_stream_is_no_byte_of_it(opened: ExitStack, ask: Ask) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    client, accepted = connect(opened, server, "127.0.0.1")
    client.sendall(b"x" * 100)
    client.shutdown(socket.SHUT_WR)
    assert len(accepted.recv(100, socket.MSG_WAITALL)) == 100
    assert accepted.recv(1) == b""
    (flow,) = settle(ask, port_of(server), lambda flows: ("fin-wait-2", "close-wait") in states_of(flows[0]))
    if flow["to_server_bytes"] is not None:
        assert (flow["to_server_bytes"], flow["to_client_bytes"]) == (100, 0)


def test_states_are_counted_pair_by_pair(opened: ExitStack, ask: Ask) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    ends = [connect(opened, server, "127.0.0.1") for _ in range(4)]
    for client, accepted in ends[:2]:
        client.shutdown(socket.SHUT_WR)
        accepted.recv(1)
    closing_client, closing_server = ends[2]
    for sock in ends[2]:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
    closing_client.close()
    closing_server.recv(1)
    closing_server.close()

    name = psutil.Process().name()

    def is_so(flows: list[Row]) -> bool:
        found = {flow["client"]["name"]: states_of(flow) for flow in flows}
        return found[name] == {("fin-wait-2", "close-wait"): 2, BOTH_ESTABLISHED: 1} and (
            ("time-wait", None) in found.get("time-wait", {})
        )

    flows = {flow["client"]["name"]: flow for flow in settle(ask, port_of(server), is_so)}
    live, gone = flows[name], flows["time-wait"]
    assert (gone["client"]["kind"], gone["client"]["owners"]) == ("none", [])
    assert pids_of(gone["server"]) == [THIS], "who serves is known from who listens"
    assert gone["server"]["node"] == live["server"]["node"]
    assert gone["direction"] == "known"


def test_a_server_that_closed_first_waits_for_a_client_that_is_gone(opened: ExitStack, ask: Ask) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    client, accepted = connect(opened, server, "127.0.0.1")
    for sock in (client, accepted):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
    accepted.close()
    client.recv(1)
    client.close()
    flows = settle(ask, port_of(server), lambda flows: any((None, "time-wait") in states_of(flow) for flow in flows))
    (flow,) = [flow for flow in flows if (None, "time-wait") in states_of(flow)]
    assert (flow["client"]["node"], pids_of(flow["server"])) == ("(time-wait)", [THIS])


def test_a_connection_that_waits_to_be_accepted_belongs_to_the_listener(opened: ExitStack, ask: Ask) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    client = opened.enter_context(closing(socket.create_connection(server.getsockname())))
    leave_nothing(client)
    flow = flow_at(ask(), port_of(server))
    assert (pids_of(flow["server"]), states_of(flow), flow["direction"]) == ([THIS], {BOTH_ESTABLISHED: 1}, "known")


def test_a_socket_that_is_connected_to_itself(opened: ExitStack, ask: Ask, source: str) -> None:
    sock = opened.enter_context(closing(socket.socket()))
    sock.bind(("127.0.0.1", 0))
    sock.connect(sock.getsockname())
    leave_nothing(sock)
    sock.sendall(b"x" * 30)
    flow = flow_at(ask("--source", source), port_of(sock))
    assert (flow["connections"], flow["direction"]) == (1, "self")
    assert states_of(flow) == {BOTH_ESTABLISHED: 1}
    assert flow["client"] == flow["server"]
    if flow["to_server_bytes"] is not None:
        assert flow["to_server_bytes"] == 30


def test_without_a_listener_the_server_is_guessed(opened: ExitStack, ask: Ask) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    client, accepted = connect(opened, server, "127.0.0.1")
    assert flow_at(ask(), port_of(accepted))["direction"] == "known"
    server.close()
    ports = port_of(client), port_of(accepted)
    found = [f for f in ask()["records"] if f["port"] in ports and f["client"]["name"] != "time-wait"]
    assert [(flow["direction"], flow["connections"]) for flow in found] == [("guessed", 1)]


def test_the_socket_that_listens_at_the_very_address_decides(opened: ExitStack, ask: Ask) -> None:
    """A client may be bound to a port that is listened on at another address."""
    server = bind(opened, TCP, "127.0.0.1")
    other = bind(opened, TCP, "127.0.0.2")
    client = opened.enter_context(closing(socket.socket()))
    leave_nothing(client)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(("127.0.0.3", port_of(other)))
    client.connect(server.getsockname())
    flow = flow_at(ask(), port_of(server))
    assert (flow["direction"], flow["connections"]) == ("known", 1)


# --- UDP -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_udp_sockets_that_are_connected_to_each_other(opened: ExitStack, ask: Ask, address: str) -> None:
    one, other = bind(opened, UDP, address), bind(opened, UDP, address)
    one.connect(other.getsockname())
    other.connect(one.getsockname())
    flow = flow_at(ask("-u"), min(port_of(one), port_of(other)))
    assert (flow["proto"], states_of(flow), flow["direction"]) == ("udp", {BOTH_ESTABLISHED: 1}, "guessed")
    assert flow["to_server_bytes"] is None


@pytest.mark.parametrize("server_at", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_udp_server_takes_what_comes_from_anybody(opened: ExitStack, ask: Ask, server_at: str) -> None:
    server = bind(opened, UDP, server_at)
    for _ in range(2):
        client = bind(opened, UDP, "127.0.0.1")
        client.connect(("127.0.0.1", port_of(server)))
    report = ask("-u")
    flow = flow_at(report, port_of(server))
    assert states_of(flow) == {("established", "unconnected"): 2}
    assert (flow["direction"], pids_of(flow["server"])) == ("known", [THIS])
    assert report["findings"] == []


def test_a_udp_client_of_nobody(opened: ExitStack, ask: Ask) -> None:
    server = bind(opened, UDP, "127.0.0.1")
    client = bind(opened, UDP, "127.0.0.1")
    client.connect(server.getsockname())
    ports = port_of(client), port_of(server)
    server.close()
    (flow,) = [flow for flow in ask("-u")["records"] if flow["port"] in ports]
    assert states_of(flow) in ({("established", None): 1}, {(None, "established"): 1})
    assert flow["direction"] == "guessed"


# --- who it is -------------------------------------------------------------------------------------------------------

PREFORK = """
import os, signal, socket, sys
def say(word):
    sys.stdout.write(word)
    sys.stdout.flush()
server = socket.create_server((sys.argv[2], 0), family=socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET)
say(f"{server.getsockname()[1]}\\n")
sys.stdin.readline()
workers = []
for _ in range(3):
    if sys.argv[1] == "forking":
        accepted, _ = server.accept()
    workers.append(os.fork())
    if workers[-1] == 0:
        if sys.argv[1] == "prefork":
            accepted, _ = server.accept()
        else:
            server.close()
        say(f"{os.getpid()}\\n")
        sys.stdin.read()
        os._exit(0)
    if sys.argv[1] == "forking":
        accepted.close()
sys.stdin.read()
for worker in workers:  # one that still waits for a connection does not see the end of its input
    os.kill(worker, signal.SIGKILL)
"""


@contextmanager
def child(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program until the test ends; it does so at the end of its standard input."""
    command = [sys.executable, "-c", program, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment()) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def read_number(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("kind", ["prefork", "forking"])
def test_the_workers_of_a_server_are_one_node(opened: ExitStack, ask: Ask, kind: str) -> None:
    """Whether they share its listener, or got a connection each and closed the listener."""
    with child(PREFORK, kind, "127.0.0.1") as server:
        port = read_number(server)
        go(server)
        for _ in range(3):
            leave_nothing(opened.enter_context(closing(socket.create_connection(("127.0.0.1", port)))))
        workers = sorted(read_number(server) for _ in range(3))
        waiting = opened.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
        leave_nothing(waiting)
        flow = flow_at(ask(), port)
        opened.close()
    assert flow["connections"] == 4
    holders = set(pids_of(flow["server"]))
    assert {*workers, server.pid} == holders, "the connection that waits is the listener's, and so everybody's"
    assert flow["server"]["node"].endswith(f":{port}")
    assert flow["server"]["ports"] == [port]


def test_services_of_one_interpreter_stay_apart(opened: ExitStack, ask: Ask) -> None:
    with child(PREFORK, "prefork", "127.0.0.1") as one, child(PREFORK, "prefork", "127.0.0.1") as other:
        ports = [read_number(server) for server in (one, other)]
        for port in ports:
            leave_nothing(opened.enter_context(closing(socket.create_connection(("127.0.0.1", port)))))
        report = ask()
        servers = [flow_at(report, port)["server"] for port in ports]
        opened.close()
    assert [pids_of(server) for server in servers] == [[one.pid], [other.pid]]
    assert servers[0]["node"] != servers[1]["node"]
    assert servers[0]["name"] == servers[1]["name"]


CLIENTS = """
import socket, sys
kept = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sys.stdout.write("1\\n")
sys.stdout.flush()
sys.stdin.read()
"""


def test_clients_of_one_program_are_one_node(opened: ExitStack, ask: Ask) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    port = str(port_of(server))
    with child(CLIENTS, port) as one, child(CLIENTS, port) as other:
        assert [read_number(process) for process in (one, other)] == [1, 1]
        flow = flow_at(ask(), port_of(server))
    assert (pids_of(flow["client"]), flow["connections"]) == (sorted([one.pid, other.pid]), 2)


def test_processes_that_may_not_be_seen_are_told_by_their_user(opened: ExitStack) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    connect(opened, server, "127.0.0.1")
    report = parse(run_as_nobody("map", "--json"))
    flow = flow_at(report, port_of(server))
    assert flow["connections"] == 1
    if os.geteuid() != 0:
        assert pids_of(flow["server"]) == [THIS]
        return
    for end in (flow["client"], flow["server"]):
        assert end["owners"] is None
        assert end["kind"] in {"user", "unit", "container", "unknown"}
    assert report["complete"] is False
    assert next(item["count"] for item in report["missing"] if item["what"] == "owners") >= 2
    assert f" {port_of(server)} " in run_as_nobody("map", "--format", "markdown").stdout


# --- narrowing -------------------------------------------------------------------------------------------------------


def test_port_is_that_of_the_server(opened: ExitStack, ask: Ask) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    client, _ = connect(opened, server, "127.0.0.1")
    connect(opened, bind(opened, TCP, "127.0.0.1"), "127.0.0.1")
    report = ask("--port", str(port_of(server)))
    assert {flow["port"] for flow in report["records"]} == {port_of(server)}
    assert report["summary"]["flows"] == len(report["records"])
    assert flows_at(ask("--port", str(port_of(client))), port_of(client)) == []


def test_process_is_that_of_either_end(opened: ExitStack, ask: Ask) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    connect(opened, server, "127.0.0.1")
    name = psutil.Process().name()
    assert flow_at(ask("--process", name[1:].upper()), port_of(server))["connections"] == 1
    assert ask("--process", "no-such-program")["records"] == []
    assert "no connections to show" in run_lodiag("map", "--process", "no-such-program").stdout


def test_protocols_choose(opened: ExitStack, ask: Ask) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    connect(opened, server, "127.0.0.1")
    assert {flow["proto"] for flow in ask("-t")["records"]} == {"tcp"}
    assert {flow["proto"] for flow in ask("-u")["records"]} <= {"udp"}
    assert flow_at(ask("-tu"), port_of(server))["proto"] == "tcp"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--port", "65536"), "port must be from 0 to 65535"),
        (("--port", "x"), "'x' is not a whole number"),
        (("--process", ""), "process must not be empty"),
        (("--format", "png"), "'png' is not one of"),
        (("--source", "netstat"), "'netstat' is not one of"),
    ],
)
def test_what_cannot_be_mapped_is_refused(arguments: tuple[str, ...], words: str) -> None:
    assert_refused(run_lodiag("map", *arguments), words)


def test_the_library_refuses_likewise() -> None:
    with pytest.raises(ConfigError):
        map_flows(port=-1)
    with pytest.raises(ConfigError):
        map_flows(proto="sctp")


# --- a missing end ---------------------------------------------------------------------------------------------------


class Blind(System):
    """A machine whose socket table leaves out what a test says; its kernel tells the truth, or what a test says."""

    def __init__(
        self, hidden: Callable[[Socket], bool], *, looks_up: str = "truly", is_partial: bool = False, until: int = 9
    ) -> None:
        """``looks_up`` is truly, never (it is refused), or as the table; ``until`` is the last reading that hides."""
        self.readings, self.lookups, self._until = 0, 0, until
        self._hidden, self._looks_up, self._is_partial = hidden, looks_up, is_partial

    def list_sockets(self, source: str | None = None, question: Question | None = None) -> SocketTable:
        """Read the table, and leave out what is hidden."""
        self.readings += 1
        table = super().list_sockets(source, question)
        shown = tuple(row for row in table.sockets if self.readings > self._until or not self._hidden(row))
        partial = Missing(what="some sockets", count=None, why="a test hides them") if self._is_partial else None
        return table._replace(sockets=shown, partial=partial)

    def look_up_socket(
        self, proto: str, local: tuple[str, int], remote: tuple[str, int], interface: str | None = None
    ) -> Socket | None:
        """Ask the kernel, if it answers."""
        self.lookups += 1
        if self._looks_up == "never":
            message = "not permitted"
            raise SourceRefusedError(message)
        found = super().look_up_socket(proto, local, remote, interface)
        return None if self._looks_up == "as the table" and found and self._hidden(found) else found


def blind_to(server: socket.socket, **how: Any) -> Blind:
    """Hide the accepted ends of a server."""
    return Blind(lambda row: row.remote is not None and row.local[1] == port_of(server), **how)


def require_lookups() -> None:
    try:
        System().look_up_socket("tcp", ("127.0.0.1", 9), ("127.0.0.1", 9))
    except SourceRefusedError as refusal:
        pytest.skip(f"this machine has no exact lookup: {refusal}")


@pytest.mark.parametrize(("sent", "unread"), [(b"", 0), (b"abc", 3)])
def test_the_end_of_a_stream_is_no_byte(opened: ExitStack, sent: bytes, unread: int) -> None:
    """The kernel counts it in the queue of the end that has not read it."""
    require_lookups()
    server = bind(opened, TCP, "127.0.0.1")
    client, accepted = connect(opened, server, "127.0.0.1")
    client.sendall(sent)
    client.shutdown(socket.SHUT_WR)
    assert accepted.recv(10, socket.MSG_PEEK) == sent
    (flow,) = map_flows(port=port_of(server)).records
    assert (flow.server_recv_q_bytes, flow.to_server_bytes) == (unread, unread)


def test_an_end_that_is_there_after_all_is_not_reported_as_missing(opened: ExitStack) -> None:
    require_lookups()
    server = bind(opened, TCP, "127.0.0.1")
    connect(opened, server, "127.0.0.1")
    report = map_flows(port=port_of(server), system=blind_to(server))
    assert report.findings == ()
    assert [item.what for item in report.missing if item.what == "other ends"] == ["other ends"]
    (flow,) = [flow for flow in report.records if flow.client.name != "time-wait"]
    assert [(s.client_state, s.server_state) for s in flow.states] == [("established", None)]
    assert [owner.pid for owner in flow.server.owners or ()] == [THIS], "told by the listener"


def test_an_end_that_one_reading_lacked_is_taken_from_the_next(opened: ExitStack) -> None:
    require_lookups()
    server = bind(opened, TCP, "127.0.0.1")
    connect(opened, server, "127.0.0.1")
    connect(opened, server, "127.0.0.1")
    system = blind_to(server, until=1)
    report = map_flows(port=port_of(server), system=system)
    (flow,) = [flow for flow in report.records if flow.client.name != "time-wait"]
    states = [(s.client_state, s.server_state, s.connections_in_state) for s in flow.states]
    assert (states, report.findings, system.readings) == ([(*BOTH_ESTABLISHED, 2)], (), 2)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_missing_end_is_confirmed_by_an_exact_lookup(opened: ExitStack, address: str) -> None:
    require_lookups()
    server = bind(opened, TCP, address)
    client, _ = connect(opened, server, address)
    system = blind_to(server, looks_up="as the table")
    report = map_flows(port=port_of(server), system=system)
    (finding,) = report.findings
    assert (finding.code, finding.severity) == ("missing-mirror", "warn")
    assert f"port {port_of(server)}" in finding.subject
    (evidence,) = finding.evidence
    assert evidence.source == "exact lookup"
    assert f":{port_of(client)} to " in evidence.name
    assert (system.readings, system.lookups) == (1, 6)
    assert report.exit_status == 0


def test_many_missing_ends_are_one_finding(opened: ExitStack) -> None:
    require_lookups()
    server = bind(opened, TCP, "127.0.0.1")
    for _ in range(7):
        connect(opened, server, "127.0.0.1")
    report = map_flows(port=port_of(server), system=blind_to(server, looks_up="as the table"))
    (finding,) = report.findings
    assert finding.message.startswith("7 connections from ")
    assert [item.value for item in finding.evidence if item.name == "others"] == [2]


def test_where_lookups_are_refused_the_table_is_read_again(opened: ExitStack) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    connect(opened, server, "127.0.0.1")
    system = blind_to(server, looks_up="never")
    report = map_flows(port=port_of(server), system=system)
    assert [finding.code for finding in report.findings] == ["missing-mirror"]
    assert {item.source for item in report.findings[0].evidence} == {"2 more readings"}
    assert system.readings == 3


def test_an_end_that_another_reading_has_is_taken_from_it(opened: ExitStack) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    connect(opened, server, "127.0.0.1")
    report = map_flows(port=port_of(server), system=blind_to(server, looks_up="never", until=2))
    (flow,) = [flow for flow in report.records if flow.client.name != "time-wait"]
    assert ([(s.client_state, s.server_state) for s in flow.states], report.findings) == ([BOTH_ESTABLISHED], ())


def test_a_table_that_is_partial_proves_nothing(opened: ExitStack) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    connect(opened, server, "127.0.0.1")
    report = map_flows(port=port_of(server), system=blind_to(server, looks_up="never", is_partial=True))
    assert report.findings == ()
    found = {item.what: item.count for item in report.missing if item.what != "owners"}
    assert found.keys() == {"some sockets", "other ends"}
    assert (found["other ends"] or 0) >= 1, "and of others' connections that begin and end"


REPAIR = """
import json, socket
from lodiag import map_flows
from lodiag.model import to_plain
TCP_REPAIR = 19  # include/uapi/linux/tcp.h
server = socket.create_server(("127.0.0.1", 0))
clients, accepted = [], []
for _ in range(3):
    clients.append(socket.create_connection(server.getsockname()))
    accepted.append(server.accept()[0])
before = map_flows()
for dropped in accepted[:2]:
    dropped.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    dropped.close()  # without a word to the other end
after = map_flows()
print(json.dumps([to_plain(report.findings) for report in (before, after)]))
"""


def test_an_end_that_is_dropped_without_a_word_is_found() -> None:
    done = run_in_world(LO_UP, command=(sys.executable, "-c", REPAIR))
    if "PermissionError" in done.stderr:
        pytest.skip("this user may not repair a connection in a namespace of its own")
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout)
    assert before == []
    (finding,) = after
    assert (finding["code"], finding["severity"]) == ("missing-mirror", "warn")
    assert finding["message"].startswith("2 connections from ")
    assert "nft list ruleset" in finding["hint"]


CHURN = """
import json, socket, threading, time
from contextlib import suppress
from lodiag import map_flows
from lodiag.model import to_plain
stop = threading.Event()
served = [0]
server = socket.create_server(("127.0.0.1", 0), backlog=1024)
room = threading.BoundedSemaphore(64)     # a queue that overflows makes ends that have no other one
def serve():
    while not stop.is_set():
        sock, _ = server.accept()
        room.release()
        with sock, suppress(ConnectionError):
            sock.recv(10)
def call(by_reset):
    while not stop.is_set():
        room.acquire()
        with socket.create_connection(server.getsockname()) as sock, suppress(ConnectionError):
            served[0] += 1
            if by_reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0")
            sock.send(b"x")
for target, arguments in ((serve, ()), (serve, ()), (call, (True,)), (call, (False,)), (call, (True,))):
    threading.Thread(target=target, args=arguments, daemon=True).start()
findings = []
lone = 0
for _ in range(10):
    before, patience = served[0], time.monotonic() + 10
    report = map_flows()
    while served[0] == before and time.monotonic() < patience:
        time.sleep(0.001)
    assert served[0] > before, "it goes on"
    lone += report.summary.one_sided
    findings += to_plain(report.findings)
stop.set()
names, counts = (line.split() for line in open("/proc/net/netstat") if line.startswith("TcpExt:"))
overflows = int(dict(zip(names, counts))["ListenOverflows"])
print(json.dumps([lone, overflows, findings]))
"""


def test_connections_that_come_and_go_have_no_missing_end() -> None:
    done = run_in_world(LO_UP, command=(sys.executable, "-c", CHURN), timeout_s=120)
    assert done.returncode == 0, done.stderr
    lone, overflows, findings = json.loads(done.stdout)
    assert (findings, overflows) == ([], 0)
    assert lone > 0


# --- graphs ----------------------------------------------------------------------------------------------------------

TEXT = r'(?:[^"#&<>`\[\]\\\x00-\x1f]|#\d+;)*'
MERMAID = (
    r"flowchart LR",
    rf'  n\d+\["{TEXT}"\]',
    r'  none\["no connections to show"\]',
    rf'  n\d+ (?:-->|-\.->)\|"{TEXT}(?:<br/>{TEXT})*"\| n\d+',
)
"""What a line of a flowchart may be: no more of Mermaid's grammar is used."""


def take_flowchart(text: str) -> list[str]:
    """Take the one flowchart out of Markdown, and check each line of it."""
    (chart,) = re.findall(r"^```mermaid\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = str(chart).splitlines()
    assert lines[0] == "flowchart LR"
    assert [line for line in lines if not any(re.fullmatch(form, line) for form in MERMAID)] == []
    named = set(re.findall(r"^  (n\w+)\[", chart, re.MULTILINE))
    assert {
        name for line in lines for name in re.findall(r"^  (n\d+) -|\| (n\d+)$", line) for name in name if name
    } <= (named)
    return lines


def draw(graph: str) -> ET.Element:
    """Have Graphviz draw a graph."""
    if shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    done = subprocess.run(["dot", "-Tsvg"], input=graph, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return ET.fromstring(done.stdout)  # noqa: S314 - of Graphviz


def texts_of(image: ET.Element) -> list[str]:
    return [element.text or "" for element in image.iter("{http://www.w3.org/2000/svg}text")]


NAMED = """
import ctypes, socket, sys
ctypes.CDLL(None).prctl(15, bytes.fromhex(sys.argv[2]), 0, 0, 0)  # PR_SET_NAME
kept = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sys.stdout.write("1\\n")
sys.stdout.flush()
sys.stdin.read()
"""
HOSTILE = ("\x1b[2J", '"]; click n0', "`x`", "a\nb", "end", "<b>&lt;", "\\N\\l", "#35;", "1. one", "|x|-->y", "é\u202e")


@pytest.mark.skipif(sys.platform != "linux", reason="a process cannot choose its name")
@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: name.encode("unicode_escape").decode())
def test_no_name_of_a_process_breaks_a_graph(opened: ExitStack, name: str) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    port = str(port_of(server))
    with child(NAMED, port, name.encode()[:15].hex()) as process:
        assert read_number(process) == 1
        shown = {form: run_lodiag("map", "--port", port, "--format", form) for form in ("mermaid", "dot", "table")}
        report = parse(run_lodiag("map", "--port", port, "--json"))
    for done in shown.values():
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.replace("\n", "").isprintable()
    assert flow_at(report, int(port))["client"]["name"] == name
    take_flowchart(shown["mermaid"].stdout)
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    assert f"{safe}[{process.pid}]" in [text.replace("\xa0", " ") for text in texts_of(draw(shown["dot"].stdout))]


def test_a_guess_is_dotted_and_dashed(opened: ExitStack, capsys: pytest.CaptureFixture[str]) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    client, _ = connect(opened, server, "127.0.0.1")
    ports = port_of(client), port_of(server)
    server.close()
    (guessed,) = [flow.port for flow in map_flows().records if flow.port in ports and flow.client.name != "time-wait"]
    shown = {}
    for form in ("mermaid", "dot", "table"):
        assert main(["map", "--port", str(guessed), "--format", form]) == 0
        shown[form] = capsys.readouterr().out
    assert any("-.->" in line and "direction guessed" in line for line in take_flowchart(shown["mermaid"]))
    assert re.search(r"n\d+ -> n\d+ \[.*direction guessed.*style=dashed\];", shown["dot"])
    assert re.search(rf" {guessed}\? ", shown["table"])


def test_nothing_to_draw() -> None:
    nothing = ("map", "--process", "no-such-program", "--format")
    assert take_flowchart(run_lodiag(*nothing, "mermaid").stdout)[1:] == ['  none["no connections to show"]']
    assert "no connections to show" in texts_of(draw(run_lodiag(*nothing, "dot").stdout))


def test_an_svg_is_drawn(opened: ExitStack) -> None:
    if shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    server = bind(opened, TCP, "127.0.0.1")
    connect(opened, server, "127.0.0.1")
    done = run_lodiag("map", "--port", str(port_of(server)), "--format", "svg")
    assert (done.returncode, done.stderr) == (0, "")
    image = ET.fromstring(done.stdout)  # noqa: S314 - of Graphviz
    assert image.tag == "{http://www.w3.org/2000/svg}svg"
    assert any(text.startswith(f"tcp {port_of(server)}: ") for text in texts_of(image))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (None, "its program dot is not installed"),
        ("echo it is broken >&2; exit 3", "did not draw the graph: it is broken"),
        ("exit 4", "did not draw the graph: its status is 4"),
        ("exit 0", "did not draw the graph: its status is 0"),
    ],
)
def test_without_graphviz_it_is_said(tmp_path: Path, program: str | None, words: str) -> None:
    if program is not None:
        (tmp_path / "dot").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "dot").chmod(0o755)
    kept = tmp_path / "map.svg"
    kept.write_text("as it was")
    done = run_lodiag("map", "--format", "svg", "--output", str(kept), env=environment(PATH=str(tmp_path)))
    assert_refused(done, words)
    assert "--format dot" in done.stderr
    assert kept.read_text() == "as it was"


def test_a_graph_that_takes_too_long_is_said(tmp_path: Path) -> None:
    (tmp_path / "dot").write_text("#!/bin/sh\nwhile :; do :; done\n")
    (tmp_path / "dot").chmod(0o755)
    code = "from lodiag.system.graphviz import draw\ndraw('digraph {}', 0.3)"
    command = [sys.executable, "-c", code]
    env = environment(PATH=str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert "UnsupportedError: Graphviz did not draw the graph within 0.3 seconds" in done.stderr


@pytest.mark.parametrize("form", ["mermaid", "dot", "svg"])
def test_only_maps_are_graphs(form: str) -> None:
    assert_refused(run_lodiag("conns", "--format", form), f"'{form}' is not one of")
