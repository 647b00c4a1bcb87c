"""One suite for every probe socket: real sockets, real kernel, both families."""

from __future__ import annotations

import gc
import re
import select
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from running import ALLOW_ICMP_DATAGRAM, LO_UP, require_loopback, run_in_world

from lodiag.model import CLOCKS
from lodiag.system import System, icmp_socket
from lodiag.system.probe import MethodRefusedError, SendError, unwrap_seq
from lodiag.system.sockopts import refuse_other_replies
from lodiag.system.udp import UdpProbe
from lodiag.system.waiting import SELECT_LIMIT, wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.system.probe import Answer, ProbeSocket

SYSTEM = System()
METHODS = ("icmp-datagram", "icmp-raw", "udp", "tcp")
ADDRESSES = {"ipv4": "127.0.0.1", "ipv6": "::1"}


CASES = [(m, f, c) for m in METHODS for f in ADDRESSES for c in CLOCKS if m != "tcp" or c == "user"]


class Opener:
    """Opens probes by one method over one family that are timed by one clock, and closes them."""

    def __init__(self, method: str, family: str, clock: str = "user") -> None:
        """Keep what to open by."""
        self.method, self.family, self.clock = method, family, clock
        self._opened: list[ProbeSocket] = []

    def __call__(self, *, source: str | None = None, size_bytes: int = 56) -> ProbeSocket:
        """Open a probe; skips the test where this user may not."""
        address = ADDRESSES[self.family]
        try:
            probe = SYSTEM.open_probe(self.method, self.family, address, source=source, size_bytes=size_bytes)
        except MethodRefusedError as refusal:
            pytest.skip(f"{self.method} is refused here: {refusal}")
        self._opened.append(probe)
        if not probe.use_clock(self.clock):
            pytest.skip(f"the kernel gives no {self.clock} stamps here")
        if self.clock != "user":
            SYSTEM.wait_for_stamps([self.family])
        return probe

    def close(self) -> None:
        """Close all that was opened."""
        for probe in self._opened:
            probe.close()


