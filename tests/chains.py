"""Chains of hosts in network namespaces, and a loopback address that is routed over them."""

from __future__ import annotations

import shlex
import sys
from typing import Any

from running import CANNOT_SET_UP, Done, parse, run_in_world

LODIAG = (sys.executable, "-m", "lodiag")

CHAIN = """
mount -t tmpfs tmpfs /run
in_() { nsenter --net=/run/netns/"$@"; }
for host in r1 r2 far; do ip netns add $host; done
ip link add v0 type veth peer name v1 netns r1
in_ r1 ip link add v2 type veth peer name v3 netns r2
in_ r2 ip link add v4 type veth peer name v5 netns far
ip address add 192.0.2.1/24 dev v0
in_ r1 ip address add 192.0.2.2/24 dev v1
in_ r1 ip address add 198.51.100.1/24 dev v2
in_ r2 ip address add 198.51.100.2/24 dev v3
in_ r2 ip address add 203.0.113.1/24 dev v4
in_ far ip address add 203.0.113.2/24 dev v5
ip link set lo up
ip link set v0 up
in_ r1 ip link set v1 up
in_ r1 ip link set v2 up
in_ r2 ip link set v3 up
in_ r2 ip link set v4 up
in_ far ip link set v5 up
in_ far ip link set lo up
forward='cd /proc/sys/net/ipv4; echo 1 >conf/all/route_localnet; echo 1 >ip_forward'
sh -c "$forward"
for host in r1 r2 far; do in_ $host sh -c "$forward"; done
ip route add 127.0.0.2 via 192.0.2.2 dev v0
in_ r1 ip route add 127.0.0.2 via 198.51.100.2
in_ r2 ip route add 127.0.0.2 via 203.0.113.2
in_ r2 ip route add 192.0.2.0/24 via 198.51.100.1
in_ far ip route add default via 203.0.113.1
"""
"""Here, two routers, and a far host. All of it is gone when the last process of the namespaces ends.

The routers have no 127.0.0.0/8 of their own, as their loopback is down.
"""

TUNNEL = """
import fcntl, os, select, socket, struct, subprocess, sys

def add(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

def wrap(source, packet, kind, code, ttl):
    body = packet[:28 + 32]
    icmp = struct.pack("!BBHI", kind, code, 0, 0) + body
    icmp = icmp[:2] + struct.pack("!H", add(icmp)) + icmp[4:]
    head = struct.pack("!BBHHHBBH4s4s", 69, 0, 20 + len(icmp), 0, 0, ttl, 1, 0, socket.inet_aton(source), packet[12:16])
    return head[:10] + struct.pack("!H", add(head)) + head[12:] + icmp

hops, command = sys.argv[1].split(","), sys.argv[2:]
tunnel = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tunnel, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001))        # TUNSETIFF, IFF_TUN | IFF_NO_PI
setup = '''
ip link set lo up
ip address add 10.77.0.254/32 dev tun0
ip link set tun0 up
ip route add 127.0.0.2/32 dev tun0 src 10.77.0.254
echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
'''
subprocess.run(["sh", "-ec", setup], check=True)
if os.fork() == 0:
    os.close(tunnel)
    os.execvp(command[0], command)
while not (ended := os.waitpid(-1, os.WNOHANG))[0]:
    if not select.select([tunnel], [], [], 0.01)[0]:
        continue
    packet = os.read(tunnel, 65536)
    if packet[0] >> 4 != 4 or packet[16:20] != socket.inet_aton("127.0.0.2"):
        continue
    ttl = packet[8]
    hop = min(ttl, len(hops))
    if hops[hop - 1] != "-":
        kind, code = (3, 3) if hop == len(hops) else (11, 0)
        os.write(tunnel, wrap(hops[hop - 1], packet, kind, code, 65 - hop))
sys.exit(os.waitstatus_to_exitcode(ended[1]))
"""
"""A tunnel whose other end is this script: it answers UDP to 127.0.0.2 as if those hops, the last the target, did."""


def in_chain(more: str, *command: str) -> Done:
    """Run a command where 127.0.0.2 is three hops away."""
    script = f"trap 'exit {CANNOT_SET_UP}' EXIT\nset -e\n{CHAIN}{more}\nexec {shlex.join(command)}"
    return run_in_world(":" + " # nft " * ("nft " in more), command=("unshare", "-m", "sh", "-c", script))


def trace_chain(*arguments: str, more: str = "", target: str = "127.0.0.2") -> tuple[Done, dict[str, Any]]:
    """Trace an address there."""
    done = in_chain(more, *LODIAG, "trace", "-w", ".2", "--json", *arguments, target)
    return done, parse(done)


def through_tunnel(hops: str, *command: str) -> Done:
    """Run a command where 127.0.0.2 leads into a tunnel with these hops, of which ``-`` keeps silent."""
    return run_in_world(
        "test -r /dev/net/tun -a -w /dev/net/tun", command=(sys.executable, "-c", TUNNEL, hops, *command)
    )


def hops_of(report: dict[str, Any]) -> list[tuple[int, str | None]]:
    """Give the number and address of each hop."""
    return [(record["hop"], record["address"]) for record in report["records"]]
