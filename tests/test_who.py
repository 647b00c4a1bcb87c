"""``lodiag who``: the test opens the sockets, then asks lodiag who answers."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
import pytest
from running import (
    LO_UP,
    assert_refused,
    parse,
    require_loopback,
    run_as_nobody,
    run_in_world,
    run_lodiag,
    run_without_netlink,
    skip_world,
)
from samples import make_who_owner, make_who_socket

from lodiag.cli import main
from lodiag.errors import ConfigError, TargetError, UnsupportedError
from lodiag.judge.services import are_strangers
from lodiag.judge.who_words import name_owners
from lodiag.model.conns import Endpoint
from lodiag.sockets.answers import choose
from lodiag.system import System
from lodiag.system.facts import Condition, Holder, Interface, Process, Question, Socket, SocketTable
from lodiag.system.sources import SourceRefusedError
from lodiag.targets import split_target
from lodiag.who import find_answerer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from lodiag.model.who import WhoSocket

    Row = dict[str, Any]

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
KINDS = {"tcp": TCP, "udp": UDP}
V4, V6 = "127.0.0.1", "::1"
ANY_V4, ANY_V6 = "0.0.0.0", "::"
THIS = os.getpid()


def has_lookup() -> bool:
    try:
        System().look_up_socket("tcp", (V4, 1), (V4, 0))
    except SourceRefusedError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_lookup(), reason="this machine has no sock_diag lookup")


class Who:
    """Runs ``lodiag who ... --json`` in this process, so that it sees this process's sockets whoever runs it."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Take what this process prints."""
        self._capsys = capsys
        self.status: int | None = None

    def __call__(self, *arguments: str | int) -> dict[str, Any]:
        """Ask, and parse the report."""
        self.status = main(["who", *map(str, arguments), "--json"])
        out, err = self._capsys.readouterr()
        assert err == ""
        report: dict[str, Any] = json.loads(out)
        assert self.status == (0 if report["summary"]["answered"] else 1)
        return report


@pytest.fixture
def who(capsys: pytest.CaptureFixture[str]) -> Who:
    """Ask who answers."""
    return Who(capsys)


