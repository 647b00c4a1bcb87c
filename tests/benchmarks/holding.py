"""Many loopback connections, held by processes of their own in a network namespace: what ``conns`` is measured on."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SPARE_DESCRIPTORS = 100
PORTS_PER_ADDRESS = 20_000


def hold(first: int, pairs: int) -> None:
    """Hold ``pairs`` connections to listeners on addresses of one's own until standard input ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kept: list[socket.socket] = []
    for at in range(0, pairs, PORTS_PER_ADDRESS):
        server = socket.create_server((f"127.{first + 1}.{at // PORTS_PER_ADDRESS}.1", 8080), backlog=1024)
        kept.append(server)
        for _ in range(min(PORTS_PER_ADDRESS, pairs - at)):
            kept.append(socket.create_connection(server.getsockname()))
            kept.append(server.accept()[0])
    sys.stdout.write("held\n")
    sys.stdout.flush()
    sys.stdin.read()


def idle() -> None:
    """Hold 50 descriptors that are no sockets."""
    kept = [open(os.devnull, "rb") for _ in range(50)]  # noqa: PTH123, SIM115 - held until the end
    sys.stdout.write("held\n")
    sys.stdout.flush()
    sys.stdin.read()
    del kept


@contextmanager
def holding(sockets: int, idle_processes: int) -> Iterator[None]:
    """Have that many TCP sockets on the loopback, and other processes beside them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = (hard - SPARE_DESCRIPTORS) // 2
    left, words = sockets // 2, []
    while left > 0:
        words.append(["hold", str(len(words)), str(min(left, most))])
        left -= most
    words += [["idle"]] * idle_processes
    pipe = subprocess.PIPE
    children = [subprocess.Popen([sys.executable, __file__, *w], stdin=pipe, stdout=pipe) for w in words]
    try:
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        yield
    finally:
        for child in children:
            child.communicate()


if __name__ == "__main__":
    if sys.argv[1] == "hold":
        hold(int(sys.argv[2]), int(sys.argv[3]))
    else:
        idle()
