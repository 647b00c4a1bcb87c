"""What runs at one end: it takes tasks from a socket, until that is closed.

All ends are forks of one process, which does nothing else: they start in a millisecond, and have most of their memory
in common, so that one finds in the core's caches what the other left there. Messages between two processes that were
started one by one take some 4 % longer.

A worker never outlives lodiag, however that ended: between two tasks it reads the end of its input, and within one the
kernel sends it SIGIO (fcntl(2), O_ASYNC) when the other end of that socket is closed, as it is even by SIGKILL. SIGALRM
ends a task that takes longer than it was given.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import select
import signal
import socket
from contextlib import suppress
from time import monotonic_ns, process_time_ns
from typing import TYPE_CHECKING, Any

from lodiag.system.ends import burst, crr, rr, service, stream, udp

if TYPE_CHECKING:
    from collections.abc import Callable

WAITED = "/proc/self/schedstat"
"""Its second number is how long this process was ready to run and did not (Linux's sched-stats.rst)."""

MOST_TASK_BYTES = 65_536
MOST_SOCKETS = 4
TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "stream-send": stream.send,
    "stream-receive": stream.receive,
    "rr-ask": rr.ask,
    "rr-answer": rr.answer,
    "burst-send": burst.send,
    "burst-take": burst.take,
    "service-connect": service.connect,
    "service-accept": service.accept,
    "service-ask": service.ask,
    "crr-ask": crr.ask,
    "crr-answer": crr.answer,
    "udp-send": udp.send,
    "udp-receive": udp.receive,
}


def main() -> None:
    """Fork an end for each socket that comes by the standard input, and end with all of them when that is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of a terminal's processes; lodiag will tell us
    gc.disable()
    gc.freeze()
    control = socket.socket(fileno=0)
    forked: list[int] = []
    with suppress(ConnectionError):
        while descriptors := socket.recv_fds(control, 1, 1)[1]:
            control.sendall(f"{_fork(control, descriptors[0], forked)}\n".encode())
    for pid in forked:
        os.kill(pid, signal.SIGKILL)
    for pid in forked:
        os.waitpid(pid, 0)
    os._exit(0)


def _fork(control: socket.socket, descriptor: int, forked: list[int]) -> int:
    """Give the process that serves this descriptor, or what kept it from being made, as a negative errno."""
    with socket.socket(fileno=descriptor) as served:
        try:
            pid = os.fork()
        except OSError as error:
            return -(error.errno or 1)
        if not pid:
            try:
                control.close()
                _work(served)
            finally:
                os._exit(0)
    forked.append(pid)
    return pid


def _work(control: socket.socket) -> None:
    """Do tasks until there is nobody to do them for."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    fcntl.fcntl(control, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(control, fcntl.F_SETFL, fcntl.fcntl(control, fcntl.F_GETFL) | os.O_ASYNC)
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    with suppress(ConnectionError):
        while (line := _serve(control, cores)) is not None:
            control.sendall(line)


def _serve(control: socket.socket, cores: set[int] | None) -> bytes | None:
    """Do one task and give what is to be said of it; ``None`` if there are no more.

    Without cores of its own it runs on ``cores``, whatever the last task had: all this process had at first.
    """
    message, descriptors, _, _ = socket.recv_fds(control, MOST_TASK_BYTES, MOST_SOCKETS)
    if not message:
        return None
    task = json.loads(message)
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    if _is_deserted(control):
        return None
    signal.setitimer(signal.ITIMER_REAL, task["limit_s"])
    try:
        chosen = task["cores"] or cores
        if chosen is not None:
            os.sched_setaffinity(0, chosen)
        begun = _look()
        result = TASKS[task["name"]](*sockets, **task["settings"])
        result["spent_ns"] = [
            None if now is None or then is None else now - then for then, now in zip(begun, _look(), strict=True)
        ]
    except OSError as error:
        result = {"errno": error.errno}
    finally:
        for sock in sockets:
            sock.close()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    return json.dumps(result).encode() + b"\n"


def _look() -> tuple[int, int, int | None]:
    """Give the time, that which this process had of a core, and that for which it waited for one, where it is told."""
    waited_ns = None
    with suppress(OSError, ValueError, IndexError):
        descriptor = os.open(WAITED, os.O_RDONLY)
        try:
            waited_ns = int(os.read(descriptor, 200).split()[1])
        finally:
            os.close(descriptor)
    return monotonic_ns(), process_time_ns(), waited_ns


def _is_deserted(control: socket.socket) -> bool:
    """Whether lodiag was gone before SIGIO could tell."""
    poll = select.poll()
    poll.register(control, 0)
    return bool(poll.poll(0))
