"""The bytes of sock_diag: as a Linux 6.18 sent them, cut short, and at random."""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from dataclasses import fields
from socket import AF_INET, AF_INET6, AF_UNIX, SOCK_SEQPACKET, socketpair
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodiag.model.conns import ConnTcp
from lodiag.sockets.options import STATES
from lodiag.system import sock_diag
from lodiag.system.conversation import TRIES
from lodiag.system.facts import Question, Socket
from lodiag.system.names import index_interface
from lodiag.system.netlink import Dump, ask, list_dumps, list_sockets, look_up, open_socket
from lodiag.system.nlmsg import NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_HEADER, NetlinkError
from lodiag.system.sock_diag import (
    LOOPBACK,
    S_COND,
    SOCK_DIAG_BY_FAMILY,
    Condition,
    decode_reply,
    decode_tcp_info,
    encode_any_of,
    encode_dump,
)
from lodiag.system.sources import SourceRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

CAPTURED = {
    "ipv4 tcp listen": (
        "020a000046a000007f000001000000000000000000000000000000000000000000000000000000000000000053050000"
        "00000000000000000000000080000000000000004fe00600050008000000000008000f00000000000c00150001000000"
        "000000000600160052000000280007000000000000000200000000000040000000000000000000000000000000000000"
        "000000001c0102000a000000000000000000000000000000000000000000000000000000800000000000000000000000"
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000a00000000000000"
        "03000000000000000000000000000000ffffffffffffffffffffffffffffffff00000000000000000000000000000000"
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "0800040062627200"
    ),
    "ipv4 tcp established": (
        "0201000046a0cd627f0000010000000000000000000000007f00000100000000000000000000000000000000fe050000"
        "000000000000000064000000000000000000000094ee0600050008000000000008000f00000000000c00150001000000"
        "00000000060016005200000028000700a40300000000020000000000001e3c005c0c0000000000000000000000000000"
        "000000001c010200010000000007aa01e01c0300409c0000008000001802000000000000000000000000000000000000"
        "0000000004000000000000000400000004000000ffff0000cbff00001000000008000000ffffff7f0a000000cbff0000"
        "0300000000000000cbff000000000000009d96a00d000000ffffffffffffffff00000000000000006400000000000000"
        "010000000300000000000000100000000100000000000000000000000000000000000000000000000000000000000000"
        "000000000000000001000000000000000000000000000000000000000000000000000000000000000000000000000100"
        "000001000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "0800040062627200"
    ),
    "ipv4 tcp time-wait": (
        "020603008b3c46a07f0000010000000000000000000000007f0000010000000000000000000000000000000056050000"
        "000000005cea00000000000000000000000000000000000008000f0000000000"
    ),
    "ipv6 tcp established": (
        "0a01000046a19e0000000000000000000000ffff7f00000100000000000000000000ffff7f0000010000000058050000"
        "000000000000000000000000000000000000000000000000050008000000000008000f00000000000c00150001000000"
        "00000000060016001200000028000700000000000000020000000000001e3c0000000000000000000000000000000000"
        "000000001c010200010000000007aa01e01c030000000000008000001802000000000000000000000000000000000000"
        "0000000004000000000000000400000004000000ffff0000cbff00000500000002000000ffffff7f0a000000cbff0000"
        "0300000000000000cbff00000000000000907b9b2b000000ffffffffffffffff00000000000000000000000000000000"
        "000000000200000000000000050000000000000000000000000000000000000000000000000000000000000000000000"
        "000000000000000001000000000000000000000000000000000000000000000000000000000000000000000000000100"
        "cbff00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "0800040062627200"
    ),
    "ipv4 udp unconnected": (
        "0207000046a200007f00000100000000000000000000000000000000000000000000000000000000000000005a050000"
        "000000000000000000000000000000000000000057e00600050008000000000008000f00000000000c00150001000000"
        "000000000600160050000000280007000000000000400300000000000040030000000000000000000000000000000000"
        "00000000"
    ),
}
"""Payloads of replies, as root of a network namespace saw them."""


def decode(name: str) -> Socket:
    (found,) = read(name.split()[1], message(SOCK_DIAG_BY_FAMILY, bytes.fromhex(CAPTURED[name])))
    return found


def read(proto: str, datagram: bytes) -> list[Socket]:
    """Decode a datagram that is not the last."""
    reply = decode_reply(proto, memoryview(datagram))
    assert not reply.is_last
    return reply.sockets


