"""The kernel's stamps of probes: captured and invented control messages, and what they amount to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodiag.system.stamps import (
    LEAST_STEP_NS,
    SCM_TSTAMP_SCHED,
    Reading,
    find_sent,
    find_stamp,
    measure,
    was_set_between,
)

# Captured on Linux 6.18 (x86-64) from sockets on lo: the control messages of the second datagram of a UDP socket that
# left, of the error about it, and of a raw IPv6 socket's packets.
STAMP = "828f056b000000007415" + "6f36" + "00" * 36
ARRIVAL = "828f056b00000000c21d" + "6f36" + "00" * 36
LEFT_V4 = "2a00000004000000010000000100000000" + "00" * 15
ERROR_V4 = "6f000000020303000000000000000000020000007f0000010000000000000000"
LEFT_V6 = "2a000000040000000100000001000000" + "00" * 28
QUEUED_V4 = [(1, 37, bytes.fromhex(STAMP)), (0, 11, bytes.fromhex(LEFT_V4))]
QUEUED_V6 = [(1, 37, bytes.fromhex(STAMP)), (41, 25, bytes.fromhex(LEFT_V6))]
QUEUED_ERROR = [(1, 37, bytes.fromhex(ARRIVAL)), (0, 2, b"@\0\0\0"), (0, 11, bytes.fromhex(ERROR_V4))]

ANCILLARY = st.lists(
    st.tuples(st.sampled_from([0, 1, 41]), st.sampled_from([2, 11, 25, 37]), st.binary(max_size=64)), max_size=5
)
NS_PER_S = 1_000_000_000
EPOCH_NS = 1_700_000_000 * NS_PER_S
MOMENTS = st.integers(0, 10 * NS_PER_S)
PAUSES = st.integers(0, NS_PER_S)


@pytest.mark.parametrize("queued", [QUEUED_V4, QUEUED_V6], ids=["ipv4", "ipv6"])
def test_a_captured_stamp_of_what_left(queued: list[tuple[int, int, bytes]]) -> None:
    assert find_sent(queued) == (SCM_TSTAMP_SCHED, 1)
    assert find_stamp(queued) == 0x6B058F82 * NS_PER_S + 0x366F1574


def test_a_captured_error_is_stamped_and_is_no_stamp() -> None:
    assert find_sent(QUEUED_ERROR) is None
    assert find_stamp(QUEUED_ERROR) == 0x6B058F82 * NS_PER_S + 0x366F1DC2


def test_a_stamp_of_nothing_is_none() -> None:
    assert find_stamp([(1, 37, bytes(48))]) is None
    assert find_stamp([(1, 37, b"\1\2\3")]) is None
    assert find_stamp([]) is None


@given(ANCILLARY)
def test_no_control_messages_crash_the_decoders(ancillary: list[tuple[int, int, bytes]]) -> None:
    find_stamp(ancillary)
    find_sent(ancillary)


@given(st.sampled_from([QUEUED_V4, QUEUED_V6]), st.integers(0, 48), st.binary(max_size=8))
def test_no_mutation_crashes_the_decoders(queued: list[tuple[int, int, bytes]], at: int, noise: bytes) -> None:
    mutated = [(level, kind, data[:at] + noise) for level, kind, data in queued]
    find_stamp(mutated)
    find_sent(mutated)


def read_at(ns: int, *, until_wall_ns: int = 30, until_ns: int = 60, set_by_ns: int = 0) -> Reading:
    """Read the clocks at a monotonic time, with so long until the second and the third of the three."""
    return Reading(ns, EPOCH_NS + ns + until_wall_ns + set_by_ns, ns + until_ns)


SENT = read_at(1_000)
LEFT_NS, ARRIVED_NS = EPOCH_NS + 11_000, EPOCH_NS + 14_000
RECEIVED = read_at(60_000)


def test_both_stamps_are_best() -> None:
    assert measure(SENT, LEFT_NS, ARRIVED_NS, RECEIVED) == (3_000, "kernel")


def test_one_stamp_is_second_best() -> None:
    assert measure(SENT, None, ARRIVED_NS, RECEIVED) == (14_000 - 1_030, "kernel-rx")


def test_without_a_stamp_of_the_reply_there_is_none() -> None:
    assert measure(SENT, LEFT_NS, None, RECEIVED) is None


@pytest.mark.parametrize("left_ns", [EPOCH_NS - 50_000, EPOCH_NS + 15_000], ids=["an-earlier-one", "a-later-one"])
def test_a_stamp_of_another_probe_is_not_believed(left_ns: int) -> None:
    assert measure(SENT, left_ns, ARRIVED_NS, RECEIVED) == (14_000 - 1_030, "kernel-rx")


@pytest.mark.parametrize("step_ns", [-3_600 * NS_PER_S, -10_000, 10_000, 3_600 * NS_PER_S])
def test_no_stamp_is_believed_of_a_clock_that_was_set(step_ns: int) -> None:
    received = read_at(2 * NS_PER_S, set_by_ns=step_ns)
    assert measure(SENT, LEFT_NS, ARRIVED_NS + NS_PER_S + step_ns, received) is None


READINGS = st.builds(lambda ns, a, b: read_at(ns, until_wall_ns=a, until_ns=a + b), MOMENTS, PAUSES, PAUSES)


@given(READINGS, READINGS)
def test_an_interruption_is_not_taken_for_a_clock_that_was_set(first: Reading, second: Reading) -> None:
    assert not was_set_between(first, second)


@given(st.integers(2 * LEAST_STEP_NS, 1 << 62), st.sampled_from([1, -1]))
def test_a_clock_that_is_set_is_noticed(step_ns: int, sign: int) -> None:
    assert was_set_between(SENT, read_at(90_000, set_by_ns=sign * step_ns))


@given(st.one_of(st.none(), st.integers(-(1 << 63), 1 << 63)), st.integers(-(1 << 63), 1 << 63), MOMENTS, PAUSES)
def test_no_stamps_give_a_time_that_is_negative_or_too_long(
    left_ns: int | None, arrived_ns: int, received_ns: int, pause_ns: int
) -> None:
    received = read_at(received_ns, until_wall_ns=pause_ns, until_ns=pause_ns)
    found = measure(SENT, left_ns, arrived_ns, received)
    assert found is None or 0 <= found[0] <= received_ns - SENT.after_ns
