"""``lodiag conns``: the test opens the sockets, then asks lodiag about them."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from running import (
    LO_UP,
    NOBODY,
    assert_refused,
    environment,
    parse,
    require_readable_python,
    run_as_nobody,
    run_in_world,
    run_json,
    run_lodiag,
    run_without_netlink,
    skip_world,
)

from lodiag.cli import main
from lodiag.conns import list_connections
from lodiag.errors import ConfigError
from lodiag.limits import SOURCES
from lodiag.model import Host, Records, names_of, to_plain
from lodiag.model.conns import ConnRecord, Endpoint
from lodiag.render import FORMATS, render
from lodiag.render.columns import list_columns
from lodiag.sockets.options import STATES, parse_address, parse_state
from lodiag.sockets.ordering import SORT_KEYS
from lodiag.system import System
from lodiag.system.facts import Process, Question, Socket, SocketTable
from lodiag.system.portable import describe_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Row = dict[str, Any]
    Ask = Callable[..., dict[str, Any]]

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
V4, V6 = socket.AF_INET, socket.AF_INET6
ANY_V4, ANY_V6 = "0.0.0.0", "::"
MAPPED_ANY, MAPPED_ONE = "::ffff:0.0.0.0", "::ffff:127.0.0.1"
THIS = os.getpid()
NETLINK = hasattr(socket, "AF_NETLINK") and sys.platform == "linux"


@pytest.fixture
def conns(capsys: pytest.CaptureFixture[str], source: str) -> Ask:
    """Run ``lodiag conns ... --json`` in this process, so that it sees this process's sockets whoever runs it."""

    def ask(*arguments: str) -> dict[str, Any]:
        status = main(["conns", "--source", source, *arguments, "--json"])
        out, err = capsys.readouterr()
        assert (status, err) == (0, "")
        report: dict[str, Any] = json.loads(out)
        return report

    return ask


def bind(opened: ExitStack, kind: int, address: str, *, only_v6: bool = False) -> socket.socket:
    """Bind a socket to a free port of ``address``, and listen if it can; skip the test where there is no such."""
    sock = opened.enter_context(closing(socket.socket(V6 if ":" in address else V4, kind)))
    try:
        if sock.family == V6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_v6)
        sock.bind((address, 0))
    except OSError as error:
        pytest.skip(f"no socket on {address}: {error}")
    if kind == TCP:
        sock.listen()
    return sock


def connect(opened: ExitStack, server: socket.socket, address: str) -> tuple[socket.socket, socket.socket]:
    """Connect to a listener by ``address``: the client's end and the server's."""
    client = opened.enter_context(closing(socket.socket(V6 if ":" in address else V4, TCP)))
    client.connect((address, port_of(server)))
    accepted, _ = server.accept()
    for sock in (client, accepted):  # closed by RST, it leaves no TIME_WAIT to the tests that follow
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return client, opened.enter_context(closing(accepted))


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def this_user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container, a user may have no name
        return str(os.geteuid())


def this_process() -> Row:
    return {"pid": THIS, "process": psutil.Process().name(), "user": this_user(), "cmdline": None}


CORE = ("proto", "family", "state", "local", "remote", "mapped", "scope")


def core(row: Row) -> Row:
    """Give what every source tells of a socket."""
    return {name: row[name] for name in CORE} | {"owners": owners_of(row)}


def owners_of(row: Row) -> list[Row] | None:
    """Give the owners without their descriptors, which psutil does not tell in a table of all."""
    owners = row["owners"]
    return owners and [{name: value for name, value in owner.items() if name != "fd"} for owner in owners]


def row_at(report: dict[str, Any], port: int, peer: int | None = None) -> Row:
    """Take the one row whose own end has this port, and the other end the port ``peer``, or ``None`` if there is none.

    Both, because sockets that wait for their end share the ports of new ones.
    """
    found = [
        row
        for row in report["records"]
        if (row["local"]["port"], row["remote"]["port"] if row["remote"] else None) == (port, peer)
    ]
    assert len(found) == 1, report["records"]
    return dict(found[0])


def settle(conns: Ask, port: int, peer: int, state: str) -> Row:
    """Take the row of these ports once it has come to ``state``: an ACK may be delayed (RFC 9293 3.8.6.3)."""
    patience = time.monotonic() + 10
    while True:
        row = row_at(conns("--port", str(port), "-t"), port, peer)
        if row["state"] == state or time.monotonic() > patience:
            return row


# --- what is shown ---------------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """An address to bind to, and how lodiag shows it."""

    address: str
    shown: str
    scope: str
    only_v6: bool = False


PLACES = (
    Place("127.0.0.1", "127.0.0.1", "loopback"),
    Place("127.0.0.2", "127.0.0.2", "loopback"),
    Place("::1", "::1", "loopback"),
    Place(ANY_V4, ANY_V4, "wildcard"),
    Place(ANY_V6, ANY_V6, "wildcard"),
    Place(ANY_V6, ANY_V6, "wildcard", only_v6=True),
    Place(MAPPED_ONE, "127.0.0.1", "loopback"),
    Place(MAPPED_ANY, ANY_V4, "wildcard"),
)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.address}{'-only' * place.only_v6}")
@pytest.mark.parametrize(("kind", "proto", "state"), [(TCP, "tcp", "listen"), (UDP, "udp", "unconnected")])
def test_a_socket_that_answers_is_shown_whole(  # noqa: PLR0913, PLR0917 - fixtures, and what a row says
    opened: ExitStack, conns: Ask, kind: int, proto: str, state: str, place: Place
) -> None:
    port = port_of(bind(opened, kind, place.address, only_v6=place.only_v6))
    assert core(row_at(conns("--port", str(port), "--pid", str(THIS)), port)) == {
        "proto": proto,
        "family": "ipv6" if ":" in place.address else "ipv4",
        "state": state,
        "local": {"address": place.shown, "port": port},
        "remote": None,
        "mapped": place.address.startswith("::ffff:"),
        "scope": place.scope,
        "owners": [this_process()],
    }


@pytest.mark.parametrize(
    ("server_at", "client_to", "server_family", "mapped"),
    [
        ("127.0.0.1", "127.0.0.1", "ipv4", False),
        ("127.0.0.2", "127.0.0.2", "ipv4", False),
        ("::1", "::1", "ipv6", False),
        (ANY_V4, "127.0.0.1", "ipv4", False),
        (ANY_V6, "::1", "ipv6", False),
        (ANY_V6, "127.0.0.1", "ipv6", True),
    ],
)
def test_both_ends_of_a_connection_mirror_each_other(  # noqa: PLR0913 - what a pair is made of
    opened: ExitStack,
    conns: Ask,
    server_at: str,
    client_to: str,
    server_family: str,
    *,
    mapped: bool,
) -> None:
    server = bind(opened, TCP, server_at)
    client, _ = connect(opened, server, client_to)
    report = conns("-e", "--pid", str(THIS), "--port", str(port_of(client)))
    near, far = (
        {"address": client.getsockname()[0], "port": port_of(client)},
        {"address": client_to, "port": port_of(server)},
    )
    common = {"proto": "tcp", "state": "established", "scope": "loopback", "owners": [this_process()]}
    at_client = row_at(report, port_of(client), port_of(server))
    at_server = row_at(report, port_of(server), port_of(client))
    assert core(at_client) == {
        **common,
        "family": "ipv6" if ":" in client_to else "ipv4",
        "local": near,
        "remote": far,
        "mapped": False,
    }
    assert core(at_server) == {**common, "family": server_family, "local": far, "remote": near, "mapped": mapped}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_connected_udp_socket_has_a_remote_end(opened: ExitStack, conns: Ask, address: str) -> None:
    near, far = bind(opened, UDP, address), bind(opened, UDP, address)
    near.connect(far.getsockname())
    report = conns("-u", "--pid", str(THIS))
    row = row_at(report, port_of(near), port_of(far))
    assert (row["state"], row["remote"]["address"]) == ("established", address)
    assert row_at(report, port_of(far))["state"] == "unconnected"


