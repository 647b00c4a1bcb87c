"""``lodiag audit``: the test opens the sockets, then asks lodiag who may reach them."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from running import LO_UP, assert_refused, parse, run_as_nobody, run_in_world, run_json, run_lodiag, run_without_netlink
from samples import make_audit_record
from situations import bind, connect, listen, other_service, port_of

from lodiag.audit import audit_bindings
from lodiag.bindings.policy import CLASSES, parse_expectation, read_policy
from lodiag.errors import ConfigError
from lodiag.judge.exposure import group_services
from lodiag.judge.servers import SERVERS, identify
from lodiag.model.audit import EXPOSURES, AuditRecord
from lodiag.model.conns import Endpoint, Owner
from lodiag.system import System, iptables
from lodiag.system.facts import Forward, Forwards, Namespaces
from lodiag.system.forwards import decode

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from lodiag.model import Finding, Report
    from lodiag.model.audit import AuditSummary

    Audited = Report[AuditRecord, AuditSummary]

THIS = os.getpid()
UDP = socket.SOCK_DGRAM


class Quick(System):
    """This machine, but for what takes a process of its own to ask."""

    def read_forwards(self) -> Forwards:
        """Tell of no rule."""
        return Forwards((), None)


def audit(**options: Any) -> Audited:
    return audit_bindings(system=Quick(), **options)


def at(report: Audited, sock: socket.socket) -> AuditRecord:
    """Find the record of a socket of this process."""
    proto = "udp" if sock.type == UDP else "tcp"
    inode = os.fstat(sock.fileno()).st_ino
    rows = [r for r in report.records if (r.proto, r.local.port) == (proto, port_of(sock)) and r.inode in {inode, None}]
    (row,) = rows
    return row


def has_ipv6() -> bool:
    return System().has_address("::1")


def names_of_owners(row: AuditRecord) -> list[str | None]:
    return [owner.process for owner in row.owners or ()]


def about(report: Audited, *socks: socket.socket) -> list[Finding]:
    """Pick the findings that speak of the ports of sockets."""
    ports = [f":{port_of(sock)}" for sock in socks]
    return [found for found in report.findings if any(port in found.subject + found.message for port in ports)]


# --- classes ---------------------------------------------------------------------------------------------------------


WAYS = (
    ("127.0.0.1", "loopback-ipv4"),
    ("127.0.0.53", "loopback-other"),
    ("::1", "loopback-ipv6"),
    ("0.0.0.0", "wildcard-ipv4"),
    ("::", "wildcard-ipv6"),
    ("::", "wildcard-dual"),
    ("::ffff:127.0.0.1", "loopback-ipv4"),
    ("::ffff:0.0.0.0", "wildcard-ipv4"),
)


def test_each_way_to_be_bound(opened: ExitStack, source: str) -> None:
    expected = {}
    for address, exposure in WAYS if has_ipv6() else [way for way in WAYS if ":" not in way[0]]:
        options = {"v6only": int(exposure.endswith("ipv6"))} if ":" in address else {}
        for sock in (listen(opened, address, **options), bind(opened, address, kind=UDP, **options)):
            expected[sock] = exposure if source == "sock_diag" or address != "::" else "wildcard"
    report = audit(source=source)
    for sock, exposure in expected.items():
        row = at(report, sock)
        assert (row.exposure, row.exposed) == (exposure, row.opened_by != () or not exposure.startswith("loopback"))
        assert [owner.pid for owner in row.owners or ()] == [THIS]


@pytest.mark.skipif(sys.platform != "linux", reason="SO_BINDTODEVICE is Linux's")
def test_what_is_bound_to_the_loopback_interface_is_not_exposed(opened: ExitStack) -> None:
    sock = bind(opened, "0.0.0.0")
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    except OSError as error:
        pytest.skip(f"a socket cannot be bound to lo here: {error}")
    sock.listen()
    row = at(audit(), sock)
    assert (row.exposure, row.exposed, row.interface) == ("loopback-interface", False, "lo")


def test_neither_connections_nor_what_is_only_bound_is_audited(opened: ExitStack) -> None:
    server = listen(opened, "127.0.0.1")
    client, _ = connect(opened, server)
    held = bind(opened, "127.0.0.1")
    talking = bind(opened, "127.0.0.1", kind=UDP)
    talking.connect(("127.0.0.1", 9))
    ports = {(r.proto, r.local.port) for r in audit().records}
    assert ("tcp", port_of(server)) in ports
    assert not ports & {("tcp", port_of(client)), ("tcp", port_of(held)), ("udp", port_of(talking))}


WORLD = f"""{LO_UP}
ip link add d0 type veth peer name d1
ip address add 192.0.2.1/24 dev d0
ip -6 address add fe80::1/64 dev d0 nodad
ip link set d0 up
ip link set d1 up
"""
SERVE = f"""{sys.executable} -c '
import socket, sys, time
socks = []
for address in sys.argv[1:]:
    host, _, port = address.rpartition(":")
    family, zone = (socket.AF_INET6, 2) if ":" in host else (socket.AF_INET, 0)
    kind = socket.SOCK_DGRAM if port.startswith("5353") else socket.SOCK_STREAM
    sock = socket.socket(family, kind)
    zone = socket.if_nametoindex("d0") if host.startswith("fe80") else 0
    sock.bind((host, int(port), 0, zone) if zone else (host, int(port)))
    kind == socket.SOCK_STREAM and sock.listen()
    socks.append(sock)