def message(kind: int, payload: bytes | bytearray = b"", flags: int = 0) -> bytes:
    """Frame a payload as the kernel does."""
    return NLMSG_HEADER.pack(16 + len(payload), kind, flags, 0, 0) + payload + bytes(-len(payload) % 4)


def test_a_listener() -> None:
    row = decode("ipv4 tcp listen")
    assert (row.proto, row.family, row.state, row.local, row.remote) == (
        *("tcp", "ipv4", "listen", ("127.0.0.1", 18080), None),
    )
    assert (row.accept_queue, row.backlog, row.drops, row.recv_q_bytes, row.send_q_bytes) == (0, 128, 0, None, None)
    assert (row.uid, row.v6only, row.cgroup_id, row.congestion, row.tcp) == (0, None, 1, "bbr", None)
    assert row.inode
    assert row.timer is None


def test_a_connection_with_unread_bytes() -> None:
    row = decode("ipv4 tcp established")
    assert (row.local, row.remote and row.remote[0], row.recv_q_bytes, row.send_q_bytes) == (
        *(("127.0.0.1", 18080), "127.0.0.1", 100, 0),
    )
    assert (row.accept_queue, row.backlog) == (None, None)
    assert row.tcp is not None
    assert (row.tcp.bytes_received, row.tcp.bytes_sent, row.tcp.retransmits, row.tcp.cwnd) == (100, 0, 0, 10)
    assert row.tcp.rtt_ms is not None
    assert 0 < row.tcp.rtt_ms < 10


def test_a_socket_that_waits_has_no_user() -> None:
    """The kernel writes 0 for what it no longer knows; that is not root."""
    row = decode("ipv4 tcp time-wait")
    assert (row.state, row.inode, row.uid, row.tcp, row.cgroup_id) == ("time-wait", 0, None, None, None)
    assert row.timer == "time-wait"
    assert row.timer_ms is not None
    assert 59_000 < row.timer_ms <= 60_000


def test_a_mapped_connection_that_is_not_accepted_keeps_its_user() -> None:
    row = decode("ipv6 tcp established")
    assert (row.family, row.local, row.inode) == ("ipv6", ("127.0.0.1", 18081), 0)
    assert row.mapped
    assert row.uid == 0, "it is a whole socket, and this is root's"


def test_a_datagram_socket() -> None:
    row = decode("ipv4 udp unconnected")
    assert (row.proto, row.state, row.local, row.remote) == ("udp", "unconnected", ("127.0.0.1", 18082), None)
    assert (row.recv_q_bytes, row.drops, row.tcp) == (0, 0, None)


def test_a_bound_tcp_socket_is_no_unconnected_one() -> None:
    payload = bytearray.fromhex(CAPTURED["ipv4 udp unconnected"])
    (row,) = read("tcp", message(SOCK_DIAG_BY_FAMILY, payload))
    assert row.state == "bound"


@pytest.mark.parametrize("length", [0, 69, 72, 104, 127, 136, 150, 160, 192, 208, 280, 400])
def test_tcp_info_is_decoded_as_far_as_it_goes(length: int) -> None:
    """Each kernel appends; an older one's is shorter, and what is not there is not 0."""
    data = bytes(range(1, 201)) * 2  # no field of it is 0
    whole, part = (decode_tcp_info(data[:size]) for size in (400, length))
    ends = {name: offset + width.size for name, (offset, width, _) in sock_diag._TCP_FIELDS.items()}  # noqa: SLF001
    for name, end in ends.items():
        assert getattr(part, name) == (getattr(whole, name) if end <= length else None), name


def test_every_field_of_tcp_info_has_its_place() -> None:
    assert set(sock_diag._TCP_FIELDS) == {item.name for item in fields(ConnTcp)}  # noqa: SLF001


def test_units_of_tcp_info() -> None:
    data = bytearray(280)
    struct.pack_into("=I", data, 68, 1509)
    struct.pack_into("=Q", data, 160, 1000)
    found = decode_tcp_info(bytes(data))
    assert (found.rtt_ms, found.delivery_rate_bps) == (1.509, 8000), "from microseconds, and from bytes"


