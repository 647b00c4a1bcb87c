"""Findings that need a machine of their own: few ports, a packet filter, and a healthy one that is busy."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from running import LO_UP, parse, require_loopback, rules, run_in_world

FEW_PORTS = f"{LO_UP}\necho 40000 40099 > /proc/sys/net/ipv4/ip_local_port_range"


def never(name: str) -> str:
    """Shell line that switches a parameter of TCP off."""
    return f"{FEW_PORTS}\necho 0 > /proc/sys/net/ipv4/{name}"


CLIENTS = """
import json, socket, subprocess, sys, time
from lodiag import list_connections
from lodiag.model import to_plain

how, number, per_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
server = socket.create_server(("127.0.0.1", 8080), backlog=1024)
kept, refused = [], 0

def connect(server=server):
    global refused
    client = socket.socket()
    try:
        client.connect(server.getsockname())
    except OSError:
        client.close()
        refused += 1
        return
    accepted = server.accept()[0]
    if how == "keep":
        kept.extend([client, accepted])
    for sock in {"client-closes": [client, accepted], "server-closes": [accepted, client], "keep": []}[how]:
        sock.close()

start = time.monotonic()
for i in range(number):
    if per_s:
        time.sleep(max(0, start + i / per_s - time.monotonic()))
    connect()
report = list_connections(with_findings=True)
told = {"refused": refused, "findings": to_plain(report.findings)}
fixes = [f.fix for f in report.findings if f.fix]
if fixes and len(sys.argv) > 4:
    for command in fixes[0].commands:
        subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)
    time.sleep(1.2)
    refused = 0
    for _ in range(20):
        connect()
    told["refused after the repair"] = refused
    for command in fixes[0].undo:
        subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)
print(json.dumps(told))
"""


def try_clients(setup: str, how: str, number: int, per_s: float = 0, *more: str) -> dict[str, Any]:
    """Let clients connect to 127.0.0.1:8080, and judge."""
    done = run_in_world(setup, command=(sys.executable, "-c", CLIENTS, how, str(number), str(per_s), *more))
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def codes(findings: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(finding["code"], finding["severity"]) for finding in findings]


@pytest.mark.parametrize(
    ("setup", "how", "parameter"),
    [
        (FEW_PORTS, "keep", "net.ipv4.ip_local_port_range='32768 60999'"),
        (never("tcp_tw_reuse"), "client-closes", "net.ipv4.tcp_tw_reuse=2"),
    ],
    ids=["connections", "those that wait"],
)
def test_no_port_is_left_and_the_repair_repairs_it(setup: str, how: str, parameter: str) -> None:
    told = try_clients(setup, how, 105, 0, "repair")
    assert told["refused"] == 5
    (finding,) = told["findings"]
    assert codes([finding]) == [("ephemeral-exhausted", "fail")]
    assert "all 100 ports from which 127.0.0.1 can connect to 127.0.0.1:8080" in finding["message"]
    assert finding["fix"]["commands"] == [f"sysctl -w {parameter}"]
    assert told["refused after the repair"] == 0


def test_without_timestamps_a_port_that_waits_is_used() -> None:
    (finding,) = try_clients(never("tcp_timestamps"), "client-closes", 90)["findings"]
    assert codes([finding]) == [("ephemeral-low", "warn")]
    assert finding["fix"]["commands"] == ["sysctl -w net.ipv4.tcp_timestamps=1"]


def test_reserved_ports_and_listeners_are_not_for_clients() -> None:
    setup = f"{FEW_PORTS}\necho 40000-40039 > /proc/sys/net/ipv4/ip_local_reserved_ports"
    told = try_clients(setup, "keep", 65)
    assert told["refused"] == 5
    assert "all 60 ports" in told["findings"][0]["message"]


@pytest.mark.parametrize("how", ["client-closes", "server-closes"])
def test_a_pile_of_those_that_wait_is_harmless(how: str) -> None:
    """More connections than there are ports, and each succeeds: the client's are taken again after a second."""
    per_s = 40 if how == "client-closes" else 0
    told = try_clients(FEW_PORTS, how, 160, per_s)
    assert told == {"refused": 0, "findings": []}


def test_few_ports_are_left() -> None:
    told = try_clients(FEW_PORTS, "keep", 85)
    assert codes(told["findings"]) == [("ephemeral-low", "warn")]
    assert "85 of 100 ports" in told["findings"][0]["message"]


def test_half_of_the_ports_are_no_finding() -> None:
    assert try_clients(FEW_PORTS, "keep", 50) == {"refused": 0, "findings": []}


# --- the packet filter -----------------------------------------------------------------------------------------------

SYN = """
import json, socket, time
from lodiag import list_connections
from lodiag.model import to_plain
server = socket.create_server(("127.0.0.1", 8080))
kept = []
for port in (8080, 8081):
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(("127.0.0.1", port))
    kept.append(sock)
first = list_connections(with_findings=True).findings
for _ in range(300):
    found = list_connections(with_findings=True).findings
    if len(found) > 1:
        break
    time.sleep(0.05)
print(json.dumps([to_plain(first), to_plain(found)]))
"""


