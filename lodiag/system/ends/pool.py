"""The processes at the ends of a benchmark's traffic: started once, given tasks, gone when lodiag is."""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from lodiag.errors import UnsupportedError
from lodiag.system.ends import paths

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Collection, Mapping, Sequence
    from types import TracebackType

    from lodiag.system.ends.paths import Path

PROGRAM = "import sys; sys.path[:0] = [sys.argv[1]]; from lodiag.system.ends.worker import main; main()"
ROOT = os.path.abspath(__file__).rsplit(os.sep, 4)[0]  # noqa: PTH100 - a Path costs a millisecond

OWN_PROGRAM = "/proc/self/exe"

GRACE_S = 3.0
"""How much longer than it should take a task is waited for: a busy machine may let a process wait for a second."""

START_S = 10.0
"""For a Python to start, which takes 20 ms where nobody else wants the processor."""

ANSWER_BYTES = 65_536


class Task(NamedTuple):
    """What one end is to do, with which sockets, on which cores; ``cores`` is ``None`` where that is not to be had."""

    name: str
    sockets: Sequence[socket.socket]
    settings: Mapping[str, Any]
    cores: Collection[int] | None = None


class EndError(Exception):
    """An end did not do what it was told: it was ended, or took too long, or the system refused it something."""

    def __init__(self, reason: str, errno: int | None = None) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.errno = errno


class Ends:
    """Processes that do tasks side by side; a context, at whose end they are gone."""

    def __init__(self) -> None:
        """Start none before it is needed."""
        if os.name != "posix" or not sys.executable:
            message = "bench needs two processes that share sockets, which this system or this Python cannot start"
            raise UnsupportedError(message)
        self._workers: list[tuple[subprocess.Popen[bytes], socket.socket]] = []
        self._opened: list[socket.socket] = []
        self.spent_ns: list[list[int]] = []
        """Of each end of the last tasks: how long it took, ran, and waited for a core."""

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """End all processes."""
        self.close()

    @property
    def pids(self) -> frozenset[int]:
        """Processes that run now."""
        return frozenset(process.pid for process, _ in self._workers)

    def prepare(self, count: int) -> None:
        """Start as many processes as that, and wait until they are here."""
        new = range(len(self._workers), count)
        for _ in new:
            own, other = socket.socketpair()
            with other:
                try:
                    process = _start(other.fileno())
                except OSError as error:
                    own.close()
                    message = f"no process can be started: {error.strerror}"
                    raise UnsupportedError(message) from error
            self._workers.append((process, own))
        if new:
            try:
                self._collect(new, monotonic() + START_S)
            except BaseException:
                self.close()
                raise

    def run(self, tasks: Sequence[Task], timeout_s: float) -> list[dict[str, Any]]:
        """Let each task be done by a process of its own and give what each measured; ``EndError`` if one was not.

        The sockets are closed here: the ends have them then.
        """
        self.prepare(len(tasks))
        limit_s = timeout_s + GRACE_S
        try:
            for task, (_, control) in zip(tasks, self._workers, strict=False):
                cores = None if task.cores is None else sorted(task.cores)
                order = {"name": task.name, "settings": task.settings, "cores": cores, "limit_s": limit_s}
                socket.send_fds(control, [json.dumps(order).encode()], [sock.fileno() for sock in task.sockets])
            self.drop()
            answers = self._collect(range(len(tasks)), monotonic() + limit_s)
        except BaseException:
            self.close()  # what an end is in the midst of is not to be waited for
            raise
        for found in answers:
            if "errno" in found:
                code = found["errno"]
                raise EndError(os.strerror(code) if code else "the connection was reset", code)
        self.spent_ns = [answer.pop("spent_ns") for answer in answers]
        return answers

    def _collect(self, workers: range, until_s: float) -> list[dict[str, Any]]:
        """Read what each of these workers says."""
        texts = dict.fromkeys(workers, b"")
        with selectors.DefaultSelector() as selector:
            for index in workers:
                selector.register(self._workers[index][1], selectors.EVENT_READ, index)
            while selector.get_map():
                ready = selector.select(max(until_s - monotonic(), 0))
                if not ready:
                    message = "an end took too long"
                    raise EndError(message)
                for key, _ in ready:
                    piece = self._workers[key.data][1].recv(ANSWER_BYTES)
                    if not piece:
                        message = "the process at one end was ended"
                        raise EndError(message)
                    texts[key.data] += piece
                    if piece.endswith(b"\n"):
                        selector.unregister(key.fileobj)
        return [json.loads(text) for text in texts.values()]

    def connect(self, path: Path) -> tuple[socket.socket, socket.socket]:
        """Give the client's and the server's socket, connected; ``OSError`` if that cannot be had."""
        pair = paths.connect_ends(path)
        self._opened += pair
        return pair

    def listen(self, path: Path) -> socket.socket:
        """Give a socket that listens; ``OSError`` if that cannot be had."""
        listener = paths.open_listener(path)
        self._opened.append(listener)
        return listener

    def drop(self) -> None:
        """Close the sockets that were made here and not given to an end, or given to it already."""
        for sock in self._opened:
            sock.close()
        self._opened.clear()

    def close(self) -> None:
        """End all processes, wait until they are gone, and close what they did not get."""
        self.drop()
        for process, control in self._workers:
            process.kill()
            control.close()
        for process, _ in self._workers:
            with suppress(OSError):
                process.wait()
        self._workers.clear()


def _start(control: int) -> subprocess.Popen[bytes]:
    """Start a process that has this socket as its standard input."""
    import subprocess

    options = ["-I", "-S", *(["-B"] if sys.dont_write_bytecode else [])]
    command = [sys.executable, *options, "-c", PROGRAM, ROOT]
    try:
        return subprocess.Popen(command, stdin=control, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
    except PermissionError:  # who gave up privilege may run what it can no longer find
        return subprocess.Popen(command, executable=OWN_PROGRAM, stdin=control, stdout=subprocess.DEVNULL)  # noqa: S603
