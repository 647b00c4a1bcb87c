"""A short train of datagrams to an own socket: what is lost, late, doubled, out of order, or damaged on the way."""

from __future__ import annotations

import os
import select
import socket
from time import perf_counter_ns
from typing import NamedTuple

from lodiag.system.attempts import FAMILIES, Met, TcpAttempt, bind_anywhere, name_errno, run

WAGONS = 40
"""Of 200 each one is lost by a rule that drops one of a hundred in two runs of three; nobody waits for so many."""

SIZE_BYTES = 500
PAUSE_S = 0.0005
QUIET_S = 0.35
"""Nothing that is this late still comes: a wagon that has not arrived by then is lost."""

CONNECTS = 12
"""Connections at once: more than a limit on new ones lets through in its first burst, which is 5 in nftables."""


class Train(NamedTuple):
    """What became of the datagrams: ``arrived`` are their numbers in the order of arrival, each as often as it came."""

    family: str
    sent: int
    refused: tuple[str, ...]
    """Names of errno of those that could not be sent."""
    arrived: tuple[int, ...]
    damaged: int
    delays_ms: tuple[float, ...]
    """Of the first arrival of each, from just before it was sent."""


def send_train(family: str) -> Train:
    """Send the datagrams and wait for them; where there is no way to send any, all is refused."""
    try:
        return _make_train(family)
    except OSError as error:
        return Train(family, 0, (name_errno(error),), (), 0, ())


def _make_train(family: str) -> Train:
    kind, address = FAMILIES[family]
    with socket.socket(kind, socket.SOCK_DGRAM) as receiver, socket.socket(kind, socket.SOCK_DGRAM) as sender:
        bind_anywhere(receiver, address)
        receiver.settimeout(0)
        sender.settimeout(0)
        sender.connect(receiver.getsockname())
        key = os.urandom(SIZE_BYTES - 4)
        return _run_train(family, receiver, sender, key)


def _run_train(family: str, receiver: socket.socket, sender: socket.socket, key: bytes) -> Train:
    sent_ns: dict[int, int] = {}
    refused: list[str] = []
    arrived: list[int] = []
    delays: dict[int, float] = {}
    damaged = 0

    def collect() -> None:
        nonlocal damaged
        while True:
            try:
                data = receiver.recv(2 * SIZE_BYTES)
            except OSError:
                return
            now_ns = perf_counter_ns()
            number = int.from_bytes(data[:4], "big")
            if data[4:] != key or number not in sent_ns:
                damaged += 1
                continue
            arrived.append(number)
            delays.setdefault(number, round((now_ns - sent_ns[number]) / 1e6, 3))

    poll = select.poll()
    poll.register(receiver.fileno(), select.POLLIN)
    for number in range(WAGONS):
        sent_ns[number] = perf_counter_ns()
        try:
            sender.send(number.to_bytes(4, "big") + key)
        except OSError as error:
            del sent_ns[number]
            refused.append(name_errno(error))
        poll.poll(PAUSE_S * 1000)
        collect()
    while (len(delays) + damaged < len(sent_ns)) and poll.poll(QUIET_S * 1000):
        collect()
    if len(arrived) > len(delays):  # the last may come twice as well
        poll.poll(1)
        collect()
    return Train(family, len(sent_ns), tuple(refused), tuple(arrived), damaged, tuple(delays.values()))


def connect_at_once(family: str, timeout_s: float = QUIET_S) -> tuple[Met, ...]:
    """Open connections to own listeners, all at once."""
    return run([TcpAttempt(family) for _ in range(CONNECTS)], timeout_s)