def test_the_side_that_closed_first_waits_without_an_owner(opened: ExitStack, conns: Ask) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    client, accepted = connect(opened, server, "127.0.0.1")
    ports = port_of(client), port_of(server)
    for sock in (client, accepted):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
    client.close()
    accepted.recv(1)
    orphan = settle(conns, *ports, "fin-wait-2")
    assert (orphan["state"], orphan["owners"]) == ("fin-wait-2", [])
    accepted.close()
    waiting = settle(conns, *ports, "time-wait")
    assert (waiting["state"], waiting["owners"]) == ("time-wait", [])


def test_the_side_that_does_not_close_is_in_close_wait_and_has_an_owner(opened: ExitStack, conns: Ask) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    client, accepted = connect(opened, server, "127.0.0.1")
    client.shutdown(socket.SHUT_WR)
    accepted.recv(1)
    half_closed = settle(conns, port_of(client), port_of(server), "fin-wait-2")
    assert (half_closed["state"], owners_of(half_closed)) == ("fin-wait-2", [this_process()]), "half closed, still held"
    kept_open = row_at(conns("--state", "close-wait"), port_of(server), port_of(client))
    assert owners_of(kept_open) == [this_process()]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse or accept where Linux lets a SYN wait")
def test_connections_that_are_not_accepted(opened: ExitStack, conns: Ask, source: str) -> None:
    server = opened.enter_context(closing(socket.socket()))
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    waiting = [opened.enter_context(closing(socket.socket())) for _ in range(4)]
    for sock in waiting:
        sock.settimeout(0)
        sock.connect_ex(server.getsockname())
    report = conns("--port", str(port_of(server)))
    states = Counter(row_at(report, port_of(sock), port_of(server))["state"] for sock in waiting)
    assert states["syn-sent"] >= 1
    assert states["established"] >= 1
    unaccepted = [
        row
        for row in report["records"]
        if row["local"]["port"] == port_of(server) and row["remote"] and row["state"] == "established"
    ]
    # Without an inode it is certain that there is none; by psutil only root can tell.
    nobody: list[Row] | None = None if source == "psutil" and os.geteuid() != 0 else []
    assert [row["owners"] for row in unaccepted] == [nobody] * len(unaccepted) != []


FOREIGN = """
import json, socket
from contextlib import ExitStack
from lodiag import list_connections
from lodiag.model import to_plain

def listen(address, kind=socket.SOCK_STREAM):
    sock = socket.socket(type=kind)
    sock.bind((address, 0))
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock

outside, inside = listen("192.0.2.1"), listen("127.0.0.1")
datagrams = listen("192.0.2.1", socket.SOCK_DGRAM)
far = socket.create_connection(outside.getsockname())
mixed = socket.create_connection(inside.getsockname(), source_address=("192.0.2.1", 0))
names = {"outside": outside, "inside": inside, "datagrams": datagrams, "far": far, "mixed": mixed}
ports = {name: sock.getsockname()[1] for name, sock in names.items()}
print(json.dumps({"ports": ports, "rows": to_plain(list_connections().records)}))
"""


def test_sockets_of_other_addresses_are_not_shown() -> None:
    setup = f"{LO_UP}\nip address add 192.0.2.1/32 dev lo"
    done = run_in_world(setup, command=(sys.executable, "-c", FOREIGN))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    ports, rows = told["ports"], told["rows"]
    shown = {(row["local"]["port"], row["state"]): row["scope"] for row in rows}
    assert shown == {
        (ports["inside"], "listen"): "loopback",
        (ports["inside"], "established"): "mixed",
        (ports["mixed"], "established"): "mixed",
    }


# --- what only some sources tell -------------------------------------------------------------------------------------

AGREEMENT = """
import json, socket, time
from lodiag import list_connections
from lodiag.model import to_plain
kept = []
def bound(kind, address):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    kept.append(sock)
    sock.bind((address, 0))
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock
tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
server, dual = bound(tcp, "127.0.0.1"), bound(tcp, "::")
for at, address in ((server, "127.0.0.1"), (dual, "127.0.0.1"), (dual, "::1")):
    client = socket.create_connection((address, at.getsockname()[1]))
    accepted = at.accept()[0]
    client.send(b"x" * 1000)
    accepted.recv(1)
    kept += [client, accepted]
kept.append(socket.create_connection(server.getsockname()))
full = socket.create_connection(server.getsockname())
kept += [full, server.accept()[0]]
full.setblocking(False)
try:
    while True:
        full.send(b"x" * 65536)
except BlockingIOError:
    pass
reader, talker = bound(udp, "127.0.0.1"), bound(udp, "::1")
talker.connect(bound(udp, "::1").getsockname())
sender = bound(udp, "127.0.0.1")
reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
for _ in range(50):
    sender.sendto(b"x" * 100, reader.getsockname())
connected = bound(udp, "127.0.0.1")
connected.connect(sender.getsockname())
for _ in range(600):  # what is sent is not yet where it stays
    found = list_connections(local_port=full.getsockname()[1], with_process=False).records
    if "persist" in {row.timer for row in found}:
        break
    time.sleep(0.05)
tables = {name: list_connections(source=name, with_tcp=True) for name in ("sock_diag", "proc", "psutil")}
print(json.dumps({name: [report.source, to_plain(report.records)] for name, report in tables.items()}))
"""
MOVING = {"timer_ms", "timer_retransmits", "owners"}


def test_sources_agree_on_all_that_each_can_know() -> None:
    done = run_in_world(LO_UP, command=(sys.executable, "-c", AGREEMENT))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    tables = {name: {json.dumps({k: row[k] for k in CORE}): row for row in rows} for name, (_, rows) in told.items()}
    assert {name: source for name, (source, _) in told.items()} == {name: name for name in SOURCES}
    assert len(tables["sock_diag"]) == 17
    assert tables["sock_diag"].keys() == tables["proc"].keys() == tables["psutil"].keys()
    for key, row in tables["sock_diag"].items():
        for other in ("proc", "psutil"):
            theirs = tables[other][key]
            both = {k for k in row if row[k] is not None and theirs[k] is not None} - MOVING
            assert {k: row[k] for k in both} == {k: theirs[k] for k in both}, other
            if theirs["owners"] is not None:
                assert owners_of(row) == owners_of(theirs), other
    for name in ("sock_diag", "proc"):
        rows = list(tables[name].values())
        assert {row["accept_queue"] for row in rows} >= {0, 1}, "one connection waits to be accepted"
        assert {row["recv_q_bytes"] for row in rows} >= {0, 999}
        assert "persist" in {row["timer"] for row in rows}
        assert any(row["drops"] for row in rows if row["proto"] == "udp")
        assert [row["drops"] for row in rows if row["proto"] == "udp" and row["state"] == "established"] == [0, 0]


def netlink_row(*arguments: str) -> Row:
    """Ask netlink for the one socket that the arguments choose."""
    if not NETLINK:
        pytest.skip("this machine has no sock_diag")
    report = run_json("conns", "--info", "--source", "sock_diag", "-t", *arguments)
    (row,) = [row for row in report["records"] if row["state"] != "time-wait"]  # of those that had the port before
    return dict(row)