def test_what_was_not_measured_yet_is_not_zero() -> None:
    """Before the handshake the kernel writes 0, the largest number, or the time since the machine was started."""
    data = bytearray(280)
    struct.pack_into("=I", data, 44, 6_053_052)
    struct.pack_into("=I", data, 72, 250_000)
    struct.pack_into("=I", data, 148, 0xFFFFFFFF)
    found = decode_tcp_info(bytes(data), has_talked=False)
    assert (found.rtt_ms, found.rttvar_ms, found.min_rtt_ms, found.delivery_rate_bps) == (None, None, None, None)
    assert (found.last_sent_ms, found.last_received_ms, found.last_ack_ms) == (None, None, None)
    assert (found.retransmits, found.bytes_sent) == (0, 0)


# --- framing ---------------------------------------------------------------------------------------------------------


def test_the_end_of_a_dump_and_that_it_is_torn_are_told() -> None:
    row = message(SOCK_DIAG_BY_FAMILY, bytes.fromhex(CAPTURED["ipv4 tcp listen"]), flags=2)
    for flags, is_torn in ((2, False), (2 | NLM_F_DUMP_INTR, True)):
        reply = decode_reply("tcp", memoryview(row + message(NLMSG_DONE, bytes(4), flags=flags) + row))
        assert (len(reply.sockets), reply.is_torn, reply.is_last) == (1, is_torn, True)
    torn = message(SOCK_DIAG_BY_FAMILY, bytes.fromhex(CAPTURED["ipv4 tcp listen"]), flags=NLM_F_DUMP_INTR)
    assert decode_reply("tcp", memoryview(row + torn)).is_torn


@given(
    st.lists(st.sampled_from(sorted(CAPTURED)), max_size=12),
    st.lists(st.sampled_from([0, 2]), min_size=12, max_size=12),
)
def test_messages_in_one_datagram_are_read_as_they_are_alone(names: list[str], flags: list[int]) -> None:
    """Those of one size are read at one go, whatever is between them."""
    messages = [
        message(SOCK_DIAG_BY_FAMILY, bytes.fromhex(CAPTURED[name]), flags=flag)
        for name, flag in zip(names, flags, strict=False)
    ]
    assert read("tcp", b"".join(messages)) == [row for one in messages for row in read("tcp", one)]


def test_the_last_message_may_lack_its_padding() -> None:
    payload = bytes.fromhex(CAPTURED["ipv4 udp unconnected"]) + b"\1\2\3"
    whole = message(SOCK_DIAG_BY_FAMILY, payload)
    assert read("udp", whole + whole[:-1]) == read("udp", whole) * 2


def test_what_is_no_socket_of_the_internet_is_left_out() -> None:
    strange = bytearray.fromhex(CAPTURED["ipv4 tcp listen"])
    strange[0] = AF_UNIX
    own = message(SOCK_DIAG_BY_FAMILY, bytes.fromhex(CAPTURED["ipv4 tcp listen"]))
    datagram = own + message(SOCK_DIAG_BY_FAMILY, strange) + message(99, b"abcd") + message(SOCK_DIAG_BY_FAMILY) + own
    assert read("tcp", datagram) == read("tcp", own) * 2


@pytest.mark.parametrize("kind", [NLMSG_ERROR, NLMSG_DONE])
def test_a_refusal_is_an_error_whichever_message_it_is_in(kind: int) -> None:
    """An unsupported protocol ends the dump with -ENOENT, and is not "no sockets"."""
    with pytest.raises(NetlinkError) as caught:
        decode_reply("tcp", memoryview(message(kind, struct.pack("=i", -2))))
    assert caught.value.errno == 2


@pytest.mark.parametrize("cut", [1, 15, 17, 19])
def test_a_reply_that_is_cut_short_is_an_error(cut: int) -> None:
    datagram = message(SOCK_DIAG_BY_FAMILY, b"abcd")
    with pytest.raises(NetlinkError, match="cut short"):
        decode_reply("tcp", memoryview(datagram[:cut]))


@given(st.binary(max_size=600))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with suppress(NetlinkError):
        decode_reply("tcp", memoryview(data))


@given(st.sampled_from(sorted(CAPTURED)), st.integers(0, 800), st.binary(max_size=40))
def test_no_attributes_raise(name: str, at: int, noise: bytes) -> None:
    payload = bytearray.fromhex(CAPTURED[name])
    payload[at : at + len(noise)] = noise
    for size in (len(payload), at):
        assert {row.proto for row in read("tcp", message(SOCK_DIAG_BY_FAMILY, payload[:size]))} <= {"tcp"}