def test_a_filter_that_drops_what_is_sent_to_a_service() -> None:
    setup = rules("input", "tcp dport { 8080, 8081 } drop")
    done = run_in_world(setup, command=(sys.executable, "-c", SYN), timeout_s=60)
    assert done.returncode == 0, done.stderr
    first, found = json.loads(done.stdout)
    assert first == []
    assert codes(found) == [("syn-sent-lasting", "fail"), ("syn-sent-lasting", "warn")]
    assert [finding["subject"] for finding in found] == ["127.0.0.1:8080", "127.0.0.1:8081"]
    assert "listens there and has room" in found[0]["message"]
    assert "nothing listens there" in found[1]["message"]
    assert "nft list ruleset" in found[0]["hint"]


LOST = """
import json, socket, time
from lodiag import list_connections
from lodiag.model import to_plain
server = socket.create_server(("127.0.0.1", 8080))
clients = [socket.create_connection(server.getsockname()) for _ in range(2)]
accepted = [server.accept()[0] for _ in clients]
before = list_connections(with_findings=True).findings
for client in clients:
    client.send(b"hello")
patience = time.monotonic() + 50
while time.monotonic() < patience:
    found = list_connections(with_findings=True).findings
    if found and found[0].evidence[0].value == len(clients):
        break
print(json.dumps([to_plain(before), to_plain(found)]))
"""


def test_a_filter_that_drops_what_is_sent_over_a_connection() -> None:
    setup = rules("input", "tcp dport 8080 tcp flags & psh == psh drop")
    done = run_in_world(setup, command=(sys.executable, "-c", LOST), timeout_s=60)
    assert done.returncode == 0, done.stderr
    before, found = json.loads(done.stdout)
    assert before == []
    assert codes(found) == [("segments-lost", "fail")], "told once for all"
    assert found[0]["subject"] == "127.0.0.1:8080"
    assert found[0]["evidence"][0]["value"] == 2
    assert "nft list ruleset" in found[0]["hint"]


# --- a listener that is gone -----------------------------------------------------------------------------------------

GONE = """
import json, socket
from lodiag import list_connections
from lodiag.model import to_plain
server = socket.create_server(("127.0.0.1", 8080))
client = socket.create_connection(server.getsockname())
accepted = server.accept()[0]
before = list_connections(with_findings=True).findings
server.close()
print(json.dumps([to_plain(before), to_plain(list_connections(with_findings=True).findings)]))
"""


def test_clients_of_a_listener_that_is_gone_are_a_fact() -> None:
    done = run_in_world(LO_UP, command=(sys.executable, "-c", GONE))
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout)
    assert before == []
    assert codes(after) == [("dead-listener-clients", "info")]
    assert after[0]["subject"] == "127.0.0.1:8080"


# --- localhost -------------------------------------------------------------------------------------------------------

NAMED = """
import json, socket
from lodiag import System, list_connections
from lodiag.model import to_plain

class SixFirst(System):
    def resolve(self, name, family):
        return ("::1", "127.0.0.1")

servers = [socket.create_server(("127.0.0.1", port)) for port in (8081, 8080)]
dual = socket.create_server(("::", 8082), family=socket.AF_INET6, dualstack_ipv6=True)
print(json.dumps(to_plain(list_connections(with_findings=True, system=SixFirst()).findings)))
"""


def test_where_localhost_is_ipv6_first_services_of_ipv4_are_told_once() -> None:
    require_loopback("::1")
    done = run_in_world(LO_UP, command=(sys.executable, "-c", NAMED))
    assert done.returncode == 0, done.stderr
    (finding,) = json.loads(done.stdout)
    assert codes([finding]) == [("family-mismatch", "info")]
    assert "127.0.0.1 alone is answered at 2 ports: 8080, 8081" in finding["message"]


# --- a healthy machine -----------------------------------------------------------------------------------------------