def test_a_listener_tells_its_queue_its_limit_and_what_it_dropped(opened: ExitStack) -> None:
    server = opened.enter_context(closing(socket.socket()))
    server.bind(("127.0.0.1", 0))
    server.listen(1)
    port = str(port_of(server))
    assert [netlink_row("-l", "--port", port)[k] for k in ("accept_queue", "backlog", "drops")] == [0, 1, 0]
    for _ in range(4):
        sock = opened.enter_context(closing(socket.socket()))
        sock.settimeout(0)
        sock.connect_ex(server.getsockname())
    row = netlink_row("-l", "--port", port)
    assert (row["accept_queue"], row["backlog"]) == (2, 1)
    assert row["drops"] >= 1
    assert (row["recv_q_bytes"], row["send_q_bytes"], row["tcp"]) == (None, None, None)
    unaccepted = run_json("conns", "--lport", port, "--state", "established")["records"]
    assert [(r["owners"], r["no_owner"], r["inode"]) for r in unaccepted] == [([], "not-accepted", 0)] * 2


def test_a_connection_tells_what_the_kernel_measured(opened: ExitStack) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    client, accepted = connect(opened, server, "127.0.0.1")
    client.sendall(b"x" * 5000)
    assert len(accepted.recv(1000)) == 1000
    near, far = str(port_of(client)), str(port_of(server))
    sender = netlink_row("--lport", near, "--rport", far)
    receiver = netlink_row("--lport", far, "--rport", near)
    assert (sender["tcp"]["bytes_sent"], sender["tcp"]["retransmits"]) == (5000, 0)
    assert 0 < sender["tcp"]["min_rtt_ms"] <= sender["tcp"]["rtt_ms"] * 2
    assert (receiver["tcp"]["bytes_received"], receiver["recv_q_bytes"]) == (5000, 4000)
    assert sender["tcp"]["cwnd"] > 0
    assert sender["congestion"]
    assert sender["inode"] == os.fstat(client.fileno()).st_ino
    assert sender["uid"] == os.geteuid()
    assert sender["user"] == this_user()
    assert sender["cookie"] != receiver["cookie"]


def test_what_tcp_measured_is_told_if_it_is_asked_for(opened: ExitStack) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    client, _ = connect(opened, server, "127.0.0.1")
    (row,) = run_json("conns", "-te", "--lport", str(port_of(client)))["records"]
    assert (row["tcp"], row["congestion"]) == (None, None)
    if NETLINK:
        shown = run_lodiag("conns", "--lport", str(port_of(client)), "--columns", "state,tcp.rtt_ms").stdout
        assert re.search(r"^established +\d", shown, re.MULTILINE)


def test_a_cookie_stays_from_state_to_state(opened: ExitStack) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    client, accepted = connect(opened, server, "127.0.0.1")
    near, far = str(port_of(client)), str(port_of(server))
    alive = netlink_row("--lport", near, "--rport", far)
    client.shutdown(socket.SHUT_WR)
    assert accepted.recv(1) == b""
    ending = netlink_row("--lport", near, "--rport", far)
    assert (alive["state"], alive["cookie"]) == ("established", ending["cookie"])
    assert ending["state"] in {"fin-wait-1", "fin-wait-2"}


def test_a_socket_that_is_bound_and_does_not_listen_is_shown(opened: ExitStack) -> None:
    """It is why an address is in use although nothing listens there."""
    sock = opened.enter_context(closing(socket.socket()))
    sock.bind(("127.0.0.1", 0))
    if not NETLINK:
        pytest.skip("this machine has no sock_diag")
    rows = run_json("conns", "--state", "bound", "--port", str(port_of(sock)))["records"]
    if not rows:
        pytest.skip("this kernel does not tell sockets that are bound and do not listen")
    assert [(row["state"], row["owners"][0]["pid"], row["owners"][0]["fd"]) for row in rows] == [
        ("bound", THIS, sock.fileno())
    ]


def test_all_owners_of_a_shared_socket_are_listed(opened: ExitStack) -> None:
    """Psutil tells one of them, the last."""
    if not NETLINK:
        pytest.skip("this machine has no sock_diag")
    server = bind(opened, TCP, "127.0.0.1")
    wait = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    child = subprocess.Popen(wait, stdin=subprocess.PIPE, pass_fds=[server.fileno()])
    try:
        row = netlink_row("-l", "--port", str(port_of(server)))
        assert [(owner["pid"], owner["fd"]) for owner in row["owners"]] == sorted(
            [(THIS, server.fileno()), (child.pid, server.fileno())]
        )
    finally:
        child.communicate()


def test_listeners_that_share_a_port_are_told_apart(opened: ExitStack) -> None:
    """Also by a user who may not see who owns them, to whom psutil shows one."""
    first = opened.enter_context(closing(socket.socket()))
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    first.bind(("127.0.0.1", 0))
    for sock in (first, *(opened.enter_context(closing(socket.socket())) for _ in range(2))):
        if sock is not first:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(first.getsockname())
        sock.listen()
    if not NETLINK:
        pytest.skip("this machine has no sock_diag")
    report = parse(run_as_nobody("conns", "-l", "--port", str(port_of(first)), "--json"))
    assert len({row["cookie"] for row in report["records"]}) == len({row["inode"] for row in report["records"]}) == 3


def test_v6only_and_timers_are_told(opened: ExitStack) -> None:
    for only in (False, True):
        port = str(port_of(bind(opened, TCP, ANY_V6, only_v6=only)))
        assert netlink_row("-l", "--port", port)["v6only"] is only
    server = bind(opened, TCP, "127.0.0.1")
    client, _ = connect(opened, server, "127.0.0.1")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    row = netlink_row("--lport", str(port_of(client)), "--rport", str(port_of(server)))
    assert (row["timer"], row["timer_retransmits"]) == ("keepalive", 0)
    assert 0 < row["timer_ms"] <= 7_200_000


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--lport {server}", {"listener", "accepted"}),
        ("--rport {server}", {"client"}),
        ("--lport {server} --rport {client}", {"accepted"}),
        ("--port {server} --local 127.0.0.1", {"listener", "client", "accepted"}),
        ("--port {server} --local ::ffff:127.0.0.1", {"listener", "client", "accepted"}),
        ("--port {server} --local 127.0.0.9", set()),
        ("--port {server} --user {user}", {"listener", "client", "accepted"}),
        ("--port {server} --user {uid}", {"listener", "client", "accepted"}),
        ("--port {server} --user 64999", set()),
        ("--port {server} --unit no-such-unit", set()),
    ],
)
def test_ends_and_users_choose(opened: ExitStack, conns: Ask, options: str, expected: set[str]) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    client, _ = connect(opened, server, "127.0.0.1")
    words = {"server": port_of(server), "client": port_of(client), "user": this_user(), "uid": os.geteuid()}
    names = {
        (port_of(server), None): "listener",
        (port_of(server), port_of(client)): "accepted",
        (port_of(client), port_of(server)): "client",
    }
    # Another test's socket that waits out its end may have been connected to this port before.
    rows = conns("--state", "listen,established", *options.format(**words).split())["records"]
    assert {names[row["local"]["port"], row["remote"]["port"] if row["remote"] else None] for row in rows} == expected


def test_a_source_that_is_refused_gives_way_to_the_next_and_it_is_said(opened: ExitStack) -> None:
    port = port_of(bind(opened, TCP, "127.0.0.1"))
    report = parse(run_without_netlink("conns", "-tl", "--lport", str(port), "--json"))
    assert report["source"] == "proc"
    assert [item["method"] for item in report["summary"]["refused"]] == ["sock_diag"]
    (row,) = report["records"]
    assert (row["backlog"], row["accept_queue"]) == (None, 0)


