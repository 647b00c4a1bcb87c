"""The canary: one byte to an own listener, by TCP and UDP, and one echo request; what each met, in the kernel's words.

All attempts are under way at once, in one thread. A loopback that works answers all of them in less than a millisecond.
"""

from __future__ import annotations

import errno
import select
from abc import ABC, abstractmethod
from time import perf_counter_ns
from typing import TYPE_CHECKING

from lodiag.system.attempts import FAMILIES, TIMEOUT, Met, TcpAttempt, UdpAttempt, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.system.attempts import Attempt
    from lodiag.system.probe import ProbeSocket


class _ProbeAttempt(ABC):
    """One probe of those that ``ping`` sends."""

    proto = ""

    def __init__(self, family: str) -> None:
        """Open the socket and send."""
        from lodiag.system.probe import MethodRefusedError, SendError

        self.met: Met | None = None
        self._family, self._address = family, FAMILIES[family][1]
        self._began_ns = perf_counter_ns()
        self._probe: ProbeSocket | None = None
        try:
            self._probe = self._open()
            self._began_ns = perf_counter_ns()  # the kernel takes some milliseconds to begin to stamp
            self._probe.send(1)
        except MethodRefusedError:
            self._over("socket", "EACCES")
        except SendError as error:
            self._over("send" if self._probe else "socket", errno.errorcode.get(error.errno, error.code))

    @abstractmethod
    def _open(self) -> ProbeSocket:
        """Open the socket."""

    def _over(self, stage: str | None, error: str | None) -> None:
        took_ms = (perf_counter_ns() - self._began_ns) / 1e6
        self.met = Met(self.proto, self._family, self._address, stage, error, round(took_ms, 3))

    def step(self) -> None:
        """Look for the reply, or for an error in its stead."""
        answer = self._probe.receive() if self._probe else None
        if answer is not None:
            self._over(*((None, None) if answer.is_reply else ("receive", answer.error or "unreachable")))

    def waits_for(self) -> Iterator[tuple[int, int]]:
        """Yield descriptors and the events of poll(2) that it waits for."""
        for sock, _ in self._probe.waits_for() if self._probe else ():
            yield sock.fileno(), select.POLLIN

    def end(self) -> None:
        """Give up, if it is not over, and give the socket back."""
        if self.met is None:
            self._over("receive", TIMEOUT)
        if self._probe:
            self._probe.close()


class EchoAttempt(_ProbeAttempt):
    """Ask for an echo, by a datagram socket or where that is refused by a raw one."""

    proto = "icmp"

    def _open(self) -> ProbeSocket:
        from lodiag.system.icmp import IcmpProbe
        from lodiag.system.probe import MethodRefusedError

        try:
            return IcmpProbe(self._family, self._address, "icmp-datagram", source=None, size_bytes=8)
        except MethodRefusedError:
            return IcmpProbe(self._family, self._address, "icmp-raw", source=None, size_bytes=8)


class ErrorAttempt(_ProbeAttempt):
    """Send to a UDP port that is held closed: the ICMP error that comes back needs no privilege to be seen."""

    proto = "icmp-error"

    def _open(self) -> ProbeSocket:
        from lodiag.system.udp import UdpProbe

        return UdpProbe(self._family, self._address, source=None, size_bytes=8, port=None)


def sing(timeout_s: float) -> tuple[Met, ...]:
    """Probe both families by TCP, UDP and ICMP at once."""
    from lodiag.system import icmp  # noqa: F401 - loaded before time is taken

    kinds = (TcpAttempt, UdpAttempt, EchoAttempt, ErrorAttempt)
    attempts: list[Attempt] = []
    try:
        for kind in kinds:
            for family in FAMILIES:
                attempts.append(kind(family))
                if attempts[-1].met is None:  # over the loopback, the answer is mostly there before send() returns
                    attempts[-1].step()
                if attempts[-1].met is not None:  # its descriptors may be all that this process may have
                    attempts[-1].end()
        return run(attempts, timeout_s)
    finally:
        for attempt in attempts:
            attempt.end()