open("ready", "w").close()
time.sleep(20)
' """


def serve(folder: Path, *addresses: str) -> str:
    """Shell lines that listen at addresses until lodiag has looked."""
    here = f"cd {folder}\n{SERVE} {' '.join(addresses)} &\nserver=$!\n"
    return f"{here}for _ in $(seq 400); do [ -e ready ] && break; sleep 0.02; done\n[ -e ready ]\n"


def audit_world(setup: str, *arguments: str) -> dict[str, Any]:
    """Audit a world of its own, and end what it runs."""
    command = (
        "sh",
        "-c",
        f"{sys.executable} -m lodiag audit --json {' '.join(arguments)}; status=$?; kill $server; exit $status",
    )
    return parse(run_in_world(f"{setup}\nexport server", command=command))


def test_addresses_of_other_interfaces(tmp_path: Path) -> None:
    report = audit_world(
        WORLD + serve(tmp_path, "192.0.2.1:80", "fe80::1:81", "224.0.0.251:5353", "127.0.0.1:82", "::1:83")
    )
    found = {row["local"]["port"]: (row["exposure"], row["exposed"]) for row in report["records"]}
    assert found == {
        80: ("specific", True),
        81: ("link-local", True),
        5353: ("multicast", True),
        82: ("loopback-ipv4", False),
        83: ("loopback-ipv6", False),
    }
    places = {row["local"]["port"]: row["address_interface"] for row in report["records"]}
    assert places == {80: "d0", 81: "d0", 5353: None, 82: "lo", 83: "lo"}
    assert sorted(report["summary"]["interfaces_up"]) == ["d0", "d1"]


# --- what opens the loopback -----------------------------------------------------------------------------------------

OPEN = "echo 1 > /proc/sys/net/ipv4/conf/{}/route_localnet\n"
NAT = (
    "nft 'add table ip nat; add chain ip nat pre { type nat hook prerouting priority -100; }; add chain ip nat more'\n"
    "nft add rule ip nat pre jump more\n"
    "nft add rule ip nat more tcp dport 8080 dnat to 127.0.0.1:82\n"
    "nft add rule ip nat pre udp dport 53 dnat to 192.0.2.9\n"
    "nft 'add chain ip nat out { type nat hook output priority -100; }'\n"
    "nft add rule ip nat out tcp dport 99 dnat to 127.0.0.1:82\n"
)


@pytest.mark.parametrize("interface", ["all", "d0"])
def test_a_kernel_that_lets_neighbours_in(tmp_path: Path, interface: str) -> None:
    setup = WORLD + OPEN.format(interface) + serve(tmp_path, "127.0.0.1:82", "127.0.0.2:82", "::1:82")
    report = audit_world(setup)
    parameter = f"net.ipv4.conf.{interface}.route_localnet"
    opened = {row["local"]["address"]: (row["opened_by"], row["exposed"]) for row in report["records"]}
    assert opened == {"127.0.0.1": ([parameter], True), "127.0.0.2": ([parameter], True), "::1": ([], False)}
    (found,) = [f for f in report["findings"] if f["code"] == "route-localnet"]
    assert (found["severity"], found["subject"]) == ("warn", parameter)
    assert found["message"].endswith("127.0.0.2:82, 127.0.0.1:82")
    assert found["fix"]["commands"] == [f"sysctl -w {parameter}=0"]
    assert found["fix"]["undo"] == [f"sysctl -w {parameter}=1"]


@pytest.mark.parametrize("is_open", [False, True])
def test_rules_that_forward_ports(tmp_path: Path, *, is_open: bool) -> None:
    """Those of neighbours, wherever the chain leads; not those of this host's own clients."""
    setup = WORLD + (OPEN.format("d0") if is_open else "") + NAT + serve(tmp_path, "127.0.0.1:82")
    report = audit_world(setup)
    codes = {f["code"]: (f["severity"], f["message"]) for f in report["findings"]}
    assert codes["port-forwarded"][0] == "info"
    assert "udp port 53 to 192.0.2.9;" in codes["port-forwarded"][1]
    severity, message = codes["dnat-to-loopback"]
    assert "tcp port 8080 to 127.0.0.1:82" in message
    assert severity == ("warn" if is_open else "info")
    assert ("drops" in message) is not is_open
    assert {f["to"] for f in report["summary"]["forwards"]} == {"127.0.0.1:82", "192.0.2.9"}
    (row,) = report["records"]
    assert len(row["opened_by"]) == (2 if is_open else 0)
    assert not [item for item in report["missing"] if "forwards" in item["what"]]


RULES = [
    ({"chain": {"family": "ip", "table": "nat", "name": "P", "handle": 1, "hook": "prerouting"}}),
    ({"chain": {"family": "ip", "table": "nat", "name": "X", "handle": 2}}),
]


def rule(*expressions: dict[str, Any], chain: str = "P") -> dict[str, Any]:
    return {"rule": {"family": "ip", "table": "nat", "chain": chain, "handle": 7, "expr": list(expressions)}}