def test_a_source_that_was_asked_for_is_not_replaced() -> None:
    done = run_without_netlink("conns", "--source", "sock_diag")
    assert (done.returncode, done.stdout) == (2, "")
    assert "sock_diag: Operation not permitted" in done.stderr


MOVER = """
import socket
while True:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.connect(("127.0.0.1", 9))
    sock.close()
"""


@pytest.mark.skipif(not NETLINK, reason="this machine has no sock_diag")
def test_a_socket_that_changes_its_state_meanwhile_is_listed_once() -> None:
    with subprocess.Popen([sys.executable, "-c", MOVER]) as mover:
        try:
            for _ in range(300):
                cookies = [row.cookie for row in list_connections(proto="udp", with_process=False).records]
                assert len(cookies) == len(set(cookies))
        finally:
            mover.kill()


@pytest.mark.parametrize(
    ("source", "options", "what"),
    [
        ("proc", ["--unit", "x"], "units and containers of sockets"),
        ("psutil", ["--unit", "x"], "units and containers of sockets"),
        ("proc", ["--state", "bound"], "sockets that are bound and do not listen"),
        ("psutil", ["--state", "bound,listen"], "sockets that are bound and do not listen"),
        ("psutil", ["--user", "root", "--no-process"], "users of sockets"),
    ],
)
def test_a_source_that_cannot_know_says_so(source: str, options: list[str], what: str) -> None:
    if sys.platform != "linux":
        pytest.skip("elsewhere there is one source")
    report = run_json("conns", "--source", source, *options)
    assert what in [item["what"] for item in report["missing"]]
    assert report["complete"] is False


UNREADABLE = """
mkdir "$1/net" && cp /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 "$1/net"
chmod 755 "$1" && chmod 000 "$1/net/tcp" && mount --bind "$1" /proc
"""


def test_a_file_that_cannot_be_read_is_missing_and_not_empty() -> None:
    if os.geteuid() != 0:
        skip_world("only root can put another /proc in the place of this one")
    require_readable_python()
    script = f'{UNREADABLE}\nexec {" ".join(NOBODY)} "$0" -m lodiag conns --source proc --json'
    with tempfile.TemporaryDirectory() as folder:
        command = ("unshare", "-m", "sh", "-ec", script, sys.executable, folder)
        report = parse(run_in_world(LO_UP, command=command))
    (item,) = report["missing"]
    assert (item["what"], report["complete"]) == ("some sockets", False)
    assert "/proc/net/tcp: Permission denied" in item["why"]


ELSEWHERE = """
import json, socket
from lodiag import list_connections
from lodiag.model import to_plain
from lodiag.render import render
kept = []
for device in (b"v0", b"lo", None):
    sock = socket.socket()
    if device:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
    sock.bind(("0.0.0.0", 0))
    sock.listen()
    kept.append(sock)
report = list_connections(states=["listen"])
print(json.dumps([[s.getsockname()[1] for s in kept], to_plain(report.records), render(report, "table")]))
"""


def test_what_is_bound_to_another_interface_does_not_answer_on_the_loopback() -> None:
    if os.geteuid() != 0:
        skip_world("only root can make interfaces")
    done = run_in_world(f"{LO_UP}\nip link add v0 type veth peer name v1", command=(sys.executable, "-c", ELSEWHERE))
    assert done.returncode == 0, done.stderr
    (_, inside, everywhere), rows, table = json.loads(done.stdout)
    assert [(row["local"]["port"], row["interface"], row["scope"]) for row in rows] == sorted(
        [(inside, "lo", "loopback"), (everywhere, None, "wildcard")]
    )
    assert f"0.0.0.0%lo:{inside}" in table


def test_a_cell_does_not_grow_with_the_workers_of_a_server() -> None:
    shared = Socket("tcp", "ipv4", "listen", Endpoint("127.0.0.1", 80), None, tuple(range(100, 113)))
    table = render(list_connections(system=FakeTable(shared)), "table")
    assert "-[100] -[101] +11" in table
    assert max(map(len, table.splitlines())) <= 80


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::FFFF:7f00:1", "127.0.0.1"),
        ("0:0:0:0:0:ffff:127.0.0.1", "127.0.0.1"),
        ("0::1", "::1"),
        ("::", "::"),
    ],
)
def test_an_address_may_be_spelt_in_any_way(text: str, address: str) -> None:
    assert parse_address(text) == address


# --- columns ---------------------------------------------------------------------------------------------------------


def test_the_columns_that_were_asked_for_are_shown(opened: ExitStack) -> None:
    port = port_of(bind(opened, TCP, "127.0.0.1"))
    done = run_lodiag("conns", "-l", "--port", str(port), "--columns", "state,local,process,tcp.rtt_ms")
    heading, row, *_ = done.stdout.splitlines()
    assert heading.split() == ["state", "local", "process", "tcp.rtt_ms"]
    assert row.split()[:2] == ["listen", f"127.0.0.1:{port}"]
    assert row.split()[-1] == "-"
    shown = run_lodiag("conns", "-l", "--port", str(port), "--columns", "local", "--format", "markdown").stdout
    assert "| local" in shown


def test_every_column_can_be_shown(opened: ExitStack) -> None:
    server = bind(opened, TCP, "127.0.0.1")
    connect(opened, server, "127.0.0.1")
    names = list_columns()
    fields = {name for row in run_json("conns", "--port", str(port_of(server)))["records"] for name in row}
    assert fields - {"owners", "tcp"} <= set(names)
    done = run_lodiag("conns", "--port", str(port_of(server)), "--columns", ",".join(names))
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].split() == list(names)
    wide = run_lodiag("conns", "--port", str(port_of(server)), "--wide").stdout.splitlines()[0].split()
    assert {"recv_q_bytes", "backlog", "drops", "unit", "process"} <= set(wide) <= set(names)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--columns", "colour"], "'colour' is not a column"),
        (["--columns", "acept_queue"], "did you mean accept_queue?"),
        (["--columns", ""], "'' is not a column"),
        (["--state", "listn"], "did you mean listen?"),
        (["--columns", "local", "--json"], "json has all columns"),
        (["--local", "localhost"], "not an address"),
        (["--local", "::1%lo"], "has a zone"),
        (["--unit", ""], "unit must not be empty"),
        (["--process", ""], "process must not be empty"),
        (["--user", ""], "user must not be empty"),
        (["--user", "nobody-of-this-name"], "there is no user 'nobody-of-this-name'"),
        (["--no-process", "--columns", "process"], "processes cannot be shown"),
        (["--lport", "65536"], "local-port"),
        (["--rport", "-1"], "remote-port"),
        (["--source", "kvm"], "is not one of sock_diag"),
    ],
)
def test_what_cannot_be_shown_is_refused(options: list[str], words: str) -> None:
    assert_refused(run_lodiag("conns", *options), words)


# --- filters ---------------------------------------------------------------------------------------------------------


class Zoo(NamedTuple):
    """One socket of each kind, by name, and what runs them."""

    ports: dict[str, int]
    shown: Callable[..., set[str]]