@pytest.fixture(params=CASES, ids="-".join)
def opener(request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Give an opener for each method, family and clock."""
    found = Opener(*request.param)
    yield found
    found.close()


def ask(probe: ProbeSocket, seq: int, ttl: int | None = None) -> tuple[int, Answer]:
    """Send a probe and wait, within a bound, for its answer."""
    sent_ns = probe.send(seq, ttl)
    return sent_ns, await_answer(probe)


def await_answer(probe: ProbeSocket) -> Answer:
    """Wait, within a bound, for the next answer: on a busy machine it comes after the system call that sends."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        answer = probe.receive()
        if answer is not None:
            return answer
        SYSTEM.wait([probe], 0.1)
    pytest.fail("no answer within 10 s")


class Waiting:
    """A probe that waits to read from this socket."""

    def __init__(self, sock: socket.socket) -> None:
        """Keep it."""
        self.sock = sock

    def waits_for(self) -> list[tuple[socket.socket, bool]]:
        """Wait to read."""
        return [(self.sock, False)]


def wait_in_time(*socks: socket.socket, timeout_s: float) -> None:
    """Wait for these sockets; a wait that does not end fails, rather than the test never ending."""
    waiter = threading.Thread(target=wait, args=([Waiting(sock) for sock in socks], timeout_s), daemon=True)
    waiter.start()
    waiter.join(30)
    assert not waiter.is_alive()


def test_any_descriptor_can_be_waited_for() -> None:
    """Also one that select() does not take."""
    fcntl, resource = pytest.importorskip("fcntl"), pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard <= SELECT_LIMIT:
        pytest.skip("no such descriptor may be had here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, SELECT_LIMIT + 1), hard))
    try:
        one, other = socket.socketpair()
        with one, other, socket.socket(fileno=fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, SELECT_LIMIT)) as high:
            assert high.fileno() >= SELECT_LIMIT
            wait_in_time(high, timeout_s=0)
            other.send(b"x")
            wait_in_time(high, other, timeout_s=1)
            assert high.recv(1) == b"x"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_wait_is_long() -> None:
    """A signal that comes just before the sleep is not noticed until its end, so even a day ends soon."""
    one, other = socket.socketpair()
    with one, other:
        wait_in_time(timeout_s=86_400)
        wait_in_time(one, timeout_s=86_400)


def test_the_target_answers(opener: Opener) -> None:
    sent_ns, answer = ask(opener(), 1)
    assert answer.seq == 1
    assert answer.is_reply
    assert answer.intact
    assert answer.error is None
    assert answer.received_ns > sent_ns


def test_answers_name_their_probes(opener: Opener) -> None:
    probe = opener()
    assert [ask(probe, seq)[1].seq for seq in (1, 2, 3)] == [1, 2, 3]


def test_sequence_numbers_do_not_wrap(opener: Opener) -> None:
    probe = opener()
    assert [ask(probe, seq)[1].seq for seq in (0xFFFF, 0x10000, 0x10001)] == [0xFFFF, 0x10000, 0x10001]


def test_the_round_trip_is_timed_by_the_clock_that_was_chosen(opener: Opener) -> None:
    probe = opener()
    for seq in (1, 2, 3):
        sent_ns, answer = ask(probe, seq)
        assert answer.clock == opener.clock
        if opener.clock == "user":
            assert answer.kernel_rtt_ns is None
        else:
            assert answer.kernel_rtt_ns is not None
            assert 0 < answer.kernel_rtt_ns <= answer.received_ns - sent_ns


def test_nothing_is_left_that_would_end_a_wait_at_once(opener: Opener) -> None:
    """A stamp that is not read from the error queue makes select() return again and again."""
    probe = opener()
    for seq in (1, 2, 3):
        ask(probe, seq)
    assert probe.receive() is None
    waited = [sock for sock, _ in probe.waits_for()]
    assert not waited or select.select(waited, [], [], 0) == ([], [], [])


def test_many_under_way_are_told_apart(opener: Opener) -> None:
    probe = opener()
    for seq in range(1, 21):
        probe.send(seq)
    answers: list[Answer] = []
    until = time.monotonic() + 10
    while len(answers) < 20 and time.monotonic() < until:
        answer = probe.receive()
        if answer is None:
            SYSTEM.wait([probe], 0.1)
        else:
            answers.append(answer)
    assert sorted(answer.seq for answer in answers) == list(range(1, 21))
    assert {answer.clock for answer in answers} == {opener.clock}


@pytest.mark.parametrize("ttl", [1, 255])
def test_any_ttl_reaches_the_loopback(opener: Opener, ttl: int) -> None:
    assert ask(opener(), 1, ttl)[1].is_reply


@pytest.mark.parametrize("size", [0, 1, 15, 16, 1400, 9000])
def test_sizes(opener: Opener, size: int) -> None:
    probe = opener(size_bytes=size)
    answer = ask(probe, 1)[1]
    assert answer.is_reply
    assert answer.intact
    assert answer.size_bytes == (size if probe.method.startswith("icmp") else None)


def test_the_largest_size(opener: Opener) -> None:
    probe = opener(size_bytes=65_507)
    answer = ask(probe, 1)[1]
    assert answer.is_reply
    assert answer.intact


def test_nothing_is_received_before_something_is_sent(opener: Opener) -> None:
    assert opener().receive() is None


def test_a_reply_tells_its_ttl(opener: Opener) -> None:
    probe = opener()
    if probe.method == "tcp":
        pytest.skip("TCP tells no TTL")
    assert ask(probe, 1)[1].ttl == 64


def test_two_sockets_do_not_take_each_others_answers(opener: Opener) -> None:
    first, second = opener(), opener()
    ask(first, 1)
    assert second.receive() is None
    ask(second, 1)
    assert first.receive() is None


def test_a_source_is_bound(opener: Opener) -> None:
    assert ask(opener(source="127.0.0.5" if opener.family == "ipv4" else "::1"), 1)[1].is_reply


def test_a_source_of_another_host_cannot_be_had(opener: Opener) -> None:
    with pytest.raises(SendError) as caught:
        opener(source="192.0.2.1")
    assert caught.value.code in {"address-not-available", "send-failed"}


def test_a_closed_probe_gives_its_descriptors_back(opener: Opener) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("no /proc to count descriptors in")
    gc.collect()
    before = len(list(descriptors.iterdir()))
    probe = opener()
    ask(probe, 1)
    probe.close()
    assert len(list(descriptors.iterdir())) == before


def test_datagram_sockets_where_the_group_may_open_them() -> None:
    """The same suite by ICMP datagram, in a namespace whose setting allows it to everybody."""
    setup = f"{LO_UP}; {ALLOW_ICMP_DATAGRAM}"
    suite = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "icmp-datagram")
    done = run_in_world(setup, command=suite, as_nobody=True, timeout_s=240)
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("family", ADDRESSES)
def test_hundreds_of_raw_sockets_do_not_drown_each_other(family: str) -> None:
    """Each raw socket is given the replies to all of them, and its queue holds some 270."""
    opener = Opener("icmp-raw", family)
    try:
        probes = [opener() for _ in range(400)]
        for probe in probes:
            probe.send(1)
        answers = [await_answer(probe) for probe in probes]
    finally:
        opener.close()
    assert all(answer.is_reply for answer in answers)


