"""``lodiag check``: each kind against real services, and what waiting, needing and failing mean."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from endpoints import (
    CERTIFICATE,
    answering,
    has_threads,
    lasting,
    listening,
    mute,
    port_of,
    reserved,
    serving,
    wait_until,
)
from running import LO_UP, environment, parse, require_loopback, rules, run_in_world, run_lodiag

from lodiag import ConfigError, run_checks
from lodiag.check import CheckRun
from lodiag.checks.kinds import KINDS, load_kind
from lodiag.checks.outcome import Outcome
from lodiag.judge.check import CODES
from lodiag.model.check import CHECK_STATUSES
from lodiag.render import verdict
from lodiag.system import System

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from contextlib import ExitStack
    from pathlib import Path

    from lodiag.model.check import CheckRecord
    from lodiag.system.facts import Holder


def check(word: str, *changes: str, **options: Any) -> CheckRecord:
    """Run one check, with keys set as ``key=value``."""
    return run_checks(word, changes=[f"{word}.{change}" for change in changes], **options).records[0]


@pytest.fixture
def port() -> Iterator[int]:
    """Give a port that something listens on, by IPv4 alone."""
    with listening() as found:
        yield found


@pytest.fixture
def closed() -> Iterator[int]:
    """Give a port that nothing listens on, and nobody else can take."""
    with reserved() as sock:
        yield port_of(sock)


# --- kinds -----------------------------------------------------------------------------------------------------------


def test_tcp(port: int, closed: int) -> None:
    record = check(f"tcp:127.0.0.1:{port}")
    assert (record.status, record.success, record.attempts, record.kind) == ("ok", True, 1, "tcp")
    assert record.addresses[0].rtt_ms is not None
    lost = check(f"tcp:127.0.0.1:{closed}")
    assert (lost.status, lost.success, lost.addresses[0].error) == ("fail", False, "ECONNREFUSED")
    assert f"lodiag who {closed}" in (lost.hint or "")


def test_tcp_may_be_expected_to_refuse(port: int, closed: int) -> None:
    assert check(f"tcp:127.0.0.1:{closed}", "state=refused").status == "ok"
    assert check(f"tcp:127.0.0.1:{port}", "state=refused").status == "fail"


class NoOwners(System):
    """A machine on which this user may see no owner of a socket."""

    def find_holders(
        self,
        inodes: Collection[int],  # noqa: ARG002 - of any
        pids: Collection[int] | None = None,  # noqa: ARG002 - likewise
    ) -> dict[int, tuple[Holder, ...]]:
        """Find none."""
        return {}


class TwoOfIpv4(System):
    """A machine on which a name has two addresses, of which IPv4 alone is needed."""

    def resolve(self, name: str, family: str | None) -> tuple[str, ...]:
        """Give both."""
        return ("127.0.0.1", "127.0.0.2") if name == "both" else super().resolve(name, family)


class TwoAddresses(System):
    """A machine on which localhost has both families, as is usual."""

    def resolve(self, name: str, family: str | None) -> tuple[str, ...]:
        """Give both."""
        return ("::1", "127.0.0.1") if name == "localhost" else super().resolve(name, family)


@pytest.mark.parametrize(("family", "status"), [("any", "warn"), ("both", "fail"), ("ipv4", "ok"), ("ipv6", "fail")])
def test_two_families_are_two_results(port: int, family: str, status: str) -> None:
    record = check(f"tcp:{port}", f"family={family}", system=TwoAddresses())
    assert record.status == status
    assert len(record.addresses) == (1 if family.startswith("ipv") else 2)
    if family == "any":
        assert "clients that try ::1 first will fail" in record.message


def test_a_warning_fails_if_that_is_wanted(port: int) -> None:
    report = run_checks(f"tcp:{port}", system=TwoAddresses())
    assert (report.exit_status, report.nagios_status) == (0, 1)
    assert run_checks(f"tcp:{port}", system=TwoAddresses(), fail_on="warn").exit_status == 1


def test_both_families_must_be_there(opened: ExitStack) -> None:
    require_loopback("::1")
    port = opened.enter_context(listening("::1"))
    record = check(f"tcp6:{port}", system=TwoAddresses())
    assert (record.status, record.addresses[0].address) == ("ok", "::1")
    assert check(f"tcp:[::1]:{port}", "family=both").status == "fail"


def test_udp() -> None:
    with answering(lambda data: data[::-1]) as port:
        assert check(f"udp:127.0.0.1:{port}").status == "ok"
        assert check(f"udp:127.0.0.1:{port}", 'send="abc"', 'expect="cba"').status == "ok"
        other = check(f"udp:127.0.0.1:{port}", 'send="abc"', 'expect="abc"', "timeout=1s")
        assert (other.status, other.addresses[0].error) == ("fail", "other answer")
        assert check(f"udp:127.0.0.1:{port}", "state=refused").status == "fail"


def test_udp_refused_and_silent(closed: int) -> None:
    assert check(f"udp:127.0.0.1:{closed}").addresses[0].error == "ECONNREFUSED"
    assert check(f"udp:127.0.0.1:{closed}", "state=refused").status == "ok"
    with reserved(kind=socket.SOCK_DGRAM) as silent:
        record = check(f"udp:127.0.0.1:{port_of(silent)}", 'expect="x"', "timeout=50ms")
    assert record.addresses[0].error == "ETIMEDOUT"


PAGES = {
    "/ok": (200, {}, b"all is ok"),
    "/made": (204, {}, b""),
    "/broken": (503, {}, b"down"),
    "/moved": (302, {"Location": "/ok"}, b""),
    "/away": (302, {"Location": "http://192.0.2.1/"}, b""),
    "/odd": (302, {"Location": "ftp://127.0.0.1/"}, b""),
    "/round": (302, {"Location": "/round"}, b""),
    "/ill": (302, {"Location": "http://[::1"}, b""),
}


@pytest.mark.parametrize(
    ("path", "changes", "status", "words"),
    [
        ("/ok", [], "ok", "answered 200"),
        ("/ok", ['body="is ok"', 'body_regex="^all.*ok$"'], "ok", ""),
        ("/ok", ['body="fine"'], "fail", "body without 'fine'"),
        ("/ok", ['body_regex="^ok"'], "fail", "body unlike"),
        ("/ok", ["method=HEAD"], "ok", ""),
        ("/ok", ["status=204"], "fail", "answered 200, not 204"),
        ("/made", [], "ok", "answered 204"),
        ("/broken", [], "fail", "answered 503, not 200 to 299"),
        ("/broken", ["status=[200, 503]"], "ok", ""),
        ("/moved", [], "ok", "answered 200"),
        ("/moved", ["status=302"], "ok", "answered 302"),
        ("/away", [], "fail", "off the loopback: refused"),
        ("/odd", [], "fail", "is no URL of HTTP: refused"),
        ("/round", [], "fail", "redirects more than"),
        ("/ill", [], "fail", "redirects to 'http://[::1', which is no URL of HTTP: refused"),
        ("/none", [], "fail", "answered 404"),
    ],
)
def test_http(path: str, changes: list[str], status: str, words: str) -> None:
    with serving(PAGES) as (port, _):
        record = check(f"http://127.0.0.1:{port}{path}", *changes)
    assert record.status == status, record.message
    assert words in record.message


def test_http_of_a_body_that_does_not_end() -> None:
    """The status is enough, as of a stream of events, unless something is sought in the body."""
    with lasting(b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n") as port:
        assert check(f"http://127.0.0.1:{port}/").message.startswith(f"127.0.0.1:{port} answered 200")
        assert check(f"http://127.0.0.1:{port}/", "body=no", "timeout=200ms").status == "fail"


def test_http_of_an_address_that_hangs_leaves_time_for_the_next(opened: ExitStack) -> None:
    require_loopback("127.0.0.2")
    port = opened.enter_context(mute())
    server = opened.enter_context(socket.create_server(("127.0.0.2", port)))
    opened.enter_context(lasting(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", server))
    record = check(f"http://both:{port}/", system=TwoOfIpv4())
    assert [answer.error for answer in record.addresses] == ["ETIMEDOUT", None], record.message
    assert record.status == "warn"


def test_silence_leads_to_the_doctor_of_that_service(opened: ExitStack) -> None:
    """Without a port it would look at no service, and find that all is well."""
    server = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(3):  # the queue is full after the first or the second
        client = opened.enter_context(socket.socket())
        client.settimeout(0)
        client.connect_ex(server.getsockname())
    end = f"127.0.0.1:{port_of(server)}"
    record = check(f"tcp:{end}", "timeout=200ms")
    assert (record.addresses[0].error, record.hint) == ("ETIMEDOUT", f"lodiag doctor {end} looks for the cause.")
    with mute() as port:
        hung = check(f"http://127.0.0.1:{port}/", "timeout=200ms")
        assert (hung.hint or "").startswith(f"lodiag doctor 127.0.0.1:{port} looks for the cause, and curl")


def test_http_never_asks_a_proxy(closed: int) -> None:
    """The proxy that the environment names would refuse."""
    proxy = f"http://127.0.0.1:{closed}"
    names = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
    with serving(PAGES) as (port, seen):
        done = run_lodiag("check", f"http://127.0.0.1:{port}/ok", env=environment(**dict.fromkeys(names, proxy)))
    assert done.returncode == 0, done.stdout
    assert [path for path, _ in seen] == ["/ok"]


def test_http_sends_the_headers_that_are_wanted() -> None:
    with serving(PAGES) as (port, seen):
        check(f"http://127.0.0.1:{port}/ok", 'headers={Host="example.org", X-Probe="1"}')
    assert (seen[0][1]["Host"], seen[0][1]["X-Probe"]) == ("example.org", "1")


def test_https(tmp_path: Path) -> None:
    """The certificate is signed by itself, which nobody should trust unless told to."""
    file = tmp_path / "both.pem"
    file.write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with serving(PAGES, context) as (port, seen):
        word = f"https://127.0.0.1:{port}/ok"
        wary = check(word)
        assert (wary.status, wary.addresses[0].error) == ("fail", "certificate")
        assert seen == []
        assert check(word, "verify=false").status == "ok"
    with serving(PAGES) as (port, _):
        plain = check(f"https://127.0.0.1:{port}/ok", "verify=false")
    assert (plain.status, plain.addresses[0].error) == ("fail", "no TLS")


def test_http_of_what_speaks_something_else(opened: ExitStack) -> None:
    server = opened.enter_context(socket.create_server(("127.0.0.1", 0)))

    def greet() -> None:
        peer, _ = server.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(b"SSH-2.0-x\r\n")

    thread = threading.Thread(target=greet)
    thread.start()
    record = check(f"http://127.0.0.1:{port_of(server)}/")
    thread.join()
    assert (record.status, record.addresses[0].error) == ("fail", "no HTTP")


def test_an_attempt_that_hangs_is_given_up() -> None:
    with mute() as port:
        record = check(f"http://127.0.0.1:{port}/", "timeout=100ms")
    assert (record.status, record.attempts) == ("fail", 1)
    assert record.elapsed_ms is not None
    assert record.elapsed_ms < 5000


@pytest.mark.parametrize(
    ("address", "exposed", "status"),
    [
        ("127.0.0.1", "false", "ok"),
        ("0.0.0.0", "false", "fail"),
        ("0.0.0.0", "true", "ok"),
        ("127.0.0.2", "true", "fail"),
    ],
)
def test_listen_tells_what_is_exposed(address: str, exposed: str, status: str) -> None:
    with listening(address) as port:
        record = check(f"listen:{port}", f"exposed={exposed}")
    assert record.status == status, record.message
    if status == "fail" and exposed == "false":
        assert f"0.0.0.0:{port} is bound beyond the loopback" in record.message


def test_listen_tells_who_holds_it(port: int) -> None:
    own = (System().describe_process(os.getpid(), with_cmdline=False)).name
    assert check(f"listen:{port}", f"owner={own}").status == "ok"
    wrong = check(f"listen:{port}", "owner=postgres")
    assert (wrong.status, wrong.message.endswith("not by postgres")) == ("fail", True)
    assert f"[{os.getpid()}]" in wrong.message
    assert check(f"listen:{port}", f"user={System().name_user(os.geteuid())}").status == "ok"
    assert check(f"listen:{port}", "unit=no-such.service").status == "fail"


def test_listen_of_a_socket_of_ipv6_that_is_bound_to_ipv4() -> None:
    with socket.socket(socket.AF_INET6) as server:
        server.bind(("::ffff:127.0.0.1", 0))
        server.listen()
        assert check(f"listen:{port_of(server)}", "family=ipv4", "exposed=false").status == "ok"
        assert check(f"listen:{port_of(server)}", "family=ipv6").status == "fail"


@pytest.mark.parametrize(("v6only", "status"), [(0, "ok"), (1, "fail")])
def test_listen_counts_a_dual_stack_socket_for_ipv4(v6only: int, status: str) -> None:
    require_loopback("::1")
    with socket.socket(socket.AF_INET6) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        server.bind(("::", 0))
        server.listen()
        port = port_of(server)
        assert check(f"listen:{port}", "family=ipv6").status == "ok"
        assert check(f"listen:{port}", "family=ipv4").status == status
        assert check(f"free:{port}", "family=ipv4").status == {"ok": "fail", "fail": "ok"}[status]


def test_free(port: int, closed: int) -> None:
    assert check(f"free:{closed}").status == "ok"
    taken = check(f"free:{port}")
    assert (taken.status, taken.addresses) == ("fail", ())
    assert str(os.getpid()) in taken.message
    assert check(f"listen:{closed}").observed == "free"


def test_conns_counts(tmp_path: Path, port: int) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        f'[[check]]\nid="few"\ntype="conns"\nfilter={{state="LISTEN", lport={port}}}\ncount={{min=1, max=1}}\n'
        f'[[check]]\nid="none"\ntype="conns"\nfilter={{state=["CLOSE_WAIT"], port={port}}}\ncount={{min=1}}\n'
    )
    few, none = run_checks(file=str(file)).records
    assert (few.status, few.observed) == ("ok", "1")
    assert (none.status, none.message) == ("fail", f"0 sockets of state close-wait port {port}, not at least 1")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ([], "ok"),
        (['expect="127.0.0.1"'], "ok"),
        (['expect=["127.0.0.1", "127.9.9.9"]', "match=any"], "ok"),
        (['expect=["127.0.0.1", "127.9.9.9"]'], "fail"),
        (['expect="::1"', "match=exact"], "fail"),
    ],
)
def test_resolve(changes: list[str], status: str) -> None:
    assert check("resolve:localhost", *changes, system=TwoAddresses()).status == status


@pytest.mark.parametrize(
    ("limits", "status"), [("max=0", "error"), ("min=1", "error"), ("max=9", "ok"), ("min=3", "fail")]
)
def test_conns_of_owners_that_may_not_be_seen(limits: str, status: str, tmp_path: Path, port: int) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        f'[[check]]\nid="own"\ntype="conns"\nfilter={{process="no-such-process", lport={port}}}\ncount={{{limits}}}\n'
    )
    record = run_checks(file=str(file), system=NoOwners()).records[0]
    assert (record.status, record.observed) == (status, "0"), record.message
    assert ("may not be seen" in record.message) == (status == "error")


def test_doctor_that_could_not_look_at_all_does_not_pass() -> None:
    """The diagnoses of timing send packets for longer than a millisecond."""
    outcome = load_kind("doctor").attempt({"groups": ("timing",)}, 0.0, System())
    assert (outcome.status, outcome.error) == ("error", "not all looked at"), outcome.message


def test_resolve_of_a_name_that_is_none() -> None:
    record = check("resolve:no such name")
    assert (record.status, record.history[0].error) == ("fail", "unknown name")


def test_iface_ping_and_trace() -> None:
    report = run_checks("iface", "ping:127.0.0.1", "trace:127.0.0.1", changes=["iface.up=true", "iface.mtu={min=68}"])
    assert [record.status for record in report.records] == ["ok", "ok", "ok"]
    assert check("iface", "mtu={max=68}").status == "fail"
    assert check("iface", 'addresses=["127.0.0.1/8", "127.77.77.77"]').message.endswith("has no 127.77.77.77")
    assert "with another prefix than /32" in check("iface", 'addresses=["127.0.0.1/32"]').message


@pytest.mark.parametrize(("world", "status"), [(LO_UP, "ok"), ("true", "fail")])
def test_doctor(world: str, status: str) -> None:
    """Of a world of its own: what else this machine does is no matter here."""
    groups = 'doctor.groups=["interface", "routes"]'
    record = parse(run_in_world(world, "check", "doctor", "--set", groups, "--json"))["records"][0]
    assert record["status"] == status
    if status == "fail":
        assert record["hint"].endswith("ip link set lo up")


def test_bench_has_limits() -> None:
    record = check("bench:crr", "time=10ms", "family=ipv4", 'warn={rtt_p99="0s"}', "fail={transactions_per_s=1}")
    assert (record.status, "is over 0 ms" in record.message) == ("warn", True)
    slow = check("bench:crr", "time=10ms", "family=ipv4", "fail={transactions_per_s=1_000_000_000}")
    assert (slow.status, slow.expected) == ("fail", "transactions_per_s at least 1000000000")


def test_ping_has_limits() -> None:
    assert check("ping:127.0.0.1", "count=2", 'fail={rtt_max="0s"}').status == "fail"
    slow = check("ping:127.0.0.1", "count=2", 'warn={rtt_avg="0s"}')
    assert (slow.status, slow.success) == ("warn", True)


def test_a_world_without_a_loopback() -> None:
    """Where lo is down nothing passes, and each says so in its way."""
    words = ("iface", "tcp:127.0.0.1:9", "ping:127.0.0.1", "udp:127.0.0.1:9", "trace:127.0.0.1")
    report = parse(run_in_world("true", "check", *words, "--timeout", "300ms", "--json"))
    assert {record["status"] for record in report["records"]} == {"fail"}
    assert report["records"][1]["addresses"][0]["error"] == "ENETUNREACH"


def test_a_packet_filter_ends_a_wait_at_once() -> None:
    """No waiting mends what a policy refuses."""
    world = rules("output", "udp dport 9 drop")
    record = parse(run_in_world(world, "check", "udp:127.0.0.1:9", "--wait", "20s", "--json"))["records"][0]
    assert (record["status"], record["attempts"], record["addresses"][0]["error"]) == ("fail", 1, "EPERM")


def test_no_connection_to_itself_passes_for_a_service() -> None:
    """Where the only port that a client may be given is the one that it asks for, TCP connects it to itself."""
    world = f"{LO_UP}\necho 40000 40000 > /proc/sys/net/ipv4/ip_local_port_range"
    record = parse(run_in_world(world, "check", "tcp:127.0.0.1:40000", "--json"))["records"][0]
    assert record["addresses"][0]["error"] == "ECONNREFUSED"


# --- waiting ---------------------------------------------------------------------------------------------------------


def test_a_port_that_opens_late_is_waited_for() -> None:
    with reserved() as sock:
        run = CheckRun(f"tcp:127.0.0.1:{port_of(sock)}", wait_s=30, interval_s=0.01)
        thread = threading.Thread(target=run.run)
        thread.start()
        wait_until(lambda: run.report().records[0].attempts > 2)
        sock.listen()
        thread.join()
    (record,) = run.report().records
    assert record.status == "ok"
    assert [tries.error for tries in record.history] == ["ECONNREFUSED", "ok"]
    assert "ECONNREFUSED x" in record.message


def test_a_wait_that_is_over_tells_what_was(closed: int) -> None:
    record = check(f"tcp:127.0.0.1:{closed}", wait_s=0.3, interval_s=0.1)
    assert (record.status, record.success) == ("timeout", False)
    assert record.attempts >= 2
    assert record.elapsed_ms is not None
    assert record.elapsed_ms >= 250
    for words in (f"{record.attempts} attempts", f"ECONNREFUSED x{record.attempts}", "last: ", f"127.0.0.1:{closed}"):
        assert words in record.message


class Script(System):
    """A machine whose resolver answers as a script says, and then always as at its end."""

    def __init__(self, *answers: str) -> None:
        """Keep the answers."""
        self._answers = [*answers]

    def resolve(self, name: str, family: str | None) -> tuple[str, ...]:
        """Give the next answer."""
        del name, family
        return (self._answers.pop(0) if len(self._answers) > 1 else self._answers[0],)


def test_stable_means_several_times_in_succession() -> None:
    good, bad = "127.0.0.1", "192.0.2.1"
    record = check("resolve:x", "stable=3", wait_s=30, interval_s=0.001, system=Script(good, good, bad, good))
    assert [(tries.error, tries.count) for tries in record.history] == [("ok", 2), ("other addresses", 1), ("ok", 3)]
    unstable = check("resolve:x", "stable=2", system=Script(good, bad))
    assert (unstable.status, unstable.attempts) == ("fail", 2), "without a wait a failure is one"
    never = check("resolve:x", "stable=1000", wait_s=0.1, interval_s=0.01, system=Script(good))
    assert (never.status, "of 1000 times in a row" in never.message) == ("timeout", True)


NEEDS = """
[[check]]
id = "last"
type = "tcp"
target = "127.0.0.1:{port}"
needs = ["middle"]
[[check]]
id = "middle"
type = "resolve"
name = "localhost"
needs = ["first"]
[[check]]
id = "first"
type = "tcp"
target = "127.0.0.1:{first}"
severity = "{severity}"
"""


@pytest.mark.parametrize("severity", ["error", "warning"])
def test_what_needs_a_failed_check_is_skipped(tmp_path: Path, port: int, closed: int, severity: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(NEEDS.format(port=port, first=closed, severity=severity))
    report = run_checks(file=str(file))
    last, middle, first = report.records
    assert (last.status, middle.status) == ("skipped", "skipped")
    assert (last.attempts, last.elapsed_ms) == (0, None)
    assert (last.success, last.attempts) == (None, 0)
    assert first.status == ("fail" if severity == "error" else "warn")
    assert report.exit_status == (severity == "error")
    file.write_text(NEEDS.format(port=port, first=port, severity=severity))
    assert [record.status for record in run_checks(file=str(file)).records] == ["ok"] * 3


class Stuck(System):
    """A machine whose resolver hangs until it is let go."""

    def __init__(self) -> None:
        """Hang."""
        self.let_go = threading.Event()

    def resolve(self, name: str, family: str | None) -> tuple[str, ...]:
        """Hang."""
        self.let_go.wait(60)
        return super().resolve(name, family)


@pytest.mark.parametrize("wait_s", [None, 0.3])
def test_what_hangs_ends_in_time_and_hinders_nobody(port: int, wait_s: float | None) -> None:
    system = Stuck()
    began = time.monotonic()
    report = run_checks("resolve:x", f"tcp:127.0.0.1:{port}", wait_s=wait_s, timeout_s=0.1, system=system)
    system.let_go.set()
    assert time.monotonic() - began < 10
    assert [record.status for record in report.records] == ["fail" if wait_s is None else "timeout", "ok"]
    assert "gave no result in 0.1 s" in report.records[0].message


class Broken(System):
    """A machine that fails as no machine should."""

    def resolve(self, name: str, family: str | None) -> tuple[str, ...]:
        """Fail."""
        message = f"{name} {family}"
        raise ZeroDivisionError(message)


def test_a_check_that_breaks_is_a_result(port: int) -> None:
    report = run_checks("resolve:x", f"tcp:127.0.0.1:{port}", system=Broken())
    assert [record.status for record in report.records] == ["error", "ok"]
    assert (report.exit_status, report.nagios_status) == (1, 3)


def test_many_checks_run_side_by_side() -> None:
    """Each of 200 would take 0.2 s if one waited for the other, and 40 s in all."""
    with mute() as port:
        words = [f"http://127.0.0.1:{port}/{number}" for number in range(200)]
        began = time.monotonic()
        report = run_checks(*words, timeout_s=0.2)
    assert time.monotonic() - began < 20
    assert report.summary.failed == 200


def test_a_signal_ends_a_wait_and_tells_how_far_it_was(closed: int) -> None:
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        command = [sys.executable, "-m", "lodiag", "check", f"tcp:127.0.0.1:{closed}", "--wait", "1h", "--json"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
        )
        wait_until(lambda pid=process.pid: has_threads(pid))  # type: ignore[misc]
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (status, "")
        assert '"status": "interrupted"' in out


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 7])
def test_the_command_behind_runs_only_after_success(port: int, closed: int, status: int) -> None:
    command = ("--", sys.executable, "-c", f"import sys; print('ran'); sys.exit({status})")
    for words in ([f"tcp4:{port}"], [f"tcp4:{port}", "--wait", "5s"], ["resolve:localhost"]):
        done = run_lodiag("check", *words, *command)
        assert (done.returncode, done.stdout) == (status, "ran\n"), "standard output is the command's"
        assert done.stderr.startswith("ok: 1 check passed")
    lost = run_lodiag("check", f"tcp:127.0.0.1:{closed}", *command)
    assert (lost.returncode, lost.stdout) == (1, "")
    assert lost.stderr.startswith("fail: 1 of 1 check failed")


def test_a_command_that_is_not_there(port: int) -> None:
    for words in ([f"tcp4:{port}"], ["resolve:localhost"]):
        done = run_lodiag("check", *words, "--", "/no/such/command")
        assert (done.returncode, done.stdout) == (127, "")
        assert "error [cannot-run]: '/no/such/command': No such file or directory" in done.stderr
    assert run_lodiag("check", f"tcp4:{port}", "--", "/").returncode == 126
    assert run_lodiag("check", f"tcp4:{port}", "--").returncode == 2


def test_what_passes_at_once_prints_what_all_else_does(port: int) -> None:
    """The short way of plain checks differs in nothing but numbers."""
    fast = run_lodiag("check", f"tcp:127.0.0.1:{port}", f"tcp4:{port}")
    slow = run_lodiag("check", f"tcp:127.0.0.1:{port}", f"tcp4:{port}", "--format", "table")
    assert (fast.returncode, fast.stderr) == (slow.returncode, slow.stderr) == (0, "")

    def words(text: str) -> list[str]:
        return [word for word in text.split() if not word.replace(".", "").isdecimal()]

    assert words(fast.stdout) == words(slow.stdout)


def test_progress_is_told_on_a_terminal_only(closed: int) -> None:
    master, slave = os.openpty()
    command = [sys.executable, "-m", "lodiag", "check", f"tcp:127.0.0.1:{closed}", "--wait", "1200ms"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=slave, env=environment(TERM="xterm"), check=False)
    os.close(slave)
    told = os.read(master, 65_536).decode()
    os.close(master)
    assert (done.returncode, b"\x1b" in done.stdout) == (1, False)
    assert "0 of 1 checks passed" in told
    assert "ECONNREFUSED x" in told
    assert told.endswith("\r\x1b[K"), "the line is taken away in the end"


def test_the_report_is_short_unless_all_is_wanted(tmp_path: Path) -> None:
    """What runs a health check keeps the first 4096 bytes."""
    file = tmp_path / "c.toml"
    file.write_text("".join(f'[[check]]\nid="{n}-{"x" * 200}"\ntype="resolve"\nname="no such"\n' for n in range(300)))
    done = run_lodiag("check", "--file", str(file))
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith("fail: 300 of 300 checks failed")
    assert len(done.stdout.encode()) < 4096
    assert "more, none worse than the last: lodiag check -v shows all" in done.stdout
    whole = run_lodiag("check", "-f", str(file), "-v")
    assert whole.stdout.count("cannot resolve") == 300


def test_init_writes_what_is_so_now(tmp_path: Path, port: int) -> None:
    done = run_lodiag("check", "--init")
    assert (done.returncode, done.stderr) == (0, "")
    own = done.stdout[done.stdout.index(f'id = "port-{port}"') :].split("\n\n")[0]
    assert "exposed = false" in own
    assert "owner = " in own
    head = done.stdout[: done.stdout.index('id = "port-')].removesuffix("[[check]]\n")
    file = tmp_path / "lodiag.toml"
    file.write_text(f"{head}[[check]]\n{own}\n")  # other ports may close meanwhile
    again = subprocess.run(
        [sys.executable, "-m", "lodiag", "check"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stdout


def test_a_file_may_come_by_standard_input(port: int) -> None:
    text = f'[[check]]\nid = "a"\ntype = "tcp"\ntarget = "127.0.0.1:{port}"\n'
    command = [sys.executable, "-m", "lodiag", "check", "-f", "-"]
    done = subprocess.run(command, input=text, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "127.0.0.1" in done.stdout


def test_the_reader_of_the_verdict_knows_all_statuses() -> None:
    """It cannot load the model, which takes longer than what it reads."""
    assert verdict.ORDER == CHECK_STATUSES
    assert len(set(CODES)) == len(CODES)


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_are_alike(kind: str) -> None:
    module = load_kind(kind)
    assert module.TARGET is None or module.TARGET in module.KEYS
    assert all(key in module.KEYS for key in getattr(module, "REQUIRED", ()))
    assert callable(module.attempt)
    assert not set(module.KEYS) & {"id", "type", "needs", "stable", "wait", "timeout", "interval", "severity"}


def test_an_outcome_is_what_the_model_says() -> None:
    assert {status for status in ("ok", "warn") if Outcome(status, "").is_pass} == {"ok", "warn"}
    with pytest.raises(ConfigError, match="holds no check"):
        run_checks()
