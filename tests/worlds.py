"""Broken worlds, made for real in network namespaces, and what doctor says in each; run by test_doctor_worlds.

Each world is a process of its own in new namespaces: it breaks something, lets a child with the rights of a user
diagnose it, runs the commands that were printed, and lets a second child look again. Many go on at once, in one Python.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
import traceback
from typing import Any, NamedTuple

CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID = 0x00020000, 0x40000000, 0x20000000
NOBODY = 65534
AT_ONCE = 8
LIMIT_S, PATIENCE_S = 90, 20
"""Of a world, and of a diagnosis in it: on a machine that is busy, many worlds at once take their time."""
UP = "ip link set lo up"
LATE = "ip rule del pref 0\nip rule add pref 100 lookup local"
ETH = """
ip link add eth0 type veth peer name far
ip addr add 10.77.0.1/24 dev eth0
ip link set eth0 up
ip link set far up
"""


class World(NamedTuple):
    """A world: how it is made, what doctor is to find there, and as which users it is looked at."""

    setup: str
    """Shell lines."""
    finds: tuple[str, ...] = ()
    """Root causes of severity fail or warn, in any order; none in a healthy world."""
    service: str | None = None
    """What doctor is asked about."""
    actor: str = ""
    """Python that is run beside it, as root; it prints a line when it is ready."""
    users: tuple[str, ...] = ("root", "nobody")
    is_mended: bool = True
    """Whether the printed commands mend it."""
    environ: tuple[tuple[str, str], ...] = ()
    sandbox: str = ""
    """Python that confines the one who looks."""
    nobody_finds: tuple[str, ...] | None = None
    """What a user without privilege can find, where that is something else."""
    info: tuple[str, ...] = ()
    """Remarks that must be made."""


def nft(*lines: str) -> str:
    """Shell lines that bring lo up and load rules."""
    return "\n".join([UP, *(f"nft '{line}'" for line in lines)])


def chain(hook: str, *rules: str, family: str = "inet", policy: str = "accept", kind: str = "filter") -> str:
    """Shell lines that filter at a hook."""
    base = f"add table {family} fault; add chain {family} fault c {{ type {kind} hook {hook} priority 0; "
    return nft(f"{base}policy {policy}; }}", *(f"add rule {family} fault c {rule}" for rule in rules))


def file(path: str, text: str) -> str:
    """Shell lines that put another file in the place of one, in this mount namespace."""
    return f"w=$(mktemp /tmp/lodiag-world-XXXXXX); printf '{text}\\n' >$w; chmod 644 $w; mount --bind $w {path}"


HOSTS4 = file("/etc/hosts", "127.0.0.1\\tlocalhost\\n")
HOSTS46 = file("/etc/hosts", "127.0.0.1\\tlocalhost\\n::1\\tlocalhost\\n")
V6_OFF = f"{UP}\nfor i in all default lo; do echo 1 >/proc/sys/net/ipv6/conf/$i/disable_ipv6; done"

LISTEN = """
import socket, sys, time, threading
def serve(*ends, backlog=16, accept=True):
    kept = []
    for end in ends:
        sock = socket.socket(socket.AF_INET6 if ":" in end[0] else socket.AF_INET)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(end)
        sock.listen(backlog)
        kept.append(sock)
        if accept:
            threading.Thread(target=answer, args=(sock,), daemon=True).start()
    return kept
def answer(sock):
    while True:
        kept = sock.accept()[0]
        threading.Thread(target=hold, args=(kept,), daemon=True).start()
def hold(sock):
    with sock:
        try:
            while sock.recv(100): pass
        except OSError: pass
def ready():
    print("ready", flush=True)
    time.sleep(60)
