"""What ``conns --watch`` tells: first from where it watches, then what becomes of each socket."""

from __future__ import annotations

from typing import Any

from lodiag.dataclass import dataclass
from lodiag.model import Host, Missing, fact, label
from lodiag.model.conns import ConnRecord  # noqa: TC001 - the schema reads the type of each field

EVENTS = ("present", "opened", "changed", "closed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """From where sockets are watched, and how often: the first line, of type ``watching``."""

    schema: str = fact("Name and version of this format.")
    version: str = fact("Version of lodiag that watches.")
    started_at: str = fact("When the first reading began: RFC 3339, UTC.")
    interval_s: float = fact("Seconds from one reading to the next.")
    host: Host = fact("From where it is seen.")
    source: str | None = fact("Which mechanism answers.")
    complete: bool = fact("Whether everything that was asked for could be seen in the first reading.")
    missing: tuple[Missing, ...] = fact("What could not be seen, and why.")
    sockets: int = fact("Sockets that were there already; each is a line of the event present.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnEvent:
    """What became of one socket from one reading to the next: a line of type ``event``."""

    event: str = label("present: it was there when watching began; or what became of it since.", EVENTS)
    at: str = fact("When the reading that showed it began: RFC 3339, UTC.")
    cookie: str | None = label("The record's cookie, by which the events of a socket belong together.")
    before: dict[str, Any] | None = fact(
        "Of a changed socket, those fields of the record that changed, as they were; null in other events."
    )
    record: ConnRecord = fact("The socket as it is, or of a closed one as it was last seen.")
