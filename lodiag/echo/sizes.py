"""Which sizes of probes tell most: both ends, powers of two, and both sides of what one packet holds."""

from __future__ import annotations

HEADER_BYTES = {"ipv4": 20 + 8, "ipv6": 40 + 8}
"""Of IP and of ICMP or UDP, whose headers are equally long: RFC 791, RFC 8200, RFC 792, RFC 768."""

FRAGMENT_UNIT_BYTES = 8
"""All fragments but the last are a multiple of it long (RFC 791 3.2, RFC 8200 4.5)."""

FRAGMENT_HEADER_BYTES = 8


def choose_sizes(first: int, last: int, largest_whole: int | None) -> list[int]:
    """Choose some twenty sizes from ``first`` to ``last``; ``largest_whole`` is what goes in one packet, if known."""
    edges = [] if largest_whole is None else [largest_whole, largest_whole + 1]
    powers = [1 << bit for bit in range(last.bit_length())]
    return sorted({first, last, *(size for size in (*powers, *edges) if first < size < last)})


def find_largest_whole(family: str, mtu_bytes: int) -> int:
    """Payload of the largest probe that one packet of this mtu holds."""
    return mtu_bytes - HEADER_BYTES[family]


def count_fragments(family: str, size_bytes: int, mtu_bytes: int) -> int:
    """Packets in which a probe of this payload leaves."""
    if size_bytes <= find_largest_whole(family, mtu_bytes):
        return 1
    head = 20 if family == "ipv4" else 40 + FRAGMENT_HEADER_BYTES
    room = max((mtu_bytes - head) // FRAGMENT_UNIT_BYTES * FRAGMENT_UNIT_BYTES, FRAGMENT_UNIT_BYTES)
    return -(-(size_bytes + 8) // room)


def find_break(answered: set[int], silent: set[int]) -> tuple[int, int] | None:
    """Largest size that is answered below the first that is silent, and that one; ``None`` if there is none."""
    for size in sorted(silent):
        smaller = [other for other in answered if other < size]
        if smaller:
            return max(smaller), size
    return None