@pytest.fixture
def zoo(opened: ExitStack, conns: Ask) -> Zoo:
    """Open a socket of each kind; ``shown`` names those that lodiag shows of them."""
    tcp6 = bind(opened, TCP, "::1")
    tcp4 = bind(opened, TCP, "127.0.0.1")
    client4, server4 = connect(opened, tcp4, "127.0.0.1")
    half_closed, closed_on = connect(opened, tcp6, "::1")
    half_closed.shutdown(socket.SHUT_WR)
    closed_on.recv(1)
    settle(conns, port_of(half_closed), port_of(closed_on), "fin-wait-2")
    udp4, udp6 = bind(opened, UDP, "127.0.0.1"), bind(opened, UDP, "::1")
    connected6 = bind(opened, UDP, "::1")
    connected6.connect(udp6.getsockname())
    any4, any6 = bind(opened, TCP, ANY_V4), bind(opened, UDP, ANY_V6)
    names = {
        ("tcp", port_of(tcp4), None): "tcp4-listen",
        ("tcp", port_of(tcp6), None): "tcp6-listen",
        ("tcp", port_of(client4), port_of(server4)): "tcp4-client",
        ("tcp", port_of(server4), port_of(client4)): "tcp4-server",
        ("tcp", port_of(half_closed), port_of(closed_on)): "tcp6-fin-wait",
        ("tcp", port_of(closed_on), port_of(half_closed)): "tcp6-close-wait",
        ("udp", port_of(udp4), None): "udp4",
        ("udp", port_of(udp6), None): "udp6",
        ("udp", port_of(connected6), port_of(udp6)): "udp6-connected",
        ("tcp", port_of(any4), None): "any4",
        ("udp", port_of(any6), None): "any6",
    }

    def shown(*options: str) -> set[str]:
        rows = conns("--pid", str(THIS), *options)["records"]
        keys = [(r["proto"], r["local"]["port"], r["remote"]["port"] if r["remote"] else None) for r in rows]
        return {names[key] for key in keys if key in names}

    return Zoo({name: key[1] for key, name in names.items()}, shown)


LISTEN4, LISTEN6 = {"tcp4-listen", "any4"}, {"tcp6-listen"}
LISTEN_TCP = LISTEN4 | LISTEN6
PAIR4 = {"tcp4-client", "tcp4-server"}
ENDING = {"tcp6-fin-wait", "tcp6-close-wait"}
ALL_TCP = LISTEN_TCP | PAIR4 | ENDING
UNCONNECTED = {"udp4", "udp6", "any6"}
ALL_UDP = UNCONNECTED | {"udp6-connected"}
ALL = ALL_TCP | ALL_UDP
CONNECTED = PAIR4 | {"udp6-connected"}
V4_SOCKETS = LISTEN4 | PAIR4 | {"udp4"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", ALL),
        ("-t", ALL_TCP),
        ("--tcp", ALL_TCP),
        ("-u", ALL_UDP),
        ("-t -u", ALL),
        ("-4", V4_SOCKETS),
        ("-6", ALL - V4_SOCKETS),
        ("-l", LISTEN_TCP | UNCONNECTED),
        ("--listening", LISTEN_TCP | UNCONNECTED),
        ("-e", CONNECTED),
        ("-e -l", LISTEN_TCP | UNCONNECTED | CONNECTED),
        ("-tl", LISTEN_TCP),
        ("-tl4", LISTEN4),
        ("-tulpn", LISTEN_TCP | UNCONNECTED),
        ("-an", ALL),
        ("-tanp", ALL_TCP),
        ("-ue6", {"udp6-connected"}),
        ("-l --state estab", LISTEN_TCP | UNCONNECTED | CONNECTED),
        ("--state listen", LISTEN_TCP),
        ("--state LISTENING", LISTEN_TCP),
        ("--state Estab", CONNECTED),
        ("--state ESTABLISHED", CONNECTED),
        ("--state unconn", UNCONNECTED),
        ("--state CLOSE_WAIT", {"tcp6-close-wait"}),
        ("--state closewait", {"tcp6-close-wait"}),
        ("--state Close-Wait", {"tcp6-close-wait"}),
        ("--state FIN_WAIT2", {"tcp6-fin-wait"}),
        ("--state FIN-WAIT-2", {"tcp6-fin-wait"}),
        ("--state finwait2,close_wait", ENDING),
        ("--state listen,estab", LISTEN_TCP | CONNECTED),
        ("--state syn-sent", set()),
        ("--no-wildcard", ALL - {"any4", "any6"}),
        ("--no-wildcard -tl", {"tcp4-listen", "tcp6-listen"}),
        ("--process no-such-process-anywhere", set()),
    ],
)
def test_filters(zoo: Zoo, options: str, expected: set[str]) -> None:
    assert zoo.shown(*options.split()) == expected


def test_states_may_be_listed_with_blanks(zoo: Zoo) -> None:
    assert zoo.shown("--state", " listen , ESTAB ") == LISTEN_TCP | CONNECTED


def test_a_port_selects_either_end(zoo: Zoo) -> None:
    assert zoo.shown("--port", str(zoo.ports["tcp4-client"])) == PAIR4
    assert zoo.shown("--port", str(zoo.ports["tcp4-listen"])) == PAIR4 | {"tcp4-listen"}


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda name: name[1:-1]])
def test_a_part_of_the_name_selects_a_process_in_any_case(zoo: Zoo, change: Callable[[str], str]) -> None:
    assert zoo.shown("--process", change(psutil.Process().name())) == ALL


@given(
    state=st.sampled_from(STATES),
    upper=st.booleans(),
    dash=st.sampled_from(["-", "_", ""]),
    blank=st.sampled_from(["", " ", "\t"]),
)
@settings(database=None, deadline=None)
def test_a_state_is_known_however_it_is_spelt(*, state: str, upper: bool, dash: str, blank: str) -> None:
    spelt = blank + state.replace("-", dash) + blank
    assert parse_state(spelt.upper() if upper else spelt) == state


@given(st.text(max_size=30))
@settings(database=None, deadline=None)
def test_any_other_word_is_refused_in_one_sentence(text: str) -> None:
    try:
        assert parse_state(text) in STATES
    except ConfigError as error:
        assert str(error).isprintable()  # noqa: PT017 - both outcomes are right


# --- owners ----------------------------------------------------------------------------------------------------------


def test_the_command_line_is_shown_only_if_asked(opened: ExitStack, conns: Ask) -> None:
    port = port_of(bind(opened, TCP, "127.0.0.1"))
    asked = owners_of(row_at(conns("--port", str(port), "--cmdline"), port))
    assert asked == [{**this_process(), "cmdline": " ".join(psutil.Process().cmdline())}]
    assert owners_of(row_at(conns("--port", str(port)), port)) == [this_process()]


def test_without_processes_no_process_is_asked(opened: ExitStack, conns: Ask) -> None:
    port = port_of(bind(opened, TCP, "127.0.0.1"))
    report = conns("--no-process")
    assert row_at(report, port)["owners"] is None
    assert {str(row["owners"]) for row in report["records"]} == {"None"}
    assert (report["complete"], report["missing"]) == (True, []), "what was not asked for is not missing"
    heading, *_ = run_lodiag("conns", "--no-process", "--port", str(port)).stdout.splitlines()
    assert heading.split() == ["proto", "state", "local", "remote"]
    heading, *_ = run_lodiag("conns", "--no-process", "--wide", "--port", str(port)).stdout.splitlines()
    assert "process" not in heading.split()
    assert "backlog" in heading.split()