def bind(  # noqa: PLR0913 - what a socket is bound by
    opened: ExitStack,
    address: str,
    port: int = 0,
    *,
    kind: int = TCP,
    only_v6: bool = False,
    reuse: bool = False,
    listens: bool = True,
    backlog: int = 128,
) -> socket.socket:
    """Bind a socket, and listen if it can; skip the test where there is no such address."""
    port = port or find_idle_port(kind)
    sock = opened.enter_context(closing(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)))
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_v6)
        sock.bind((address, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise
        pytest.skip(f"no socket on {address}: {error}")
    if kind == TCP and listens:
        sock.listen(backlog)
    return sock


def find_idle_port(kind: int) -> int:
    """A port that no socket has at any address, not even a connection of another test that waits for its end."""
    family, wildcard = (socket.AF_INET6, "::") if socket.has_dualstack_ipv6() else (socket.AF_INET, "0.0.0.0")
    with socket.socket(family, kind) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((wildcard, 0))
        return port_of(sock)


def bind_both(opened: ExitStack, first: str, second: str, **options: Any) -> tuple[socket.socket, socket.socket]:
    """Bind two sockets to one port of two addresses: another process may have the second, so try some."""
    for _ in range(50):
        one = bind(opened, first, **options)
        try:
            return one, bind(opened, second, port_of(one), **options)
        except OSError:
            one.close()
    pytest.fail("no port is free at both addresses")


def connect(opened: ExitStack, server: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Connect to a listener: the client's end and the server's, closed by RST so that nothing stays behind."""
    client = opened.enter_context(closing(socket.create_connection((V4, port_of(server)))))
    accepted, _ = server.accept()
    for sock in (client, accepted):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return client, opened.enter_context(closing(accepted))


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def at(report: dict[str, Any], address: str, proto: str = "tcp") -> Row:
    """Take the record of an address."""
    (row,) = [row for row in report["records"] if (row["proto"], row["address"]) == (proto, address)]
    return dict(row)


def find(report: dict[str, Any], code: str) -> list[Row]:
    return [finding for finding in report["findings"] if finding["code"] == code]


def one(report: dict[str, Any], code: str) -> Row:
    (finding,) = find(report, code)
    return dict(finding)


def codes(report: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in report["findings"]}


CHILD = """
import socket, sys
address, port, name, option = sys.argv[1:]
if name:
    open("/proc/self/comm", "w").write(name)
sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
if sock.family == socket.AF_INET6:
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
if option:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
sock.bind((address, int(port)))
sock.listen()
print(flush=True)
sys.stdin.read()
"""


@contextmanager
def another(address: str, port: int, *, name: str = "", reuse: bool = False) -> Iterator[int]:
    """Let another process listen, and give its pid."""
    require_loopback(address)
    command = [sys.executable, "-c", CHILD, address, str(port), name, "x" if reuse else ""]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline(), "it could not listen"
        yield child.pid
        child.communicate()


class Ordered(System):
    """This machine, but localhost has these addresses in this order."""

    def __init__(self, *addresses: str) -> None:
        """Keep the addresses."""
        self._addresses = addresses

    def resolve(self, name: str, family: str | None) -> tuple[str, ...]:
        """Give them."""
        del family
        if not self._addresses:
            message = f"cannot resolve {name}"
            raise TargetError(message)
        return self._addresses


# --- who answers -----------------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """An address to bind to, and how it answers at 127.0.0.1 and at ::1."""

    address: str
    v4: str | None
    v6: str | None
    only_v6: bool = False


PLACES = (
    Place(V4, "specific", None),
    Place(ANY_V4, "wildcard", None),
    Place(V6, None, "specific"),
    Place(ANY_V6, "dual-stack-wildcard", "wildcard"),
    Place(ANY_V6, None, "wildcard", only_v6=True),
    Place("::ffff:127.0.0.1", "specific", None),
    Place("::ffff:0.0.0.0", "wildcard", None),
)
every_place = pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.address}{'-only' * place.only_v6}")


@every_place
@pytest.mark.parametrize("proto", KINDS)
def test_who_answers_and_how(opened: ExitStack, who: Who, place: Place, proto: str) -> None:
    require_loopback(V6)
    sock = bind(opened, place.address, kind=KINDS[proto], only_v6=place.only_v6)
    report = who(port_of(sock), f"--{proto}")
    assert (who.status, report["source"], report["complete"]) == (0, "sock_diag", True)
    for address, how in ((V4, place.v4), (V6, place.v6)):
        row = at(report, address, proto)
        assert (row["answered"], row["how"], row["method"]) == (how is not None, how, "lookup")
        assert row["status"] == ("refused" if how is None else "answered")
        assert (row["socket"] is None) == (how is None)
        if how is not None:
            assert row["socket"]["local"]["address"] == place.address.removeprefix("::ffff:")
            assert row["socket"]["owners"][0]["pid"] == THIS
            assert row["socket"]["inode"] == os.fstat(sock.fileno()).st_ino
    is_mismatch = (place.v4 is None) != (place.v6 is None)
    assert ("family-mismatch" in codes(report)) == is_mismatch


def test_an_answer_tells_owner_start_and_queue(opened: ExitStack, who: Who) -> None:
    server = bind(opened, V4, backlog=7)
    opened.enter_context(closing(socket.create_connection(server.getsockname())))
    found = at(who(port_of(server), "--cmdline"), V4)["socket"]
    (owner,) = found["owners"]
    process = psutil.Process()
    started = datetime.fromtimestamp(process.create_time(), UTC)
    told = datetime.fromisoformat(owner["started_at"])
    assert abs((told - started).total_seconds()) <= 1
    assert (owner["process"], owner["fd"]) == (process.name(), server.fileno())
    assert owner["cmdline"] == " ".join(process.cmdline())
    assert (found["accept_queue"], found["backlog"], found["drops"]) == (1, 7, 0)
    assert found["uid"] == os.geteuid()
    assert found["state"] == "listen"
    server.accept()[0].close()


def test_without_being_asked_no_command_line_is_read(opened: ExitStack, who: Who) -> None:
    server = bind(opened, V4)
    assert at(who(port_of(server)), V4)["socket"]["owners"][0]["cmdline"] is None


def test_nobody(opened: ExitStack, who: Who) -> None:
    sock = bind(opened, V4)
    port = port_of(sock)
    sock.close()
    report = who(port)
    assert who.status == 1
    assert {(row["answered"], row["status"]) for row in report["records"] if row["address"] == V4} == {
        (False, "refused")
    }
    assert one(report, "nobody-answers")["subject"] == f"localhost:{port}"


@pytest.mark.parametrize(
    "form", ["{port}", ":{port}", "127.0.0.1:{port}", "127.1:{port}", "localhost:{port}", "0{port}"]
)
def test_a_target_may_be_written_so(opened: ExitStack, who: Who, form: str) -> None:
    server = bind(opened, V4)
    report = who(form.format(port=port_of(server)))
    assert at(report, V4)["answered"] is True
    assert report["summary"]["port"] == port_of(server)
    if form.startswith("127"):
        assert {row["address"] for row in report["records"]} == {V4}


def test_an_address_of_ipv6_stands_in_brackets(opened: ExitStack, who: Who) -> None:
    server = bind(opened, V6)
    report = who(f"[::1]:{port_of(server)}")
    assert [(row["proto"], row["address"], row["answered"]) for row in report["records"]] == [
        ("tcp", V6, True),
        ("udp", V6, False),
    ]
    assert report["summary"]["verdict"].startswith(f"A client that asks for [::1]:{port_of(server)} by TCP reaches ")


def test_protocol_and_family_choose(opened: ExitStack, who: Who) -> None:
    server = bind(opened, V4)
    report = who("-t", "-4", port_of(server))
    assert [(row["proto"], row["address"]) for row in report["records"]] == [("tcp", V4)]
    report = who("-u", "-6", port_of(server))
    assert [(row["proto"], row["address"]) for row in report["records"]] == [("udp", V6)]


def test_every_loopback_address_that_somebody_bound_is_asked(opened: ExitStack, who: Who) -> None:
    server, _ = bind_both(opened, V4, "127.0.0.2")
    report = who(port_of(server), "-t")
    assert [row["address"] for row in report["records"] if row["address"] != V6] == [V4, "127.0.0.2"]
    assert all(row["answered"] for row in report["records"] if row["address"] != V6)


def test_a_listener_bound_to_the_loopback_interface_answers(opened: ExitStack, who: Who) -> None:
    sock = opened.enter_context(closing(socket.socket()))
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    except OSError as error:
        pytest.skip(f"no socket may be bound to lo: {error}")
    sock.bind((ANY_V4, 0))
    sock.listen()
    row = at(who(port_of(sock)), V4)
    assert (row["answered"], row["how"], row["socket"]["interface"]) == (True, "wildcard", "lo")


@pytest.mark.parametrize("address", [V4, ANY_V4, ANY_V6])
def test_connections_do_not_answer_and_accepted_ones_hold_nothing(opened: ExitStack, who: Who, address: str) -> None:
    server = bind(opened, address)
    connect(opened, server)
    report = who(port_of(server), "-t")
    assert at(report, V4)["socket"]["state"] == "listen"
    assert held_by_whom(report) == []


# --- what a client of localhost meets --------------------------------------------------------------------------------


def sentence(port: int, *addresses: str, proto: str | None = "tcp") -> str:
    """Tell the sentence, without pids, where localhost has these addresses."""
    told = find_answerer(port, proto=proto, system=Ordered(*addresses)).summary.verdict
    told = told.removeprefix(f"A client that asks for localhost:{port} ").replace(psutil.Process().name(), "NAME")
    return re.sub(r"\[\d+\]( of [^ ]+\.(service|scope))?", "", told)


def test_the_sentence_follows_the_resolver(opened: ExitStack) -> None:
    require_loopback(V6)
    port = port_of(bind(opened, V4))
    assert sentence(port, V4) == "by TCP reaches NAME at 127.0.0.1."
    assert sentence(port, V4, V6) == (
        "by TCP reaches NAME at 127.0.0.1, but one that tries ::1 first is refused at ::1."
    )
    assert sentence(port, V6, V4) == (
        "by TCP is refused at ::1, then reaches NAME at 127.0.0.1, if it tries that as well."
    )
    assert sentence(port, V6) == "by TCP is refused at ::1, though 127.0.0.1 would answer."
    assert sentence(port, V6, proto=None) == "by TCP is refused at ::1, though 127.0.0.1 would answer."
    assert sentence(port) == "finds no address for it here."
    assert sentence(port, "192.0.2.1", V4) == (
        "by TCP leaves the loopback for 192.0.2.1, then reaches NAME at 127.0.0.1, if it tries that as well."
    )


def test_the_sentence_says_that_one_socket_answers_at_both(opened: ExitStack) -> None:
    require_loopback(V6)
    port = port_of(bind(opened, ANY_V6))
    assert sentence(port, V6, V4) == "by TCP reaches NAME at ::1 and at 127.0.0.1 too."


def test_the_sentence_tells_protocols_apart(opened: ExitStack) -> None:
    datagrams = bind(opened, V4, kind=UDP)
    assert sentence(port_of(datagrams), V4, proto=None) == "by UDP reaches NAME at 127.0.0.1."
    for _ in range(50):
        stream = bind(opened, V4)
        try:
            bind(opened, V4, port_of(stream), kind=UDP)
            break
        except OSError:
            continue
    assert sentence(port_of(stream), V4, proto=None) == "by TCP or UDP reaches NAME at 127.0.0.1."


@pytest.mark.parametrize(("addresses", "severity"), [((V4,), "info"), ((V4, V6), "warn"), ((V6, V4), "warn")])
def test_a_mismatch_is_a_warning_if_localhost_leads_to_it(
    opened: ExitStack, addresses: tuple[str, ...], severity: str
) -> None:
    require_loopback(V6)
    report = find_answerer(port_of(bind(opened, V4)), proto="tcp", system=Ordered(*addresses))
    (finding,) = [found for found in report.findings if found.code == "family-mismatch"]
    assert finding.severity == severity
    assert finding.message == "127.0.0.1 answers, ::1 refuses: clients that try ::1 first fail"
    assert report.exit_status == 0


def test_the_other_mismatch(opened: ExitStack, who: Who) -> None:
    report = who(port_of(bind(opened, V6)), "-t")
    message = "::1 answers, 127.0.0.1 refuses: clients that try 127.0.0.1 first fail"
    assert one(report, "family-mismatch")["message"] == message
    assert one(report, "family-mismatch")["severity"] == "warn"


# --- sharing ---------------------------------------------------------------------------------------------------------


def test_two_services_on_one_port(opened: ExitStack, who: Who) -> None:
    require_loopback(V6)
    mine = bind(opened, V4)
    with another(V6, port_of(mine)) as pid:
        report = who(port_of(mine), "-t")
        told = find_answerer(port_of(mine), proto="tcp", system=Ordered(V6, V4)).summary.verdict
    found = one(report, "two-services-on-one-port")
    assert found["severity"] == "warn"
    assert f"[{THIS}]" in found["message"]
    assert f"[{pid}]" in found["message"]
    assert re.search(
        rf"reaches \S+\[{pid}\].* at ::1, but one that tries 127.0.0.1 first reaches \S+\[{THIS}\].* at 127.0.0.1\.$",
        told,
    )


@pytest.mark.parametrize("second", [V6, "127.0.0.2"])
def test_one_process_at_two_addresses_is_one_service(opened: ExitStack, who: Who, second: str) -> None:
    require_loopback(second)
    server, _ = bind_both(opened, V4, second)
    assert "two-services-on-one-port" not in codes(who(port_of(server), "-t"))


def test_two_services_at_two_addresses_of_ipv4(opened: ExitStack, who: Who) -> None:
    mine = bind(opened, V4)
    with another("127.0.0.2", port_of(mine)):
        assert "two-services-on-one-port" in codes(who(port_of(mine), "-t"))


def test_what_is_bound_to_the_address_goes_before_the_wildcard(opened: ExitStack, who: Who) -> None:
    server, wildcard = bind_both(opened, V4, ANY_V4, reuse=True)
    report = who(port_of(server), "-t")
    assert at(report, V4)["socket"]["inode"] == os.fstat(server.fileno()).st_ino
    assert one(report, "specific-shadows-wildcard")["severity"] == "info", "both are this process's"
    wildcard.close()
    assert "specific-shadows-wildcard" not in codes(who(port_of(server), "-t"))


def test_a_stranger_before_the_wildcard_is_a_warning(opened: ExitStack, who: Who) -> None:
    wildcard = bind(opened, ANY_V4, reuse=True)
    with another(V4, port_of(wildcard), reuse=True) as pid:
        report = who(port_of(wildcard), "-t")
    found = one(report, "specific-shadows-wildcard")
    assert found["severity"] == "warn"
    assert re.search(rf"\[{pid}\].* goes before .*\[{THIS}\]", found["message"])
    assert re.search(rf"\[{pid}\].* at 127.0.0.1, before the wildcard of .*\[{THIS}\]", report["summary"]["verdict"])


@pytest.mark.parametrize("proto", KINDS)
def test_a_group_is_shown_whole(opened: ExitStack, who: Who, proto: str) -> None:
    first, second = bind_both(opened, V4, V4, reuse=True, kind=KINDS[proto])
    report = who(port_of(first), f"--{proto}")
    row = at(report, V4, proto)
    inodes = {os.fstat(sock.fileno()).st_ino for sock in (first, second)}
    assert {item["inode"] for item in row["shared_by"]} == inodes
    assert row["socket"]["inode"] in inodes
    assert one(report, "reuseport-group")["severity"] == "info"
    assert f"one of 2 sockets of {psutil.Process().name()}[{THIS}]" in report["summary"]["verdict"]


@pytest.mark.parametrize("name", ["stranger", ""])
def test_different_programs_in_a_group_are_strangers(opened: ExitStack, who: Who, name: str) -> None:
    """Also if they have the same name, as all that Python runs does."""
    if name and sys.platform != "linux":
        pytest.skip("a process is renamed by Linux's /proc")
    mine = bind(opened, V4, reuse=True)
    with another(V4, port_of(mine), name=name or psutil.Process().name()[:15], reuse=True) as pid:
        report = who(port_of(mine), "-t")
    found = one(report, "reuseport-strangers")
    assert "one of 2 sockets of " in report["summary"]["verdict"]
    assert all(f"[{owner}]" in report["summary"]["verdict"] for owner in (THIS, pid))
    assert found["severity"] == "warn"
    assert any(f"[{pid}]" in str(item["value"]) for item in found["evidence"])


def test_workers_that_run_one_program_are_one_service(opened: ExitStack, who: Who) -> None:
    mine = bind(opened, V4, reuse=True)
    port = port_of(mine)
    with another(V4, port, reuse=True) as first, another(V4, port, reuse=True) as second:
        mine.close()
        report = who(port, "-t")
    assert {owner["pid"] for item in at(report, V4)["shared_by"] for owner in item["owners"]} == {first, second}
    assert one(report, "reuseport-group")["severity"] == "info"
    assert find(report, "reuseport-strangers") == []


def test_the_workers_of_a_server_are_all_owners(opened: ExitStack, who: Who) -> None:
    server = bind(opened, V4)
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, pass_fds=[server.fileno()], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        report = who(port_of(server), "-t")
        worker.communicate()
    row = at(report, V4)
    assert {owner["pid"] for owner in row["socket"]["owners"]} == {THIS, worker.pid}
    assert (row["shared_by"], codes(report) & {"reuseport-group", "two-services-on-one-port"}) == ([], set())


# --- held without an answer ------------------------------------------------------------------------------------------


def held_by_whom(report: dict[str, Any]) -> list[tuple[str, int]]:
    """Tell what this process holds: another's client may have been given the same port to talk to somebody else."""
    owned = [(item["state"], owner["pid"]) for item in report["summary"]["held"] for owner in item["owners"] or ()]
    return [(state, pid) for state, pid in owned if pid == THIS]


def refuses_bind(address: str, port: int, *, reuse: bool = False) -> bool:
    with socket.socket() as sock:
        if reuse:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
        return False


def test_a_port_that_is_bound_and_does_not_listen(opened: ExitStack, who: Who) -> None:
    sock = bind(opened, V4, listens=False)
    report = who(port_of(sock), "-t")
    if not report["summary"]["held"]:
        pytest.skip("this kernel does not tell sockets that are bound and do not listen")
    assert who.status == 1
    assert refuses_bind(V4, port_of(sock))
    assert held_by_whom(report) == [("bound", THIS)]
    assert one(report, "port-held")["severity"] == "warn"
    assert f"; the port is held (bound) by {psutil.Process().name()}[{THIS}]" in report["summary"]["verdict"]


def test_a_port_that_a_client_was_given(opened: ExitStack, who: Who) -> None:
    client, _ = connect(opened, bind(opened, V4))
    report = who(port_of(client), "-t")
    assert held_by_whom(report) == [("established", THIS)]
    assert refuses_bind(V4, port_of(client), reuse=True)
    assert one(report, "port-held")["severity"] == "warn"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse a socket that connects to itself")
def test_a_client_that_is_connected_to_itself(opened: ExitStack, who: Who) -> None:
    client = bind(opened, V4, listens=False)
    client.connect(client.getsockname())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    report = who(port_of(client), "-t")
    assert (who.status, held_by_whom(report)) == (1, [("established", THIS)])
    assert "connected to itself" in one(report, "port-held")["hint"]


def test_a_port_that_a_server_left_with_its_connections(opened: ExitStack, who: Who) -> None:
    server = bind(opened, V4)
    connect(opened, server)
    port = port_of(server)
    server.close()
    assert refuses_bind(V4, port)
    assert held_by_whom(who(port, "-t")) == [("established", THIS)]


def test_a_connected_udp_socket_answers_its_peer_only(opened: ExitStack, who: Who) -> None:
    near, far = bind(opened, V4, kind=UDP), bind(opened, V4, kind=UDP)
    near.connect(far.getsockname())
    report = who(port_of(near), "-u")
    assert at(report, V4, "udp")["answered"] is False
    assert held_by_whom(report) == [("established", THIS)]
    assert one(report, "port-held")["subject"] == f"udp port {port_of(near)}"


def test_a_connected_udp_socket_beside_one_that_answers_is_told(opened: ExitStack, who: Who) -> None:
    near, far = bind_both(opened, V4, V4, kind=UDP, reuse=True)
    near.connect((V4, 9))
    report = who(port_of(far), "-u")
    assert at(report, V4, "udp")["socket"]["inode"] == os.fstat(far.fileno()).st_ino
    assert (at(report, V4, "udp")["shared_by"], held_by_whom(report)) == ([], [("established", THIS)])


def test_a_socket_that_holds_another_address_is_worth_no_warning(opened: ExitStack, who: Who) -> None:
    server = bind(opened, V4)
    try:
        bind(opened, "127.0.0.2", port_of(server), listens=False)
    except OSError as error:
        pytest.skip(str(error))
    report = who(port_of(server), "-t")
    if not report["summary"]["held"]:
        pytest.skip("this kernel does not tell sockets that are bound and do not listen")
    assert one(report, "port-held")["severity"] == "info"


def wait_out(opened: ExitStack) -> int:
    """Leave a connection in TIME_WAIT at the client's end, and give its port."""
    server = bind(opened, V4)
    client = opened.enter_context(closing(socket.create_connection(server.getsockname())))
    accepted, _ = server.accept()
    port = port_of(client)
    client.close()
    accepted.recv(1)
    accepted.close()
    return port


def test_a_port_in_time_wait_cannot_be_bound(opened: ExitStack, who: Who) -> None:
    port = wait_out(opened)
    patience = time.monotonic() + 10
    report = who(port, "-t")
    while not report["summary"]["time_waits"] and time.monotonic() < patience:
        report = who(port, "-t")
    assert refuses_bind(V4, port), "this is what the finding says"
    assert refuses_bind(V4, port, reuse=True), "the client had not set SO_REUSEADDR"
    found = one(report, "time-wait-blocks-bind")
    assert found["severity"] == "warn"
    assert 0 < report["summary"]["time_wait_ms"] <= 60_000
    assert held_by_whom(report) == []
    assert re.search(r"; the port is held for \d+ s more by TIME_WAIT\.$", report["summary"]["verdict"])


def test_time_wait_beside_a_listener_blocks_nothing(opened: ExitStack, who: Who) -> None:
    server = bind(opened, V4)
    client = opened.enter_context(closing(socket.create_connection(server.getsockname())))
    accepted, _ = server.accept()
    accepted.close()
    client.recv(1)
    client.close()
    report = who(port_of(server), "-t")
    assert (report["summary"]["time_waits"], "time-wait-blocks-bind" in codes(report)) == (0, False)


def test_a_service_at_another_address_only(opened: ExitStack, who: Who) -> None:
    server = bind(opened, "127.0.1.1")
    report = who(port_of(server), "-t")
    assert who.status == 0
    assert (at(report, V4)["answered"], at(report, "127.0.1.1")["answered"]) == (False, True)
    assert f"answers at 127.0.1.1:{port_of(server)} only" in one(report, "only-at-another-address")["message"]
    report = who(f"127.0.0.1:{port_of(server)}", "-t")
    assert who.status == 1
    assert codes(report) == {"nobody-answers", "only-at-another-address"}


@pytest.mark.skipif(sys.platform != "linux", reason="the queue is Linux's")
def test_a_full_queue_is_said(opened: ExitStack, who: Who) -> None:
    server = bind(opened, V4, backlog=0)
    opened.enter_context(closing(socket.create_connection(server.getsockname())))
    report = who(port_of(server), "-t")
    assert one(report, "accept-queue-full")["severity"] == "warn"
    assert (at(report, V4)["socket"]["accept_queue"], at(report, V4)["socket"]["backlog"]) == (1, 0)
    assert ", whose queue is full, at 127.0.0.1" in report["summary"]["verdict"]
    server.accept()[0].close()


# --- worlds ----------------------------------------------------------------------------------------------------------


SERVE = """
import socket, subprocess, sys
server = socket.create_server((sys.argv[1], 0))
arguments = [word.replace("PORT", str(server.getsockname()[1])) for word in sys.argv[3:]]
if sys.argv[2]:
    subprocess.run(sys.argv[2], shell=True, check=True)
sys.exit(subprocess.run([sys.executable, "-m", "lodiag", *arguments]).returncode)
"""


def run_served(setup: str, address: str, then: str, *arguments: str) -> Any:
    """Ask in a world of its own where something listens, after ``then`` was done to that world."""
    return run_in_world(setup, command=(sys.executable, "-c", SERVE, address, then, *arguments))


def test_an_address_that_was_taken_from_the_interface_is_not_answered() -> None:
    """Whatever listens at every address: nothing reaches it there."""
    world = f"{LO_UP}\nip address del 127.0.0.1/8 dev lo\nip address add 127.0.0.2/32 dev lo"
    done = run_served(world, ANY_V4, "", "who", "-t", "127.0.0.1:PORT", "--json")
    assert (done.returncode, at(parse(done), V4)["status"]) == (1, "no-address")
    done = run_served(world, ANY_V4, "", "who", "-t", "127.0.0.2:PORT", "--json")
    assert (done.returncode, at(parse(done), "127.0.0.2")["status"]) == (0, "answered")


def test_with_the_interface_down_nobody_is_reached() -> None:
    done = run_served(LO_UP, ANY_V4, "ip link set lo down", "who", "-t", "PORT", "--json")
    report = parse(done)
    row = at(report, V4)
    assert (done.returncode, row["answered"], row["status"]) == (1, False, "lo-down")
    assert row["socket"]["local"]["address"] == ANY_V4, "it would answer if the interface were up"
    assert report["findings"][0]["code"] == "lo-down"
    assert report["findings"][0]["fix"]["commands"] == ["ip link set lo up"]
    assert "nobody-answers" in codes(report)
    assert "because the loopback interface is down" in report["summary"]["verdict"]


def test_an_address_that_this_machine_does_not_have_is_not_nobody() -> None:
    world = f"{LO_UP}\necho 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6"
    done = run_served(world, V4, "", "who", "-t", "PORT", "--json")
    report = parse(done)
    assert (at(report, V4)["status"], at(report, V6)["status"]) == ("answered", "no-address")
    assert "family-mismatch" not in codes(report)
    assert done.returncode == 0
    done = run_served(world, V4, "", "who", "-t", "[::1]:PORT", "--json")
    report = parse(done)
    found = one(report, "addr6-missing")
    assert found["fix"]["commands"] == ["sysctl -w net.ipv6.conf.lo.disable_ipv6=0"]
    assert done.returncode == 1
    assert "::1, which this machine does not have" in report["summary"]["verdict"]


COUNT = """
import subprocess, sys
def read():  # not the packets of lo: there the kernel may speak for itself, as by MLD
    lines = [*open("/proc/net/snmp"), *open("/proc/net/snmp6")]
    return [line for line in lines if line.startswith(("Tcp:", "Udp:", "Icmp:", "Udp6", "Icmp6OutEcho"))]
before = read()
done = subprocess.run([sys.executable, "-m", "lodiag", "who", sys.argv[1]], capture_output=True)
print(done.returncode, before == read())
"""


def test_no_packet_is_sent() -> None:
    done = run_in_world(LO_UP, command=(sys.executable, "-c", COUNT, "9"))
    assert done.stdout.split() == ["1", "True"]


def test_a_client_that_left_the_machine_may_hold_the_port() -> None:
    script = """
import socket, sys
from lodiag import find_answerer
server = socket.create_server(("192.0.2.1", 0))
client = socket.create_connection(server.getsockname(), source_address=("192.0.2.2", 0))
report = find_answerer(client.getsockname()[1], proto="tcp")
print([(item.state, item.local.address) for item in report.summary.held])
print(find_answerer(server.getsockname()[1], proto="tcp").findings[-1].code)
"""
    setup = f"{LO_UP}\nip address add 192.0.2.1/32 dev lo\nip address add 192.0.2.2/32 dev lo"
    done = run_in_world(setup, command=(sys.executable, "-c", script))
    assert done.stdout.splitlines() == ["[('established', '192.0.2.2')]", "only-at-another-address"], done.stderr


# --- without the kernel's lookup -------------------------------------------------------------------------------------


def test_where_netlink_is_refused_the_table_tells(opened: ExitStack) -> None:
    port = port_of(bind(opened, V4))
    done = run_without_netlink("who", "-t", str(port), "--json")
    report = parse(done)
    row = at(report, V4)
    assert (done.returncode, report["source"], row["answered"], row["method"]) == (0, "proc", True, "table")
    assert (row["socket"]["backlog"], row["socket"]["accept_queue"]) == (None, 0)
    assert [item["method"] for item in report["summary"]["refused"]] == [
        "sock_diag lookup of tcp and ipv4",
        "sock_diag lookup of tcp and ipv6",
        "sock_diag",
    ]
    assert "sockets that are bound and do not listen" in {item["what"] for item in report["missing"]}


def test_what_the_table_does_not_tell_is_not_guessed(opened: ExitStack) -> None:
    require_loopback(V6)
    port = port_of(bind(opened, ANY_V6))
    report = parse(run_without_netlink("who", "-t", str(port), "--json"))
    assert (at(report, V4)["answered"], at(report, V4)["status"]) == (None, "unknown")
    assert (at(report, V6)["answered"], at(report, V6)["how"]) == (True, "wildcard")
    assert "family-mismatch" not in codes(report)
    assert_refused(run_without_netlink("who", "-t", f"127.0.0.1:{port}"), "takes IPv4 is not told")


def test_rules_choose_as_the_kernel_does() -> None:
    """Every set of places that may share a port by SO_REUSEPORT: whom the kernel names, the rules name.

    But for two sockets of IPv6 that take all of IPv4, of which the kernel takes the one that was there first.
    """
    require_loopback(V6)
    system = System()
    tried = 0
    for size in (1, 2, 3, 4):
        for places in combinations(PLACES, size):
            if {PLACES[3], PLACES[6]} <= set(places):
                continue
            with ExitStack() as stack:
                port = 0
                try:
                    for place in places:
                        sock = bind(stack, place.address, port, only_v6=place.only_v6, reuse=True)
                        port = port_of(sock)
                except OSError:
                    continue
                question = Question("tcp", states=frozenset({"listen"}), local_port=port)
                rows = [row for row in system.list_sockets("sock_diag", question).sockets if row.local[1] == port]
                for address in (V4, V6, "127.0.0.2"):
                    kernel = system.look_up_socket("tcp", (address, port), (address, 0))
                    ours = choose(rows, address).row
                    assert (ours and ours.local) == (kernel and kernel.local), (places, address)
                    tried += 1
    assert tried > 50


class Told(System):
    """A machine without the kernel's lookup, with the sockets that the test says."""

    def __init__(self, *sockets: Socket) -> None:
        """Keep the sockets."""
        self._table = SocketTable("fake", sockets, None)

    def list_sockets(self, source: str | None = None, question: Question | None = None) -> SocketTable:
        """Give them."""
        del source, question
        return self._table

    def look_up_socket(
        self, proto: str, local: tuple[str, int], remote: tuple[str, int], interface: str | None = None
    ) -> Socket | None:
        """Refuse."""
        del proto, local, remote, interface
        message = "not here"
        raise SourceRefusedError(message)

    def resolve(self, name: str, family: str | None) -> tuple[str, ...]:
        """Give both."""
        del name
        return tuple(address for address, own in ((V4, "ipv4"), (V6, "ipv6")) if family in {None, own})

    def list_loopback_interfaces(self) -> tuple[Interface, ...] | None:
        """Have both."""
        return (Interface("lo", is_up=True, mtu_bytes=65536, addresses=(V4, V6)),)

    def has_address(self, address: str) -> bool:
        """Have any."""
        del address
        return True

    def name_interface(self, index: int) -> str | None:
        """Name any."""
        return f"eth{index}"

    def find_holders(
        self, inodes: Collection[int], pids: Collection[int] | None = None
    ) -> Mapping[int, tuple[Holder, ...]]:
        """Know nobody."""
        del inodes, pids
        return {}


def listener(address: str, **changes: Any) -> Socket:
    family = "ipv6" if ":" in address else "ipv4"
    return Socket("tcp", family, "listen", Endpoint(address, 80), None, inode=changes.pop("inode", 1))._replace(
        **changes
    )


def test_hidden_owners_are_told_apart_by_user_and_group() -> None:
    same = Told(listener(V4, uid=5, inode=1), listener(V6, uid=5, inode=2))
    report = find_answerer(80, proto="tcp", system=same)
    assert [finding.code for finding in report.findings] == []
    assert [(item.what, item.count) for item in report.missing] == [
        ("owners", 2),
        ("whether what listens there is one service or several", None),
    ]
    other = Told(listener(V4, uid=5, inode=1), listener(V6, uid=6, inode=2))
    (finding,) = find_answerer(80, proto="tcp", system=other).findings
    assert finding.code == "two-services-on-one-port"
    assert any("told apart by user and unit" in str(item.value) for item in finding.evidence)


def test_where_nothing_is_told_it_cannot_be_found_out() -> None:
    class Blind(Told):
        def list_sockets(self, source: str | None = None, question: Question | None = None) -> SocketTable:
            del source, question
            message = "the socket table cannot be read"
            raise UnsupportedError(message)

    with pytest.raises(UnsupportedError):
        find_answerer(80, system=Blind())


class Reborn(Told):
    """A machine on which the pid of the owner has passed to another process before that was described."""

    def find_holders(
        self, inodes: Collection[int], pids: Collection[int] | None = None
    ) -> Mapping[int, tuple[Holder, ...]]:
        """Know an owner at first."""
        return {inode: (Holder(4711, 3),) for inode in inodes} if pids is None else {}

    def describe_process(self, pid: int, *, with_cmdline: bool) -> Process:
        """Describe the one that came after."""
        del with_cmdline
        return Process(pid, "stranger", "nobody", None)

    def find_start(self, pid: int) -> int | None:
        """Tell of that one too."""
        return pid


def test_a_pid_that_was_given_to_another_process_is_no_owner() -> None:
    report = find_answerer(80, proto="tcp", system=Reborn(listener(V4)))
    assert report.records[0].socket is not None
    assert report.records[0].socket.owners is None
    assert [(item.what, item.count) for item in report.missing] == [("owners", 1)]


def test_a_source_that_knows_pids_tells_owners() -> None:
    row = Socket("tcp", "ipv4", "listen", Endpoint(ANY_V4, 80), None, (THIS,))
    found = find_answerer(80, proto="tcp", system=Told(row)).records[0].socket
    assert found is not None
    assert [(owner.pid, owner.process) for owner in found.owners or ()] == [(THIS, psutil.Process().name())]
    assert found.owners is not None
    assert found.owners[0].started_at is not None


def test_a_full_queue_of_any_in_a_group_is_said() -> None:
    group = [
        listener(V4, inode=1, accept_queue=0, backlog=5),
        listener(V4, inode=2, accept_queue=6, backlog=5),
    ]
    report = find_answerer(80, proto="tcp", family="ipv4", system=Told(*group))
    assert "accept-queue-full" in {finding.code for finding in report.findings}


def judge(*rows: Socket, target: str = "80", system: type[Told] = Told) -> dict[str, str]:
    """Give the findings about sockets of another user by code, with their severity."""
    report = find_answerer(target, proto="tcp", system=system(*rows))
    return {finding.code: finding.severity for finding in report.findings}


@pytest.mark.parametrize(
    ("wildcard", "shadow"),
    [
        (listener(ANY_V4, uid=6, inode=2), True),
        (listener(ANY_V6, uid=6, inode=2, v6only=False), True),
        (listener(ANY_V6, uid=6, inode=2, v6only=True), False),
        (listener(ANY_V6, uid=6, inode=2, v6only=None), False),
        (listener(ANY_V4, uid=6, inode=2, interface_index=2), False),
        (listener("127.0.0.2", uid=6, inode=2), False),
    ],
)
def test_what_a_specific_address_goes_before(wildcard: Socket, *, shadow: bool) -> None:
    found = judge(listener(V4, uid=5, inode=1), wildcard, target="127.0.0.1:80")
    assert found == ({"specific-shadows-wildcard": "warn"} if shadow else {})


class Down(Told):
    """A machine whose loopback is down."""

    def list_loopback_interfaces(self) -> tuple[Interface, ...] | None:
        """Have it down."""
        return (Interface("lo", is_up=False, mtu_bytes=65536, addresses=(V4,)),)


def test_with_the_interface_down_no_other_address_is_recommended() -> None:
    assert judge(listener("127.0.1.1"), system=Down) == {"lo-down": "fail", "nobody-answers": "fail"}
    assert judge(listener("127.0.1.1"), target="127.0.0.1:80") == {
        "nobody-answers": "fail",
        "only-at-another-address": "warn",
    }


def test_what_waits_or_is_bound_at_another_address_holds_nothing_here() -> None:
    rows = [
        Socket("tcp", "ipv4", "time-wait", Endpoint(V4, 80), Endpoint(V4, 9), inode=0, timer_ms=900),
        Socket("tcp", "ipv4", "bound", Endpoint("127.0.0.7", 80), None, inode=3),
    ]
    assert judge(*rows, target="127.0.0.9:80") == {"nobody-answers": "fail"}
    assert judge(*rows, target="127.0.0.1:80") == {"nobody-answers": "fail", "time-wait-blocks-bind": "warn"}
    assert judge(*rows).keys() == {"nobody-answers", "time-wait-blocks-bind", "port-held"}


def test_no_wildcard_is_recommended_as_another_address() -> None:
    only_v6 = listener(ANY_V6, v6only=True)
    assert judge(only_v6, target="127.0.0.1:80") == {"nobody-answers": "fail"}
    (finding,) = find_answerer("127.0.0.1:80", proto="tcp", system=Told(only_v6)).findings
    assert "What listens is at [::]:80" in (finding.hint or "")


@pytest.mark.parametrize(("address", "code"), [(V4, "only-at-another-address"), ("127.0.0.2", None)])
def test_localhost_that_leads_elsewhere_is_told(opened: ExitStack, address: str, code: str | None) -> None:
    report = find_answerer(port_of(bind(opened, address)), proto="tcp", system=Ordered("127.0.0.2"))
    assert [found.code for found in report.findings if found.code.startswith("only")] == ([code] if code else [])
    words = "is refused at 127.0.0.2, though 127.0.0.1 would answer." if code else "at 127.0.0.2."
    assert report.summary.verdict.endswith(words)


def test_servers_have_a_udp_socket_for_each_client(opened: ExitStack, who: Who) -> None:
    near, far = bind_both(opened, V4, V4, kind=UDP, reuse=True)
    near.connect((V4, 9))
    assert find(who(port_of(far), "-u"), "port-held") == []


def test_a_source_that_tells_no_interface_says_so() -> None:
    table = SocketTable("fake", (listener(ANY_V4),), None, lacks=frozenset({"interface"}))

    class Less(Told):
        def list_sockets(self, source: str | None = None, question: Question | None = None) -> SocketTable:
            del source, question
            return table

    report = find_answerer(80, proto="tcp", system=Less())
    assert "interfaces that sockets are bound to" in [item.what for item in report.missing]


def owned(unit: str | None, *pids: int, uid: int = 0) -> WhoSocket:
    owners = tuple(make_who_owner(pid=pid, process=f"program-{pid}") for pid in pids)
    return make_who_socket(unit=unit, owners=owners or None, uid=uid)


@pytest.mark.parametrize(
    ("some", "others", "same"),
    [
        (owned(None, 1), owned(None, 2), False),
        (owned(None, 1, 2), owned(None, 2, 3), True),
        (owned("a.service", 1), owned("b.service", 2), False),
        (owned(None), owned(None, 2), True),
        (owned(None, uid=1), owned(None, 2, uid=2), False),
        (owned(None, uid=0), owned(None, 2, uid=2), True),
        (owned("a.service"), owned("b.service"), False),
        (owned("a.service"), owned("init.scope"), True),
    ],
)
def test_what_one_service_is(some: WhoSocket, others: WhoSocket, *, same: bool) -> None:
    """Where processes are hidden, root's sockets may be those of anybody's service, which got them handed."""
    conditions = {pid: Condition((f"program-{pid}", ""), (1,), is_stopped=False, most_files=None) for pid in (1, 2, 3)}
    for one, other in ((some, others), (others, some)):
        assert are_strangers([one], [other], conditions) is not same


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (owned(None, 1), "program-1[1]"),
        (owned("a.service", 1), "program-1[1] of a.service"),
        (owned(None, 1, 2, 3), "program-1[1] and program-2[2] and 1 more"),
        (
            make_who_socket(unit=None, owners=tuple(make_who_owner(pid=pid) for pid in (7, 8, 9))),
            "postgres[7] and 2 more",
        ),
        (make_who_socket(unit=None, owners=(make_who_owner(process=None),)), "?[812]"),
        (make_who_socket(unit=None, owners=None, user=None), "an unseen process"),
        (make_who_socket(owners=None), "an unseen process of postgres in postgresql.service"),
        (make_who_socket(unit=None, container="0123", owners=None, user=None), "an unseen process in container 0123"),
        (make_who_socket(owners=(), no_owner="orphan"), "no process (orphan)"),
        (make_who_socket(owners=()), "no process any more"),
    ],
)
def test_how_owners_are_named(item: WhoSocket, words: str) -> None:
    assert name_owners(item) == words


# --- another user ----------------------------------------------------------------------------------------------------


def test_another_user_is_told_all_but_the_owner(opened: ExitStack) -> None:
    if os.geteuid() != 0:
        skip_world("only root can hold sockets whose owner another user must not see")
    server = bind(opened, V4, backlog=9)
    done = run_as_nobody("who", "-t", str(port_of(server)), "--json")
    report = parse(done)
    found = at(report, V4)["socket"]
    assert (done.returncode, report["complete"], found["owners"]) == (0, False, None)
    assert (found["uid"], found["user"], found["backlog"]) == (0, "root", 9)
    assert [(item["what"], item["count"]) for item in report["missing"]] == [("owners", 1)]
    assert "an unseen process" in report["summary"]["verdict"]
    table = run_as_nobody("who", "-t", str(port_of(server))).stdout
    assert "? of user root" in table


def test_without_proc_netlink_still_tells_who_answers() -> None:
    script = 'mount -t tmpfs none /proc && exec "$0" -c "$1" 127.0.0.1 "" who -t PORT --json'
    done = run_in_world(LO_UP, command=("unshare", "-m", "sh", "-c", script, sys.executable, SERVE))
    report = parse(done)
    assert (at(report, V4)["answered"], at(report, V4)["socket"]["owners"]) == (True, None)


def test_a_hostile_name_harms_no_reader(opened: ExitStack) -> None:
    if sys.platform != "linux":
        pytest.skip("a process is renamed by Linux's /proc")
    sock = bind(opened, V4)
    port = port_of(sock)
    sock.close()
    with another(V4, port, name="a) R \x1b[2J\n("):
        shown = run_lodiag("who", "-t", str(port))
        report = parse(run_lodiag("who", "-t", str(port), "--json"))
    assert "\x1b" not in shown.stdout
    (owner,) = at(report, V4)["socket"]["owners"]
    assert owner["process"] == "a) R \x1b[2J\n("
    assert owner["started_at"] is not None


def test_the_table_fits_80_columns(opened: ExitStack) -> None:
    server = bind(opened, ANY_V6)
    done = run_lodiag("who", str(port_of(server)))
    assert done.stdout.startswith("A client that asks for localhost:")
    assert max(map(len, done.stdout.splitlines())) <= 80


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("0", "port must be from 1 to 65535"),
        ("65536", "port must be from 1 to 65535"),
        ("9" * 25, "port must be from 1 to 65535"),
        ("9" * 5000, "is not a port"),
        ("postgresql", "is not a port"),
        ("\N{SUPERSCRIPT TWO}", "is not a port"),
        ("", "has no port"),
        (":", "has no port"),
        ("127.0.0.1", "is not a port"),
        ("127.0.0.1:", "has no port"),
        ("[::1]", "has no port"),
        ("::1", "is not an address and a port"),
        ("::1:80", "is not an address and a port"),
        ("[127.0.0.1]:80", "is not an address and a port"),
        ("[::1]x:80", "is not an address and a port"),
        ("192.0.2.1:80", "is not on the loopback"),
        ("0.0.0.0:80", "is not on the loopback"),
        ("[::]:80", "is not on the loopback"),
        ("[::1%lo]:80", "has a zone"),
        ("[::ffff:127.0.0.1]:80", "IPv4-mapped"),
        ("127.255.255.255:80", "broadcast"),
        ("http://localhost:80", "is a URL; did you mean localhost:80?"),
        ("local host:80", "is not an address"),
        ("\x1b[2J:80", "is not an address"),
        ("nowhere.invalid:80", "cannot resolve"),
    ],
)
def test_bad_targets_are_refused_in_one_sentence(target: str, words: str) -> None:
    assert_refused(run_lodiag("who", target), words)


@pytest.mark.parametrize("arguments", [["-4", "[::1]:80"], ["-6", "127.0.0.1:80"]])
def test_a_family_that_is_not_the_target_s_is_refused(arguments: list[str]) -> None:
    assert_refused(run_lodiag("who", *arguments), "address")


@pytest.mark.parametrize("wrong", [{"proto": "sctp"}, {"family": "ipx"}])
def test_the_library_refuses_what_it_does_not_know(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        find_answerer(80, **wrong)


@pytest.mark.parametrize("target", [None, True, 1.5, b"80"])
def test_the_library_refuses_what_is_no_target(target: Any) -> None:
    with pytest.raises(TargetError):
        split_target(target)


def test_the_library_takes_a_number(opened: ExitStack) -> None:
    assert find_answerer(port_of(bind(opened, V4)), proto="tcp").summary.answered
