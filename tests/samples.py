"""Reports made by hand: one a command, each with everything that a format must cope with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lodiag.model import SCHEMA, Evidence, Finding, Fix, Host, Missing, Refusal, Report, names_of
from lodiag.model.audit import AuditCount, AuditForward, AuditRecord, AuditSummary
from lodiag.model.bench import (
    BenchBucket,
    BenchComparison,
    BenchInterference,
    BenchMachine,
    BenchParameters,
    BenchRecord,
    BenchSetting,
    BenchSummary,
)
from lodiag.model.check import CheckAddress, CheckRecord, CheckSummary, CheckTries
from lodiag.model.conns import ConnCount, ConnRecord, ConnsSummary, ConnTcp, Endpoint, Owner
from lodiag.model.doctor import Applied, Diagnosed, DiagnosisGroup, DiagnosisRecord, DoctorSummary, Repair
from lodiag.model.iface import IfaceAddress, IfaceChange, IfacePacket, IfaceRecord, IfaceSetting, IfaceSummary
from lodiag.model.map import FlowNode, FlowOwner, FlowRecord, FlowStates, MapSummary
from lodiag.model.net import LinkReceived, LinkSent, LinkStats, Qdisc, Route, RouteAnswer, Rule
from lodiag.model.ping import Outage, PingRecord, PingReply, PingSummary, RttBucket
from lodiag.model.trace import HopProbe, HopRecord, TraceMethod, TraceSummary
from lodiag.model.who import WhoOwner, WhoRecord, WhoSocket, WhoSummary

if TYPE_CHECKING:
    from collections.abc import Sequence

HOSTILE = 'evil\x1b[2J"|<b>\\\n\u202e'


def make_report(
    command: str, summary: Any, records: Sequence[Any], findings: tuple[Finding, ...] = (), **changes: Any
) -> Report[Any, Any]:
    """Put a report together; all that is not said is fixed."""
    settings: dict[str, Any] = {
        "schema": SCHEMA,
        "command": command,
        "version": "0.0.0",
        "started_at": "2026-01-02T03:04:05.000006Z",
        "duration_ms": 12.5,
        "host": Host(platform="linux", uid=1000, netns=4026531840),
        "source": "test",
        "complete": True,
        "missing": (),
        "summary": summary,
        "findings": findings,
        "records": records,
    }
    return Report(**{**settings, **changes})


def make_finding(**changes: Any) -> Finding:
    """Make a finding with evidence, a hint, a fix and something to read."""
    settings: dict[str, Any] = {
        "code": "icmp-ignored",
        "severity": "fail",
        "subject": "net.ipv4.icmp_echo_ignore_all",
        "message": "the kernel is set to ignore echo requests, so 127.0.0.1 cannot answer them",
        "evidence": (
            Evidence(name="net.ipv4.icmp_echo_ignore_all", value="1", source="/proc/sys/net/ipv4/icmp_echo_ignore_all"),
        ),
        "hint": "No other protocol is touched: lodiag ping --method udp 127.0.0.1",
        "fix": Fix(
            commands=("sysctl -w net.ipv4.icmp_echo_ignore_all=0",),
            needs_root=True,
            undo=("sysctl -w net.ipv4.icmp_echo_ignore_all=1",),
        ),
        "see": ("icmp(7)",),
    }
    return Finding(**{**settings, **changes})


def make_ping_record(**changes: Any) -> PingRecord:
    """Make a record of three replies of which one is missing."""
    settings: dict[str, Any] = {
        "target": "localhost",
        "address": "127.0.0.1",
        "family": "ipv4",
        "method": "icmp-datagram",
        "clock": "kernel",
        "source_address": None,
        "interval_s": 0.2,
        "size_bytes": 56,
        "fragments": None,
        "sent": 4,
        "received": 3,
        "lost": 1,
        "loss_ratio": 0.25,
        "not_sent": 0,
        "sent_per_s": 4.999,
        "timed": 3,
        "duplicates": 0,
        "corrupted": 0,
        "late": 0,
        "reordered": 0,
        "strays": 0,
        "lost_unqueued": 0,
        "lost_queued": 0,
        "lost_sent": 1,
        "outage_count": 0,
        "reply_ttl_min": 64,
        "reply_ttl_max": 64,
        "lesser_clock": 0,
        "rtt_min_ms": 0.021,
        "rtt_avg_ms": 0.034567,
        "rtt_max_ms": 0.051,
        "rtt_stddev_ms": 0.012,
        "rtt_p50_ms": 0.031,
        "rtt_p95_ms": 0.051,
        "rtt_p99_ms": 0.051,
        "rtt_p999_ms": 0.051,
        "rtt_user_p50_ms": 0.081,
        "rtt_user_p99_ms": 0.102,
        "jitter_ms": 0.0101,
        "error": "timeout",
        "errno": None,
        "icmp_type": None,
        "icmp_code": None,
        "icmp_from": None,
        "outages": (),
        "histogram": (
            RttBucket(from_ms=0.020480, below_ms=0.024576, count=1),
            RttBucket(from_ms=0.028672, below_ms=0.032768, count=1),
            RttBucket(from_ms=0.049152, below_ms=0.057344, count=1),
        ),
        "refused": (),
        "replies": (
            make_reply(),
            make_reply(
                seq=2,
                rtt_ms=None,
                rtt_user_ms=None,
                clock=None,
                reply_ttl=None,
                status="timeout",
                error="timeout",
                reached="interface",
            ),
        ),
    }
    return PingRecord(**{**settings, **changes})


def make_silent_record(**changes: Any) -> PingRecord:
    """Make a record of an address to which nothing could be sent."""
    nothing = dict.fromkeys(
        (
            "rtt_min_ms",
            "rtt_avg_ms",
            "rtt_max_ms",
            "rtt_stddev_ms",
            "rtt_p50_ms",
            "rtt_p95_ms",
            "rtt_p99_ms",
            "rtt_p999_ms",
            "rtt_user_p50_ms",
            "rtt_user_p99_ms",
        )
    )
    settings: dict[str, Any] = {
        "address": "::1",
        "family": "ipv6",
        "sent": 0,
        "received": 0,
        "lost": 0,
        "loss_ratio": None,
        "not_sent": 4,
        "sent_per_s": None,
        "timed": 0,
        "jitter_ms": None,
        "error": "address-not-available",
        "errno": "EADDRNOTAVAIL (Cannot assign requested address)",
        "lost_sent": 0,
        "outage_count": 1,
        "reply_ttl_min": None,
        "reply_ttl_max": None,
        "outages": (
            Outage(
                first_seq=1,
                started_at="2026-01-02T03:04:05.000106Z",
                ended_at="2026-01-02T03:04:05.600106Z",
                count=4,
            ),
        ),
        "histogram": (),
        "replies": (),
        "method": "icmp-raw",
        "refused": (Refusal(method="icmp-datagram", why="EACCES (Permission denied)"),),
        **nothing,
    }
    return make_ping_record(**{**settings, **changes})


def make_reply(**changes: Any) -> PingReply:
    """Make a reply that was received."""
    settings: dict[str, Any] = {
        "seq": 1,
        "sent_at": "2026-01-02T03:04:05.000106Z",
        "rtt_ms": 0.034567,
        "rtt_user_ms": 0.084,
        "clock": "kernel",
        "reply_ttl": 64,
        "size_bytes": 56,
        "status": "received",
        "error": None,
        "icmp_type": 0,
        "icmp_code": 0,
        "reply_from": "127.0.0.1",
        "reached": None,
    }
    return PingReply(**{**settings, **changes})


def make_hop(hop: int, address: str | None = None, **changes: Any) -> HopRecord:
    """Make a hop that answered, or without an address a silent one."""
    silent = address is None
    probe = HopProbe(
        address=address,
        rtt_ms=None if silent else 0.02,
        status="timeout" if silent else "reached",
        icmp_type=None if silent else 3,
        icmp_code=None if silent else 3,
        reply_ttl=None if silent else 64,
        interface=None if silent else "lo",
        error="timeout" if silent else None,
        errno=None,
    )
    settings: dict[str, Any] = {
        "hop": hop,
        "address": address,
        "method": "udp",
        "probes": (probe, probe),
        "sent": 2,
        "received": 0 if silent else 2,
        "loss_ratio": 1.0 if silent else 0.0,
        "rtt_last_ms": None if silent else 0.02,
        "rtt_min_ms": None if silent else 0.02,
        "rtt_avg_ms": None if silent else 0.02,
        "rtt_max_ms": None if silent else 0.02,
        "rtt_stddev_ms": None if silent else 0.0,
        "reply_ttl": None if silent else 64,
        "interface": None if silent else "lo",
        "mtu_bytes": None,
    }
    return HopRecord(**{**settings, **changes})


def make_trace_summary(**changes: Any) -> TraceSummary:
    """Make the summary of a trace that reached its target."""
    settings: dict[str, Any] = {
        "target": "localhost",
        "address": "127.0.0.1",
        "method": "udp",
        "reached": True,
        "hops": 4,
        "interface": "lo",
        "mtu_bytes": 65536,
        "path_mtu_bytes": None,
        "path_mtu_status": None,
        "port": 33434,
        "route": RouteAnswer(
            dst="127.0.0.1",
            type="local",
            table="local",
            dev="lo",
            ifindex=1,
            prefsrc="127.0.0.1",
            gateway=None,
            mtu=65536,
            errno=None,
        ),
        "methods": (
            TraceMethod(method="udp", port=33434, reached=True, hops=4, source_address="127.0.0.1", error=None),
        ),
        "refused": (),
    }
    return TraceSummary(**{**settings, **changes})


def make_tcp() -> ConnTcp:
    """Make what an older kernel tells of a connection."""
    return ConnTcp(
        rtt_ms=0.031,
        rttvar_ms=0.012,
        min_rtt_ms=0.009,
        cwnd=10,
        retransmits=0,
        bytes_sent=None,
        bytes_acked=4096,
        bytes_received=512,
        delivery_rate_bps=None,
        rwnd_limited_ms=None,
        last_sent_ms=12,
        last_received_ms=8,
        last_ack_ms=12,
    )


def make_connection(**changes: Any) -> ConnRecord:
    """Make a listener with one owner."""
    settings: dict[str, Any] = {
        "proto": "tcp",
        "family": "ipv4",
        "state": "listen",
        "local": Endpoint(address="127.0.0.1", port=5432),
        "remote": None,
        "mapped": False,
        "scope": "loopback",
        "owners": (Owner(pid=812, process="postgres", user="postgres", fd=5, cmdline=None),),
        "no_owner": None,
        "uid": 105,
        "user": "postgres",
        "recv_q_bytes": None,
        "send_q_bytes": None,
        "accept_queue": 2,
        "backlog": 128,
        "drops": 0,
        "timer": None,
        "timer_ms": None,
        "timer_retransmits": None,
        "v6only": None,
        "interface": None,
        "inode": 4711,
        "cookie": "1f",
        "cgroup": "/system.slice/postgresql.service",
        "unit": "postgresql.service",
        "container": None,
        "congestion": "cubic",
        "tcp": None,
    }
    return ConnRecord(**{**settings, **changes})


PING = make_report(
    "ping",
    PingSummary(addresses=2, answered=1, sent=4, received=3),
    (make_ping_record(), make_silent_record()),
    (
        make_finding(),
        make_finding(
            code="loss",
            severity="warn",
            subject="127.0.0.1",
            message="1 of 4 probes to 127.0.0.1 were lost",
            evidence=(),
            hint=None,
            fix=None,
            see=(),
        ),
    ),
)
TRACE = make_report(
    "trace", make_trace_summary(), (make_hop(1), make_hop(2), make_hop(3, "192.0.2.9"), make_hop(4, "127.0.0.1"))
)
CONNS = make_report(
    "conns",
    ConnsSummary(sockets=4, counts=(ConnCount(proto="tcp", state="listen", sockets=1),), refused=()),
    (
        make_connection(),
        make_connection(
            owners=(
                Owner(pid=1, process=HOSTILE, user=HOSTILE, fd=3, cmdline=None),
                Owner(pid=22, process=None, user=None, fd=None, cmdline=None),
            )
        ),
        make_connection(
            family="ipv6",
            state="established",
            remote=Endpoint(address="127.0.0.1", port=40000),
            mapped=True,
            owners=None,
            uid=33,
            user="www-data",
            recv_q_bytes=0,
            send_q_bytes=1024,
            accept_queue=None,
            backlog=None,
            timer="persist",
            timer_ms=200,
            timer_retransmits=1,
            cgroup=None,
            unit=None,
            tcp=make_tcp(),
        ),
        make_connection(
            proto="udp",
            family="ipv6",
            state="unconnected",
            local=Endpoint(address="::", port=53),
            scope="wildcard",
            owners=(),
            uid=None,
            user=None,
            recv_q_bytes=None,
            accept_queue=None,
            backlog=None,
            drops=None,
            inode=None,
            cookie=None,
            cgroup=None,
            unit=None,
            congestion=None,
        ),
    ),
    complete=False,
    missing=(Missing(what="owners", count=1, why="they belong to another user"),),
)


def make_node(**changes: Any) -> FlowNode:
    """Make a node of one process."""
    settings: dict[str, Any] = {
        "node": "postgres@postgresql.service:5432",
        "kind": "process",
        "name": "postgres",
        "owners": (FlowOwner(pid=812, process="postgres", user="postgres"),),
        "user": "postgres",
        "unit": "postgresql.service",
        "container": None,
        "ports": (5432,),
    }
    return FlowNode(**{**settings, **changes})


def make_flow(**changes: Any) -> FlowRecord:
    """Make a flow of three connections between two processes."""
    owners = (FlowOwner(pid=77, process="app", user="app"), FlowOwner(pid=78, process="app", user="app"))
    settings: dict[str, Any] = {
        "proto": "tcp",
        "client": make_node(node="app", name="app", owners=owners, user="app", unit=None, ports=()),
        "server": make_node(),
        "port": 5432,
        "direction": "known",
        "mapped": False,
        "connections": 3,
        "states": (
            FlowStates(client_state="established", server_state="established", connections_in_state=2),
            FlowStates(client_state="fin-wait-2", server_state="close-wait", connections_in_state=1),
        ),
        "to_server_bytes": 5_000_000,
        "to_client_bytes": 300,
        "rtt_p50_ms": 0.031,
        "rtt_max_ms": 0.045,
        "client_recv_q_bytes": 0,
        "client_send_q_bytes": 0,
        "server_recv_q_bytes": 17,
        "server_send_q_bytes": 0,
    }
    return FlowRecord(**{**settings, **changes})


UNMEASURED = dict.fromkeys(
    (
        *("to_server_bytes", "to_client_bytes", "rtt_p50_ms", "rtt_max_ms"),
        *("client_recv_q_bytes", "client_send_q_bytes", "server_recv_q_bytes", "server_send_q_bytes"),
    )
)
OVER = FlowStates(client_state="time-wait", server_state=None, connections_in_state=200)
LONE = FlowStates(client_state="established", server_state=None, connections_in_state=1)
MAP = make_report(
    "map",
    MapSummary(flows=6, connections=209, one_sided=203, refused=()),
    (
        make_flow(),
        make_flow(
            client=make_node(
                node="(time-wait)", kind="none", name="time-wait", owners=(), user=None, unit=None, ports=()
            ),
            connections=200,
            states=(OVER,),
            **UNMEASURED,
        ),
        make_flow(
            client=make_node(
                node=HOSTILE, name=HOSTILE, owners=(FlowOwner(pid=1, process=HOSTILE, user=HOSTILE),), ports=()
            ),
            server=make_node(node="user web:8080", kind="user", name="web", owners=None, unit=None, ports=(8080,)),
            port=8080,
            mapped=True,
            connections=1,
            states=(LONE,),
        ),
        make_flow(
            proto="udp",
            client=make_node(node="?", kind="unknown", name=None, owners=None, user=None, unit=None, ports=()),
            server=make_node(node="?:9", kind="unknown", name=None, owners=None, user=None, unit=None, ports=(9,)),
            port=9,
            direction="guessed",
            connections=2,
            states=(FlowStates(client_state="established", server_state="established", connections_in_state=2),),
            **UNMEASURED,
        ),
        make_flow(
            client=make_node(
                node="(time-wait)", kind="none", name="time-wait", owners=(), user=None, unit=None, ports=()
            ),
            server=make_node(node="?", kind="unknown", name=None, owners=None, user=None, unit=None, ports=()),
            port=None,
            direction="guessed",
            connections=2,
            states=(replace(OVER, connections_in_state=2),),
            **UNMEASURED,
        ),
        make_flow(
            client=make_node(node="app:9000", name="app", unit=None, ports=(9000,)),
            server=make_node(node="app:9000", name="app", unit=None, ports=(9000,)),
            port=9000,
            direction="self",
            connections=1,
            states=(FlowStates(client_state="established", server_state="established", connections_in_state=1),),
        ),
    ),
    (
        make_finding(
            code="missing-mirror",
            severity="warn",
            subject="evil to user web:8080, port 8080",
            message=f"1 connection from {HOSTILE} to user web:8080, port 8080, has no other end",
            fix=None,
        ),
    ),
    complete=False,
    missing=(Missing(what="owners", count=5, why="they belong to another user"),),
)
EMPTY = make_report("conns", ConnsSummary(sockets=0, counts=(), refused=()), ())


def make_who_socket(**changes: Any) -> WhoSocket:
    """Make a listener with one owner."""
    settings: dict[str, Any] = {
        "proto": "tcp",
        "family": "ipv6",
        "state": "listen",
        "local": Endpoint(address="::", port=5432),
        "remote": None,
        "interface": None,
        "v6only": False,
        "owners": (make_who_owner(),),
        "no_owner": None,
        "uid": 105,
        "user": "postgres",
        "cgroup": "/system.slice/postgresql.service",
        "unit": "postgresql.service",
        "container": None,
        "accept_queue": 2,
        "backlog": 128,
        "drops": 0,
        "inode": 4711,
        "cookie": "1f",
    }
    return WhoSocket(**{**settings, **changes})


def make_who_owner(**changes: Any) -> WhoOwner:
    """Make a process that holds a socket."""
    settings: dict[str, Any] = {
        "pid": 812,
        "process": "postgres",
        "user": "postgres",
        "fd": 5,
        "cmdline": None,
        "started_at": "2026-01-02T03:04:05Z",
    }
    return WhoOwner(**{**settings, **changes})


def make_who_record(**changes: Any) -> WhoRecord:
    """Make an address at which a dual-stack socket answers."""
    settings: dict[str, Any] = {
        "proto": "tcp",
        "address": "127.0.0.1",
        "port": 5432,
        "answered": True,
        "status": "answered",
        "how": "dual-stack-wildcard",
        "method": "lookup",
        "socket": make_who_socket(),
        "shared_by": (),
    }
    return WhoRecord(**{**settings, **changes})


def make_who_summary(**changes: Any) -> WhoSummary:
    """Make the summary of a port that is answered and held."""
    settings: dict[str, Any] = {
        "target": "5432",
        "port": 5432,
        "name": "localhost:5432",
        "resolved": ("::1", "127.0.0.1"),
        "answered": True,
        "verdict": "A client that asks for localhost:5432 by TCP reaches postgres[812] at 127.0.0.1.",
        "listeners": (make_who_socket(),),
        "held": (),
        "time_waits": 0,
        "time_wait_ms": None,
        "refused": (),
    }
    return WhoSummary(**{**settings, **changes})


_LEFT = make_who_socket(
    local=Endpoint(address="::1", port=5432),
    owners=(
        make_who_owner(pid=1, process=HOSTILE, user=HOSTILE, started_at="2026-01-01T00:00:00Z"),
        make_who_owner(pid=22, process=None, user=None, fd=None, started_at=None),
    ),
    unit=None,
)
_RIGHT = make_who_socket(local=Endpoint(address="::1", port=5432), owners=None, container="0123456789ab", cookie="20")
WHO = make_report(
    "who",
    make_who_summary(
        verdict=f"A client that asks for localhost:5432 by TCP reaches {HOSTILE}[1] and ?[22] at ::1.",
        held=(
            make_who_socket(
                state="established", remote=Endpoint(address="127.0.0.1", port=9), owners=(), no_owner="orphan"
            ),
        ),
        time_waits=2,
        time_wait_ms=41_500,
        refused=(Refusal(method="sock_diag lookup of udp", why="No such file or directory"),),
    ),
    (
        make_who_record(),
        make_who_record(address="::1", how="specific", socket=_LEFT, shared_by=(_LEFT, _RIGHT)),
        make_who_record(proto="udp", answered=False, status="refused", how=None, socket=None),
        make_who_record(
            proto="udp",
            address="::1",
            answered=None,
            status="unknown",
            method="table",
            socket=make_who_socket(proto="udp", state="unconnected", v6only=None, accept_queue=None, backlog=None),
        ),
        make_who_record(proto="udp", address="127.0.0.9", answered=False, status="lo-down", socket=None),
    ),
    (make_finding(code="port-held", severity="warn", fix=None),),
    complete=False,
    missing=(Missing(what="owners", count=1, why="they belong to another user"),),
)


def make_check_record(**changes: Any) -> CheckRecord:
    """Make a record of a port that was waited for."""
    settings: dict[str, Any] = {
        "id": "api-port",
        "kind": "tcp",
        "target": "localhost:8080",
        "status": "ok",
        "success": True,
        "message": "127.0.0.1:8080 answered in 0.035 ms (after 1.25 s, 6 attempts: ECONNREFUSED x5, then ok)",
        "attempts": 6,
        "elapsed_ms": 1250.25,
        "addresses": (make_check_address(),),
        "observed": "127.0.0.1 ok",
        "expected": "open",
        "history": (CheckTries(error="ECONNREFUSED", count=5), CheckTries(error="ok", count=1)),
        "hint": None,
    }
    return CheckRecord(**{**settings, **changes})


def make_check_address(**changes: Any) -> CheckAddress:
    """Make an address that answered."""
    settings: dict[str, Any] = {
        "address": "127.0.0.1",
        "port": 8080,
        "family": "ipv4",
        "answered": True,
        "error": None,
        "rtt_ms": 0.034567,
    }
    return CheckAddress(**{**settings, **changes})


def make_check_finding(record: CheckRecord, code: str, severity: str) -> Finding:
    """Make the finding about a check."""
    proof = (Evidence(name="expected", value=record.expected, source=f"{record.kind} check"),)
    return make_finding(
        code=code,
        severity=severity,
        subject=record.id,
        message=f"{record.id}: {record.message}",
        evidence=proof,
        hint=record.hint,
        fix=None,
        see=(),
    )


REFUSED = make_check_record(
    id="half",
    status="warn",
    message="127.0.0.1:5432 answered in 0.021 ms; [::1]:5432 refused (ECONNREFUSED): "
    "clients that try ::1 first will fail",
    target="localhost:5432",
    attempts=1,
    elapsed_ms=0.5,
    addresses=(
        make_check_address(port=5432),
        make_check_address(address="::1", port=5432, family="ipv6", answered=False, error="ECONNREFUSED", rtt_ms=None),
    ),
    history=(CheckTries(error="ok", count=1),),
)
LATE = make_check_record(
    id=f"page {HOSTILE}",
    kind="http",
    status="timeout",
    success=False,
    message=f"not in time after 30.00 s, 120 attempts: ECONNREFUSED x118, then status 503 x2; last: {HOSTILE}",
    target="http://127.0.0.1:8080/healthz",
    expected="status 200 to 299",
    attempts=120,
    elapsed_ms=30_000.0,
    hint="curl -v shows the whole exchange; lodiag who tells who has the port.",
)
SKIPPED = make_check_record(
    id="after",
    status="skipped",
    success=None,
    message="skipped: page did not pass",
    attempts=0,
    elapsed_ms=None,
    addresses=(),
    observed=None,
    expected=None,
    history=(),
)
UNSEEN = make_check_record(
    id="owner",
    kind="listen",
    status="error",
    success=False,
    message="the owner of 127.0.0.1:5432 may not be seen by this user",
    target="5432",
    attempts=1,
    elapsed_ms=3.5,
    addresses=(),
    expected="owner postgres",
    hint="Run it as root, or as the user of the service.",
)
CHECK = make_report(
    "check",
    CheckSummary(
        verdict="fail: 2 of 5 checks failed, 1 with a warning, 1 skipped, in 30.00 s: page, owner",
        file="lodiag.toml",
        checks=5,
        passed=2,
        warned=1,
        failed=2,
        timed_out=1,
        errors=1,
        skipped=1,
    ),
    (make_check_record(), REFUSED, LATE, SKIPPED, UNSEEN),
    (
        make_check_finding(LATE, "check-timed-out", "fail"),
        make_check_finding(UNSEEN, "check-not-run", "fail"),
        make_check_finding(REFUSED, "check-warning", "warn"),
        make_check_finding(SKIPPED, "check-skipped", "info"),
    ),
)


def make_audit_record(**changes: Any) -> AuditRecord:
    """Make the record of a server that every host may reach, though only this one does."""
    settings: dict[str, Any] = {
        "proto": "tcp",
        "family": "ipv4",
        "state": "listen",
        "local": Endpoint(address="0.0.0.0", port=6379),
        "exposure": "wildcard-ipv4",
        "exposed": True,
        "opened_by": (),
        "interface": None,
        "address_interface": None,
        "v6only": None,
        "owners": (Owner(pid=812, process="redis-server", user="redis", fd=6, cmdline=None),),
        "uid": 107,
        "user": "redis",
        "cgroup": "/system.slice/redis-server.service",
        "unit": "redis-server.service",
        "container": None,
        "software": "Redis",
        "identified_by": "process",
        "peers": 3,
        "local_peers": 3,
        "loopback_peers": 2,
        "could_be_loopback": True,
        "since_baseline": "wider",
        "inode": 4711,
        "cookie": "1f",
    }
    return AuditRecord(**{**settings, **changes})


_UNKNOWN = {"software": None, "identified_by": None, "could_be_loopback": None, "since_baseline": None}
_WORKER = make_audit_record(
    **_UNKNOWN,
    local=Endpoint(address="192.0.2.7", port=443),
    exposure="specific",
    owners=(
        Owner(pid=31, process=HOSTILE, user=HOSTILE, fd=3, cmdline=HOSTILE),
        Owner(pid=32, process=None, user=None, fd=3, cmdline=None),
    ),
    unit=HOSTILE,
    peers=0,
    local_peers=0,
)
AUDIT = make_report(
    "audit",
    AuditSummary(
        verdict=f"1 of 2 expectations not met by 5 sockets, 4 exposed and 1 on the loopback alone: {HOSTILE}",
        sockets=5,
        exposed=4,
        counts=(
            AuditCount(proto="tcp", exposure="wildcard-ipv4", sockets=1),
            AuditCount(proto="tcp", exposure="specific", sockets=2),
            AuditCount(proto="tcp", exposure="loopback-ipv4", sockets=1),
            AuditCount(proto="udp", exposure="wildcard", sockets=1),
        ),
        interfaces_up=("eth0",),
        forwards=(
            AuditForward(
                rule="ip nat DOCKER handle 9", proto="tcp", ports="8080", address="192.0.2.1", to="172.17.0.2:80"
            ),
            AuditForward(rule="ip nat pre handle 4", proto=None, ports=None, address=None, to=None),
        ),
        file=HOSTILE,
        expectations=2,
        unmet=1,
        baseline_at="2026-01-01T00:00:00.000000Z",
        refused=(Refusal(method="sock_diag of udp and ipv6", why="No such file or directory"),),
    ),
    (
        make_audit_record(),
        _WORKER,
        _WORKER,
        make_audit_record(
            **_UNKNOWN,
            proto="udp",
            family="ipv6",
            state="unconnected",
            local=Endpoint(address="::", port=5353),
            exposure="wildcard",
            interface="eth0",
            owners=None,
            unit=None,
            peers=None,
            local_peers=None,
        ),
        make_audit_record(
            **_UNKNOWN,
            local=Endpoint(address="127.0.0.1", port=5432),
            exposure="loopback-ipv4",
            opened_by=("net.ipv4.conf.eth0.route_localnet",),
            owners=(),
            user=None,
            unit=None,
            container="0123456789ab",
            peers=2,
            local_peers=1,
        ),
    ),
    (
        make_finding(code="expectation", fix=None, subject=HOSTILE),
        make_finding(code="expectation", severity="ok", evidence=(), hint=None, fix=None, see=()),
    ),
    complete=False,
    missing=(
        Missing(what="owners", count=1, why="they belong to another user"),
        Missing(what="what a packet filter keeps out", count=None, why="its rules are not evaluated"),
    ),
)


def make_iface(ifname: str, **changes: Any) -> IfaceRecord:
    """Make an interface that is up, with what it seldom has as well."""
    none: dict[str, Any] = dict.fromkeys(IfaceAddress._fields)
    four = {"family": "inet", "scope": "host", "secondary": False, "valid_life_time": 0xFFFFFFFF, "kind": "standard"}
    first = IfaceAddress(**none | four | {"local": "127.0.0.1", "prefixlen": 8, "label": ifname})
    alias: dict[str, Any] = {"local": "127.0.0.2", "prefixlen": 8, "label": "lo:1", "kind": "alias", "secondary": True}
    ends: dict[str, Any] = {"valid_life_time": 60, "preferred_life_time": 30}
    six = {"family": "inet6", "local": "::1", "prefixlen": 128, "kind": "standard", "tentative": True}
    settings: dict[str, Any] = {
        "ifindex": 1,
        "ifname": ifname,
        "flags": ("LOOPBACK", "UP", "LOWER_UP"),
        "mtu": 65_536,
        "qdisc": "netem",
        "operstate": "UNKNOWN",
        "group": "default",
        "txqlen": 1000,
        "link_type": "loopback",
        "address": "00:00:00:00:00:00",
        "broadcast": "00:00:00:00:00:00",
        "xdp": False,
        "addr_info": (first, first._replace(**alias | ends), IfaceAddress(**none | six)),
        "stats64": LinkStats(LinkReceived(1000, 10, *range(9)), LinkSent(1000, 10, *range(9))),
        "queue": Qdisc("lo", "netem", True, 8000, 1000, 5.0, 1.0, 0.25, 0.0, None, None, 3, 0, 0),  # noqa: FBT003
    }
    return IfaceRecord(**{**settings, **changes})


_RULE: dict[str, Any] = dict.fromkeys(Rule._fields)
_RULE |= {"family": "ipv4", "inverted": False, "src": "all", "l3mdev": False}
_RULES = (
    Rule(**_RULE | {"priority": 0, "action": "lookup", "table": "local"}),
    Rule(
        **_RULE
        | {"priority": 9, "inverted": True, "dst": "127.0.0.0", "dstlen": 8, "iif": HOSTILE, "fwmark": "0x1"}
        | {"fwmask": "0x3", "ipproto": "tcp", "dport": (80, 90), "uids": (0, 5), "action": "goto", "goto": 70}
    ),
)
IFACE = make_report(
    "iface",
    IfaceSummary(
        interfaces=2,
        routes=(
            Route("ipv4", "local", "127.0.0.0/8", None, None, "lo", "local", "kernel", "host", "127.0.0.1", None, None),
            Route("ipv6", "unicast", "default", "fd00::/8", "fd00::1", HOSTILE, "main", "boot", None, None, 1024, 1400),
        ),
        rules=_RULES,
        settings=(
            IfaceSetting("net.core.somaxconn", "16", "no accept queue beyond 16"),
            IfaceSetting("net.ipv4.ip_local_reserved_ports", "", None),
            IfaceSetting("net.ipv4.tcp_tw_reuse", None, None),
        ),
        change=None,
        refused=(Refusal(method="rtnetlink", why="not here"),),
    ),
    (
        make_iface("lo"),
        make_iface(HOSTILE, **dict.fromkeys(("mtu", "qdisc", "operstate", "stats64", "queue")), addr_info=(), flags=()),
    ),
    missing=(Missing(what="routes", count=None, why="the kernel does not tell them"),),
)
IFACE_CHANGE = make_report(
    "iface",
    IfaceSummary(
        interfaces=1,
        routes=None,
        rules=None,
        settings=(),
        refused=(),
        change=IfaceChange(
            action="del",
            interface=HOSTILE,
            status="changed",
            commands=(f"ip address del 127.0.0.1/8 dev {HOSTILE}",),
            undo=(f"ip address add 127.0.0.1/8 dev {HOSTILE}",),
            loses=("::1/128",),
            packets=(
                IfacePacket(address="127.0.0.1", size_bytes=32, rtt_ms=0.025, error=None),
                IfacePacket(address="::1", size_bytes=32, rtt_ms=None, error="timeout"),
            ),
            before=(make_iface(HOSTILE),),
        ),
    ),
    (make_iface(HOSTILE, addr_info=()),),
)


def make_bench_record(**changes: Any) -> BenchRecord:
    """Make the record of a stream."""
    settings: dict[str, Any] = {
        **dict.fromkeys(names_of(BenchRecord)),
        "test": "stream",
        "proto": "tcp",
        "family": "ipv4",
        "address": "127.0.0.1",
        "placement": "unpinned",
        "direction": "to-server",
        "congestion": "bbr",
        "streams": 1,
        "size_bytes": 1048576,
        "read_bytes": 131072,
        "segment_bytes": 65483,
        "measured_ms": 240.0,
        "throughput_bps": 38.25e9,
        "throughput_low_bps": 30.1e9,
        "throughput_high_bps": 46.4e9,
        "client_cpu_s_per_gb": 0.1912,
        "server_cpu_s_per_gb": 0.1344,
        "retransmits": 3,
        "unix_ratio": 0.8034,
        "measure": "throughput_bps",
        "slices": (30.1e9, 46.4e9),
        "taken_ratios": (0.01, None),
        "run_slices": (2,),
        "histogram": (),
    }
    return BenchRecord(**{**settings, **changes})


def make_round_trips(**changes: Any) -> BenchRecord:
    """Make the record of some round trips."""
    settings: dict[str, Any] = {
        "test": "rr",
        "placement": "same-core",
        "direction": None,
        "client_core": 0,
        "server_core": 0,
        "size_bytes": 1,
        "throughput_bps": None,
        "throughput_low_bps": None,
        "throughput_high_bps": None,
        "client_cpu_s_per_gb": None,
        "server_cpu_s_per_gb": None,
        "retransmits": None,
        "transactions": 4,
        "transactions_per_s": 76543.0,
        "rtt_min_ms": 0.0112,
        "rtt_p50_ms": 0.012416,
        "rtt_p90_ms": 0.0131,
        "rtt_p99_ms": 0.021,
        "rtt_p999_ms": 0.0483,
        "rtt_max_ms": 1.2,
        "measure": "rtt_p50_ms",
        "slices": (0.0121, 0.0127),
        "histogram": (
            BenchBucket(from_ms=0.0112, below_ms=0.011264, count=3),
            BenchBucket(from_ms=1.196, below_ms=1.204, count=1),
        ),
    }
    return make_bench_record(**{**settings, **changes})


def make_comparison(**changes: Any) -> BenchComparison:
    """Make the comparison of what became slower."""
    settings: dict[str, Any] = {
        "status": "slower",
        "speed_ratio": 0.5,
        "speed_low_ratio": 0.4,
        "speed_high_ratio": 0.625,
        "could_miss_ratio": 1.64,
        "compared_slices": 9,
        "baseline_slices": (70e9, 76.5e9, 80e9),
        "repeated": 1,
    }
    return BenchComparison(**{**settings, **changes})


BENCH = make_report(
    "bench",
    BenchSummary(
        tests=("stream", "rr", "crr", "udp"),
        rounds=2,
        runs=1,
        machine=BenchMachine(
            kernel="Linux 6.18.44",
            cpu=HOSTILE,
            cores=2,
            python="3.11.7",
            governor=None,
            clock="tsc",
            qdisc="noqueue",
            mtu_bytes=65536,
            cpu_max="200000 100000",
            settings=(BenchSetting(name="net.ipv4.tcp_rmem", value="4096 131072 6291456"),),
        ),
        parameters=BenchParameters(
            time_s=None,
            total_bytes=None,
            streams=1,
            size_bytes=None,
            window_bytes=None,
            reverse=False,
            bidir=False,
            congestion=None,
            affinity=None,
            busy_poll=False,
            graceful=False,
            source_addresses=1,
        ),
        elapsed_ms=12.5,
        load_before=0.25,
        interference=(BenchInterference(pid=4711, process=HOSTILE, cores_used=0.97),),
        steal_ratio=0.01,
        throttled_ms=None,
        baseline_at="2026-01-01T00:00:00Z",
        verdict=None,
    ),
    (
        make_bench_record(compared=make_comparison()),
        make_bench_record(direction="to-client", compared=make_comparison(status="no-change", speed_ratio=0.97)),
        make_bench_record(proto="unix", family=None, address=None, congestion=None, retransmits=None, unix_ratio=None),
        make_round_trips(),
        make_round_trips(
            proto="udp",
            family="ipv6",
            address="::1",
            placement="across-cores",
            error="timeout",
            slices=(),
            histogram=(),
            **dict.fromkeys(("rtt_min_ms", "rtt_p50_ms", "rtt_p90_ms", "rtt_p99_ms", "rtt_p999_ms", "rtt_max_ms")),
        ),
        make_round_trips(
            test="crr", closing="abortive", source_addresses=1, failed=2, limited_by="ephemeral-ports", time_wait_left=0
        ),
        make_bench_record(
            test="udp",
            proto="udp",
            congestion=None,
            sent=1000,
            received=999,
            lost=1,
            loss_ratio=0.001,
            dropped=1,
            reordered=0,
            duplicates=0,
            received_per_s=321_000.0,
            measure="received_per_s",
            slices=(321_000.0,),
        ),
    ),
    (make_finding(code="slower-than-baseline", severity="fail", fix=None),),
)

DOCTOR = make_report(
    "doctor",
    DoctorSummary(
        verdict="the loopback is broken: the loopback interface lo is down",
        service=None,
        failed=1,
        warned=0,
        ok=1,
        found=1,
        skipped=1,
        errors=1,
        capabilities=("CAP_NET_ADMIN",),
        groups=(
            DiagnosisGroup(group="interface", status="finding", severity="fail", diagnoses=2, told="lo is down"),
            DiagnosisGroup(group="filter", status="skipped", severity=None, diagnoses=1, told=f"rules: {HOSTILE}"),
        ),
        repairs=(
            Applied(code="lo-down", command="ip link set lo up", failure=None, undo=("ip link set lo down",)),
            Applied(code="lo-mtu", command=f"ip link set {HOSTILE} mtu 65536", failure="not permitted", undo=()),
        ),
    ),
    [
        DiagnosisRecord(
            group="interface",
            diagnosis=name,
            status=status,
            finding_count=int(status == "finding"),
            severity="fail" if status == "finding" else None,
            measured=measured,
            why=why,
            elapsed_ms=0.25,
        )
        for name, status, measured, why in (
            ("link", "finding", "lo is down", None),
            ("mtu", "ok", "mtu 65536", None),
            ("rules", "skipped", None, "rules of nftables cannot be listed without CAP_NET_ADMIN"),
            ("xdp", "error", None, f"OSError: {HOSTILE}"),
        )
    ],
    (
        Diagnosed(
            code="lo-down",
            severity="fail",
            subject="lo",
            message="the loopback interface lo is down",
            evidence=(Evidence(name="flags", value="LOOPBACK", source="rtnetlink, lo"),),
            hint="Once it is up, the kernel gives it 127.0.0.1/8 and ::1 by itself.",
            fix=Repair(
                commands=("ip link set lo up",),
                needs_root=True,
                undo=("ip link set lo down",),
                persistent=("echo 'auto lo' >>/etc/network/interfaces",),
                automatic=True,
            ),
            see=("ip-link(8)",),
            confidence="likely",
            explains=("network-unreachable", "addr4-missing"),
            impact="Nothing here can reach 127.0.0.0/8 or ::1.",
        ),
    ),
)

SAMPLES = {
    "ping": PING,
    "trace": TRACE,
    "conns": CONNS,
    "empty": EMPTY,
    "who": WHO,
    "map": MAP,
    "audit": AUDIT,
    "iface": IFACE,
    "iface-change": IFACE_CHANGE,
    "check": CHECK,
    "bench": BENCH,
    "doctor": DOCTOR,
}
