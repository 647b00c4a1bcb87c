"""The lines of /proc/net: as a Linux 6.18 wrote them, and at random."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodiag.model.conns import Endpoint
from lodiag.system.facts import Socket
from lodiag.system.procnet import decode_end, decode_table

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="these lines are of a machine of that byte order")

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:46A0 00000000:0000 0A 00000000:00000002 00:00000000 00000000   105        0 450580 1 0 100 0 0 10 0
   1: 0100007F:46A0 0100007F:D9E8 01 00000010:00000064 04:00000014 00000000     0        3 450584 1 0 20 4 30 10 -1
   4: 0100007F:D9F4 0100007F:46A0 06 00000000:00000000 03:00001770 00000000     0        0 0 3 00000000853ac0a0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 00000000000000000000000001000000:46A1 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 \
00000000     0        0 450582 2 0 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:46A1 0000000000000000FFFF00000100007F:B726 01 00000000:00000000 00:00000000 \
00000000     0        0 0 1 00000000d6a949f0 20 0 0 10 -1
"""
UDP = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 3566: 0100007F:46A2 00000000:0000 07 00000000:00000300 00:00000000 00000000     0        0 450588 2 0 47
"""


def test_tcp() -> None:
    listener, connection, waiting = decode_table("tcp", "ipv4", TCP)
    assert listener == Socket(
        *("tcp", "ipv4", "listen", Endpoint("127.0.0.1", 18080), None),
        inode=450580,
        uid=105,
        accept_queue=2,
    )
    assert (connection.remote, connection.send_q_bytes, connection.recv_q_bytes) == (("127.0.0.1", 55784), 16, 100)
    assert (connection.timer, connection.timer_ms, connection.timer_retransmits) == ("persist", 200, 3)
    retransmitting = TCP.replace("04:00000014 00000000     0        3", "01:00000014 00000005     0        0")
    (_, again, _) = decode_table("tcp", "ipv4", retransmitting)
    assert (again.timer, again.timer_retransmits) == ("retransmit", 5)
    assert (waiting.state, waiting.inode, waiting.uid, waiting.timer) == ("time-wait", 0, None, "time-wait")
    assert waiting.timer_ms == 60_000


def test_tcp6() -> None:
    listener, mapped = decode_table("tcp", "ipv6", TCP6)
    assert (listener.local, listener.remote) == (("::1", 18081), None)
    assert (mapped.local, mapped.remote) == (("127.0.0.1", 18081), ("127.0.0.1", 46886))
    assert (listener.mapped, mapped.mapped) == (False, True)


def test_udp() -> None:
    (row,) = decode_table("udp", "ipv4", UDP)
    assert (row.state, row.recv_q_bytes, row.drops, row.timer) == ("unconnected", 768, 47, None)


def test_a_socket_that_the_kernel_tells_twice_is_one() -> None:
    lines = TCP.splitlines()
    now = lines[2].replace("00000010:00000064", "00000000:00000001")
    found = list(decode_table("tcp", "ipv4", "\n".join([*lines, now, lines[3]])))
    assert [row.state for row in found] == ["listen", "established", "time-wait"]
    assert found[1].recv_q_bytes == 1, "what is told last is what is true"


@pytest.mark.parametrize("text", ["", "  sl  local_address\n", TCP[:150]])
def test_what_is_not_whole_is_left_out(text: str) -> None:
    assert list(decode_table("tcp", "ipv4", text)) == []


@given(st.integers(0, 2**32 - 1), st.integers(0, 65_535))
def test_ends(address: int, port: int) -> None:
    shown = ".".join(str(byte) for byte in address.to_bytes(4, "big"))
    words = f"{int.from_bytes(address.to_bytes(4, 'big'), 'little'):08X}:{port:04X}"
    assert decode_end(words) == ((shown, port), False)
