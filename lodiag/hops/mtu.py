"""The largest packet that passes to an address unfragmented, and who has the smaller links on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.clock import NS_PER_S
from lodiag.system.probe import SendError
from lodiag.targets import family_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lodiag.system import System
    from lodiag.system.sizing import SizeAnswer, SizeProbe

PLATEAUS = (32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68)
"""Sizes to try after a router that does not tell its mtu: RFC 1191, table 7-1."""

LEAST_MTU = {"ipv4": 68, "ipv6": 1280}
"""RFC 791 3.2, RFC 8200 section 5."""

SURE_TO_PASS = {"ipv4": 576, "ipv6": 1280}
"""Every host must take packets of that size: RFC 791 3.1, RFC 8200 section 5."""

WAIT_S = 0.25
"""How long an answer is waited for: it is a matter of microseconds, and three silences are to fit a deadline."""

SHORT_WAIT_S = 0.05
"""The same where it is known that some answer: of the sixteen sizes that part what passes, half are not answered."""

TRIES = 2


class PathMtu(NamedTuple):
    """What came of looking: one of MTU_STATUSES, the mtu if it was found, and what routers told, by their address."""

    status: str
    mtu_bytes: int | None
    told: Mapping[str, int]


def find_path_mtu(system: System, address: str, end_ns: int) -> PathMtu:
    """Begin with what the own interface takes, and make it as small as those say who cannot pass it on.

    Where large packets vanish without a word, and small ones pass, somebody drops what would tell: a black hole.
    """
    family, told = family_of(address), dict[str, int]()
    try:
        probe = system.open_size_probe(family, address)
    except SendError:
        return PathMtu("unanswered", None, told)
    try:
        search = _Search(system, probe, family, end_ns)
        return search.run(told)
    except SendError:
        return PathMtu("unanswered", None, told)
    finally:
        probe.close()


class _Search:
    def __init__(self, system: System, probe: SizeProbe, family: str, end_ns: int) -> None:
        self._system, self._probe, self._family, self._end_ns = system, probe, family, end_ns

    def run(self, told: dict[str, int]) -> PathMtu:
        from lodiag.system.sizing import LARGEST_PACKET

        size = LARGEST_PACKET[self._family]
        while True:
            answer = self._ask(size)
            if answer is None:
                passing = SURE_TO_PASS[self._family]
                if not self._passes(passing, WAIT_S):
                    return PathMtu("unanswered", None, told)
                return PathMtu("black-hole", self._narrow(passing, size), told)
            if answer.passed:
                return PathMtu("found", size, told)
            if answer.mtu_bytes is None:
                return PathMtu("unanswered", None, told)
            smaller = self._shrink(size, answer.mtu_bytes)
            if smaller is None:
                return PathMtu("unanswered", None, told)
            if answer.address is not None:
                told[answer.address] = smaller
            size = smaller

    def _shrink(self, size: int, told: int) -> int | None:
        """Size to try next: what was told if it is smaller and may be, or else the next plateau."""
        least = LEAST_MTU[self._family]
        if least <= told < size:
            return told
        return next((plateau for plateau in PLATEAUS if least <= plateau < size), None)

    def _narrow(self, passing: int, vanishing: int) -> int | None:
        """Find the largest size that passes; ``None`` if the time does not suffice."""
        while vanishing - passing > 1:
            size = (passing + vanishing) // 2
            if self._passes(size, SHORT_WAIT_S):
                passing = size
            elif self._system.monotonic_ns() < self._end_ns:
                vanishing = size
            else:
                return None
        return passing

    def _passes(self, size: int, wait_s: float) -> bool:
        answer = self._ask(size, wait_s)
        return answer is not None and answer.passed

    def _ask(self, size: int, wait_s: float = WAIT_S) -> SizeAnswer | None:
        """Send a packet of this size, again if nothing comes back."""
        for _ in range(TRIES):
            now_ns = self._probe.send(size)
            until_ns = min(now_ns + round(wait_s * NS_PER_S), self._end_ns)
            while True:
                answer = self._probe.receive()
                left_ns = until_ns - self._system.monotonic_ns()
                if answer is not None or left_ns <= 0:
                    break
                self._system.wait([self._probe], left_ns / NS_PER_S)
            if answer is not None:
                return answer
        return None
