"""Processes and control groups, as Linux tells them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lodiag.system import cgroups, netlink, portable, procfs
from lodiag.system.facts import Group, Holder, Question

pytestmark = pytest.mark.skipif(not procfs.is_here(), reason="this system has no /proc")


def test_a_socket_is_found_by_its_lowest_descriptor() -> None:
    with socket.socket() as sock:
        again = os.dup(sock.fileno())
        try:
            inode = os.fstat(again).st_ino
            assert procfs.find_holders({inode}) == {inode: (Holder(os.getpid(), min(sock.fileno(), again)),)}
        finally:
            os.close(again)
        assert procfs.find_holders({0, 2**40}) == {}


def test_a_process_is_described_as_psutil_has_it() -> None:
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()  # it has its name only some time after it was started
        for pid in (os.getpid(), child.pid):
            mine = procfs.describe_process(pid, with_cmdline=True)
            theirs = portable.describe_process(pid, with_cmdline=True)
            assert (mine.name, mine.user) == (theirs.name, theirs.user)
        child.communicate()


TITLED = """
import sys
open("/proc/self/comm", "wb").write(b"gunicorn: maste")
print(flush=True)
sys.stdin.read()
"""


def test_a_title_in_the_place_of_a_command_line_is_no_name() -> None:
    """It may hold what a command line may hold."""
    title = "gunicorn: master [app] --password=hunter2"
    command = [title, "-c", TITLED]
    with subprocess.Popen(command, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = procfs.describe_process(child.pid, with_cmdline=False)
        child.communicate()
    assert (found.name, found.cmdline) == ("gunicorn: maste", None)


@pytest.mark.parametrize("name", ["a-program-with-a-very-long-name", "short", "fifteen-letters"])
def test_a_name_that_the_kernel_cuts_is_made_whole(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(sys.executable)
    command = [str(tmp_path / name), "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = procfs.describe_process(child.pid, with_cmdline=True)
        child.communicate()
    assert (found.name, found.cmdline) == (name, " ".join(command))


def test_holders_are_looked_for_only_where_it_is_said() -> None:
    with socket.socket() as sock:
        inode = os.fstat(sock.fileno()).st_ino
        assert procfs.find_holders({inode}, {os.getpid()}).keys() == {inode}
        assert procfs.find_holders({inode}, {2**22 + 1}) == {}


HOSTILE = """
import sys
open("/proc/self/comm", "wb").write(b"a) R 1 (2)")
print(flush=True)
sys.stdin.read()
"""


def test_the_start_of_a_process_is_that_of_psutil_whatever_its_name() -> None:
    command = [sys.executable, "-c", HOSTILE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline(), "it could not take the name"
        for pid in (os.getpid(), child.pid):
            mine, theirs = procfs.find_start(pid), portable.find_start(pid)
            assert mine is not None
            assert theirs is not None
            assert abs(mine - theirs) <= 1
        child.communicate()
    assert procfs.find_start(2**22 + 1) is None
    assert portable.find_start(2**22 + 1) is None


def test_a_process_that_is_gone() -> None:
    found = procfs.describe_process(2**22 + 1, with_cmdline=True)
    assert (found.name, found.user, found.cmdline) == (None, None, None)


@pytest.mark.parametrize("uid", [4_000_000_000, 10**30])
def test_a_user_without_a_name_is_a_number(uid: int) -> None:
    assert procfs.name_user(uid) == str(uid)


CONTAINER, OUTER = "0123456789abcdef" * 4, "fedcba9876543210" * 4


@pytest.mark.parametrize(
    ("path", "unit", "container"),
    [
        ("/", None, None),
        ("/system.slice/nginx.service", "nginx.service", None),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/vim.scope", "vim.scope", None),
        ("/kubelet.slice/nginx.services", None, None),
        (f"/system.slice/docker-{CONTAINER}.scope", f"docker-{CONTAINER}.scope", CONTAINER[:12]),
        (f"/docker/{CONTAINER}", None, CONTAINER[:12]),
        (f"/docker/{OUTER}/docker/{CONTAINER}", None, CONTAINER[:12]),
        (f"/kubepods.slice/cri-containerd-{CONTAINER}.scope", f"cri-containerd-{CONTAINER}.scope", CONTAINER[:12]),
        (f"/machine.slice/libpod-{CONTAINER}.scope/container", f"libpod-{CONTAINER}.scope", CONTAINER[:12]),
    ],
)
def test_groups_name_units_and_containers(path: str, unit: str | None, container: str | None) -> None:
    assert cgroups.parse_path(path) == Group(path, unit, container)


def test_a_socket_is_in_the_group_of_the_process_that_made_it() -> None:
    own = [line.split("::")[1] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
    groups = cgroups.list_groups()
    if not own or not groups:
        pytest.skip("this machine has no unified control groups")
    with socket.create_server(("127.0.0.1", 0)) as server:
        question = Question("tcp", "ipv4", frozenset({"listen"}), server.getsockname()[1])
        rows = [row for row in netlink.list_sockets(question).sockets if row.local == server.getsockname()]
    assert [groups[row.cgroup_id or 0].path for row in rows] == own
