"""What other systems do otherwise, told by machines passed in; and that only ``system`` knows the difference."""

from __future__ import annotations

import ast
import errno
import re
from typing import TYPE_CHECKING, Any

import pytest
from faking import FakeSystem, refuse
from jsonschema import Draft202012Validator
from running import ROOT

from lodiag import PrivilegeError, list_connections, ping_address, trace_route
from lodiag.errors import UnsupportedError
from lodiag.model import Host, Missing, to_plain
from lodiag.model.conns import Endpoint
from lodiag.render import FORMATS, render
from lodiag.schema import build_schema
from lodiag.system import System
from lodiag.system.facts import Interface, Process, Question, Socket, SocketTable
from lodiag.system.probe import Answer, MethodRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from faking import FakeProbe

    from lodiag.model import Report
    from lodiag.system.probe import ProbeSocket

VALIDATOR = Draft202012Validator(build_schema())
ONLY_127_0_0_1 = (Interface("lo0", is_up=True, mtu_bytes=16_384, addresses=("127.0.0.1", "::1")),)


def answer(probe: FakeProbe, seq: int) -> None:
    probe.answer(seq)


def be_silent(_probe: FakeProbe, _seq: int) -> None:
    """Let the probe be lost."""


def check(report: Report[Any, Any]) -> None:
    """Demand of any report what must hold on every system: valid JSON, and a text in every format."""
    assert [error.message for error in VALIDATOR.iter_errors(to_plain(report))] == []
    for form in FORMATS:
        text = render(report, form)
        assert "None" not in text, form
        assert text or form == "csv"


# --- macOS -----------------------------------------------------------------------------------------------------------


class OwnSocketsOnly(System):
    """macOS for a user who is not root: it tells the sockets of that user's own processes."""

    def list_sockets(self, source: str | None = None, question: Question | None = None) -> SocketTable:
        """Give one socket, and say that there are others."""
        del source, question
        own = Socket("tcp", "ipv4", "listen", Endpoint("127.0.0.1", 8080), None, (501,))
        why = "only the sockets of this user's own processes are shown"
        return SocketTable("psutil", (own,), Missing(what="other users' sockets", count=None, why=why))

    def describe_process(self, pid: int, *, with_cmdline: bool) -> Process:
        """Tell the one process."""
        del with_cmdline
        return Process(pid, "node", "alice", None)

    def describe_host(self) -> Host:
        """There are no network namespaces."""
        return Host(platform="darwin", uid=501, netns=None)


@pytest.mark.parametrize("options", [{}, {"with_process": False}, {"port": 1}, {"process": "node"}], ids=str)
def test_a_table_of_ones_own_sockets_says_that_it_is_partial(options: dict[str, Any]) -> None:
    report = list_connections(**options, system=OwnSocketsOnly())
    assert report.complete is False
    assert [item.what for item in report.missing] == ["other users' sockets"]
    assert "own processes" in report.missing[0].why
    assert render(report, "table").count("note:") == 1
    assert report.exit_status == 0
    check(report)


def refuse_aliases(probe: FakeProbe, seq: int) -> None:
    """Answer for 127.0.0.1 alone: macOS has no other address until it is added to lo0."""
    if probe.address != "127.0.0.1":
        raise refuse(errno.EADDRNOTAVAIL)
    probe.answer(seq)


@pytest.mark.parametrize("interfaces", [None, ONLY_127_0_0_1], ids=["unknown", "known"])
def test_an_address_that_only_linux_has_is_not_available(interfaces: tuple[Interface, ...] | None) -> None:
    mac = FakeSystem(refuse_aliases)
    mac.interfaces = interfaces
    report = ping_address("127.0.0.1", "127.0.0.2", count=3, system=mac)
    good, bad = report.records
    assert (good.received, good.error) == (3, None)
    assert (bad.sent, bad.not_sent, bad.loss_ratio, bad.error) == (0, 3, None, "address-not-available")
    assert [(f.code, f.severity, f.subject) for f in report.findings] == [
        ("address-not-available", "fail", "127.0.0.2")
    ]
    assert "alias" in (report.findings[0].hint or "")
    assert report.exit_status == 1
    check(report)