BUSY = """
import json, os, selectors, signal, socket, sys, threading, time
from functools import partial
from lodiag.judge import drops, ephemeral, flows, ports, queues
from lodiag.judge.sockets import judge_sockets
from lodiag.model import to_plain
from lodiag.sockets.options import ConnsOptions
from lodiag.sockets.snapshot import take_snapshot
from lodiag.system import System

SOON = 2000
is_over = threading.Event()

def answer(sock):
    with sock:
        while data := sock.recv(65536):
            sock.sendall(data)

def serve(server):
    while True:
        sock = server.accept()[0]
        threading.Thread(target=answer, args=(sock,), daemon=True).start()

def work(make, number):
    children = []
    for _ in range(number):
        child = os.fork()
        if not child:
            serve(make())
        children.append(child)
    return children

def reuse():
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", 8083))
    sock.listen()
    return sock

def churn(address, client_first):
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    while not is_over.is_set():
        with socket.socket(family) as sock:
            sock.connect(address)
            sock.sendall(bytes(3000))
            left = 3000
            while left:
                left -= len(sock.recv(left))
            if client_first:
                continue
            sock.shutdown(socket.SHUT_WR)
            sock.recv(1)

def stream():
    with socket.create_connection(("127.0.0.1", 8080)) as sock:
        while not is_over.is_set():
            sock.sendall(bytes(500000))
            left = 500000
            while left:
                left -= len(sock.recv(left))

def slow():
    there, here = socket.create_server(("127.0.0.1", 8090)), socket.socket()
    here.connect(there.getsockname())
    accepted = there.accept()[0]
    def drain():
        while not is_over.is_set():
            accepted.recv(200000)
            time.sleep(0.05)
    threading.Thread(target=drain, daemon=True).start()
    here.settimeout(0.1)
    while not is_over.is_set():
        try:
            here.send(bytes(100000))
        except TimeoutError:
            pass

four = socket.create_server(("127.0.0.1", 8080))
dual = socket.create_server(("::", 8081), family=socket.AF_INET6, dualstack_ipv6=True)
shared = socket.create_server(("0.0.0.0", 8082), backlog=128)
children = work(lambda: shared, 3) + work(reuse, 3)
both = [socket.create_server(("127.0.0.1", 8084)), socket.create_server(("::1", 8084), family=socket.AF_INET6)]
for server in (four, dual, *both):
    threading.Thread(target=serve, args=(server,), daemon=True).start()
for _ in range(500):
    with socket.socket() as sock:
        if not sock.connect_ex(("127.0.0.1", 8083)):
            break
    time.sleep(0.01)

idle = [socket.create_connection((host, port)) for host, port in
        [("127.0.0.1", 8080), ("127.0.0.1", 8081), ("::1", 8081), ("127.0.0.1", 8082), ("127.0.0.1", 8083)] * 5]
for sock in idle:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
waits = socket.create_server(("127.0.0.1", 8085))
asking = socket.create_connection(waits.getsockname())
answering = waits.accept()[0]
asking.shutdown(socket.SHUT_WR)
echo, talker = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
echo.bind(("127.0.0.1", 8086))

def talk():
    while not is_over.is_set():
        talker.sendto(bytes(100), echo.getsockname())
        echo.recv(100)

jobs = [partial(churn, ("127.0.0.1", 8080), True), partial(churn, ("::1", 8081), False),
        partial(churn, ("127.0.0.1", 8082), True), partial(churn, ("127.0.0.1", 8083), False), stream, slow, talk]
for job in jobs:
    threading.Thread(target=job, daemon=True).start()

# Those judges that wait are told to be impatient: what is idle here is old to them.
def judge_soon(snapshot):
    for judge in (queues.judge_unaccepted, flows.judge_close_wait, flows.judge_stuck_receivers):
        yield from judge(snapshot, lasting_ms=SOON)

found, waiting, idle_ms = [], 0, 0
while idle_ms < 2 * SOON:
    snapshot = take_snapshot(System(), ConnsOptions(with_tcp=True)).snapshot
    found += [to_plain(j.finding) for judge in (judge_sockets, judge_soon) for j in judge(snapshot)]
    waiting = max(waiting, sum(r.state == "time-wait" for r in snapshot.records))
    idle_ms = max([idle_ms, *(r.tcp.last_ack_ms or 0 for r in snapshot.records if r.tcp and r.state == "established")])
is_over.set()
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print(json.dumps({"found": found, "waiting": waiting}))
os._exit(0)
"""


@pytest.mark.parametrize("as_nobody", [False, True], ids=["as root", "as nobody"])
def test_a_healthy_machine_that_is_busy_is_silent(*, as_nobody: bool) -> None:
    require_loopback("::1")
    done = run_in_world(LO_UP, as_nobody=as_nobody, command=(sys.executable, "-u", "-c", BUSY), timeout_s=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["found"] == []
    assert told["waiting"] > 100, "it was busy"


def test_where_the_loopback_is_down_there_is_nothing_to_judge() -> None:
    report = parse(run_in_world("", "conns", "--findings", "--json"))
    assert (report["records"], report["findings"], report["complete"]) == ([], [], True)


def test_without_proc_it_is_judged_as_far_as_can_be() -> None:
    """No owner, no kernel parameter and no counter can be read, and it is said."""
    script = "import socket, subprocess, sys; s = socket.create_server(('127.0.0.2', 0)); subprocess.run(sys.argv[1:])"
    hidden = 'mount -t tmpfs none /proc && exec "$0" -c "$1" "$0" -m lodiag conns --findings --json'
    report = parse(run_in_world(LO_UP, command=("unshare", "-m", "sh", "-c", hidden, sys.executable, script)))
    assert codes(report["findings"]) == [("only-at-another-address", "info")]
    assert [item["what"] for item in report["missing"]] == ["owners", "the range of ports for clients"]