"""
SERVE = LISTEN + 'k = serve(("127.0.0.1", 8080)); ready()'
SECCOMP = """
import ctypes, struct
def refuse(family, errno=97):
    import platform
    number = {"x86_64": 41, "aarch64": 198}[platform.machine()]
    lines = [(0x20, 0, 0, 0), (0x15, 0, 3, number), (0x20, 0, 0, 16), (0x15, 0, 1, family),
             (0x06, 0, 0, 0x00050000 | errno), (0x06, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    libc = ctypes.CDLL(None, use_errno=True)
    filter = ctypes.create_string_buffer(struct.pack("@HP", len(lines), ctypes.addressof(code)))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(filter), 0, 0) == 0
"""
XDP = """
import ctypes, os, platform, struct
libc = ctypes.CDLL(None, use_errno=True)
bpf = {"x86_64": 321, "aarch64": 280}[platform.machine()]
code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, 1, 0x95, 0, 0, 0))  # r0 = XDP_DROP; exit
name = ctypes.create_string_buffer(b"GPL")
load = struct.pack("=IIQQIIQII", 6, 2, ctypes.addressof(code), ctypes.addressof(name), 0, 0, 0, 0, 0) + bytes(80)
program = libc.syscall(bpf, 5, ctypes.create_string_buffer(load), 128)
assert program >= 0, os.strerror(ctypes.get_errno())
link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
xdp = struct.pack("=HHi", 8, 1, program) + struct.pack("=HHI", 8, 3, 2)             # IFLA_XDP_FD, generic mode
body = struct.pack("=BxHiII", 0, 0, 1, 0, 0) + struct.pack("=HH", 4 + len(xdp), 43 | 0x8000) + xdp
link.send(struct.pack("=IHHII", 16 + len(body), 19, 5, 1, 0) + body)
assert struct.unpack_from("=i", link.recv(4096), 16)[0] == 0
"""
LANDLOCK = """
import ctypes, struct, os
libc = ctypes.CDLL(None, use_errno=True)
attr = ctypes.create_string_buffer(struct.pack("=QQ", 0, 3))
fd = libc.syscall(444, attr, 16, 0)
assert fd >= 0
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.syscall(446, fd, 0) == 0
"""

WORLDS: dict[str, World] = {
    # Healthy: nothing above a remark.
    "healthy": World(UP),
    "healthy, ports open to ping": World(f"{UP}\necho 0 65535 >/proc/sys/net/ipv4/ping_group_range"),
    "healthy, localhost is both": World(f"{UP}\n{HOSTS46}"),
    "healthy, mtu 1500": World(f"{UP}\nip link set lo mtu 1500"),
    "healthy, renamed": World("ip link set lo name loop0\nip link set loop0 up"),
    "healthy, aliases": World(
        f"{UP}\n{ETH}\n"
        + "".join(f"ip addr add {alias} dev lo\n" for alias in ("127.0.0.2/8", "10.10.10.10/32", "fd00::1/128")),
        actor=LISTEN
        + 'k = serve(*((a, 8000) for a in ("127.0.0.1", "127.0.0.2", "10.10.10.10", "fd00::1")))\n'
        + 'c = [socket.create_connection(("127.0.0.1", 8000)) for _ in range(20)]; ready()',
    ),
    "healthy, strict firewall": World(
        chain("input", 'iif "lo" accept', "ct state established,related accept", "tcp dport 22 accept", policy="drop")
        + "\n"
        + """
