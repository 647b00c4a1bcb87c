"""The worlds of which the README shows what lodiag prints there: services by name, in a network namespace."""

from __future__ import annotations

import sys
from typing import NamedTuple

from running import LO_UP, run_in_world

ACTOR = """
import os, select, signal, socket, subprocess, sys, time
services, clients, status, command = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
children = []

def open_socket(spec):
    proto, address, port, *options = spec.split(",")
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                         socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in address:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int("dual" not in options))
    for option in options:
        if option.startswith("dev="):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, option[4:].encode())
    sock.bind(socket.getaddrinfo(address, int(port), type=sock.type)[0][4])
    if proto == "tcp":
        sock.listen(next((int(o[8:]) for o in options if o.startswith("backlog=")), 64))
    return sock

def serve(name, workers, specs, ready):
    sockets = [open_socket(spec) for spec in specs]
    for _ in range(workers - 1):
        if os.fork() == 0:
            break
    with open("/proc/self/comm", "w") as comm:
        comm.write(name)
    os.write(ready, b".")
    signal.alarm(120)
    kept = []
    while not any("idle" in spec for spec in specs):
        for sock in select.select(sockets, [], [])[0]:
            kept.append(sock.accept())
    signal.pause()

reading, writing = os.pipe()
expected = 0
for service in services.split():
    name, count, *specs = service.split("|")
    expected += int(count)
    if (child := os.fork()) == 0:
        os.setpgid(0, 0)
        serve(name, int(count), specs, writing)
    children.append(child)
while expected:
    expected -= len(os.read(reading, expected))
held = []
for client in clients.split():
    address, port, times = client.split("|")
    for _ in range(int(times)):
        held.append(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
        held[-1].setblocking(False)
        held[-1].connect_ex((address, int(port)))
time.sleep(0.05 if held else 0)
deadline = time.monotonic() + 20
while True:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == status or time.monotonic() > deadline:
        break
for child in children:
    os.killpg(child, signal.SIGKILL)
sys.stdout.write(done.stdout)
sys.stderr.write(done.stderr)
sys.exit(done.returncode)
"""
"""Starts processes by these names with these sockets and clients, and runs a command until it has this exit status.
They accept what comes, but for those that are idle."""


class World(NamedTuple):
    """What is made before the command of a block is run, and its exit status."""

    setup: str = LO_UP
    services: str = ""
    """``NAME|PROCESSES|SOCKET|...`` each, a socket being ``PROTO,ADDRESS,PORT[,OPTION]``."""
    clients: str = ""
    """``ADDRESS|PORT|TIMES`` each."""
    status: int = 0
    hosts: str | None = None
    """Lines of the hosts file, if it is to be another."""


ETH = """
ip link add d0 type veth peer name d1
ip link set d0 up
ip link set d1 up
ip address add 192.0.2.1/24 dev d0
"""
WORLDS = {
    "conns --findings -l --port 8080": World(
        services="python|1|tcp,127.0.0.1,8080,backlog=1,idle", clients="127.0.0.1|8080|6", status=1
    ),
    "who 8080": World(
        services="node|1|tcp,127.0.0.1,8080,backlog=511",
        hosts="::1 localhost\\n127.0.0.1 localhost\\n",
    ),
    "iface add 127.0.0.2/8 --label lo:1": World(),
    "doctor": World(
        f"{LO_UP}\nip rule del pref 0\nip rule add pref 100 lookup local\nip rule add pref 50 to 127.0.0.0/8 blackhole",
        status=1,
    ),
    "audit": World(
        f"{LO_UP}\n{ETH}ip address add fe80::1/64 dev d0 nodad",
        "node|1|tcp,::,3000,dual nginx|3|tcp,0.0.0.0,80|tcp,::,80 redis-server|1|tcp,0.0.0.0,6379 "
        "python3|1|tcp,192.0.2.1,8000 python3|1|tcp,fe80::1%d0,8080 python3|1|udp,224.0.0.251,5353 "
        "python3|1|tcp,0.0.0.0,9000,dev=lo python3|1|udp,127.0.0.53,53 postgres|1|tcp,127.0.0.1,5432|tcp,::1,5432 "
        "redis-server|1|tcp,127.0.0.1,6380",
        "127.0.0.1|6379|3 ::1|3000|1",
    ),
}
"""By the command of the block."""


def run_world(command: str) -> str:
    """Run a command of the README in its world, and give what it prints; skip the test where that cannot be had."""
    world = WORLDS[command]
    lodiag = (sys.executable, "-m", "lodiag", *command.split())
    wanted = (sys.executable, "-c", ACTOR, world.services, world.clients, str(world.status), *lodiag)
    if world.hosts is not None:
        mounts = f"f=$(mktemp) && printf '{world.hosts}' >$f && mount --bind $f /etc/hosts && rm $f && exec \"$@\""
        wanted = ("unshare", "-m", "sh", "-c", mounts, "sh", *wanted)
    done = run_in_world(world.setup, command=wanted, timeout_s=90)
    assert done.returncode == world.status, done.stdout + done.stderr
    return done.stdout