def test_a_trace_to_it_is_told_alike() -> None:
    mac = FakeSystem(refuse_aliases)
    mac.interfaces = ONLY_127_0_0_1
    report = trace_route("127.0.0.2", system=mac)
    assert report.summary.reached is False
    assert [f.code for f in report.findings] == ["address-not-available"]
    assert report.exit_status == 1
    check(report)
    assert trace_route("127.0.0.1", system=mac).summary.interface == "lo0"


# --- Windows ---------------------------------------------------------------------------------------------------------


class Picky(FakeSystem):
    """A machine that refuses some methods, has no user ids and no kernel parameters."""

    def __init__(self, *refused: str) -> None:
        """Refuse these methods; all others are answered."""
        super().__init__(answer)
        self._refused = refused

    def open_probe(  # noqa: PLR0913 - as System has it
        self, method: str, family: str, address: str, *, source: str | None, size_bytes: int, port: int | None = None
    ) -> ProbeSocket:
        """Refuse, as Windows does what it has no such sockets for."""
        if method in self._refused:
            message = "EPROTONOSUPPORT (protocol not supported)"
            raise MethodRefusedError(message)
        return super().open_probe(method, family, address, source=source, size_bytes=size_bytes, port=port)

    def describe_host(self) -> Host:
        """Windows has neither."""
        return Host(platform="win32", uid=None, netns=None)


@pytest.mark.parametrize("method", ["auto", "icmp"])
def test_where_only_raw_sockets_speak_icmp_they_are_used_and_it_is_said(method: str) -> None:
    report = ping_address("127.0.0.1", count=1, method=method, system=Picky("icmp-datagram"))
    record = report.records[0]
    assert (record.method, record.received, report.source) == ("icmp-raw", 1, "icmp-raw")
    assert [(r.method, r.why[:15]) for r in record.refused] == [("icmp-datagram", "EPROTONOSUPPORT")]
    assert report.findings == ()
    check(report)
    traced = trace_route("127.0.0.1", method="icmp", system=Picky("icmp-datagram"))
    assert (traced.summary.method, traced.summary.reached) == ("icmp-raw", True)
    assert [r.method for r in traced.summary.refused] == ["icmp-datagram"]
    check(traced)


def test_without_any_icmp_udp_stands_in_and_it_is_said() -> None:
    report = ping_address("127.0.0.1", count=1, system=Picky("icmp-datagram", "icmp-raw"))
    assert (report.records[0].method, report.records[0].received) == ("udp", 1)
    assert [r.method for r in report.records[0].refused] == ["icmp-datagram", "icmp-raw"]
    assert [(f.code, f.severity) for f in report.findings] == [("icmp-denied", "info")]
    assert report.exit_status == 0
    check(report)


@pytest.mark.parametrize(
    ("run", "refused"),
    [
        (lambda machine: ping_address(count=1, system=machine), ("icmp-datagram", "icmp-raw", "udp")),
        (lambda machine: ping_address(count=1, method="icmp", system=machine), ("icmp-datagram", "icmp-raw")),
        (lambda machine: trace_route(system=machine), ("icmp-datagram", "icmp-raw", "udp")),
        (lambda machine: trace_route(method="icmp", system=machine), ("icmp-datagram", "icmp-raw")),
        (lambda machine: trace_route(method="tcp", system=machine), ("tcp",)),
    ],
    ids=["ping", "ping-icmp", "trace", "trace-icmp", "trace-tcp"],
)
def test_where_everything_is_refused_each_refusal_is_named(run: Any, refused: tuple[str, ...]) -> None:
    with pytest.raises(PrivilegeError) as caught:
        run(Picky(*refused))
    for method in refused:
        assert f"{method}: EPROTONOSUPPORT" in str(caught.value)
    assert caught.value.hint
    assert "None" not in f"{caught.value} {caught.value.hint}", "this machine has no kernel parameters to quote"


