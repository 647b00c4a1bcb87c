"""Who has a port, by the socket table: nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.checks.keys import boolean, choice, port, text
from lodiag.checks.outcome import Outcome, join
from lodiag.model import FAMILIES, PROTOS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lodiag.model.conns import ConnRecord
    from lodiag.system import System
    from lodiag.system.facts import Socket

TARGET = "port"
KEYS = {
    "port": port,
    "proto": choice(*PROTOS),
    "family": choice("any", *FAMILIES),
    "state": choice("listening", "free"),
    "exposed": boolean,
    "owner": text,
    "user": text,
    "unit": text,
}


def verify(settings: Mapping[str, Any]) -> None:
    """Refuse to ask about who listens where nobody should."""
    asked = [name for name in ("exposed", "owner", "user", "unit") if name in settings]
    if settings.get("state") == "free" and asked:
        message = f'{asked[0]} has no meaning with state = "free"'
        raise ValueError(message)


def attempt(settings: Mapping[str, Any], left_s: float, system: System) -> Outcome:
    """Read which sockets listen on the port, at any address of this machine, and judge each."""
    del left_s
    number, proto = settings["port"], settings.get("proto", "tcp")
    found = _find(settings, system)
    where = ", ".join(dict.fromkeys(join(record.local.address, number) for record in found))
    if settings.get("state") == "free":
        if not found:
            return Outcome("ok", f"nothing listens on {proto} port {number}", observed="free", expected="free")
        message = f"{where} is taken by {_name_owners(found)}"
        return Outcome("fail", message, error="taken", observed=where, expected="free")
    if not found:
        hint = f"lodiag who {number} looks for it in every state."
        message = f"nothing listens on {proto} port {number}"
        return Outcome("fail", message, error="not listening", observed="free", expected="listening", hint=hint)
    wrong = list(_judge(found, settings))
    expected = ", ".join(_describe(settings)) or "listening"
    if not wrong:
        message = f"{where} is held by {_name_owners(found)}"
        return Outcome("ok", message, observed=where, expected=expected)
    error, message, is_unseen = wrong[0]
    return Outcome(
        "error" if is_unseen else "fail",
        message,
        error=error,
        is_permanent=is_unseen,
        observed=where,
        expected=expected,
        hint="Run it as root, or as the user of the service." if is_unseen else None,
    )


def _find(settings: Mapping[str, Any], system: System) -> Sequence[ConnRecord]:
    from lodiag.sockets.describing import LISTENING, ConnTable, Describer, leave_out_bound_elsewhere
    from lodiag.sockets.options import ConnsOptions
    from lodiag.system.facts import Question

    number, proto = settings["port"], settings.get("proto", "tcp")
    family = settings.get("family", "any")
    question = Question(proto=proto, states=LISTENING, local_port=number, everywhere=True)
    rows = [
        row
        for row in system.list_sockets(None, question).sockets
        if row.proto == proto
        and row.local[1] == number
        and row.state in LISTENING
        and (family == "any" or _takes(row, family))
    ]
    rows = leave_out_bound_elsewhere(rows, system)
    describer = Describer(system, ConnsOptions())
    return [*ConnTable(rows, describer.find_owners(rows), describer)]


def _takes(row: Socket, family: str) -> bool:
    """Whether a socket has the port of a family; one of IPv6 has that of IPv4, too, unless the source denies it."""
    is_ipv4 = "." in row.local[0]  # also of a socket of IPv6 that is bound to ::ffff:127.0.0.1
    if family == "ipv6":
        return row.family == "ipv6" and not is_ipv4
    return is_ipv4 or (row.local[0] == "::" and not row.v6only)


def _judge(found: Sequence[ConnRecord], settings: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Say what is not as it should be: in a word, in a sentence, and whether it could not be seen."""
    exposed = [record for record in found if record.scope != "loopback"]
    number = settings["port"]
    if settings.get("exposed") is False and exposed:
        where = ", ".join(dict.fromkeys(join(record.local.address, number) for record in exposed))
        yield "exposed", f"{where} is bound beyond the loopback: other hosts may reach {_name_owners(exposed)}", False
    if settings.get("exposed") is True and not exposed:
        yield "not exposed", f"port {number} is bound to the loopback only", False
    for record in found:
        end = join(record.local.address, number)
        owner, user, unit = (settings.get(name) for name in ("owner", "user", "unit"))
        if owner is not None and record.owners is None:
            yield "owner unseen", f"the owner of {end} may not be seen by this user", True
        elif owner is not None and owner not in {held.process for held in record.owners or ()}:
            yield "other owner", f"{end} is held by {_name_owners([record])}, not by {owner}", False
        if user is not None and user not in {record.user, *(held.user for held in record.owners or ())}:
            yield "other user", f"{end} is of the user {record.user}, not of {user}", False
        if unit is not None and unit not in {record.unit, record.container}:
            name = record.unit or record.container or "none"
            yield "other unit", f"{end} is of the unit {name}, not of {unit}", False


def _describe(settings: Mapping[str, Any]) -> Iterator[str]:
    if "exposed" in settings:
        yield "exposed" if settings["exposed"] else "bound to the loopback only"
    yield from (f"{name} {settings[name]}" for name in ("owner", "user", "unit") if name in settings)


def _name_owners(found: Sequence[ConnRecord]) -> str:
    owners = [owner for record in found for owner in record.owners or ()]
    names = list(dict.fromkeys(f"{owner.process or '?'}[{owner.pid}]" for owner in owners))
    if not names:
        user = found[0].user
        return f"a process of {user}" if user else "an unseen process"
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")  # noqa: PLR2004 - two are named
