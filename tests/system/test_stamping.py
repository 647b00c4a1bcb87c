"""Stamps of real sockets, matched to what was sent whatever becomes of it."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest
from running import require_loopback

from lodiag.system import errqueue
from lodiag.system.stamping import MOST_UNDER_WAY, Stamper, warm_up
from lodiag.system.stamps import SO_TIMESTAMPING, SOL_SOCKET

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESSES = {"ipv4": "127.0.0.1", "ipv6": "::1"}
FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}


@pytest.fixture(params=ADDRESSES)
def family(request: pytest.FixtureRequest) -> str:
    """Give each family that this machine has a loopback of."""
    require_loopback(ADDRESSES[request.param])
    return str(request.param)


@pytest.fixture
def sock(family: str) -> Iterator[socket.socket]:
    """Give a socket that is connected to one which takes nothing in and says nothing."""
    with socket.socket(FAMILIES[family], socket.SOCK_DGRAM) as found:
        found.settimeout(0)
        found.bind((ADDRESSES[family], 0))
        found.connect(found.getsockname())
        yield found


@pytest.fixture
def stamper(sock: socket.socket) -> Stamper:
    """Give a stamper that the kernel serves."""
    found = Stamper(sock)
    if not found.use("kernel"):
        pytest.skip("the kernel gives no stamps here")
    return found


def send(sock: socket.socket, stamper: Stamper, seq: int, size: int = 1) -> bool:
    """Send, note it, and read what the kernel stamped; whether it could be sent."""
    stamper.note_send(seq)
    try:
        sock.send(bytes(size))
    except OSError as error:
        if error.errno != errno.EMSGSIZE:
            raise
        stamper.retract_send(seq)
        return False
    assert errqueue.read(sock, "ipv4", stamper) is None
    return True


def test_each_send_gets_its_stamp(sock: socket.socket, stamper: Stamper) -> None:
    for seq in (1, 7, 1 << 40):
        assert send(sock, stamper, seq)
        assert not stamper.awaits(seq)


def test_sends_that_fail_move_no_stamp_to_another(sock: socket.socket, stamper: Stamper) -> None:
    fates = [send(sock, stamper, seq, 70_000 if seq % 3 else 1) for seq in range(1, 10)]
    assert fates == [seq % 3 == 0 for seq in range(1, 10)]
    assert [seq for seq in range(1, 10) if stamper.awaits(seq)] == []
    for seq in (3, 6, 9):
        received_ns = stamper.note_send(seq + 100)
        rtt_ns, clock = stamper.measure(seq, None, received_ns)
        assert (rtt_ns, clock) == (None, "user")  # nothing arrived


def test_what_is_never_answered_is_forgotten(sock: socket.socket) -> None:
    stamper = Stamper(sock)
    if not stamper.use("kernel-rx"):
        pytest.skip("the kernel gives no stamps here")
    for seq in range(1, MOST_UNDER_WAY + 3):
        stamper.note_send(seq)
    assert stamper.measure(1, 1, 1) == stamper.measure(2, 1, 1) == (None, "user")
    assert len(stamper._sent) <= MOST_UNDER_WAY  # noqa: SLF001 - memory is what this is about
    assert len(stamper._seqs) <= MOST_UNDER_WAY  # noqa: SLF001 - as above


def test_the_user_s_clock_asks_the_kernel_for_nothing(sock: socket.socket) -> None:
    stamper = Stamper(sock)
    assert stamper.use("user")
    assert not stamper.queues
    assert sock.getsockopt(SOL_SOCKET, SO_TIMESTAMPING) == 0


def test_a_socket_that_knows_no_stamps_refuses_them() -> None:
    """As the kernel of a sandbox might."""
    sock = socket.socket()
    sock.close()
    assert not Stamper(sock).use("kernel")


@pytest.mark.usefixtures("stamper")
def test_stamps_are_waited_for_until_they_come(family: str) -> None:
    assert [warm_up(family) for _ in range(3)] == [True] * 3