nft 'add chain inet fault f { type filter hook forward priority 0; policy drop; }'
nft 'add chain inet fault o { type filter hook output priority 0; policy drop; }'
nft 'add rule inet fault o oifname "lo" accept'
"""
    ),
    "healthy, rule by mark": World(
        f"{UP}\nip rule add pref 10 fwmark 0x1 unreachable\nip rule add pref 11 to 10.0.0.0/8 "
        "prohibit\nip rule del pref 0\nip rule add pref 20 lookup local"
    ),
    "healthy, service": World(UP, service="8080", actor=SERVE),
    "healthy, service of both": World(
        f"{UP}\n{HOSTS46}", service="8080", actor=LISTEN + 'k = serve(("127.0.0.1", 8080), ("::1", 8080)); ready()'
    ),
    "healthy, service speaks first": World(
        UP,
        service="127.0.0.1:8080",
        actor=LISTEN
        + 's = socket.create_server(("127.0.0.1", 8080)); print("ready", flush=True)\n'
        + 'while True:\n    c = s.accept()[0]; c.sendall(b"220 hello"); time.sleep(1); c.close()',
    ),
    "healthy, waiting out": World(
        UP,
        actor=LISTEN
        + 's = socket.create_server(("127.0.0.1", 8080), backlog=512)\n'
        + 'for _ in range(800):\n    c = socket.create_connection(("127.0.0.1", 8080)); a = s.accept()[0]; c.close(); '
        + "a.recv(1); a.close()\nready()",
    ),
    "healthy, prefork": World(
        UP,
        actor=LISTEN
        + "import os\nk = []\nfor _ in range(3):\n    s = socket.socket(); s.setsockopt(1, 15, 1); "
        + 's.bind(("127.0.0.1", 8080)); s.listen(); k.append(s)\n    if not os.fork(): answer(s)\nready()',
    ),
    "healthy, ipv6 off and not named": World(f"{V6_OFF}\n{HOSTS4}"),
    "healthy, no tools": World(f"{UP}\nexport PATH=/nowhere", environ=(("PATH", "/nowhere"),)),
    "healthy, no netlink": World(UP, sandbox=SECCOMP + "refuse(16)"),
    "healthy, proxy elsewhere": World(
        UP,
        environ=(("http_proxy", "http://u:secret@proxy.example:3128"), ("no_proxy", "localhost,127.0.0.1,.example")),
    ),
    # The interface.
    "never up": World("true", ("lo-down",)),
    "set down": World(f"{UP}\nip link set lo down", ("lo-down",)),
    "no 127.0.0.1": World(f"{UP}\nip addr del 127.0.0.1/8 dev lo", ("addr4-missing",)),
    "127.0.0.1/32": World(f"{UP}\nip addr del 127.0.0.1/8 dev lo\nip addr add 127.0.0.1/32 dev lo", ("addr4-narrow",)),
    "no ::1": World(f"{UP}\nip -6 addr del ::1/128 dev lo", ("addr6-missing",)),
    "no ::1, named": World(f"{UP}\n{HOSTS46}\nip -6 addr del ::1/128 dev lo", ("addr6-missing",)),
    "IPv6 off on lo": World(f"{UP}\necho 1 >/proc/sys/net/ipv6/conf/lo/disable_ipv6", ("ipv6-disabled",)),
    "IPv6 off everywhere": World(f"{V6_OFF}\n{HOSTS46}", ("ipv6-disabled",)),
    "mtu 1279": World(f"{UP}\nip link set lo mtu 1279", ("lo-mtu",)),
    "mtu 67": World(f"{UP}\nip link set lo mtu 67", ("lo-mtu",)),
    "mtu raised again": World(f"{UP}\nip link set lo mtu 1000\nip link set lo mtu 65536", ("addr6-missing",)),
    "tbf": World(f"{UP}\ntc qdisc add dev lo root tbf rate 1mbit burst 2kb latency 50ms", ("lo-qdisc",)),
    "tbf, wide": World(f"{UP}\ntc qdisc add dev lo root tbf rate 100mbit burst 64kb latency 50ms", ("lo-qdisc",)),
    "alias swallows": World(f"{UP}\n{ETH}\nip addr add 10.77.0.50/24 dev lo", ("alias-swallows-subnet",)),
    "alias of a neighbour": World(f"{UP}\n{ETH}\nip addr add 10.77.0.2/32 dev lo", info=("alias-shadows-neighbour",)),
    "XDP": World(UP, ("xdp-program",), actor=LISTEN + XDP + "ready()"),
    # Routes and rules.
    "no 127.0.0.0/8": World(f"{UP}\nip route del local 127.0.0.0/8 table local", ("route-local",)),
    "no local routes": World(
        f"{UP}\nip route del local 127.0.0.0/8 table local\nip route del local 127.0.0.1 table local", ("route-local",)
    ),
    "no route of ::1": World(f"{UP}\nip -6 route del local ::1 table local", ("route-local",)),
    "unreachable instead of local": World(
        f"{UP}\nip route del local 127.0.0.1 table local\nip route add unreachable 127.0.0.1 table local",
        ("route-local",),
    ),
    "prohibit instead of local": World(
        f"{UP}\nip route del local 127.0.0.0/8 table local\nip route add prohibit 127.0.0.0/8 table local",
        ("route-local",),
    ),
    "throw instead of local": World(
        f"{UP}\nip route flush table local\nip route add throw 127.0.0.0/8 table local\n"
        "ip -6 route replace local ::1 dev lo table local",
        ("route-local",),
    ),
    "rule that leads past local": World(f"{UP}\nip rule add pref 50 goto 32766\n{LATE}", ("rule-order",)),
    "rule for a source": World(f"{UP}\nip rule add pref 50 from 127.0.0.0/8 prohibit\n{LATE}", ("rule-order",)),
    "rule for all but another": World(
        f"{UP}\nip rule add pref 50 not to 10.0.0.0/8 blackhole\n{LATE}", ("rule-order",)
    ),
    "local rule behind main": World(
        f"{UP}\n{ETH}\nip route add default via 10.77.0.2 dev eth0\nip rule del pref 0\n"
        "ip rule add pref 40000 lookup local",
        ("rule-order",),
    ),
    "healthy, blackhole behind local": World(f"{UP}\nip route add blackhole 127.0.0.0/8"),
    "no local rule": World(f"{UP}\nip rule del pref 0", ("rule-order",)),
    "no local rule of IPv6": World(f"{UP}\nip -6 rule del pref 0", ("rule-order",)),
    **{
        f"rule {action}": World(
            f"{UP}\nip rule add pref 50 to 127.0.0.0/8 {action}\n{LATE}",
            ("rule-order",),
        )
        for action in ("blackhole", "prohibit", "unreachable")
    },
    "rule for a port": World(
        f"{UP}\nip rule add pref 50 ipproto tcp dport 8080 prohibit\n{LATE}",
        ("rule-order",),
        actor=SERVE,
    ),
    "rule for a service": World(
        f"{UP}\nip rule add pref 50 ipproto tcp dport 8080 prohibit\n{LATE}",
        ("rule-order",),
        service="127.0.0.1:8080",
        actor=SERVE,
    ),
    "leaves": World(
        f"{UP}\n{ETH}\nip route del local 127.0.0.0/8 table local\nip route add 127.50.0.0/16 via 10.77.0.2 dev eth0",
        ("leaves-loopback",),
    ),
    "localnet": World(f"{UP}\n{ETH}\necho 1 >/proc/sys/net/ipv4/conf/all/route_localnet", ("route-localnet",)),
    "localnet of an interface": World(
        f"{UP}\n{ETH}\necho 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet", ("route-localnet",)
    ),
    "two ports for clients": World(
        f"{UP}\necho 40000 40001 >/proc/sys/net/ipv4/ip_local_port_range", ("ephemeral-low",)
    ),
    "all ports reserved": World(
        f"{UP}\necho 32768-60999 >/proc/sys/net/ipv4/ip_local_reserved_ports", ("ephemeral-low",)
    ),
    "healthy, small mtu without IPv6": World(f"{V6_OFF}\n{HOSTS4}\nip link set lo mtu 1000"),
    # The packet filter. Who may not read it is told no command.
    "input drop": World(chain("input", 'iif "lo" drop'), ("fw-input",)),
    "prerouting drop": World(chain("prerouting", 'iif "lo" drop'), ("fw-input",)),
    "policy drop": World(chain("input", "tcp dport 22 accept", policy="drop"), ("fw-input",)),
    "drop by jump": World(
        nft(
            "add table inet fault; add chain inet fault x; add rule inet fault x drop; "
            "add chain inet fault c { type filter hook input priority 0; }; add rule inet fault c jump x"
        ),
        ("fw-input",),
    ),
    "input drop of IPv6": World(chain("input", 'iif "lo" drop', family="ip6"), ("fw-input",)),
    "input drop of TCP": World(chain("input", "meta l4proto tcp drop"), ("fw-input",)),
    "input drop of UDP": World(chain("input", "meta l4proto udp drop"), ("fw-input",)),
    "output drop": World(chain("output", 'oif "lo" drop'), ("fw-output",)),
    "output drop of IPv4": World(chain("output", 'oif "lo" drop', family="ip"), ("fw-output",)),
    "tcp reset": World(chain("input", "tcp flags & (syn | ack) == syn reject with tcp reset"), ("fw-reset",)),
    "admin-prohibited": World(chain("input", "meta l4proto tcp reject with icmpx admin-prohibited"), ("fw-reject",)),
    "drop of echo requests": World(
        f"{UP}\necho 0 65535 >/proc/sys/net/ipv4/ping_group_range\n"
        + chain("input", "icmp type echo-request drop", family="ip"),
        ("fw-icmp",),
    ),
    "drop of ICMP errors": World(chain("input", "icmp type destination-unreachable drop", family="ip"), ("fw-icmp",)),
    "drop by a map": World(chain("input", 'iif vmap { "lo" : drop }'), ("fw-input",)),
    "drop by a set": World(chain("input", 'iifname { "lo", "eth9" } drop'), ("fw-input",)),
    "icmp drop": World(chain("input", "meta l4proto { icmp, ipv6-icmp } drop"), ("fw-icmp",)),
    "syn limit": World(chain("input", "tcp flags syn limit rate over 2/second drop"), ("fw-limit",)),
    "few at once": World(
        nft(
            "add table inet fault; add set inet fault s { type ipv4_addr; flags dynamic; }; "
            "add chain inet fault c { type filter hook input priority 0; }",
            "add rule inet fault c tcp flags syn add @s { ip saddr ct count over 3 } reject with tcp reset",
        ),
        ("fw-limit",),
    ),
    "random loss": World(chain("input", "numgen random mod 100 < 30 drop"), ("loss",)),
    "random loss of what is sent": World(chain("output", "numgen random mod 100 < 30 drop"), ("loss",)),
    "limit on UDP": World(
        chain("input", "meta l4proto udp limit rate over 1/minute burst 60 packets drop"), ("fw-limit",)
    ),
    "drop by ports": World(chain("input", "udp dport 1-65535 drop"), ("fw-input",)),
    "duplicates": World(
        chain("input", "numgen random mod 100 < 40 dup to 127.0.0.1 device lo", family="ip"), ("duplicates",)
    ),
    "netdev drop": World(
        nft(
            "add table netdev fault; "
            'add chain netdev fault c { type filter hook ingress device "lo" priority 0; policy drop; }'
        ),
        ("fw-input",),
    ),
    "xfrm policy": World(
        f"{UP}\necho 0 >/proc/sys/net/ipv4/conf/lo/disable_xfrm\n"
        "ip xfrm policy add dir out src 127.0.0.0/8 dst 127.0.0.0/8 action block",
        ("xfrm-policy",),
    ),
    "service: reset": World(
        chain("input", "tcp dport 8080 reject with tcp reset"), ("fw-reset",), service="8080", actor=SERVE
    ),
    "service: admin-prohibited": World(
        chain("input", "tcp dport 8080 reject with icmpx admin-prohibited"),
        ("fw-reject",),
        service="8080",
        actor=SERVE,
    ),
    "service: drop": World(chain("input", "tcp dport 8080 drop"), ("fw-input",), service="8080", actor=SERVE),
    "service: connlimit": World(
        chain("input", "tcp dport 8080 ct state new ct count over 3 reject with tcp reset"),
        ("fw-reset",),
        service="8080",
        actor=LISTEN + 'k = serve(("127.0.0.1", 8080)); '
        'c = [socket.create_connection(("127.0.0.1", 8080)) for _ in range(3)]; ready()',
    ),
    "service: redirect": World(
        chain("output", "tcp dport 8080 redirect to :9999", family="ip", kind="nat"),
        ("fw-redirect",),
        service="127.0.0.1:8080",
        actor=LISTEN + 'k = serve(("127.0.0.1", 8080), ("127.0.0.1", 9999)); ready()',
        is_mended=False,
    ),
    # ICMP.
    "echo ignored": World(f"{UP}\necho 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all", ("icmp-ignored",)),
    "echo of IPv6 ignored": World(f"{UP}\necho 1 >/proc/sys/net/ipv6/icmp/echo_ignore_all", ("icmp-ignored",)),
    "no ping for nobody": World(UP, users=("nobody",), info=("icmp-denied",)),
    # Names.
    "no localhost": World(f"{UP}\n{file('/etc/hosts', '127.0.0.1 other')}", ("hosts-no-localhost",)),
    "localhost elsewhere": World(f"{UP}\n{file('/etc/hosts', '10.1.2.3 localhost')}", ("hosts-foreign",)),
    "localhost is 127.0.1.1": World(f"{UP}\n{file('/etc/hosts', '127.0.1.1 localhost')}", ("hosts-other-loopback",)),
    "localhost is ::1, IPv6 off": World(
        f"{V6_OFF}\n{file('/etc/hosts', '::1 localhost')}", ("hosts-v6-only", "ipv6-disabled")
    ),
    "localhost is ::1": World(f"{UP}\n{file('/etc/hosts', '::1 localhost')}", ("hosts-v6-only",)),
    "localhost twice": World(
        f"{UP}\n{file('/etc/hosts', '127.0.0.1 localhost' + chr(92) + 'n127.0.0.1 localhost')}", info=("hosts-dup",)
    ),
    "no files in nsswitch": World(f"{UP}\n{file('/etc/nsswitch.conf', 'hosts: dns')}", ("nss-no-files",)),
    "hosts not readable": World(
        f"{UP}\n{file('/etc/hosts', '127.0.0.1 localhost')}\nchmod 600 /etc/hosts",
        ("hosts-unreadable",),
        users=("nobody",),
    ),
    "stub is dead": World(f"{UP}\n{file('/etc/resolv.conf', 'nameserver 127.0.0.53')}", ("resolv-loopback-dead",)),
    # The environment.
    "proxy": World(UP, ("proxy",), environ=(("http_proxy", "http://user:secret@192.0.2.1:3128"),), is_mended=False),
    "no IPv6 sockets": World(UP, ("seccomp",), sandbox=SECCOMP + "refuse(10)", is_mended=False),
    "landlock": World(UP, ("lsm",), sandbox=LANDLOCK, is_mended=False),
    # Ports and limits.
    "first free port": World(f"{UP}\necho 10000 >/proc/sys/net/ipv4/ip_unprivileged_port_start", ("privileged",)),
    "range covers services": World(
        f"{UP}\necho 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range", ("ports-overlap",), actor=SERVE
    ),
    "ports used up": World(
        f"{UP}\necho 40000 40009 >/proc/sys/net/ipv4/ip_local_port_range",
        ("ephemeral-exhausted",),
        actor=LISTEN
        + 'k = serve(("127.0.0.1", 5432))\n'
        + 'c = [socket.create_connection(("127.0.0.1", 5432)) for _ in range(10)]; ready()',
    ),
    # Services.
    "nothing listens": World(UP, ("nobody-answers",), service="8080", is_mended=False),
    "port 80": World(UP, ("nobody-answers",), service="80", is_mended=False),
    "wrong family": World(
        UP, ("wrong-family",), service="8080", actor=LISTEN + 'k = serve(("::1", 8080)); ready()', is_mended=False
    ),
    "::1 refuses": World(
        f"{UP}\n{HOSTS46}", ("order-v6-first",), service="localhost:8080", actor=SERVE, is_mended=False
    ),
    "another address": World(
        UP,
        ("bound-elsewhere",),
        service="8080",
        actor=LISTEN + 'k = serve(("127.0.0.2", 8080)); ready()',
        is_mended=False,
    ),
    "another device": World(
        f"{UP}\n{ETH}",
        ("bound-to-device",),
        service="8080",
        actor=LISTEN
        + 's = socket.socket(); s.setsockopt(1, 25, b"eth0"); s.bind(("0.0.0.0", 8080)); s.listen(); ready()',
        is_mended=False,
    ),
    "no address of ours": World(
        f"{UP}\necho 1 >/proc/sys/net/ipv4/ip_nonlocal_bind",
        ("bound-nonlocal",),
        service="8080",
        actor=LISTEN + 'k = serve(("172.0.0.1", 8080)); ready()',
        is_mended=False,
    ),
    "full backlog": World(
        UP,
        ("accept-queue-full",),
        service="127.0.0.1:8080",
        actor=LISTEN
        + 'k = serve(("127.0.0.1", 8080), backlog=1, accept=False); c = []\n'
        + 'for _ in range(4):\n    s = socket.socket(); s.setblocking(False); s.connect_ex(("127.0.0.1", 8080)); '
        + "c.append(s)\ntime.sleep(0.1); ready()",
        is_mended=False,
    ),
    "accepts nobody": World(
        UP,
        ("never-accepted",),
        service="127.0.0.1:8080",
        actor=LISTEN + 'k = serve(("127.0.0.1", 8080), accept=False); ready()',
        is_mended=False,
    ),
    "stopped": World(
        UP,
        ("service-stopped",),
        service="127.0.0.1:8080",
        actor=LISTEN + 'import os, signal\nk = serve(("127.0.0.1", 8080)); '
        'print("ready", flush=True); os.kill(os.getpid(), signal.SIGSTOP); time.sleep(60)',
        nobody_finds=("never-accepted",),
    ),
    "resets": World(
        UP,
        ("accept-then-reset",),
        service="127.0.0.1:8080",
        actor=LISTEN
        + 'import struct\ns = socket.create_server(("127.0.0.1", 8080)); print("ready", flush=True)\n'
        + "while True:\n    c = s.accept()[0]; c.setsockopt(1, 13, struct.pack('ii', 1, 0)); c.close()",
        is_mended=False,
    ),
    "files used up": World(
        UP,
        ("files-exhausted",),
        service="127.0.0.1:8080",
        actor=LISTEN
        + 'import resource\ns = socket.create_server(("127.0.0.1", 8080)); resource.setrlimit(7, (24, 4096))\n'
        + 'k = []\ntry:\n    while True: k.append(open("/dev/null"))\nexcept OSError: pass\n'
        + 'print("ready", flush=True)\n'
        + "while True:\n    try: k.append(s.accept()[0])\n    except OSError: time.sleep(0.05)",
        nobody_finds=("never-accepted",),
    ),
    "connected to itself": World(
        UP,
        ("self-connection",),
        service="127.0.0.1:45000",
        actor=LISTEN + 's = socket.socket(); s.bind(("127.0.0.1", 45000)); s.connect(("127.0.0.1", 45000)); ready()',
        is_mended=False,
    ),
    "waits out": World(
        UP,
        ("time-wait-blocks-bind",),
        service="127.0.0.1:8080",
        actor=LISTEN
        + 's = socket.create_server(("127.0.0.1", 8080)); c = socket.create_connection(("127.0.0.1", 8080))\n'
        + "a = s.accept()[0]; a.close(); c.recv(1); c.close(); s.close(); ready()",
        is_mended=False,
    ),
    "stopped, and not read": World(
        UP,
        ("service-stopped",),
        actor=LISTEN + 'import os, signal\ns = socket.create_server(("127.0.0.1", 7000)); '
        'c = socket.create_connection(("127.0.0.1", 7000)); a = s.accept()[0]; c.sendall(b"x" * 100000); '
        'print("ready", flush=True); os.kill(os.getpid(), signal.SIGSTOP); a.recv(200000); time.sleep(60)',
        nobody_finds=(),
    ),
    "listens in another namespace": World(
        UP,
        ("other-namespace",),
        service="127.0.0.1:8080",
        actor=LISTEN + "import ctypes\nctypes.CDLL(None).unshare(0x40000000)\n"
        "import subprocess; subprocess.run(['ip', 'link', 'set', 'lo', 'up'])\n"
        'k = serve(("127.0.0.1", 8080)); ready()',
        is_mended=False,
        nobody_finds=("nobody-answers",),
    ),
    "strangers share a port": World(
        UP,
        ("reuseport-strangers",),
        actor=LISTEN
        + "import subprocess\ns = socket.socket(); s.setsockopt(1, 15, 1); s.bind(('127.0.0.1', 3000)); s.listen()\n"
        + "p = subprocess.Popen([sys.executable, '-c', 'import socket,time; s=socket.socket(); s.setsockopt(1, 15, 1); "
        + "s.bind((\"127.0.0.1\",3000)); s.listen(); print(1,flush=True); time.sleep(60)', 'another'], stdout=-1); "
        + "p.stdout.readline(); ready()",
        is_mended=False,
        nobody_finds=(),
    ),
    "two services": World(
        UP,
        ("two-services-on-one-port",),
        actor=LISTEN
        + 'import subprocess\nk = serve(("127.0.0.1", 3000))\n'
        + "p = subprocess.Popen([sys.executable, '-c', 'import socket,time; s=socket.create_server((\"::1\",3000),"
        + "family=socket.AF_INET6); print(1,flush=True); time.sleep(60)', 'another'], stdout=-1); "
        + "p.stdout.readline(); ready()",
        is_mended=False,
        nobody_finds=(),
    ),
}


# --- the machinery ---------------------------------------------------------------------------------------------------


def enter(world: World) -> subprocess.Popen[str] | None:
    """Make the world around this process."""
    script = f"set -e\nmount --make-rprivate /\nmount -t proc proc /proc\n{world.setup}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        message = f"cannot be made here: {done.stderr.strip()}"
        raise OSError(message)
    if not world.actor:
        return None
    actor = subprocess.Popen(
        [sys.executable, "-S", "-c", world.actor],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert actor.stdout
    if not actor.stdout.readline():
        message = "its actor does not run"
        raise OSError(message)
    return actor


def drop_privileges() -> None:
    """Become nobody, without capabilities; in a user namespace that has no such user, lose capabilities alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    try:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    except OSError:
        header = ctypes.create_string_buffer(struct.pack("=II", 0x20080522, 0))
        libc.capset(header, ctypes.create_string_buffer(24))