def dport(right: Any, protocol: str = "tcp", op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": {"payload": {"protocol": protocol, "field": "dport"}}, "right": right}}


PLACE = "ip nat P handle 7"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            rule(dport(80), {"dnat": {"addr": "10.0.0.2", "port": 8080}}),
            Forward(PLACE, "tcp", "80", "10.0.0.2", 8080),
        ),
        (
            rule(dport({"range": [90, 99]}, "udp"), {"redirect": {"port": 9}}),
            Forward(PLACE, "udp", "90-99", "this host", 9),
        ),
        (
            rule(dport({"set": [81, {"range": [82, 84]}]}), {"dnat": {"addr": "10.0.0.2"}}),
            Forward(PLACE, "tcp", "81,82-84", "10.0.0.2", None),
        ),
        (rule(dport(22, op="!="), {"dnat": {"addr": "10.0.0.2"}}), Forward(PLACE, "tcp", None, "10.0.0.2", None)),
        (rule(dport(22, "th"), {"redirect": None}), Forward(PLACE, None, "22", "this host", None)),
        (rule({"dnat": {"addr": {"map": {"key": {}, "data": {}}}}}), Forward(PLACE, None, None, None, None)),
        (
            rule(
                {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "udp"}}, {"dnat": {"addr": "::1"}}
            ),
            Forward(PLACE, "udp", None, "::1", None),
        ),
        (rule({"dnat": {"addr": "10.0.0.2"}}, chain="X"), None),
    ],
)
def test_rules_of_nft_are_decoded(found: dict[str, Any], expected: Forward | None) -> None:
    told = decode(json.dumps({"nftables": [*RULES, found]}).encode())
    assert told == Forwards((expected,) if expected else (), None)