def test_an_owner_that_may_not_be_seen_is_not_an_owner_that_is_not() -> None:
    """In a table both its user and its process are question marks; where there is none they are dashes."""
    hidden = Socket("tcp", "ipv4", "established", Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 2), ())
    ended = Socket("tcp", "ipv4", "time-wait", Endpoint("127.0.0.1", 3), Endpoint("127.0.0.1", 2), ())
    _, first, second, *_ = render(list_connections(system=FakeTable(hidden, ended, uid=1000)), "table").splitlines()
    assert first.split()[-2:] == ["?", "?"]
    assert second.split()[-2:] == ["-", "-"]
    nobody = list_connections(with_process=False, system=FakeTable(ended._replace(inode=0)))
    assert render(nobody, "table", ("user", "no_owner")).splitlines()[1].split() == ["-", "time-wait"]


def test_the_owner_is_the_process_that_holds_the_socket(opened: ExitStack) -> None:
    child = opened.enter_context(Holder([sys.executable, "-c", PLAIN_HOLDER]))
    report = run_json("conns", "--port", str(child.port))
    assert [owner["pid"] for owner in row_at(report, child.port)["owners"]] == [child.pid]


def test_two_runs_give_the_same_rows_in_the_same_order(zoo: Zoo, conns: Ask) -> None:
    assert zoo.shown() == ALL
    first, second = (conns("--pid", str(THIS)) for _ in range(2))
    assert [core(row) for row in first["records"]] == [core(row) for row in second["records"]]


def test_the_summary_counts_the_rows(zoo: Zoo, conns: Ask) -> None:
    assert zoo.shown("-l") == LISTEN_TCP | UNCONNECTED
    report = conns("--pid", str(THIS))
    tally = Counter((row["proto"], row["state"]) for row in report["records"])
    assert {(c["proto"], c["state"]): c["sockets"] for c in report["summary"]["counts"]} == tally
    assert report["summary"]["sockets"] == len(report["records"])


def test_the_table_shows_the_row(zoo: Zoo) -> None:
    port = zoo.ports["tcp4-listen"]
    assert zoo.shown("--port", str(port))
    done = run_lodiag("conns", "-l", "--port", str(port))
    assert done.returncode == 0
    cells = done.stdout.splitlines()[1].split()
    assert cells[:4] == ["tcp", "listen", f"127.0.0.1:{port}", "-"]
    assert cells[4] == this_user()
    assert cells[5].endswith(f"[{THIS}]")


def test_a_mapped_address_is_never_shown_as_such(opened: ExitStack) -> None:
    server = bind(opened, TCP, ANY_V6)
    connect(opened, server, "127.0.0.1")
    for form in FORMATS:
        done = run_lodiag("conns", "--port", str(port_of(server)), "--format", form)
        assert done.returncode == 0
        assert "ffff" not in done.stdout.lower(), form


# --- another user's sockets ------------------------------------------------------------------------------------------


@pytest.fixture
def hidden(opened: ExitStack) -> socket.socket:
    """Hold, as root, a listener and a connection to it: another user may see them, and not by whom they are held."""
    if os.geteuid() != 0:
        skip_world("only root can hold sockets whose owner another user must not see")
    server = bind(opened, TCP, "127.0.0.1")
    connect(opened, server, "127.0.0.1")
    return server


def test_owners_that_may_not_be_seen_are_null_and_counted_once(hidden: socket.socket) -> None:
    report = parse(run_as_nobody("conns", "-le", "--port", str(port_of(hidden)), "--json"))
    assert [row["owners"] for row in report["records"]] == [None] * 3
    assert [(item["what"], item["count"]) for item in report["missing"]] == [("owners", 3)]
    assert report["complete"] is False


def test_the_table_says_once_that_owners_are_hidden(hidden: socket.socket) -> None:
    done = run_as_nobody("conns", "-le", "--port", str(port_of(hidden)))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("note:") == 1
    assert re.search(r"note: .*\b3\b", done.stdout)


@pytest.mark.parametrize("option", ["pid", "process"])
def test_a_search_by_owner_admits_that_owners_were_hidden(hidden: socket.socket, option: str) -> None:
    wanted = {"pid": str(THIS), "process": psutil.Process().name()}[option]
    report = parse(run_as_nobody("conns", "-le", "--port", str(port_of(hidden)), f"--{option}", wanted, "--json"))
    assert report["records"] == []
    assert report["complete"] is False, "nothing was found among the sockets whose owner could be seen: that is not all"
    assert [(item["what"], item["count"]) for item in report["missing"]] == [("owners", 3)]


# --- a machine that hides, and one that changes meanwhile ------------------------------------------------------------


class FakeTable(System):
    """A machine with the sockets that the test says; its processes are gone when they are asked."""

    def __init__(self, *sockets: Socket, uid: int | None = None) -> None:
        """Keep the sockets; ``uid`` is who asks, by default whoever does."""
        self.table = SocketTable("fake", sockets, None)
        self.asked: list[int] = []
        self._uid = uid

    def list_sockets(self, source: str | None = None, question: Question | None = None) -> SocketTable:
        """Give them."""
        del source, question
        return self.table

    def describe_host(self) -> Host:
        """Be the user that the test says."""
        host = super().describe_host()
        return host if self._uid is None else replace(host, uid=self._uid)

    def describe_process(self, pid: int, *, with_cmdline: bool) -> Process:
        """Note that it was asked; it has ended."""
        del with_cmdline
        self.asked.append(pid)
        return Process(pid, None, None, None)


def test_a_column_holds_what_the_records_hold(opened: ExitStack, source: str) -> None:
    """A table of 100 000 sockets is written by columns, so that no record of it need be made."""
    connect(opened, bind(opened, TCP, ANY_V6), "127.0.0.1")
    bind(opened, UDP, "127.0.0.1")
    records = list_connections(source=source, with_tcp=True).records
    assert isinstance(records, Records)
    made = list(records)
    assert len(made) == len(records) >= 4
    for name in names_of(ConnRecord):
        assert list(records.column(name)) == [getattr(record, name) for record in made], name
    assert list(records[1:3]) == made[1:3]
    assert records[-1] == made[-1]


def test_a_process_that_ends_meanwhile_keeps_its_pid() -> None:
    gone = FakeTable(Socket("tcp", "ipv4", "listen", Endpoint("127.0.0.1", 80), None, (4711, 4712)))
    report = list_connections(with_cmdline=True, system=gone)
    unknown = {"process": None, "user": None, "fd": None, "cmdline": None}
    assert to_plain(report.records[0].owners) == [{"pid": 4711, **unknown}, {"pid": 4712, **unknown}]
    assert report.missing == ()
    assert "-[4711] -[4712]" in render(report, "table")
    for form in FORMATS:
        assert "None" not in render(report, form), form


def test_each_process_is_asked_once() -> None:
    rows = [Socket("udp", "ipv4", "unconnected", Endpoint("127.0.0.1", port), None, (4711,)) for port in range(1, 50)]
    machine = FakeTable(*rows)
    assert len(list_connections(system=machine).records) == len(rows)
    assert machine.asked == [4711]


def test_with_no_process_none_is_asked() -> None:
    machine = FakeTable(Socket("udp", "ipv4", "unconnected", Endpoint("127.0.0.1", 53), None, (4711,)))
    assert list_connections(with_process=False, system=machine).records[0].owners is None
    assert machine.asked == []


def test_a_real_process_that_has_ended_tells_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert describe_process(child.pid, with_cmdline=True) == Process(child.pid, None, None, None)