# --- requests --------------------------------------------------------------------------------------------------------


def run(program: bytes, ends: dict[int, tuple[int, bytes]]) -> bool:
    """Decide as the kernel does (inet_diag_bc_run): whether a socket of these addresses is passed."""
    at = 0
    while at < len(program):
        code, yes, no = sock_diag.OPERATION.unpack_from(program, at)
        holds = True
        if code == sock_diag.JMP:
            at += no
            continue
        family, bits, _ = sock_diag.CONDITION.unpack_from(program, at + 4)
        size = -(-bits // 8)
        wanted = program[at + 12 : at + 12 + size]
        own, address = ends[code]
        holds = own == family and address[:size] == wanted
        at += yes if holds else no
    return at == len(program)


V4_LOOPBACK, V4_OTHER = (AF_INET, b"\x7f\1\2\3"), (AF_INET, b"\xc0\0\2\1")
V6_LOOPBACK, V6_OTHER = (AF_INET6, bytes(15) + b"\1"), (AF_INET6, bytes(15) + b"\2")


@pytest.mark.parametrize(
    ("source", "destination", "passed"),
    [
        (V4_LOOPBACK, V4_LOOPBACK, True),
        (V4_LOOPBACK, V4_OTHER, True),
        (V4_OTHER, V4_LOOPBACK, True),
        (V4_OTHER, V4_OTHER, False),
        (V6_LOOPBACK, V6_OTHER, True),
        (V6_OTHER, V6_LOOPBACK, True),
        (V6_OTHER, V6_OTHER, False),
    ],
)
def test_the_filter_passes_what_has_an_end_on_the_loopback(
    source: tuple[int, bytes], destination: tuple[int, bytes], *, passed: bool
) -> None:
    ends = {sock_diag.S_COND: source, sock_diag.D_COND: destination}
    assert run(encode_any_of(LOOPBACK), ends) is passed


def test_one_condition_and_none() -> None:
    one = encode_any_of([Condition(S_COND, AF_INET, 32, b"\x7f\0\0\1")])
    assert run(one, {S_COND: (AF_INET, b"\x7f\0\0\1")})
    assert not run(one, {S_COND: (AF_INET, b"\x7f\0\0\2")})
    assert encode_any_of([]) == b""


def test_a_request_says_its_own_length() -> None:
    for request in (encode_dump("ipv4", "tcp", 0xFFF), encode_dump("ipv6", "udp", 1, LOOPBACK)):
        size, kind, flags, _, _ = NLMSG_HEADER.unpack_from(request)
        assert (size, kind, flags) == (len(request), SOCK_DIAG_BY_FAMILY, 0x301)


def read_dumps(question: Question) -> set[tuple[str, int]]:
    """Protocol, family and states of each dump that a question leads to."""
    found = set()
    for dump in list_dumps(question):
        family, proto, _, _, states, _ = sock_diag.REQUEST.unpack_from(dump.request, NLMSG_HEADER.size)
        assert (sock_diag.PROTOCOLS[dump.proto], sock_diag.FAMILIES[dump.family]) == (proto, family)
        found.add((f"{dump.proto}{4 if family == AF_INET else 6}", states))
    return found


def test_no_more_is_read_than_was_asked_for() -> None:
    listen, bound, unconnected = (frozenset({name}) for name in ("listen", "bound", "unconnected"))
    assert read_dumps(Question(states=listen)) == {("tcp4", 1 << 10), ("tcp6", 1 << 10)}
    assert read_dumps(Question("udp", "ipv6", unconnected)) == {("udp6", 1 << 7)}
    assert read_dumps(Question("udp", states=listen)) == set()
    assert read_dumps(Question("tcp", "ipv4", bound)) == {("tcp4", 1 << 13)}
    assert len(read_dumps(Question())) == 10


def test_ports_are_chosen_by_the_kernel() -> None:
    for dump in list_dumps(Question("tcp", "ipv4", local_port=80, remote_port=0x1234)):
        ends = sock_diag.REQUEST.unpack_from(dump.request, NLMSG_HEADER.size)[-1]
        assert ends[:4] == b"\x00\x50\x12\x34"


@pytest.mark.parametrize("state", STATES)
def test_a_question_of_one_state_is_answered_with_it(state: str) -> None:
    """The bits that are asked for are those that are decoded as that state."""
    for _, bits in read_dumps(Question(states=frozenset({state}))):
        numbers = [number for number in range(14) if bits >> number & 1]
        names = {sock_diag.STATES.get(number) for number in numbers}
        assert names <= {state, "close", None}


# --- the conversation, with a kernel of the test's own ---------------------------------------------------------------

ROW = message(SOCK_DIAG_BY_FAMILY, bytes.fromhex(CAPTURED["ipv4 tcp listen"]))
WHOLE = message(NLMSG_DONE, bytes(4))
TORN = message(NLMSG_DONE, bytes(4), flags=NLM_F_DUMP_INTR)
QUESTION = Dump("tcp", "ipv4", b"?")


def converse(*replies: bytes) -> tuple[int, bool, int]:
    """Let a kernel give these datagrams: rows, whether they are torn, and how often it was asked."""
    kernel, own = socketpair(AF_UNIX, SOCK_SEQPACKET)
    with kernel, own:
        kernel.settimeout(10)
        own.settimeout(0.2)
        for reply in replies:
            kernel.send(reply)
        rows, is_torn = ask(own, QUESTION)
        kernel.settimeout(0)
        asked = 0
        with suppress(BlockingIOError):
            while kernel.recv(10) == b"?":
                asked += 1
        return len(rows), is_torn, asked


needs_seqpacket = pytest.mark.skipif(sys.platform != "linux", reason="netlink is Linux's")


@needs_seqpacket
def test_a_dump_comes_in_many_datagrams() -> None:
    assert converse(ROW + ROW, ROW, WHOLE) == (3, False, 1)
    assert converse(ROW + WHOLE) == (1, False, 1)


@needs_seqpacket
def test_a_torn_dump_is_asked_for_again_and_then_admitted() -> None:
    assert converse(ROW, TORN, ROW + ROW + WHOLE) == (2, False, 2)
    assert converse(*[ROW + TORN] * TRIES) == (1, True, TRIES)


@needs_seqpacket
@pytest.mark.parametrize(
    "replies",
    [
        [ROW, message(NLMSG_ERROR, struct.pack("=i", -1))],
        [ROW, message(NLMSG_DONE, struct.pack("=i", -2))],
        [ROW, ROW[:-8]],
        [ROW],
        [bytes(1 << 17)],
    ],
    ids=["error", "refused-at-the-end", "cut-short", "no-end", "too-large"],
)
def test_a_dump_that_does_not_come_whole_is_an_error(replies: list[bytes]) -> None:
    with pytest.raises(OSError, match=r".+"):
        converse(*replies)


class Picky(socket.socket):
    """A netlink socket whose kernel has no diagnosis for some protocols: it is asked for one that none has."""

    refused: frozenset[int] = frozenset()

    def send(self, data: Any, flags: int = 0) -> int:
        """Ask the kernel."""
        request = bytearray(data)
        if request[PROTOCOL_AT] in self.refused:
            request[PROTOCOL_AT] = 200
        return super().send(request, flags)


PROTOCOL_AT = NLMSG_HEADER.size + 1


def connect_without(*refused: str) -> Callable[[], socket.socket]:
    """Make a kernel that refuses these protocols."""

    def connect() -> socket.socket:
        sock = Picky(fileno=open_socket().detach())
        sock.settimeout(10)
        sock.refused = frozenset(sock_diag.PROTOCOLS[name] for name in refused)
        return sock

    return connect


@needs_seqpacket
def test_proc_stands_in_for_a_protocol_that_the_kernel_does_not_diagnose() -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        table = list_sockets(Question(family="ipv4"), connect_without("udp"))
        rows = {row.local: row for row in table.sockets}
        assert [row.local for row in table.sockets].count(udp.getsockname()) == 1
        assert (rows[tcp.getsockname()].cookie is None, rows[udp.getsockname()].cookie) == (False, None)
    assert (table.source, table.partial) == ("sock_diag", None)
    assert [name for name, _ in table.refused] == ["sock_diag of udp and ipv4"]


@needs_seqpacket
def test_a_kernel_that_diagnoses_nothing_is_a_refused_source() -> None:
    with pytest.raises(SourceRefusedError, match="No such file"):
        list_sockets(Question(), connect_without("tcp", "udp"))


# --- what the kernel leaves out --------------------------------------------------------------------------------------


@needs_seqpacket
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_kernel_gives_only_what_has_the_port_at_either_end(address: str) -> None:
    with listen_on(address) as server, listen_on(address), socket.create_connection(server.getsockname()[:2]) as client:
        port, other = server.getsockname()[1], client.getsockname()[1]
        found = list_sockets(Question("tcp", port=port)).sockets
        ends = {(row.local.port, row.remote and row.remote.port) for row in found if row.state != "time-wait"}
        assert ends == {(port, None), (port, other), (other, port)}


@needs_seqpacket
@pytest.mark.parametrize("address", ["127.0.0.7", "::1", "0.0.0.0"])
def test_the_kernel_gives_only_what_has_the_address_at_this_end(address: str) -> None:
    with listen_on(address) as server, listen_on("127.0.0.1"):
        found = list_sockets(Question("tcp", local_address=address)).sockets
        assert {row.local.address for row in found} == {address}
        assert server.getsockname()[1] in {row.local.port for row in found}


# --- the kernel's own lookup -----------------------------------------------------------------------------------------


def listen_on(address: str, *, dual: bool = False) -> socket.socket:
    """Listen on a free port; skip the test where there is no such address."""
    try:
        return socket.create_server((address, 0), family=AF_INET6 if ":" in address else AF_INET, dualstack_ipv6=dual)
    except OSError as error:
        pytest.skip(f"no socket on {address}: {error}")


@needs_seqpacket
@pytest.mark.parametrize(
    ("bound_to", "dual", "found_at", "missed_at"),
    [
        ("127.0.0.1", False, "127.0.0.1", "127.0.0.2"),
        ("127.0.0.1", False, "127.0.0.1", "::1"),
        ("0.0.0.0", False, "127.9.9.9", "::1"),
        ("::1", False, "::1", "127.0.0.1"),
        ("::", True, "127.0.0.1", None),
        ("::", False, "::1", "127.0.0.1"),
    ],
)
def test_the_kernel_says_what_would_answer(bound_to: str, dual: bool, found_at: str, missed_at: str | None) -> None:  # noqa: FBT001
    with listen_on(bound_to, dual=dual) as server:
        port = server.getsockname()[1]
        found = look_up("tcp", (found_at, port), (found_at, 0))
        assert found is not None
        assert (found.state, found.local, found.remote) == ("listen", (bound_to, port), None)
        if missed_at:
            assert look_up("tcp", (missed_at, port), (missed_at, 0)) is None


@needs_seqpacket
def test_the_kernel_says_which_connection_gets_it_before_the_listener() -> None:
    with listen_on("127.0.0.1") as server, socket.create_connection(server.getsockname()) as client:
        found = look_up("tcp", client.getsockname(), client.getpeername())
        assert found is not None
        assert (found.state, found.local, found.remote) == ("established", client.getsockname(), client.getpeername())


@needs_seqpacket
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_kernel_says_which_udp_socket_gets_it(address: str) -> None:
    with socket.socket(AF_INET6 if ":" in address else AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((address, 0))
        except OSError as error:
            pytest.skip(f"no socket on {address}: {error}")
        port = sock.getsockname()[1]
        found = look_up("udp", (address, port), (address, 9))
        assert found is not None
        assert (found.state, found.local) == ("unconnected", (address, port))
        assert look_up("tcp", (address, port), (address, 9)) is None


@needs_seqpacket
def test_nobody_is_not_said_by_a_kernel_that_was_not_able_to_look() -> None:
    with pytest.raises(SourceRefusedError, match="No such file"):
        look_up("tcp", ("127.0.0.1", 1), ("127.0.0.1", 0), connect_without("tcp"))


@needs_seqpacket
@pytest.mark.skipif(not hasattr(socket, "SO_BINDTODEVICE"), reason="no socket can be bound to an interface here")
def test_what_is_bound_to_an_interface_gets_what_comes_by_that_one() -> None:
    index = index_interface("lo")
    if not index:
        pytest.skip("no interface is called lo")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        ends = sock.getsockname(), ("127.0.0.1", 0)
        assert look_up("tcp", *ends) is None
        found = look_up("tcp", *ends, interface_index=index)
        assert found is not None
        assert found.interface_index == index
    assert index_interface("no-such-one") == 0