class NoUserIds(System):
    """A machine without user ids, and with sockets that no process is told of."""

    def list_sockets(self, source: str | None = None, question: Question | None = None) -> SocketTable:
        """Give one listener and one connection."""
        del source, question
        listener = Socket("tcp", "ipv4", "listen", Endpoint("127.0.0.1", 135), None, ())
        connection = Socket("tcp", "ipv4", "established", Endpoint("127.0.0.1", 49_152), Endpoint("127.0.0.1", 135), ())
        ended = Socket("tcp", "ipv4", "time-wait", Endpoint("127.0.0.1", 49_153), Endpoint("127.0.0.1", 135), ())
        return SocketTable("psutil", (listener, connection, ended), None)

    def describe_host(self) -> Host:
        """Windows has neither."""
        return Host(platform="win32", uid=None, netns=None)


def test_without_a_user_id_nobody_is_taken_for_root() -> None:
    report = list_connections(system=NoUserIds())
    assert [(record.state, record.owners) for record in report.records] == [
        ("listen", None),
        ("established", None),
        ("time-wait", ()),
    ]
    assert [(item.what, item.count) for item in report.missing] == [("owners", 2)]
    assert to_plain(report.host) == {"platform": "win32", "uid": None, "netns": None}
    check(report)


# --- less than Linux tells -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_without_kernel_parameters_silence_stays_a_timeout(address: str) -> None:
    machine = FakeSystem(be_silent)
    report = ping_address(address, count=2, system=machine)
    assert (report.records[0].error, report.records[0].loss_ratio) == ("timeout", 1.0)
    assert [f.code for f in report.findings] == ["timeout"]
    check(report)
    traced = trace_route(address, method="icmp", max_hops=2, system=machine)
    assert [f.code for f in traced.findings] == ["timeout"]
    check(traced)


@pytest.mark.parametrize(
    ("code", "told"), [(errno.ENETUNREACH, "network-unreachable"), (errno.EADDRNOTAVAIL, "address-not-available")]
)
def test_without_interfaces_the_error_of_the_send_is_what_is_told(code: int, told: str) -> None:
    def refuse_all(_probe: FakeProbe, _seq: int) -> None:
        raise refuse(code)

    machine = FakeSystem(refuse_all)
    for report in (ping_address("::1", count=1, system=machine), trace_route("::1", system=machine)):
        assert [f.code for f in report.findings] == [told], "what is not known is not guessed"
        assert report.exit_status == 1
        check(report)


def test_without_interfaces_a_trace_names_none() -> None:
    summary = trace_route("127.0.0.1", system=FakeSystem(answer)).summary
    assert (summary.reached, summary.interface, summary.mtu_bytes) == (True, None, None)


def answer_barely(probe: FakeProbe, seq: int) -> None:
    """Answer as a socket does that is told of a refusal, and of nothing else: no error queue, no TTL, no ICMP type."""
    now_ns = probe.sent[-1][1] if probe.sent else 0
    probe.under_way.append((now_ns, Answer(seq=seq, received_ns=now_ns, address=probe.address)))


def fail_barely(probe: FakeProbe, seq: int) -> None:
    """Fail as a connect does where the ICMP error itself is not to be had."""
    failure = Answer(seq=seq, received_ns=0, is_reply=False, address=None, error="destination-unreachable")
    probe.under_way.append((0, failure))


def test_without_an_error_queue_a_reply_still_counts() -> None:
    machine = FakeSystem(answer_barely)
    report = ping_address("127.0.0.1", count=1, method="udp", system=machine)
    reply = (report.records[0].replies or ())[0]
    assert (reply.status, reply.reply_ttl, reply.icmp_type, reply.size_bytes) == ("received", None, None, None)
    check(report)
    traced = trace_route("127.0.0.1", system=FakeSystem(answer_barely))
    assert (traced.summary.reached, traced.summary.hops) == (True, 1)
    check(traced)


def test_without_an_error_queue_a_failure_has_no_sender() -> None:
    report = ping_address("127.0.0.1", count=1, method="udp", system=FakeSystem(fail_barely))
    reply = (report.records[0].replies or ())[0]
    assert (reply.status, reply.error, reply.reply_from) == ("unreachable", "destination-unreachable", None)
    assert [f.code for f in report.findings] == ["destination-unreachable"]
    check(report)
    traced = trace_route("127.0.0.1", method="tcp", system=FakeSystem(fail_barely))
    assert traced.summary.reached is False
    assert [f.code for f in traced.findings] == ["destination-unreachable"], "a failure without a sender is no stranger"
    check(traced)