MIXED_ROWS = (
    Socket("tcp", "ipv4", "established", Endpoint("127.0.0.1", 5432), Endpoint("127.0.0.1", 40_001), (30,)),
    Socket("tcp", "ipv4", "established", Endpoint("127.0.0.1", 40_001), Endpoint("127.0.0.1", 5432), (7,)),
    Socket("tcp", "ipv4", "established", Endpoint("127.0.0.1", 5432), Endpoint("127.0.0.1", 40_002), (30, 31)),
    Socket("tcp", "ipv6", "listen", Endpoint("::", 5432), None, (30,)),
    Socket("tcp", "ipv4", "listen", Endpoint("127.0.0.1", 5432), None, (30,)),
    Socket("tcp", "ipv4", "listen", Endpoint("0.0.0.0", 80), None, ()),
    Socket("tcp", "ipv6", "established", Endpoint("127.0.0.1", 80), Endpoint("127.0.0.9", 9), (2,), mapped=True),
    Socket("tcp", "ipv4", "time-wait", Endpoint("127.0.0.1", 9), Endpoint("127.0.0.1", 80), ()),
    Socket("tcp", "ipv4", "odd-new-state", Endpoint("127.0.0.1", 10), Endpoint("127.0.0.1", 80), (2,)),
    Socket("udp", "ipv4", "unconnected", Endpoint("127.0.0.1", 5432), None, (7,)),
    Socket("udp", "ipv6", "unconnected", Endpoint("::1", 53), None, (9,)),
)


def sort_value(row: Row, key: str) -> object:
    """Write what a row is ordered by, as the help says it."""
    owners = row["owners"] or [{"pid": 0, "process": None}]
    values: dict[str, object] = {
        "state": STATES.index(row["state"]) if row["state"] in STATES else len(STATES),
        "port": row["local"]["port"],
        "proto": row["proto"],
        "local": row["local"]["address"],
        "remote": (row["remote"]["address"], row["remote"]["port"]) if row["remote"] else ("", 0),
        "pid": owners[0]["pid"],
        "process": owners[0]["process"] or "",
    }
    return values[key]


@pytest.mark.parametrize("key", SORT_KEYS)
def test_rows_are_sorted_the_same_whatever_order_they_are_read_in(key: str) -> None:
    sorted_rows = to_plain(list_connections(sort=key, system=FakeTable(*MIXED_ROWS)).records)
    assert len(sorted_rows) == len(MIXED_ROWS)
    values = [sort_value(row, key) for row in sorted_rows]
    assert values == sorted(values)  # type: ignore[type-var]  # one key's values compare
    shuffled = list(MIXED_ROWS)
    for seed in range(20):
        random.Random(seed).shuffle(shuffled)  # noqa: S311 - an order, not a secret
        assert to_plain(list_connections(sort=key, system=FakeTable(*shuffled)).records) == sorted_rows


@pytest.mark.parametrize("key", SORT_KEYS)
def test_every_sort_key_is_an_option(zoo: Zoo, key: str) -> None:
    assert zoo.shown("--sort", key) == ALL


HIDE_PROC = "mount -t tmpfs none /proc"


