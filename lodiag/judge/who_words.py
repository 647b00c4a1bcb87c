"""How to speak of sockets that answer on a port: who owns them, where they are, as evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.judge.snapshot import name_end
from lodiag.model import Evidence
from lodiag.model.conns import Endpoint
from lodiag.targets import family_of, is_wildcard

if TYPE_CHECKING:
    from lodiag.model.who import WhoRecord, WhoSocket, WhoSummary

MOST_NAMED = 2
"""Programs that a sentence names, each by its first process; it counts the others."""


def name_answer(record: WhoRecord) -> str:
    """Name who answers: the owner, or that several sockets share the port."""
    if record.shared_by:
        names = list(dict.fromkeys(map(name_owners, record.shared_by)))
        others = " or others" if len(names) > MOST_NAMED else ""
        return f"one of {len(record.shared_by)} sockets of {' or '.join(names[:MOST_NAMED])}{others}"
    return name_owners(record.socket) if record.socket else "nobody"


def name_owners(item: WhoSocket) -> str:
    """Name the processes that hold a socket, or what is known of ones that may not be seen."""
    unit = f" of {item.unit}" if item.unit else f" in container {item.container}" if item.container else ""
    if item.owners is None:
        return f"an unseen process{'' if item.user is None else f' of {item.user}'}{unit.replace(' of ', ' in ', 1)}"
    if not item.owners:
        return "no process any more" if item.no_owner is None else f"no process ({item.no_owner})"
    programs = {owner.process: owner for owner in reversed(item.owners)}
    firsts = sorted(programs.values(), key=lambda owner: owner.pid)[:MOST_NAMED]
    named = [f"{owner.process or '?'}[{owner.pid}]" for owner in firsts]
    more = len(item.owners) - len(named)
    return " and ".join([*named, *([f"{more} more"] if more else [])]) + unit


def tell_record(record: WhoRecord) -> Evidence:
    """Give what was found at an address as evidence."""
    source = "the kernel's lookup" if record.method == "lookup" else "socket table"
    name = f"{record.proto} {name_end(Endpoint(address=record.address, port=record.port))}"
    if record.socket is None:
        return Evidence(name=name, value="no socket", source=source)
    at = name_end(record.socket.local, record.socket.interface)
    since = "" if record.shared_by else _tell_start(record.socket)
    return Evidence(name=name, value=f"{at} of {name_answer(record)}{since}", source=source)


def tell_socket(item: WhoSocket) -> Evidence:
    """Give a socket and who owns it as evidence."""
    peer = "" if item.remote is None else f" to {name_end(item.remote)}"
    return Evidence(
        name=f"{item.proto} {name_end(item.local, item.interface)}{peer}",
        value=f"{item.state}, {name_owners(item)}{_tell_start(item)}",
        source="socket table",
    )


def _tell_start(item: WhoSocket) -> str:
    since = min((owner.started_at for owner in item.owners or () if owner.started_at), default=None)
    return "" if since is None else f", since {since}"


def sockets_of(record: WhoRecord) -> tuple[WhoSocket, ...]:
    """All sockets that may get what is sent to the address of a record."""
    return record.shared_by or ((record.socket,) if record.socket else ())


def find_shadowed(summary: WhoSummary, record: WhoRecord) -> list[WhoSocket]:
    """Wildcard sockets that would answer if none were bound to the address itself."""
    if record.how != "specific":
        return []
    return [item for item in summary.listeners if item.proto == record.proto and _takes(item, record.address)]


def _takes(item: WhoSocket, address: str) -> bool:
    """Whether a wildcard socket would get what is sent to an address."""
    if not is_wildcard(item.local.address) or item.interface is not None:
        return False
    own = family_of(item.local.address)
    return own == family_of(address) or (own == "ipv6" and item.v6only is False)
