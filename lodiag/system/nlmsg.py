"""What all netlink messages have in common: headers, attributes, refusals; no input or output.

Sources: netlink(7) and Linux's include/uapi/linux/netlink.h. Numbers are in the host's byte order.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP_INTR = 1, 4, 0x10
NLM_F_DUMP = 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
"""Of requests that make something."""

NLMSG_HEADER = struct.Struct("=IHHII")
"""length, type, flags, sequence, port id"""
ATTRIBUTE = struct.Struct("=HH")
"""length, type"""
TYPE_MASK = 0x3FFF
"""The two bits above say how an attribute is written, not which it is (NLA_F_NESTED, NLA_F_NET_BYTEORDER)."""


class NetlinkError(OSError):
    """The kernel refused the request; ``errno`` is its word for it, 0 if the reply was not whole."""


class Message(NamedTuple):
    """A message of a reply, without its header."""

    kind: int
    payload: bytes


class Reply(NamedTuple):
    """What one datagram of the kernel tells."""

    messages: list[Message]
    is_torn: bool
    """Whether the kernel calls the dump inconsistent."""
    is_last: bool
    """Whether it ends the reply, be it of one message or of a dump."""


def encode(kind: int, flags: int, body: bytes) -> bytes:
    """Write a message."""
    return NLMSG_HEADER.pack(NLMSG_HEADER.size + len(body), kind, flags | NLM_F_REQUEST, 0, 0) + body


def encode_attributes(attributes: Iterable[tuple[int, bytes]]) -> bytes:
    """Write attributes, each padded to four bytes."""
    parts = (
        ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4) for kind, value in attributes
    )
    return b"".join(parts)


def read_header(datagram: bytes | memoryview, offset: int) -> tuple[int, int, int]:
    """Size, type and flags of the message at ``offset``; ``NetlinkError`` if it is not whole."""
    left = len(datagram) - offset
    if left >= NLMSG_HEADER.size:
        size, kind, flags, _, _ = NLMSG_HEADER.unpack_from(datagram, offset)
        if NLMSG_HEADER.size <= size <= left:
            return size, kind, flags
    raise NetlinkError(0, "a reply was cut short")


def decode(datagram: bytes | memoryview) -> Reply:
    """Take a datagram apart; ``NetlinkError`` if it is, or ends in, a refusal, or is not whole."""
    messages: list[Message] = []
    is_torn = False
    offset, end = 0, len(datagram)
    while offset < end:
        size, kind, flags = read_header(datagram, offset)
        is_torn |= bool(flags & NLM_F_DUMP_INTR)
        payload = bytes(datagram[offset + NLMSG_HEADER.size : offset + size])
        if kind in {NLMSG_ERROR, NLMSG_DONE}:
            require_success(payload)
            return Reply(messages, is_torn, is_last=True)
        messages.append(Message(kind, payload))
        offset += size + 3 & ~3
    return Reply(messages, is_torn, is_last=False)


def require_success(payload: bytes | memoryview) -> None:
    """Raise ``NetlinkError`` if what ends a reply says that something failed."""
    code = -int.from_bytes(payload[:4], sys.byteorder, signed=True)
    if code:
        raise NetlinkError(code, os.strerror(code))


def decode_attributes(tail: bytes) -> dict[int, bytes]:
    """Take apart the attributes behind a message's fixed part; one that is cut short ends them."""
    found = {}
    offset, end = 0, len(tail)
    unpack = ATTRIBUTE.unpack_from
    while end - offset >= ATTRIBUTE.size:
        size, kind = unpack(tail, offset)
        if not ATTRIBUTE.size <= size <= end - offset:
            break
        found[kind & TYPE_MASK] = tail[offset + ATTRIBUTE.size : offset + size]
        offset += size + 3 & ~3
    return found
