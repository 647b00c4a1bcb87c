"""Linux's /proc: which processes hold a socket, and what they are called."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from lodiag.system.facts import Holder, Process

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

ROOT = "/proc"
SOCKET_LINK = "socket:["
STARTTIME = 22 - 3
"""Index of starttime among the fields of proc_pid_stat(5) that follow the second."""
COMM_LENGTH = 15
"""Bytes of a process's name that the kernel keeps (TASK_COMM_LEN less the final zero)."""


def is_here() -> bool:
    """Whether this system has it, and it is mounted."""
    return os.path.exists(f"{ROOT}/self/comm")  # noqa: PTH110 - a Path costs a millisecond


def find_holders(inodes: Collection[int], pids: Collection[int] | None = None) -> Mapping[int, tuple[Holder, ...]]:
    """Find the processes that hold sockets of these inodes, each with its lowest descriptor; in order of pid.

    ``pids`` are the only processes to look into, if they are given.
    A process that this user may not look into, or that ends meanwhile, is left out.
    """
    wanted = {inode for inode in inodes if inode}
    found: dict[int, tuple[Holder, ...]] = {}
    new, begin = tuple.__new__, len(SOCKET_LINK)  # which makes a Holder in a third of the time
    for pid in () if not wanted else _list_pids() if pids is None else sorted(pids):
        for name, link in _read_links(pid):
            if link[:begin] == SOCKET_LINK and (inode := int(link[begin:-1])) in wanted:
                others = found.get(inode)
                if others is None:
                    found[inode] = (new(Holder, (pid, int(name))),)
                elif others[-1][0] != pid:
                    found[inode] = (*others, new(Holder, (pid, int(name))))
    return found


def _list_pids() -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(ROOT) if name.isdecimal())  # noqa: PTH208 - a Path each costs
    except OSError:  # hidden
        return []


def _read_links(pid: int) -> Iterable[tuple[str, str]]:
    """Tell what each descriptor of a process leads to, the lowest first.

    There may be 100 000 of them. By the folder's descriptor the kernel saves a fifth of the way to each, and it lists
    them in ascending order.
    """
    try:
        folder = os.open(f"{ROOT}/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # another user's, or gone
        return ()
    readlink = os.readlink
    try:
        names = os.listdir(folder)  # noqa: PTH208 - a Path each costs
        return zip(names, [readlink(name, dir_fd=folder) for name in names], strict=True)
    except OSError:  # one was closed meanwhile, or the process is gone
        return _read_links_one_by_one(folder)
    finally:
        os.close(folder)


def _read_links_one_by_one(folder: int) -> Iterable[tuple[str, str]]:
    """Read what is still there."""
    links: list[tuple[str, str]] = []
    try:
        names = os.listdir(folder)
    except OSError:  # gone
        return links
    for name in names:
        with suppress(OSError):  # closed meanwhile
            links.append((name, os.readlink(name, dir_fd=folder)))
    return links


def describe_process(pid: int, *, with_cmdline: bool) -> Process:
    """Name, user and command line of a process; ``None`` for what it hides, or if it has ended."""
    name = _read(pid, "comm")
    cmdline = _read(pid, "cmdline") if with_cmdline or (name and len(name) >= COMM_LENGTH) else None
    words = cmdline.rstrip(b"\0").split(b"\0") if cmdline else []
    if name and words:
        name = _lengthen(name.removesuffix(b"\n"), words[0])
    return Process(
        pid,
        _to_text(name.removesuffix(b"\n")) if name else None,
        _find_user(pid),
        _to_text(b" ".join(words)) if with_cmdline and cmdline is not None else None,
    )


def find_start(pid: int) -> int | None:
    """When a process was started, in seconds since the epoch, as ps(1) tells it; ``None`` if it is gone or hidden.

    That is the time of the boot, in whole seconds, and the ticks from there that are field 22 of proc_pid_stat(5). The
    name, field 2, stands in parentheses and may hold any itself.
    """
    fields = (_read(pid, "stat") or b"").rpartition(b")")[2].split()
    boot = _read_boot_time()
    if boot is None or len(fields) <= STARTTIME:
        return None
    return boot + int(fields[STARTTIME]) // os.sysconf("SC_CLK_TCK")


def _read_boot_time() -> int | None:
    try:
        with open(f"{ROOT}/stat", "rb") as file:  # noqa: PTH123 - as above
            line = next((line for line in file if line.startswith(b"btime ")), None)
    except OSError:  # hidden
        return None
    return None if line is None else int(line.split()[1])


def _lengthen(name: bytes, command: bytes) -> bytes:
    """Give the whole name of a program whose name the kernel cut short.

    A process may write what it likes in the place of its command line; of that no more than a word is a name.
    """
    whole = os.path.basename(command.partition(b" ")[0])  # noqa: PTH119 - of bytes
    return whole if len(name) == COMM_LENGTH and whole.startswith(name) else name


def _read(pid: int, name: str) -> bytes | None:
    try:
        with open(f"{ROOT}/{pid}/{name}", "rb") as file:  # noqa: PTH123 - as above
            return file.read()
    except OSError:  # hidden, or gone
        return None


def _find_user(pid: int) -> str | None:
    """Name, or else number, of the real user that a process runs as."""
    status = _read(pid, "status")
    line = next((line for line in (status or b"").splitlines() if line.startswith(b"Uid:")), None)
    return None if line is None else name_user(int(line.split()[1]))


def name_user(uid: int) -> str:
    """Name of a user, or the number of one that has none."""
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError, OverflowError):  # Windows; a user of a container
        return str(uid)


def has_user(name: str) -> bool | None:
    """Whether there is a user of this name; ``None`` where that cannot be asked."""
    try:
        import pwd

        pwd.getpwnam(name)
    except ImportError:  # Windows
        return None
    except (KeyError, ValueError):  # unknown; with a null byte
        return False
    return True


def _to_text(raw: bytes) -> str:
    r"""The kernel does not ask that a name be text: bytes that are not UTF-8 become \xNN."""
    return raw.decode("utf-8", "backslashreplace")


def count_files(pid: int) -> int | None:
    """How many files a process has open; ``None`` if that may not be seen."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - as above
    except OSError:
        return None