def look(world: World, user: str) -> dict[str, Any]:
    """Diagnose in a child, with the rights of a user."""
    end, pipe = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(end)
            os.environ.update(world.environ)
            if user == "nobody":
                drop_privileges()
            if world.sandbox:
                exec(world.sandbox, {})  # noqa: S102 - of this file
            with os.fdopen(pipe, "w") as out:
                json.dump(diagnose_here(world), out)
            status = 0
        except BaseException:  # noqa: BLE001 - told by its absence
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(pipe)
    with os.fdopen(end) as told_by_child:
        text = told_by_child.read()
    os.waitpid(pid, 0)
    told: dict[str, Any] = json.loads(text) if text else {"crash": True}
    return told


def diagnose_here(world: World) -> dict[str, Any]:
    from lodiag.doctor import diagnose
    from lodiag.model import to_plain
    from lodiag.render import render

    report = diagnose(service=world.service, deadline_s=PATIENCE_S)
    text = render(report, "table", ("diagnosis",))
    plain: dict[str, Any] = to_plain(report)
    plain["text"] = text
    plain["json"] = render(report, "json")
    return plain


def examine(name: str, user: str) -> dict[str, Any]:
    """Make a world, look at it, mend it as was printed, and look again."""
    world = WORLDS.get(name) or World(name)  # another one is shell lines
    actor = enter(world)
    try:
        first = look(world, user)
        if user != "root" or not world.is_mended or "findings" not in first or not world.finds:
            return {"first": first, "again": None, "failures": []}
        fixes = [finding["fix"] for finding in first["findings"] if finding["severity"] in {"fail", "warn"}]
        failures = []
        for command in (command for fix in fixes if fix for command in fix["commands"]):
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
            if done.returncode:
                failures.append(f"{command}: {done.stderr.strip()}")
        return {"first": first, "again": look(world, user), "failures": failures}
    finally:
        if actor:
            actor.kill()
            actor.wait()


