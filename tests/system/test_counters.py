"""What the kernel counts of full queues, made to overflow for real."""

from __future__ import annotations

import json
import sys

from running import LO_UP, require_loopback, run_in_world

OVERFLOW = """
import json, socket
from lodiag.system.counters import count_overflows
before = count_overflows()
server = socket.create_server(("127.0.0.1", 0), backlog=0)
kept = [socket.socket() for _ in range(4)]
for sock in kept:
    sock.setblocking(False)
    sock.connect_ex(server.getsockname())
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    reader, sender = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    reader.bind((address, 0))
    for _ in range(50):
        sender.sendto(bytes(500), reader.getsockname()[:2])
    kept += [reader, sender]
print(json.dumps([before, count_overflows()]))
"""


def test_full_queues_are_counted_by_kind() -> None:
    require_loopback("::1")
    done = run_in_world(LO_UP, command=(sys.executable, "-c", OVERFLOW))
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout)
    assert before == {"accept": 0, "udp": 0}
    assert after["accept"] >= 1
    assert after["udp"] > 50, "of both families"


HIDDEN = 'mount -t tmpfs none /proc && exec "$0" -c "from lodiag.system.counters import *; print(count_overflows())"'


def test_without_proc_nothing_is_counted() -> None:
    done = run_in_world(LO_UP, command=("unshare", "-m", "sh", "-c", HIDDEN, sys.executable))
    assert (done.returncode, done.stdout.strip()) == (0, "{}"), done.stderr