# As nft 1.0.6 tells the rules of iptables-nft 1.8.9 of a machine with published ports, shortened; and iptables-save.
IPTABLES_BY_NFT = {
    "nftables": [
        {"chain": {"family": "ip", "table": "nat", "name": "DOCKER", "handle": 1}},
        {"chain": {"family": "ip", "table": "nat", "name": "PREROUTING", "handle": 2, "hook": "prerouting"}},
        {"chain": {"family": "ip", "table": "nat", "name": "OUTPUT", "handle": 4, "hook": "output"}},
        {
            "rule": {
                "family": "ip",
                "table": "nat",
                "chain": "DOCKER",
                "handle": 8,
                "expr": [
                    {"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "docker0"}},
                    {
                        "match": {
                            "op": "==",
                            "left": {"payload": {"protocol": "ip", "field": "daddr"}},
                            "right": "127.0.0.1",
                        }
                    },
                    dport(5432),
                    {"counter": {"packets": 0, "bytes": 0}},
                    {"xt": {"type": "target", "name": "DNAT"}},
                ],
            }
        },
        {
            "rule": {
                "family": "ip",
                "table": "nat",
                "chain": "PREROUTING",
                "handle": 3,
                "expr": [{"xt": {"type": "match", "name": "addrtype"}}, {"jump": {"target": "DOCKER"}}],
            }
        },
    ]
}
IPTABLES_SAVE = """# Generated by iptables-save v1.8.9 (nf_tables) on Tue Nov 24 15:10:17 2026
*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A PREROUTING -p udp -m multiport --dports 53,5353 -j DNAT --to-destination 127.0.0.1
-A PREROUTING -p tcp -m tcp --dport 90:99 -j REDIRECT --to-ports 9000
-A PREROUTING -p tcp -m tcp ! --dport 22 -j DNAT --to-destination 192.0.2.1-192.0.2.9
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j MINE
-A MINE -p tcp -m tcp --dport 1 -j DNAT --to-destination 192.0.2.2
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 5432 -j DNAT --to-destination 172.17.0.3:5432
-A DOCKER -p tcp -m tcp --dport 80 -j DNAT --to-destination [fd00::2]:8080
COMMIT
"""


def test_rules_of_iptables_are_said_to_hide_their_target() -> None:
    told = decode(json.dumps(IPTABLES_BY_NFT).encode())
    assert told.rules == (Forward("ip nat DOCKER handle 8", "tcp", "5432", None, None, "127.0.0.1", is_hidden=True),)
    assert "iptables-save" in (told.untold or "")


def test_rules_of_iptables_are_told_by_its_own_tool() -> None:
    found = {item.ports: item for item in iptables.decode(IPTABLES_SAVE, "iptables")}
    assert {ports: item[3:6] for ports, item in found.items()} == {
        "53,5353": ("127.0.0.1", None, None),
        "90-99": ("this host", 9000, None),
        None: (None, None, None),
        "8080": ("172.17.0.2", 80, None),
        "5432": ("172.17.0.3", 5432, "127.0.0.1"),
        "80": ("fd00::2", 8080, None),
    }
    assert [item.proto for item in found.values()].count("udp") == 1
    rule = "iptables -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80"
    assert found["8080"].rule == rule


class Forwarding(System):
    """A machine with ports that containers publish."""

    def read_forwards(self) -> Forwards:
        """Tell the rules of iptables."""
        return Forwards(tuple(iptables.decode(IPTABLES_SAVE, "iptables")), None)


def test_what_is_published_on_the_loopback_alone_is_no_finding() -> None:
    report = audit_bindings(system=Forwarding())
    subjects = [f.subject for f in report.findings if f.code in {"port-forwarded", "dnat-to-loopback"}]
    assert len(subjects) == 5
    assert not [text for text in subjects if "5432" in text]
    assert len(report.summary.forwards or ()) == 6


@pytest.mark.parametrize(
    ("expect", "holds"),
    [
        ("8080=none", False),
        ("8000-9000=loopback,none", False),
        ("8080/udp=none", True),
        ("8080=none,exposed", True),
        ("5353/udp=none", False),
        ("95/tcp=none", False),
        ("5432=none", True),
    ],
)
def test_a_port_that_is_forwarded_is_not_as_expected(expect: str, *, holds: bool) -> None:
    """Though nothing listens there; but for what is published on the loopback alone."""
    report = audit_bindings(system=Forwarding(), expect=[expect])
    (found,) = [f for f in report.findings if f.subject == expect.partition("=")[0]]
    listening = {row.local.port for row in report.records} & {8080, 5353, 95, 5432}
    if not listening:
        assert (found.code, found.severity) == ("expectation", "ok" if holds else "fail")
    assert ("forwards it" in found.message) is not holds


JSON = st.recursive(
    st.none() | st.integers() | st.sampled_from(["ip", "nat", "P", "tcp", "dport", "prerouting"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "nftables",
                    "rule",
                    "chain",
                    "map",
                    "expr",
                    "match",
                    "left",
                    "right",
                    "dnat",
                    "jump",
                    "target",
                    "hook",
                    "family",
                    "table",
                    "name",
                    "handle",
                    "payload",
                    "field",
                    "op",
                    "set",
                    "range",
                    "elem",
                    "redirect",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=60)
@given(JSON)
def test_whatever_nft_tells_is_decoded_or_said_not_to_be_understood(value: Any) -> None:
    for text in (value, {"nftables": value}, {"nftables": [*RULES, rule(*[value] if isinstance(value, dict) else [])]}):
        told = decode(json.dumps(text).encode())
        assert told.rules is not None or "not understood" in (told.untold or "")


# --- who is connected, and what it is --------------------------------------------------------------------------------


def test_a_listener_of_which_all_peers_are_local_could_be_on_the_loopback(opened: ExitStack) -> None:
    server = listen(opened, "0.0.0.0")
    alone = listen(opened, "127.0.0.1")
    connect(opened, alone)
    for _ in range(2):
        connect(opened, server)
    report = audit()
    row = at(report, server)
    assert (row.peers, row.local_peers, row.loopback_peers, row.could_be_loopback) == (2, 2, 2, True)
    (found,) = about(report, server)
    assert (found.code, found.severity) == ("exposed", "info")
    assert "so it could be on the loopback alone" in found.message
    row = at(report, alone)
    assert (row.peers, row.local_peers, row.could_be_loopback) == (1, 1, None)
    assert not about(report, alone)


def test_clients_are_counted_for_the_listener_that_got_them(opened: ExitStack) -> None:
    """By IPv4, an IPv6 listener; and beside a nearer one, that at every address has none."""
    dual = listen(opened, "::", v6only=0)
    client = opened.enter_context(socket.create_connection(("127.0.0.1", port_of(dual))))
    wide = listen(opened, "0.0.0.0", reuseport=1)
    near = listen(opened, "127.0.0.1", port_of(wide), reuseport=1)
    connect(opened, near)
    report = audit()
    assert client
    assert (at(report, dual).peers, at(report, dual).local_peers) == (1, 1)
    assert (at(report, near).peers, at(report, wide).peers) == (1, 0)
    assert at(report, wide).could_be_loopback is None


def test_udp_has_no_peers_to_tell(opened: ExitStack) -> None:
    sock = bind(opened, "0.0.0.0", kind=UDP)
    row = at(audit(), sock)
    assert (row.peers, row.local_peers, row.could_be_loopback) == (None, None, None)


def test_another_address_of_the_loopback(opened: ExitStack) -> None:
    server = listen(opened, "127.0.0.53")
    (found,) = about(audit(), server)
    assert found.code == "only-at-another-address"
    assert f"127.0.0.1:{port_of(server)} is refused" in found.message
    with other_service("127.0.0.1", port_of(server)) as pid:
        (found,) = about(audit(), server)
    assert f"127.0.0.1:{port_of(server)} is python" in found.message
    assert f"[{pid}]" in found.message


@pytest.mark.parametrize(
    ("owners", "unit", "user", "port", "expected"),
    [
        ([("redis-server", None)], None, "root", 1, ("Redis", "process")),
        ([("mariadbd", None)], None, None, 1, ("MySQL", "process")),
        ([("python3", "/usr/bin/python3 /venv/bin/gunicorn app:app")], None, None, 1, ("Gunicorn", "process")),
        ([("python3.11", "python3.11 -m uvicorn a:b --port 80")], None, None, 1, ("Uvicorn", "process")),
        ([("uvicorn", None)], None, None, 1, ("Uvicorn", "process")),
        ([("python3", "python3 -m http.server")], None, None, 1, ("Python's http.server", "process")),
        ([("python3", "python3 app.py --backend uvicorn.local")], None, None, 1, None),
        ([("MainThread", "node server.js")], None, None, 1, ("Node.js", "process")),
        ([("node", "node kibana --elasticsearch.hosts=x")], None, None, 1, ("Node.js", "process")),
        (
            [("java", "/jdk/bin/java -m org.elasticsearch.server/org.elasticsearch.bootstrap.Elasticsearch")],
            None,
            None,
            9200,
            ("Elasticsearch", "process"),
        ),
        ([("java", "java -jar app.jar")], None, None, 9200, None),
        ([("beam.smp", "/usr/lib/erlang/bin/beam.smp -s rabbit boot")], None, None, 5672, ("RabbitMQ", "process")),
        ([("beam.smp", "beam.smp -s ejabberd")], None, None, 5222, None),
        ([("systemd", "/sbin/init")], "ssh.socket", "root", 22, ("OpenSSH", "unit")),
        ([], "postgresql@15-main.service", "postgres", 5433, ("PostgreSQL", "unit")),
        ([], None, "redis", 6379, ("Redis", "user-and-port")),
        ([], None, "redis", 80, None),
        ([], None, "root", 6379, None),
        ([], None, None, 6379, None),
        ([("sh", None)], "session-1.scope", "redis", 6379, None),
        ([(None, None)], None, None, 1, None),
    ],
)
def test_software_is_recognised(
    owners: list[tuple[str | None, str | None]],
    unit: str | None,
    user: str | None,
    port: int,
    expected: tuple[str, str] | None,
) -> None:
    assert identify(owners, unit, user, port) == expected


def test_each_server_says_how_it_is_kept_to_the_loopback_and_where_that_is_written() -> None:
    names = [server.name for server in SERVERS]
    assert len(set(names)) == len(names)
    for server in SERVERS:
        assert server.setting
        assert server.see.startswith("https://")
        assert not server.units or all(server.units)


def test_what_asks_for_no_password_is_a_warning_with_its_setting(opened: ExitStack, tmp_path: Path) -> None:
    """A real server of Python's, at every address; and the same kept to the loopback, which is none."""
    import subprocess

    found = {}
    for address in ("0.0.0.0", "127.0.0.1"):
        with socket.socket() as probe:
            probe.bind((address, 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "http.server", "--bind", address, str(port)]
        server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        opened.callback(server.wait)
        opened.callback(server.kill)
        for _ in range(500):
            report = audit()
            rows = [row for row in report.records if row.local.port == port]
            if rows:
                break
        (row,) = rows
        assert row.software == "Python's http.server"
        assert [owner.cmdline for owner in row.owners or ()] == [None]
        found[address] = [f for f in report.findings if f":{port}" in f.subject]
    (warning,) = found["0.0.0.0"]
    assert (warning.code, warning.severity) == ("exposed-without-authentication", "warn")
    assert "--bind 127.0.0.1" in (warning.hint or "")
    assert not found["127.0.0.1"]


def make_record(**changes: Any) -> AuditRecord:
    return make_audit_record(**{"unit": None, "container": None, "software": None, **changes})


def own(*pids: int, name: str = "python3") -> tuple[Owner, ...]:
    return tuple(Owner(pid, name, "root", 3, None) for pid in pids)


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ({"owners": own(1000)}, {"owners": own(1000)}, True),
        ({"owners": own(1000, 1001)}, {"owners": own(1001, 1002)}, True),
        ({"owners": own(1000)}, {"owners": own(1001)}, False),
        ({"owners": own(1)}, {"owners": own(1)}, False),
        ({"owners": own(1000), "unit": "a.service"}, {"owners": own(1001), "unit": "a.service"}, True),
        ({"owners": own(1000), "unit": "a.service"}, {"owners": own(1001, name="x"), "unit": "a.service"}, False),
        ({"owners": own(1000), "unit": "session-1.scope"}, {"owners": own(1001), "unit": "session-1.scope"}, False),
        ({"owners": None}, {"owners": None}, False),
        ({"owners": None, "unit": "a.service"}, {"owners": None, "unit": "a.service"}, True),
    ],
)
def test_sockets_of_one_service_are_told_together(one: dict[str, Any], other: dict[str, Any], *, is_one: bool) -> None:
    ends = (Endpoint("0.0.0.0", 80), Endpoint("0.0.0.0", 443))
    groups = group_services(make_record(local=end, **changes) for end, changes in zip(ends, (one, other), strict=True))
    assert (len(groups) == 1) is is_one


def test_what_joins_two_services_makes_them_one() -> None:
    records = [make_record(local=Endpoint("0.0.0.0", port), owners=own(port)) for port in (80, 81)]
    records.append(make_record(local=Endpoint("0.0.0.0", 82), owners=own(80, 81)))
    assert [len(group) for group in group_services(records)] == [3]


# --- expectations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "expect", "status"),
    [
        ("127.0.0.1", "{}=loopback", 0),
        ("127.0.0.53", "{}/tcp=loopback", 0),
        ("127.0.0.53", "{}=loopback-ipv4,loopback-ipv6", 1),
        ("0.0.0.0", "{}=loopback", 1),
        ("0.0.0.0", "{}=wildcard", 0),
        ("0.0.0.0", "{0}-{0}=exposed", 0),
        ("127.0.0.1", "{}=exposed", 1),
        ("127.0.0.1", "{}=none", 1),
        ("127.0.0.1", "{}/udp=loopback", 1),
        ("127.0.0.1", "{}/udp=loopback,none", 0),
    ],
)
def test_an_expectation(opened: ExitStack, address: str, expect: str, status: int) -> None:
    server = listen(opened, address)
    wanted = expect.format(port_of(server))
    report = audit(expect=[wanted])
    assert report.exit_status == status
    (found,) = [f for f in report.findings if f.subject == wanted.partition("=")[0]]
    assert (found.code, found.severity) == ("expectation", "fail" if status else "ok")
    assert (" holds: " in found.message) is not bool(status)
    assert (report.summary.expectations, report.summary.unmet) == (1, status)
    if "udp" not in wanted:
        assert "exposed" not in [f.code for f in about(report, server)]


def test_the_formats_of_judgements(opened: ExitStack, tmp_path: Path) -> None:
    """A case has the same name whether the expectation holds or not, and a monitoring system its own exit status."""
    server = listen(opened, "0.0.0.0")
    names = set()
    for word, state, status in (("wildcard", "OK", 0), ("loopback", "CRITICAL", 2)):
        junit = tmp_path / word
        done = run_lodiag("audit", f"--expect={port_of(server)}={word}", "--format=nagios", f"--format=junit={junit}")
        first = done.stdout.splitlines()[0]
        assert first.startswith("LODIAG AUDIT ")
        if status:
            assert (done.returncode, first.split()[2]) == (status, state)
        told = re.findall(r'<testcase name="([^"]*)"[^>]*>\s*<failure', junit.read_text())
        assert (f"expectation {port_of(server)}" in told) is bool(status)
        names |= set(re.findall(rf'<testcase name="([a-z]+ {port_of(server)})"', junit.read_text()))
    assert names == {f"expectation {port_of(server)}"}


def test_any_speaks_of_what_no_other_expectation_names(opened: ExitStack) -> None:
    server = listen(opened, "0.0.0.0")
    report = audit(expect=["any/tcp=none", f"{port_of(server)}=wildcard"])
    named, rest = (next(f for f in report.findings if f.subject == s) for s in (str(port_of(server)), "any/tcp"))
    assert named.severity == "ok"
    assert f":{port_of(server)}" not in rest.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not an expectation"),
        ("5432", "is not an expectation"),
        ("=loopback", "is not an expectation"),
        ("5432=", "must be a text"),
        ("5432=lopback", "did you mean 'loopback'?"),
        ("0=loopback", "the port must be from 1 to 65535"),
        ("65536=loopback", "not '65536'"),
        ("20-10=loopback", "not '20-10'"),
        ("5432/tpc=loopback", "must be one of tcp, udp"),
        ("postgres=loopback", "not 'postgres'"),
        ("\u0665=loopback", "the port must be from 1"),
        ("new=none", "without a baseline"),
        ("22=none --expect=22=loopback", "is expected twice"),
        ("\x1b[2J=x", "the port must be from 1"),
    ],
)
def test_what_is_no_expectation(text: str, words: str) -> None:
    assert_refused(run_lodiag("audit", *f"--expect={text}".split(" ")), words)


