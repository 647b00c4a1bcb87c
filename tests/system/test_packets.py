"""The codecs, on captured bytes and on any bytes."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodiag.system import errqueue
from lodiag.system.packets import (
    ECHO_REPLY,
    checksum,
    decode_echo,
    decode_extended_err,
    decode_own_mtu,
    encode_echo,
    make_payload,
    name_error,
    resembles,
    strip_ipv4_header,
)

FAMILIES = st.sampled_from(["ipv4", "ipv6"])
KEY = b"lodiag-k"

# Captured on Linux 6.18 from raw sockets on lo; identifier 0x1234, sequence 7, 24 bytes of payload.
REQUEST_V4 = "45000034bc154000400180b17f0000017f00000108007a02123400076c6f646961672d6b00000000000000070001020304050607"
REPLY_V4 = "45000034bc1600004001c0b07f0000017f00000100008202123400076c6f646961672d6b00000000000000070001020304050607"
REQUEST_V6 = "800001a6123400076c6f646961672d6b00000000000000070001020304050607"
REPLY_V6 = "810000a6123400076c6f646961672d6b00000000000000070001020304050607"
PROHIBITED_V4 = (
    "45c00050826000004001f98a7f0000017f000001030dfcf20000000045000034825f40004001ba677f0000017f000001"
    "08007a02123400076c6f646961672d6b00000000000000070001020304050607"
)
UDP_UNREACHABLE_V4 = (
    "45c00050bc1700004001bfd37f0000017f0000010303b7db0000000045000034fb814000401141357f0000017f000001"
    "db0500090020fe336c6f646961672d6b00000000000000030001020304050607"
)
UDP_UNREACHABLE_V6 = (
    "0104c8df00000000600eac14002011400000000000000000000000000000000100000000000000000000000000000001"
    "abf00009002000336c6f646961672d6b00000000000000030001020304050607"
)
# The control messages of the error queue for the same two datagrams.
EXTENDED_V4 = "6f000000020303000000000000000000020000007f0000010000000000000000"
EXTENDED_V6 = "6f0000000301040000000000000000000a000000000000000000000000000000000000000000000100000000"
# The same where a router has a link of mtu 1400 behind it, and where the own interface has mtu 1500.
TOO_BIG_V4 = "5a00000002030400780500000000000002000000c00002020000000000000000"
OWN_V4 = "5a00000001000000dc0500000000000000000000000000000000000000000000"
OWN_V6 = OWN_V4 + "000000000000000000000000"


@pytest.mark.parametrize(("family", "captured", "ttl"), [("ipv4", REPLY_V4, 64), ("ipv6", REPLY_V6, None)])
def test_a_captured_reply(family: str, captured: str, ttl: int | None) -> None:
    message = decode_echo(family, bytes.fromhex(captured))
    assert message is not None
    assert (message.icmp_type, message.icmp_code) == (ECHO_REPLY[family], 0)
    assert (message.ident, message.seq, message.ttl) == (0x1234, 7, ttl)
    assert message.payload == make_payload(KEY, 7, 24)
    assert message.checksum_good


@pytest.mark.parametrize(
    ("family", "captured"),
    [("ipv4", REQUEST_V4), ("ipv6", REQUEST_V6), ("ipv4", UDP_UNREACHABLE_V4), ("ipv6", UDP_UNREACHABLE_V6)],
    ids=["own-request-v4", "own-request-v6", "error-about-udp-v4", "error-about-udp-v6"],
)
def test_what_is_not_ours_is_nothing(family: str, captured: str) -> None:
    assert decode_echo(family, bytes.fromhex(captured)) is None


def test_a_captured_rejection() -> None:
    message = decode_echo("ipv4", bytes.fromhex(PROHIBITED_V4))
    assert message is not None
    assert (message.icmp_type, message.icmp_code, message.ident, message.seq) == (3, 13, 0x1234, 7)
    assert name_error("ipv4", 3, 13, echo=True) == "rejected-by-firewall"


def test_a_request_is_encoded_as_the_kernel_sent_it() -> None:
    packet = encode_echo("ipv4", 0x1234, 7, make_payload(KEY, 7, 24))
    assert packet == strip_ipv4_header(bytes.fromhex(REQUEST_V4))[1]


@pytest.mark.parametrize(
    ("family", "captured", "expected"),
    [("ipv4", EXTENDED_V4, (3, 3, "127.0.0.1")), ("ipv6", EXTENDED_V6, (1, 4, "::1"))],
)
def test_a_captured_queue_entry(family: str, captured: str, expected: tuple[int, int, str]) -> None:
    error = decode_extended_err(family, bytes.fromhex(captured))
    assert error is not None
    assert (error.icmp_type, error.icmp_code, error.offender) == expected


def test_a_local_error_is_not_of_icmp() -> None:
    assert decode_extended_err("ipv4", b"\x5a\0\0\0\x01" + bytes(27)) is None


def test_a_damaged_reply_is_seen() -> None:
    packet = bytearray.fromhex(REPLY_V4)
    packet[-1] ^= 1
    message = decode_echo("ipv4", bytes(packet))
    assert message is not None
    assert not message.checksum_good


@pytest.mark.parametrize(
    ("family", "icmp", "echo", "code"),
    [
        ("ipv4", (11, 0), True, "ttl-exceeded"),
        ("ipv6", (3, 0), True, "ttl-exceeded"),
        ("ipv4", (3, 3), True, "rejected-by-firewall"),
        ("ipv4", (3, 3), False, "destination-unreachable"),
        ("ipv6", (1, 4), True, "rejected-by-firewall"),
        ("ipv6", (1, 1), False, "rejected-by-firewall"),
        ("ipv4", (3, 10), False, "rejected-by-firewall"),
        ("ipv4", (3, 1), True, "destination-unreachable"),
        ("ipv6", (1, 0), True, "destination-unreachable"),
    ],
)
def test_names_of_errors(family: str, icmp: tuple[int, int], echo: bool, code: str) -> None:  # noqa: FBT001 - a column
    assert name_error(family, *icmp, echo=echo) == code


@given(st.binary(max_size=300))
def test_a_message_with_its_checksum_sums_to_zero(payload: bytes) -> None:
    assert checksum(encode_echo("ipv4", 1, 2, payload)) == 0


@given(st.integers(1, 2**40), st.integers(0, 600))
def test_a_payload_has_the_size_asked_for(seq: int, size: int) -> None:
    assert len(make_payload(KEY, seq, size)) == size


@given(FAMILIES, st.integers(0, 0xFFFF), st.integers(1, 2**40), st.integers(16, 200))
def test_an_encoded_request_comes_back_in_a_quote(family: str, ident: int, seq: int, size: int) -> None:
    request = encode_echo(family, ident, seq, make_payload(KEY, seq, size))
    head = b"\x45" + bytes(19) if family == "ipv4" else b"\x60" + bytes(39)
    error = bytes([3 if family == "ipv4" else 1, 1, 0, 0, 0, 0, 0, 0]) + head + request
    message = decode_echo(family, error)
    assert message is not None
    assert (message.ident, message.seq) == (ident, seq & 0xFFFF)
    assert message.payload == make_payload(KEY, seq, size)


@given(FAMILIES, st.binary(max_size=200))
def test_no_bytes_crash_the_decoders(family: str, data: bytes) -> None:
    decode_echo(family, data)
    decode_extended_err(family, data)
    decode_own_mtu(data)
    errqueue.find_interface([(0, 8, data), (41, 50, data)])


def test_captured_refusals_of_large_packets() -> None:
    error = decode_extended_err("ipv4", bytes.fromhex(TOO_BIG_V4))
    assert error is not None
    assert (error.icmp_type, error.icmp_code, error.offender, error.mtu_bytes) == (3, 4, "192.0.2.2", 1400)
    assert decode_own_mtu(bytes.fromhex(TOO_BIG_V4)) is None
    for own in (OWN_V4, OWN_V6):
        assert decode_own_mtu(bytes.fromhex(own)) == 1500
        assert decode_extended_err("ipv4", bytes.fromhex(own)) is None


def test_captured_interfaces_of_answers() -> None:
    v4 = (0, 8, bytes.fromhex("0200000000000000c0000201"))
    v6 = (41, 50, bytes(15) + b"\1" + (7).to_bytes(4, sys.byteorder))
    assert (errqueue.find_interface([(1, 37, bytes(48)), v4]), errqueue.find_interface([v6])) == (2, 7)
    assert errqueue.find_interface([]) is None


@given(FAMILIES, st.sampled_from([REPLY_V4, PROHIBITED_V4, REPLY_V6]), st.integers(0, 100), st.binary(max_size=8))
def test_no_mutation_crashes_the_decoders(family: str, captured: str, at: int, noise: bytes) -> None:
    packet = bytes.fromhex(captured)
    decode_echo(family, packet[:at] + noise + packet[at + len(noise) :])
    decode_echo(family, packet[:at])


def test_damage_is_told_from_a_stranger() -> None:
    ours = make_payload(KEY, 7, 56)
    assert resembles(bytes([ours[0] ^ 1]) + ours[1:], ours)
    assert not resembles(bytes(b ^ 0xFF for b in ours), ours)
    assert not resembles(ours[:-1], ours)
    assert resembles(b"", b"")
    assert not resembles(make_payload(b"another!", 1, len(ours)), ours), "of a run with the same identifier"