class Unreadable(System):
    """A machine whose socket table cannot be had."""

    def list_sockets(self, source: str | None = None, question: Question | None = None) -> SocketTable:
        """Say so."""
        del source, question
        message = "the socket table cannot be read"
        raise UnsupportedError(message)


def test_a_table_that_cannot_be_read_is_an_error_and_not_an_empty_list() -> None:
    with pytest.raises(UnsupportedError):
        list_connections(system=Unreadable())


# --- only system/ knows the difference -------------------------------------------------------------------------------

OPTION = re.compile(r"(SO|SOL|IP|IPV6|TCP|UDP|ICMP|ICMP6|MSG|IPPROTO|AF|PF|SOCK)_[A-Z0-9_]+")
PLATFORM_MODULES = {"platform", "icmplib", "psutil", "fcntl", "resource", "ctypes", "termios", "winreg", "pwd", "grp"}
PLATFORM_NAMES = {
    *{("sys", "platform"), ("os", "name"), ("os", "uname"), ("sys", "getwindowsversion")},
    *{("os", "geteuid"), ("os", "getuid")},
}


EXPLAINING = ("diagnoses/", "benches/", "bench.py", "judge/bench")
"""What these explain are mechanisms of one system: their evidence and hints name them, and ``System`` reads them."""


def may_name_mechanisms(path: Path) -> bool:
    return str(path.relative_to(ROOT / "lodiag")).startswith(EXPLAINING)


def sources() -> list[Path]:
    return sorted(
        path for path in (ROOT / "lodiag").rglob("*.py") if "system" not in path.relative_to(ROOT / "lodiag").parts
    )


def walk(path: Path) -> Iterator[ast.AST]:
    """Every node of a file but its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        for _, field in ast.iter_fields(node):
            if isinstance(field, list):
                field[:] = [inner for inner in field if not is_docstring(inner)]
    return iter(ast.walk(tree))


def is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def imported(node: ast.AST) -> Iterable[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        top = node.module.partition(".")[0]
        return [top, *(f"{top}.{alias.name}" for alias in node.names)]
    return []


def is_platform_import(node: ast.AST) -> bool:
    names = {f"{module}.{name}" for module, name in PLATFORM_NAMES}
    return any(name in PLATFORM_MODULES or name in names for name in imported(node))


def is_platform_question(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in PLATFORM_NAMES
    )


def names_proc(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and "/proc" in node.value


LINUX_WORDS = re.compile(r"\b(nft|iptables|sysctl|ulimit|net\.ipv[46]|ip (-6 )?(route|rule|link|address)|tc -s)\b")


def names_linux_tool(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and LINUX_WORDS.search(node.value) is not None


def is_socket_option(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return OPTION.fullmatch(name) is not None


RULES = (is_platform_import, is_platform_question, names_proc, names_linux_tool, is_socket_option)


def test_only_the_system_layer_knows_the_platform() -> None:
    assert len(sources()) > 20
    found = [
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', '?')}: {offends.__name__}: {ast.unparse(node)}"
        for path in sources()
        for node in walk(path)
        for offends in RULES
        if offends(node) and not (offends in {names_proc, names_linux_tool} and may_name_mechanisms(path))
    ]
    assert found == []


def test_the_search_finds_what_it_searches_for() -> None:
    offenders = {
        is_platform_import: "from sys import platform",
        is_platform_question: "sys.platform == 'linux'",
        names_proc: "f'/proc/{pid}'",
        names_linux_tool: "f'See: ip route get {address}'",
        is_socket_option: "sock.setsockopt(socket.SOL_SOCKET, 1, 1)",
    }
    assert set(offenders) == set(RULES)
    for offends, code in offenders.items():
        assert any(offends(node) for node in ast.walk(ast.parse(code))), code
