"""Opening probes to many addresses: those of 127.0.0.0/8 share a socket, and so does what they wait on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.system import System
    from lodiag.system.bursts import BurstProbe
    from lodiag.system.fan import Fan
    from lodiag.system.probe import ProbeSocket

MOST_SOCKETS = 32
"""Addresses that have a socket each: that tells a little more, but a process may have few (1024 is usual)."""


class Fans:
    """Opens probes as a ``System`` does, and with more than ``MOST_SOCKETS`` addresses from one socket."""

    def __init__(self, system: System, addresses: int) -> None:
        """Open nothing yet."""
        self._system, self._share = system, addresses > MOST_SOCKETS
        self._fans: dict[str, Fan] = {}
        self._shared: set[ProbeSocket] = set()

    def open_probe(self, method: str, family: str, address: str, *, source: str | None, size_bytes: int) -> ProbeSocket:
        """Open a probe; see ``System.open_probe``."""
        if self._share and family == "ipv4":
            fan = self._fans.get(method)
            if fan is None:
                fan = self._fans[method] = self._system.open_fan(method, address, source=source, size_bytes=size_bytes)
            if not fan.has(address):
                probe = fan.join(address)
                self._shared.add(probe)
                return probe
        return self._system.open_probe(method, family, address, source=source, size_bytes=size_bytes)

    def open_burst_probe(  # noqa: PLR0913 - what decides a probe socket
        self, method: str, family: str, address: str, *, source: str | None, size_bytes: int, stamp_each: bool = False
    ) -> BurstProbe:
        """Open a probe for bursts; see ``System.open_burst_probe``."""
        return self._system.open_burst_probe(
            method, family, address, source=source, size_bytes=size_bytes, stamp_each=stamp_each
        )

    def shares(self, probe: ProbeSocket) -> bool:
        """Whether a probe has no socket of its own."""
        return probe in self._shared

    def sort(self) -> Iterator[str]:
        """Take in what has arrived, and yield the addresses whose probes have answers now."""
        for fan in self._fans.values():
            yield from fan.sort()

    @property
    def sockets(self) -> list[Fan]:
        """What is to be waited on."""
        return list(self._fans.values())

    def close(self) -> None:
        """Close the sockets that are shared."""
        for fan in self._fans.values():
            fan.close()