def test_each_exposure_can_be_expected() -> None:
    for name in EXPOSURES:
        assert name in parse_expectation(f"1={name}", System()).allowed
        assert [word for word, found in CLASSES.items() if name in found]


# --- the policy ------------------------------------------------------------------------------------------------------


def write(folder: Path, text: str) -> str:
    path = folder / "lodiag.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_policy(opened: ExitStack, tmp_path: Path) -> None:
    """Other tables of the file are for other commands."""
    good, bad, mild = listen(opened, "127.0.0.1"), listen(opened, "0.0.0.0"), listen(opened, "0.0.0.0")
    path = write(
        tmp_path,
        f"""
schema = 1
[[check]]
id = "x"
[[audit]]
id = "good"
port = {port_of(good)}
expect = "loopback"
owner = "{names_of_owners(at(audit(), good))[0]}"
[[audit]]
port = {port_of(bad)}
proto = "tcp"
expect = ["loopback", "none"]
[[audit]]
id = "mild"
port = "{port_of(mild)}"
expect = "loopback"
severity = "warning"
[[audit]]
id = "whose"
port = {port_of(good)}
expect = "loopback"
owner = "postgres"
unit = "postgresql"
""",
    )
    report = audit(file=path)
    found = {(f.subject, f.severity) for f in report.findings if f.code == "expectation"}
    assert found == {("good", "ok"), (f"{port_of(bad)}/tcp", "fail"), ("mild", "warn"), ("whose", "fail")}
    assert (report.summary.file, report.summary.expectations, report.summary.unmet) == (path, 4, 3)
    assert report.exit_status == 1


