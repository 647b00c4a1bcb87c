"""The processes at the ends of a benchmark's traffic: started once, given tasks, gone when lodiag is."""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

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
ENDED = "the process at one end was ended"


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
        self._first: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._workers: list[tuple[int, socket.socket]] = []
        self._opened: list[socket.socket] = []
        self.spent_ns: list[list[int | None]] = []
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
        first = () if self._first is None else (self._first[0].pid,)
        return frozenset((*first, *(pid for pid, _ in self._workers)))

    def prepare(self, count: int) -> None:
        """Start as many processes as that, and wait until they are here."""
        try:
            while len(self._workers) < count:
                self._workers.append(self._fork(self._first or self._start()))
        except BaseException:
            self.close()
            raise

    def _start(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """Start the process that the ends are forks of."""
        own, other = socket.socketpair()
        own.settimeout(START_S)
        with other:
            try:
                self._first = _start(other.fileno()), own
            except OSError as error:
                own.close()
                _refuse(error.strerror)
        return self._first

    def _fork(self, first: tuple[subprocess.Popen[bytes], socket.socket]) -> tuple[int, socket.socket]:
        """Have an end made, and give its number and what it is told by."""
        own, other = socket.socketpair()
        try:
            with other:
                socket.send_fds(first[1], [b"+"], [other.fileno()])
            pid = int(first[1].recv(ANSWER_BYTES) or 0)
        except OSError as error:  # it was ended, or took too long
            own.close()
            raise EndError(str(error)) from error
        if pid <= 0:
            own.close()
            _refuse(os.strerror(-pid) if pid else "it was ended")
        return pid, own

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
        except ConnectionError as error:  # it was ended before it read what it was told
            self.close()
            raise EndError(ENDED) from error
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
                        raise EndError(ENDED)
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
        from subprocess import TimeoutExpired

        self.drop()
        for _, control in self._workers:
            control.close()
        self._workers.clear()
        if self._first is None:
            return
        (process, control), self._first = self._first, None
        control.close()  # it ends the others, and itself
        try:
            process.wait(GRACE_S)
        except TimeoutExpired:
            process.kill()
            process.wait()


def _refuse(reason: str | None) -> NoReturn:
    message = f"no process can be started: {reason}"
    raise UnsupportedError(message)


def _start(control: int) -> subprocess.Popen[bytes]:
    """Start a process that has this socket as its standard input."""
    import subprocess

    options = ["-I", "-S", *(["-B"] if sys.dont_write_bytecode else [])]
    command = [sys.executable, *options, "-c", PROGRAM, ROOT]
    try:
        return subprocess.Popen(command, stdin=control, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
    except PermissionError:  # who gave up privilege may run what it can no longer find
        return subprocess.Popen(command, executable=OWN_PROGRAM, stdin=control, stdout=subprocess.DEVNULL)  # noqa: S603