def live(name: str, user: str, pipe: int) -> None:
    """Be the world: its first process, with whose end all others end."""
    signal.alarm(LIMIT_S)
    try:
        told = examine(name, user)
    except BaseException as error:  # noqa: BLE001 - told in words
        told = {"unmade": f"{type(error).__name__}: {error}"}
    with os.fdopen(pipe, "w") as out:
        json.dump(told, out)


def start(name: str, user: str) -> tuple[int, int]:
    """Start a world: the pid of whoever waits for it, and where it tells what was seen."""
    end, pipe = os.pipe()
    pid = os.fork()
    if pid:
        os.close(pipe)
        return pid, end
    os.close(end)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID):
        os.write(pipe, json.dumps({"unmade": os.strerror(ctypes.get_errno())}).encode())
        os._exit(0)
    first = os.fork()
    if not first:
        live(name, user, pipe)
        os._exit(0)
    os.close(pipe)
    os.waitpid(first, 0)
    os._exit(0)


def warm_up() -> None:
    """Load all that may be loaded once, for all worlds, of which some may not read this Python's files."""
    import pkgutil
    import platform  # noqa: F401 - of the sandboxes
    from importlib import import_module

    import lodiag
    from lodiag.doctor import diagnose
    from lodiag.render import render

    for module in pkgutil.walk_packages(lodiag.__path__, "lodiag."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    report = diagnose(service="127.0.0.1:1")
    render(report, "table", ("diagnosis",))
    render(report, "json")


def main() -> None:
    """Examine worlds, some at once, and print a line of JSON for each."""
    warm_up()
    wanted = [tuple(item) for item in json.loads(sys.argv[1])]
    running: dict[int, tuple[int, str, str, float]] = {}
    while wanted or running:
        while wanted and len(running) < AT_ONCE:
            name, user = wanted.pop(0)
            pid, end = start(name, user)
            running[end] = pid, name, user, time.monotonic()
        for end in select.select([*running], [], [])[0]:
            pid, name, user, began = running.pop(end)
            with os.fdopen(end) as told:
                text = told.read()
            os.waitpid(pid, 0)
            took = round(time.monotonic() - began, 2)
            line = json.dumps({"world": name, "user": user, "took_s": took, **json.loads(text or "{}")})
            sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