@pytest.mark.parametrize("family", ADDRESSES)
def test_the_errors_of_others_do_not_drown_a_raw_socket(family: str) -> None:
    """Each datagram to a closed port makes an error, which every raw socket could be given."""
    opener = Opener("icmp-raw", family)
    kind = socket.AF_INET if family == "ipv4" else socket.AF_INET6
    try:
        probe = opener()
        with socket.socket(kind, socket.SOCK_DGRAM) as flood, socket.socket(kind, socket.SOCK_DGRAM) as closed:
            closed.bind((ADDRESSES[family], 0))
            closed.connect(closed.getsockname())  # so that it takes in nothing from others, and they get an error
            for _ in range(2_000):
                flood.sendto(b"x" * 500, closed.getsockname())
        _, answer = ask(probe, 1)
    finally:
        opener.close()
    assert answer.is_reply


@pytest.mark.parametrize("family", ADDRESSES)
def test_tcp_reaches_a_port_that_listens(family: str) -> None:
    listener = socket.create_server(
        (ADDRESSES[family], 0), family=socket.AF_INET if family == "ipv4" else socket.AF_INET6
    )
    with listener:
        port = listener.getsockname()[1]
        probe = SYSTEM.open_probe("tcp", family, ADDRESSES[family], source=None, size_bytes=0, port=port)
        try:
            assert ask(probe, 1)[1].is_reply
        finally:
            probe.close()


def test_udp_to_a_port_that_answers_is_a_reply_too() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        probe = SYSTEM.open_probe("udp", "ipv4", "127.0.0.1", source=None, size_bytes=16, port=port)
        try:
            probe.send(1)
            data, peer = server.recvfrom(100)
            server.sendto(data, peer)
            SYSTEM.wait([probe], 5)
            answer = probe.receive()
        finally:
            probe.close()
    assert answer is not None
    assert (answer.seq, answer.is_reply, answer.size_bytes) == (1, True, 16)


@pytest.mark.parametrize("family", ADDRESSES)
def test_udp_without_an_error_queue(family: str) -> None:
    """As on systems other than Linux: the refusal alone comes back, and belongs to the latest probe."""
    probe = UdpProbe(family, ADDRESSES[family], source=None, size_bytes=56, port=None, error_queue=False)
    try:
        for seq in (1, 2, 3):
            sent_ns, answer = ask(probe, seq)
            assert (answer.seq, answer.is_reply, answer.ttl) == (seq, True, None)
            assert answer.received_ns > sent_ns
    finally:
        probe.close()


def test_the_port_held_for_udp_cannot_be_taken() -> None:
    probe = SYSTEM.open_probe("udp", "ipv4", "127.0.0.1", source=None, size_bytes=16)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", probe.port or 0))
    finally:
        probe.close()


@pytest.mark.parametrize(
    ("wire", "last_sent", "whole"), [(1, 1, 1), (0xFFFF, 0x10000, 0xFFFF), (0, 0x10000, 0x10000), (5, 0x20004, 0x10005)]
)
def test_wire_numbers_are_unwrapped(wire: int, last_sent: int, whole: int) -> None:
    assert unwrap_seq(wire, last_sent) == whole


@pytest.mark.parametrize(("family", "address"), ADDRESSES.items())
def test_what_came_before_a_raw_socket_had_its_filter_is_taken_out(family: str, address: str) -> None:
    require_loopback(address)
    other = Opener("icmp-raw", family)
    probe = other()
    with icmp_socket.open_icmp_socket(family, "icmp-raw", None) as sock:
        ask(probe, 1)
        assert select.select([sock], [], [], 10)[0] == [sock]
        refuse_other_replies(sock, family, 0)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
    other.close()


@pytest.mark.parametrize(("family", "address"), ADDRESSES.items())
@pytest.mark.parametrize("method", ["icmp-datagram", "icmp-raw"])
def test_icmplib_opens_what_is_opened_without_it_on_linux(family: str, address: str, method: str) -> None:
    require_loopback(address)
    try:
        with icmp_socket.open_icmp_socket(family, method, address) as sock:
            expected = sock.type, sock.proto, sock.getsockname()[0]
    except MethodRefusedError as refused:
        with pytest.raises(MethodRefusedError, match=re.escape(str(refused))):
            icmp_socket._open_by_icmplib(family, method, address)  # noqa: SLF001 - what other systems get
        return
    with icmp_socket._open_by_icmplib(family, method, address) as sock:  # noqa: SLF001 - likewise
        gc.collect()
        assert (sock.type, sock.proto, sock.getsockname()[0], sock.gettimeout()) == (*expected, 0)