def test_the_usual_file_is_found_and_others_are_left_alone(opened: ExitStack, tmp_path: Path, monkeypatch: Any) -> None:
    from lodiag.cli import main

    server = listen(opened, "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "report.json"
    write(tmp_path, "schema = 1\n[[check]]\nid = 'x'\n")
    assert main(["audit", "--json", "--output", str(out)]) == 0
    assert json.loads(out.read_text())["summary"]["file"] is None
    write(tmp_path, f"[[audit]]\nport = {port_of(server)}\nexpect = 'wildcard'\n")
    assert main(["audit", "--json", "--output", str(out)]) == 1
    assert json.loads(out.read_text())["summary"]["file"] == "lodiag.toml"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no [[audit]] table"),
        ("[[audit]]\nport = 1\nexpect =", "is not TOML"),
        ("audit = 1", "line 1: audit must be an array of tables"),
        ("[audit]\nport = 1", "line 1: audit must be an array of tables"),
        ("[[audit]]\n\n[[audit]]\nexpect = 'none'", "line 1: the table has no port"),
        ("[[audit]]\nport = 1\nexpect = 'none'\n\n[[audit]]\nport = 2", "line 5: the table has no expect"),
        ("[[audit]]\nport = 1\nexpekt = 'none'", "line 3: unknown key 'expekt'; did you mean 'expect'?"),
        ("[[audit]]\nport = true\nexpect = 'none'", "line 2: port must be from 1 to 65535"),
        ("[[audit]]\nport = 70000\nexpect = 'none'", "line 2: port must be from 1 to 65535"),
        ("[[audit]]\nport = 1\nexpect = []", "line 3: expect must not be empty"),
        ("[[audit]]\nport = 1\nexpect = [1]", "line 3: expect must be a text"),
        ("[[audit]]\nport = 1\nexpect = 'none'\nseverity = 'warn'", "line 4: severity must be one of"),
        ("[[audit]]\nport = 1\nexpect = 'none'\nowner = 5", "line 4: owner must be a text"),
        ("[[audit]]\nport = 1\nexpect = 'none'\n[[audit]]\nport = 1\nexpect = 'none'", "line 4: the id '1' is that"),
        ("[[adit]]\nport = 1", "did you mean 'audit'?"),
        ("\udcff", "not text in UTF-8"),
    ],
)
def test_a_bad_policy_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ConfigError, match=re.escape(words)):
        audit_bindings(file=str(path))