def run_with_hidden_proc(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run lodiag where /proc is an empty directory, in a mount namespace of its own."""
    lodiag = f'{HIDE_PROC} && exec "$0" -m lodiag "$@"'
    return run_in_world(LO_UP, command=("unshare", "-m", "sh", "-c", lodiag, sys.executable, *arguments))


def test_without_proc_netlink_tells_the_sockets_and_not_who_owns_them() -> None:
    script = "import socket, subprocess, sys; s = socket.create_server(('127.0.0.1', 0)); subprocess.run(sys.argv[1:])"
    setup = f'{HIDE_PROC} && exec "$0" -c "$1" "$0" -m lodiag conns --json'
    command = ("unshare", "-m", "sh", "-c", setup, sys.executable, script)
    report = parse(run_in_world(LO_UP, command=command))
    (row,) = report["records"]
    assert (report["source"], report["complete"]) == ("sock_diag", False)
    assert (row["owners"], row["uid"], row["backlog"]) == (None, report["host"]["uid"], 128)
    assert [(item["what"], item["count"]) for item in report["missing"]] == [("owners", 1)]


@pytest.mark.parametrize("source", ["proc", "psutil"])
def test_without_proc_there_is_one_sentence_and_no_traceback(source: str) -> None:
    done = run_with_hidden_proc("conns", "--source", source)
    assert (done.returncode, done.stdout) == (2, "")
    first, *more = done.stderr.splitlines()
    assert re.fullmatch(r"lodiag conns: error \[unsupported\]: .*socket table.*", first)
    assert [line.partition(":")[0] for line in more] == ["hint"]


@pytest.mark.parametrize("command", ["ping -c 1 -W 2", "trace"])
def test_without_proc_the_other_commands_work(command: str) -> None:
    done = run_with_hidden_proc(*command.split(), "127.0.0.1", "--json")
    assert done.stderr == ""
    assert parse(done)["host"]["netns"] is None
    assert done.returncode == 0


def test_with_hidepid_owners_are_hidden_and_counted() -> None:
    if os.geteuid() != 0:
        skip_world("only root can hide processes from another user")
    require_readable_python()
    script = (
        "mount -t proc -o hidepid=2 proc /proc\n"
        'mkfifo "$1/ready"\n'
        '"$0" -c \'import socket, sys, time; s = socket.create_server(("127.0.0.1", 0)); open(sys.argv[1], "w");'
        ' time.sleep(60)\' "$1/ready" &\n'
        'cat "$1/ready"\n'
        f'{" ".join(NOBODY)} "$0" -m lodiag conns --json\n'
        "status=$?\nkill $!\nexit $status"
    )
    with tempfile.TemporaryDirectory() as folder:
        command = ("unshare", "-m", "-p", "-f", "sh", "-c", script, sys.executable, folder)
        done = run_in_world(LO_UP, command=command)
    report = parse(done)
    assert done.returncode == 0
    assert [row["owners"] for row in report["records"]] == [None]
    assert [item["count"] for item in report["missing"]] == [1]


# --- names that bite -------------------------------------------------------------------------------------------------

NAMES = (
    b"\x1b[2J\xffevil",
    b'a"b\\c|d\n#e',
    b"\xc2\x9b31m\xc2\x85x",  # CSI and NEL as one character each (ECMA-48)
    b"\xe2\x80\xaetxt.exe",  # right-to-left override
    b"`<b>` *_~ (1) 2",
    b"\xc3\xa9t\xc3\xa9\r\t\x7f",
)
HOLDER = """
import os, socket, sys
sock = socket.create_server(("127.0.0.1", 0))
with open("/proc/self/comm", "wb") as comm:
    comm.write(os.fsencode(sys.argv[1]))
print(sock.getsockname()[1], flush=True)
sys.stdin.read()
"""
PLAIN_HOLDER = """
import socket, sys
sock = socket.create_server(("127.0.0.1", 0))
print(sock.getsockname()[1], flush=True)
sys.stdin.read()
"""


class Holder:
    """A process that holds a listener until it is left."""

    def __init__(self, command: list[str | bytes]) -> None:
        """Start it and learn its port."""
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), cwd="/"
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.pid = self._process.pid
        self.port = int(line) if line else 0

    def __enter__(self) -> Self:
        """Return this process."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.communicate()


@pytest.fixture(scope="module")
def villains() -> Iterator[list[Holder]]:
    """Start processes that are named to do harm; their command lines are no better."""
    if not Path("/proc/self/comm").exists():
        pytest.skip("a process can name itself by /proc/self/comm on Linux only")
    with ExitStack() as stack:
        yield [stack.enter_context(Holder([sys.executable, "-c", HOLDER, name])) for name in NAMES]


C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def show_villains(form: str, locale: dict[str, str], *options: str) -> bytes:
    command = [sys.executable, "-m", "lodiag", "conns", "-tl", "--no-wildcard", "--format", form, *options]
    done = subprocess.run(
        command, capture_output=True, stdin=subprocess.DEVNULL, env=environment(**locale), cwd="/", check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


@pytest.mark.parametrize("locale", [{}, C_LOCALE], ids=["own-locale", "C"])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.usefixtures("villains")
def test_no_name_harms_a_reader(form: str, locale: dict[str, str]) -> None:
    shown = show_villains(form, locale, "--cmdline").decode("utf-8")
    harmful = {c for c in shown if not c.isprintable() and c != "\n"}
    assert harmful == set()
    if locale:
        assert shown.isascii()


@pytest.mark.usefixtures("villains")
def test_no_column_slips_behind_a_name_that_a_locale_cannot_spell() -> None:
    lines = show_villains("table", C_LOCALE, "--columns", "process,proto").decode("ascii").split("\n\n")[0].splitlines()
    at = lines[0].index("proto")
    assert {line[at:] for line in lines} == {"proto", "tcp"}


@pytest.mark.parametrize("locale", [{}, C_LOCALE], ids=["own-locale", "C"])
def test_json_keeps_every_name_readable(villains: list[Holder], locale: dict[str, str]) -> None:
    report = json.loads(show_villains("json", locale))
    for holder, name in zip(villains, NAMES, strict=True):
        owners = row_at(report, holder.port)["owners"]
        assert [owner["process"] for owner in owners] == [name.decode("utf-8", "backslashreplace")]


def test_no_name_breaks_the_shape_of_a_format(villains: list[Holder]) -> None:
    ports = {str(holder.port) for holder in villains}
    table = show_villains("table", {}).decode().splitlines()
    assert {line.split()[2].rpartition(":")[2] for line in table[1:] if line.startswith("tcp")} >= ports
    rows = list(csv.DictReader(io.StringIO(show_villains("csv", {}).decode())))
    assert {row["local.port"] for row in rows} >= ports
    lines = [json.loads(line) for line in show_villains("jsonl", {}).decode().splitlines()]
    assert {str(line["local"]["port"]) for line in lines if line["type"] == "record"} >= ports
    markdown = [line for line in show_villains("markdown", {}).decode().splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in markdown}) == 1


def test_a_process_is_found_by_its_bytes(villains: list[Holder]) -> None:
    report = run_json("conns", "--process", "\x1b[2J")
    assert [row["local"]["port"] for row in report["records"]] == [villains[0].port]


# --- bad arguments ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--port", text] for text in ("", "x", "1e3", "80.0", "65536", "70000", "1" * 400, "1" * 5000, "\x1b[2J")),
        ["--port=-1"],
        *(["--pid", text] for text in ("", "x", "1.5", "nan", "1" * 400)),
        ["--pid=-1"],
        *(["--state", text] for text in ("", "nope", "listen,", ",", "listen;estab", "\x1b[2J", "x" * 10_000)),
        *(["--sort", text] for text in ("", "nope", "Port")),
        ["-4", "-6"],
        ["--format", "xml"],
        ["--no-process", "--pid", "1"],
        ["--no-process", "--process", "x"],
        ["127.0.0.1"],
        ["--no-such-option"],
    ],
    ids=lambda arguments: " ".join(arguments)[:40].encode("unicode_escape").decode(),
)
def test_bad_arguments_are_refused_in_one_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conns", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    errors = [line for line in err.splitlines() if line.startswith("lodiag conns: error [")]
    assert len(errors) == 1
    assert err.count("\n") <= 3, "at most a usage line, the sentence and a hint"
    assert err.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "wrong",
    [
        {"proto": "icmp"},
        {"family": "inet"},
        {"port": -1},
        {"port": 65_536},
        {"port": 10**400},
        {"sort": "x"},
        {"states": ["x"]},
        {"pid": -1},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_the_library_refuses_them_too(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        list_connections(**wrong)


# --- a peer ----------------------------------------------------------------------------------------------------------

PARITY = """
import json, socket, subprocess, time
from lodiag import list_connections
from lodiag.model import to_plain

kept = []

def bound(kind, address, only_v6=False, reuse=False, port=0):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    if ":" in address:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_v6)
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((address, port))
    if kind == socket.SOCK_STREAM:
        sock.listen()
    kept.append(sock)
    return sock

def pair(server, address):
    client = socket.create_connection((address, server.getsockname()[1]))
    accepted = server.accept()[0]
    kept.extend((client, accepted))
    return client, accepted

tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
for kind in (tcp, udp):
    for address in ("127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"):
        bound(kind, address)
    bound(kind, "::", only_v6=True)
    first = bound(kind, "127.0.0.1", reuse=True)
    bound(kind, "127.0.0.1", reuse=True, port=first.getsockname()[1])
four, six, dual = bound(tcp, "127.0.0.1"), bound(tcp, "::1"), bound(tcp, "::")
pair(four, "127.0.0.1"), pair(six, "::1"), pair(dual, "127.0.0.1"), pair(dual, "::1")
client, accepted = pair(four, "127.0.0.1")
client.close(), accepted.recv(1), accepted.close()
client, accepted = pair(dual, "127.0.0.1")
client.close(), accepted.recv(1)
client, accepted = pair(six, "::1")
client.shutdown(socket.SHUT_WR), accepted.recv(1)
for address in ("127.0.0.1", "::1"):
    bound(udp, address).connect(bound(udp, address).getsockname())
patience = time.monotonic() + 10
while True:
    peer = subprocess.run(["ss", "-tuaneH"], capture_output=True, text=True, check=True).stdout
    if not {"FIN-WAIT-1", "LAST-ACK"} & set(peer.split()) or time.monotonic() > patience:
        break
print(json.dumps({"ss": peer, "rows": to_plain(list_connections(with_process=False).records)}))
"""
PEER_STATES = {"estab": "established", "unconn": "unconnected"}


def read_peer_end(text: str) -> tuple[str, str] | None:
    """Read ``[::ffff:127.0.0.1]:80``, ``*:80`` or ``0.0.0.0:*`` as an address and a port."""
    address, _, port = text.rpartition(":")
    address = address.strip("[]").removeprefix("::ffff:")
    return None if port == "*" else ("::" if address == "*" else address, port)


def read_end(end: Row | None) -> tuple[str, str] | None:
    return None if end is None else (end["address"], str(end["port"]))


def test_the_rows_are_those_of_ss() -> None:
    """Also inode, cookie and queues."""
    if shutil.which("ss") is None:
        skip_world("ss is not installed")
    done = run_in_world(LO_UP, command=(sys.executable, "-c", PARITY))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    theirs: Counter[tuple[object, ...]] = Counter()
    for line in told["ss"].splitlines():
        proto, state, recv_q, send_q, local, remote, *more = line.split()
        ids = dict(word.split(":", 1) for word in more if word.startswith(("ino:", "sk:")))
        ends = read_peer_end(local), read_peer_end(remote)
        name = PEER_STATES.get(state.lower(), state.lower())
        theirs[proto, name, *ends, int(recv_q), int(send_q), int(ids.get("ino", 0)), ids["sk"]] += 1
    ours: Counter[tuple[object, ...]] = Counter(
        (
            *(r["proto"], r["state"], read_end(r["local"]), read_end(r["remote"])),
            *((r["accept_queue"], r["backlog"]) if r["state"] == "listen" else (r["recv_q_bytes"], r["send_q_bytes"])),
            *(r["inode"], r["cookie"]),
        )
        for r in told["rows"]
    )
    assert {state for _, state, *_ in ours} == {
        *("listen", "established", "unconnected", "time-wait", "close-wait", "fin-wait-2")
    }
    assert ours == theirs
