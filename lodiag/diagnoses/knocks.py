"""A service that is asked about: what clients meet at its addresses, and who listens there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.clock import NS_PER_S
from lodiag.diagnoses import SkipError, told
from lodiag.judge.who_words import name_owners

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lodiag.diagnoses.survey import Service, Survey
    from lodiag.model import Evidence
    from lodiag.model.who import WhoRecord, WhoSocket, WhoSummary
    from lodiag.system.knocking import Knock

UNACCEPTED_S = 1.0
"""A server that has not accepted by then is busy, hangs, or is stopped."""
MOST_SHOWN = 3


class View(NamedTuple):
    """What is known of the service: what clients met, who listens at the port, and the family of each address."""

    survey: Survey
    service: Service
    knocks: Sequence[Knock]
    summary: WhoSummary
    records: Sequence[WhoRecord]

    @property
    def listeners(self) -> list[WhoSocket]:
        """Sockets that listen for TCP at the port, wherever."""
        return [item for item in self.summary.listeners if item.proto == "tcp" and item.state == "listen"]

    def takes(self, address: str) -> WhoSocket | None:
        """Find the socket that gets what is sent to an address."""
        return next((r.socket for r in self.records if r.proto == "tcp" and r.address == address and r.answered), None)


def _need_service(survey: Survey) -> Service:
    if survey.service is None:
        reason = "no service was named: lodiag doctor PORT asks about one"
        raise SkipError(reason)
    return survey.service


def view(survey: Survey) -> View:
    """Knock at each address that a client tries, and look up who listens."""
    service = _need_service(survey)
    report = survey.answerers
    _ = survey.conns  # before a connection of lodiag's own is among them
    knocks = survey.once("knocks", lambda: knock_all(survey, service))
    return View(survey, service, knocks, report.summary, report.records)


def tell_knock(knock: Knock) -> Evidence:
    """Give what a client met as evidence."""
    value = knock.error or (f"connected, then {knock.then}" if knock.then else "connected")
    return told(f"connect to {knock.address} port {knock.port}", value, f"{knock.took_ms:g} ms")


def tell_listener(item: WhoSocket) -> Evidence:
    """Give a listener and who owns it as evidence."""
    end = write_end(item)
    owners = ", ".join(f"{owner.process or '?'}[{owner.pid}]" for owner in (item.owners or ())[:MOST_SHOWN])
    return told(f"listener {end}", owners or name_owners(item), "socket table")


def write_end(item: WhoSocket) -> str:
    """Write where a socket listens."""
    host = f"[{item.local.address}]" if ":" in item.local.address else item.local.address
    return f"{host}{f'%{item.interface}' if item.interface else ''}:{item.local.port}"


def write_ends(items: Sequence[WhoSocket]) -> str:
    """Write where the first of several sockets listen."""
    return " and ".join(dict.fromkeys(write_end(item) for item in items[:MOST_SHOWN]))


def list_pids(item: WhoSocket) -> list[int]:
    """List the processes that own a socket."""
    return [owner.pid for owner in item.owners or ()]


def knock_all(survey: Survey, service: Service) -> list[Knock]:
    """Knock at each address that a client tries."""
    return [survey.system.knock(address, service.port, _inspect(survey)) for address in service.addresses]


def _inspect(survey: Survey) -> Callable[[str, int, int], tuple[int | None, int]]:
    """Make what looks at a connection while it is open: at which port it is answered, and who waits to be accepted."""

    def inspect(address: str, port: int, local_port: int) -> tuple[int | None, int]:
        answered_by = survey.find_far_end(address, port, local_port)
        end_ns = survey.system.monotonic_ns() + round(UNACCEPTED_S * NS_PER_S)
        while True:
            waiting = survey.is_unaccepted(address, port, local_port)
            if not waiting or survey.system.monotonic_ns() > end_ns:
                return answered_by, waiting
            survey.system.wait((), 0.02)

    return inspect
