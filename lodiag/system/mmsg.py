"""Sending and receiving many datagrams by one system call: Linux's sendmmsg(2) and recvmmsg(2), by ctypes.

Python has no call for them. What a call takes is laid out once; in between only bytes are written and read.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

MSG_DONTWAIT = 0x40
"""Linux's include/linux/socket.h."""

_NOTHING_THERE = {errno.EAGAIN, errno.EINTR}


class _Part(ctypes.Structure):
    """struct iovec, readv(2)."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Head(ctypes.Structure):
    """struct msghdr, recvmsg(2)."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("parts", ctypes.c_void_p),
        ("part_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr, recvmmsg(2)."""

    _fields_ = (("head", _Head), ("received", ctypes.c_uint))


def load() -> ctypes.CDLL | None:
    """C library with both calls; ``None`` where there is none."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        library.sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
        library.recvmmsg.argtypes = (*library.sendmmsg.argtypes, ctypes.c_void_p)
    except (OSError, TypeError, AttributeError):
        return None
    return library


def _view(words: memoryview[int], offset: int) -> memoryview[int]:
    """One field of all messages."""
    return words[offset // words.itemsize :: ctypes.sizeof(_Message) // words.itemsize]


class Batch:
    """Room for ``slots`` messages in parts of fixed sizes; ``parts[i]`` holds part i of all of them, in a row.

    The first ``controlled`` slots have room for control messages as well, ``control_bytes`` each in ``control``.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        slots: int,
        sizes: Sequence[int],
        *,
        control_bytes: int = 0,
        controlled: int = 0,
    ) -> None:
        """Lay it out."""
        self._library, self._controlled = library, controlled
        self._room = memoryview(struct.pack("@L", control_bytes) * controlled).cast("L")
        areas = [(ctypes.c_char * max(size * slots, 1))() for size in sizes]
        control = (ctypes.c_char * max(control_bytes * controlled, 1))()
        self.parts = [memoryview(area).cast("B") for area in areas]
        self.control = memoryview(control).cast("B")
        pieces = (_Part * (slots * len(sizes)))()
        self._messages = (_Message * slots)()
        for slot, message in enumerate(self._messages):
            for number, size in enumerate(sizes):
                piece = pieces[slot * len(sizes) + number]
                piece.base, piece.length = ctypes.addressof(areas[number]) + slot * size, size
            message.head.parts = ctypes.addressof(pieces) + slot * len(sizes) * ctypes.sizeof(_Part)
            message.head.part_count = len(sizes)
            if slot < controlled:
                message.head.control = ctypes.addressof(control) + slot * control_bytes
        self._kept = (areas, control, pieces)  # what the messages point to
        self._lengths = _view(memoryview(self._messages).cast("B").cast("I"), _Message.received.offset)
        self.control_lengths = _view(memoryview(self._messages).cast("B").cast("L"), _Head.control_length.offset)
        """Bytes of control messages that each message may have, or had when it was received."""

    def send(self, sock: socket.socket, first: int, count: int) -> int:
        """Send the messages of some slots and return how many went; ``OSError`` if the first did not."""
        address = ctypes.addressof(self._messages) + first * ctypes.sizeof(_Message)
        return self._check(self._library.sendmmsg(sock.fileno(), address, count, MSG_DONTWAIT))

    def receive(self, sock: socket.socket, count: int, flags: int = 0) -> int:
        """Receive up to ``count`` messages into the first slots and return how many there were."""
        self.control_lengths[: self._controlled] = self._room
        got = self._library.recvmmsg(sock.fileno(), self._messages, count, flags | MSG_DONTWAIT, None)
        return 0 if got < 0 and ctypes.get_errno() in _NOTHING_THERE else self._check(got)

    def _check(self, result: int) -> int:
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result

    def lengths(self, count: int) -> list[int]:
        """Bytes of the first messages that were received."""
        return self._lengths[:count].tolist()