def test_a_bad_policy_is_no_traceback(tmp_path: Path) -> None:
    assert_refused(run_lodiag("audit", "--file", str(tmp_path)), "Is a directory")
    assert_refused(run_lodiag("audit", "--file", str(tmp_path / "none")), "No such file")
    assert_refused(run_lodiag("audit", "--file", "-"), "has no [[audit]] table")


GOOD = "[[audit]]\nid = 'db'\nport = 5432\nproto = 'tcp'\nexpect = ['loopback', 'none']\nseverity = 'warning'\n"


@settings(max_examples=60)
@given(st.integers(0, len(GOOD)), st.integers(0, 8), st.text("[]='\"\n,.#audit0-9\\{}\x00", max_size=4))
def test_a_mutated_policy_is_read_or_refused(tmp_path_factory: Any, start: int, length: int, put: str) -> None:
    path = tmp_path_factory.mktemp("policy") / "p.toml"
    path.write_text(GOOD[:start] + put + GOOD[start + length :], encoding="utf-8")
    with suppress(ConfigError):
        assert read_policy(str(path), System())


# --- the baseline ----------------------------------------------------------------------------------------------------


@pytest.fixture
def baseline(opened: ExitStack, tmp_path: Path) -> tuple[str, dict[str, Any], socket.socket]:
    """A report, saved while one socket of ours was there."""
    from lodiag.render import render

    server = listen(opened, "127.0.0.1")
    path = tmp_path / "before.json"
    text = render(audit(), "json")
    path.write_text(text, encoding="utf-8")
    return str(path), json.loads(text), server


def test_what_is_new_since_a_baseline(
    opened: ExitStack, baseline: tuple[str, dict[str, Any], socket.socket], tmp_path: Path
) -> None:
    path, before, server = baseline
    range_of_ports = System().read_socket_settings()["port-range"].value
    fresh = listen(opened, "0.0.0.0", reuseport=1)
    wide = listen(opened, "::1", port_of(server))
    report = audit(baseline=path)
    assert at(report, server).since_baseline == "known"
    assert at(report, wide).since_baseline == "new"
    assert range_of_ports
    assert at(report, fresh).since_baseline == "new"
    new = {f.severity: f for f in about(report, fresh, wide) if f.code == "new-listener"}
    assert f":{port_of(fresh)}" in new["warn"].message
    assert report.summary.baseline_at == before["started_at"]
    assert report.exit_status == 0
    assert audit(baseline=path, expect=["new=none"]).exit_status == 1

    for row in before["records"]:  # as it was before somebody opened it, or before another program took it
        if row["local"]["port"] == port_of(server):
            row["owners"][0]["process"] = "other"
    before["records"].append({**before["records"][0], "local": {"address": "127.0.0.1", "port": port_of(fresh)}})
    before["records"][-1] |= {"proto": "tcp", "interface": None, "exposure": "loopback-ipv4"}
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(before), encoding="utf-8")
    report = audit(baseline=str(changed))
    assert at(report, server).since_baseline == "other-owner"
    assert at(report, fresh).since_baseline == "wider"
    codes = {f.code: f.severity for f in about(report, server, fresh)}
    assert (codes["owner-changed"], codes["newly-exposed"]) == (
        "warn" if at(report, server).exposed else "info",
        "warn",
    )


