"""A witness of what Python is asked to do: where it sends to, what it writes, and which commands it runs."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANGES = {
    f"os.{name}" for name in ("remove", "rename", "rmdir", "mkdir", "chmod", "chown", "link", "symlink", "truncate")
}
RUNS = {"os.system", "os.exec", "os.spawn", "os.posix_spawn"}


class Deed(NamedTuple):
    """Something that Python was asked to do for lodiag."""

    event: str
    what: Any


class Witness:
    """Notes what leaves this process: it sees every address that is sent to, and every file that is written."""

    def __init__(self) -> None:
        """Be there from now on: Python forgets no hook, so this one can look away."""
        self.deeds: list[Deed] = []
        self.looks = False
        sys.addaudithook(self._note)

    def _note(self, event: str, values: tuple[Any, ...]) -> None:
        if self.looks:
            what = self._judge(event, values)
            if what is not None:
                self.deeds.append(Deed(event, what))

    def _judge(self, event: str, values: tuple[Any, ...]) -> object | None:
        """What of this is worth a note: an address off the loopback, a name, a file that is written, a command."""
        if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
            family, address = values[0].family, values[1]
            is_far = family in {socket.AF_INET, socket.AF_INET6} and address is not None and not is_loopback(address[0])
            return address if is_far else None
        if event == "socket.getaddrinfo":
            host = values[0]
            return None if host in {"localhost", b"localhost", None} or is_address(host) else host
        if event == "open":
            is_written = isinstance(values[0], str) and values[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            return Path(values[0]) if is_written else None
        if event in CHANGES:
            return Path(values[0])
        is_run = event in RUNS or (event == "subprocess.Popen" and not only_looks(values[1]))
        return values[1] if is_run else None

    @contextmanager
    def looking(self) -> Iterator[list[Deed]]:
        """Give what was done meanwhile."""
        self.deeds, self.looks = [], True
        try:
            yield self.deeds
        finally:
            self.looks = False


def only_looks(command: list[str]) -> bool:
    """Whether it is one that lists rules or draws, or a process of lodiag's own."""
    name = Path(command[0]).name
    return (
        command[0] == sys.executable or name == "dot" or name.endswith("-save") or (name == "nft" and "list" in command)
    )


def is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    return ip_address(host.partition("%")[0]).is_loopback