def test_a_port_that_the_kernel_gave_again_is_no_news(
    opened: ExitStack, baseline: tuple[str, dict[str, Any], socket.socket], tmp_path: Path
) -> None:
    """Services that take any port have another after each start; that is no news if the port is one of those given."""
    path, before, server = baseline
    text = System().read_socket_settings()["port-range"].value
    if text is None:
        pytest.skip("this system does not tell which ports it gives")
    first, last = map(int, text.split())
    own = next(row for row in before["records"] if row["local"]["port"] == port_of(server))
    before["records"] = [own]
    path = str(tmp_path / "own.json")
    (tmp_path / "own.json").write_text(json.dumps(before), encoding="utf-8")
    again = listen(opened, "127.0.0.1")
    assert first <= port_of(again) <= last
    assert at(audit(baseline=path), again).since_baseline == "known"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "it is not a report of lodiag/1"),
        ('{"schema": "lodiag/2"}', "it is not a report of lodiag/1"),
        ('{"schema": "lodiag/1", "command": "conns"}', "it is a report of 'conns'"),
        ('{"schema": "lodiag/1", "command": "audit"}', "a record lacks"),
        ('{"schema": "lodiag/1", "command": "audit", "started_at": "", "records": [{}]}', "a record lacks"),
        ('{"schema": "lodiag/1", "command": "audit", "started_at": "", "records": [null]}', "a record lacks"),
        ("\udcff", "it is not JSON"),
    ],
)
def test_a_bad_baseline_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ConfigError, match="cannot be used") as error:
        audit_bindings(baseline=str(path))
    assert words in str(error.value)


def test_a_bad_baseline_is_no_traceback(tmp_path: Path) -> None:
    assert_refused(run_lodiag("audit", "--baseline", str(tmp_path / "none")), "No such file")


# --- what cannot be seen ---------------------------------------------------------------------------------------------


def missing(report: dict[str, Any]) -> dict[str, str]:
    return {item["what"]: item["why"] for item in report["missing"]}


def test_what_is_never_seen_is_always_said() -> None:
    report = run_json("audit")
    assert "what a packet filter keeps out" in missing(report)
    assert report["complete"] is False


def test_a_user_without_privilege_is_told_what_is_hidden(opened: ExitStack) -> None:
    server = listen(opened, "0.0.0.0")
    report = parse(run_as_nobody("audit", "--json"))
    told = missing(report)
    assert "sockets of other network namespaces" in told
    assert "nft" in told["ports that the packet filter forwards"]
    assert report["summary"]["forwards"] is None
    (row,) = [row for row in report["records"] if row["local"]["port"] == port_of(server)]
    assert row["exposure"] == "wildcard-ipv4"
    if os.geteuid() == 0:
        assert row["owners"] is None
        assert row["user"] is not None
        assert "owners" in told


class Elsewhere(Quick):
    """A machine on which others run."""

    def __init__(self, others: int, *, is_whole: bool) -> None:
        """Take how many there are."""
        self._found = Namespaces(others, is_whole)

    def count_namespaces(self) -> Namespaces:
        """Tell them."""
        return self._found


@pytest.mark.parametrize(
    ("others", "is_whole", "words"),
    [
        (0, True, None),
        (1, True, "1 more is in use"),
        (2, True, "2 more are in use"),
        (0, False, "others may be in use"),
        (2, False, "2 more, or others, are in use"),
    ],
)
def test_other_namespaces_are_counted(others: int, words: str | None, *, is_whole: bool) -> None:
    report = audit_bindings(system=Elsewhere(others, is_whole=is_whole))
    told = [item.why for item in report.missing if "namespaces" in item.what]
    assert [words in why for why in told if words] == ([True] if words else [])
    assert bool(told) is bool(words)


def test_the_namespace_of_a_world_is_another_one_here() -> None:
    """In it there is nothing, with lo down; and what is here is said to be elsewhere."""
    report = parse(run_in_world("", "audit", "--json"))
    assert report["records"] == []
    assert "sockets of other network namespaces" in missing(report)
    assert report["findings"] == []


def test_without_netlink_less_is_told(opened: ExitStack) -> None:
    server = listen(opened, "::", v6only=0)
    report = parse(run_without_netlink("audit", "--json"))
    (row,) = [row for row in report["records"] if row["local"]["port"] == port_of(server)]
    assert (report["source"], row["exposure"]) == ("proc", "wildcard")
    assert "interfaces that sockets are bound to" in missing(report)


def test_the_table_fits_80_columns_and_says_the_verdict_first(opened: ExitStack) -> None:
    listen(opened, "0.0.0.0")
    lines = run_lodiag("audit").stdout.splitlines()
    assert " exposed and " in lines[0]
    assert lines[2].split()[:4] == ["proto", "local", "exposure", "peers"]
