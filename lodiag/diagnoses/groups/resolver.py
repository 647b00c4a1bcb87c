"""What else decides what names lead to: servers on the loopback, and what clients ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.diagnoses import Diagnosis, Seen, SkipError, find, told
from lodiag.diagnoses.localhost import is_well, tell_localhost
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lodiag.diagnoses.survey import Survey
    from lodiag.model.doctor import Repair

GROUP = "names"
RESOLV = "/etc/resolv.conf"


def look_at_servers(survey: Survey) -> Seen:
    """Find that a name server on the loopback does not answer."""
    servers = survey.system.read_name_servers()
    own = [address for address in servers if is_loopback(address)]
    if not own:
        return Seen("no name server on the loopback")
    met = {address: survey.system.ask_name_server(address) for address in own}
    dead = {address: error for address, error in met.items() if error is not None}
    if not dead:
        return Seen(f"{' '.join(own)} answers")
    is_last = len(dead) == len(servers)
    found = find(
        "resolv-loopback-dead",
        "fail" if is_last else "warn",
        RESOLV,
        f"the name server {' and '.join(dead)} of {RESOLV} does not answer",
        tuple(told(f"{address}:53", error, "a question for localhost by UDP") for address, error in dead.items()),
        impact="Names that are not in the hosts file cannot be resolved." if is_last else None,
        hint="A stub such as systemd-resolved is not running, or runs in another network namespace. Start it, or "
        f"name a server that answers in {RESOLV}.",
        families={"ipv6" if ":" in address else "ipv4" for address in dead},
        fix=_replace_servers(survey, dead),
        see=("resolv.conf(5)", "systemd-resolved(8)"),
    )
    return Seen(f"{' '.join(dead)} is dead", (found,))


def _replace_servers(survey: Survey, dead: Iterable[str]) -> Repair | None:
    """Have the name servers that the stub would ask be asked, where they are known; else have dead ones left out."""
    if survey.system.has_stub_servers():
        return survey.system.prescribe("resolv")
    lines = "; ".join(rf"s/^nameserver[[:space:]]*{address.replace('.', '[.]')}[[:space:]]*$/# &/" for address in dead)
    return survey.system.prescribe("resolv-out", numbers=lines)


def look_at_addrconfig(survey: Survey) -> Seen:
    """Find that clients that ask for addresses of configured families only get none of localhost."""
    if not is_well(survey) or not any(":" not in address for address in survey.localhost.addresses):
        reason = "localhost has no IPv4 address"
        raise SkipError(reason)
    answer = survey.system.look_up_name("localhost", "ipv4", addrconfig=True)
    if answer.addresses:
        return Seen("AI_ADDRCONFIG changes nothing")
    found = find(
        "addrconfig",
        "info",
        "AI_ADDRCONFIG",
        "clients that set AI_ADDRCONFIG find no address of localhost: this machine has none but loopback addresses",
        (told("localhost with AI_ADDRCONFIG", answer.error, "getaddrinfo"), tell_localhost(survey)),
        impact="Programs that set it fail to resolve localhost here; most do not.",
        see=("getaddrinfo(3)", "RFC 3493 6.1"),
    )
    return Seen(f"AI_ADDRCONFIG: {answer.error or 'nothing'}", (found,))


DIAGNOSES = (
    Diagnosis(GROUP, "servers", "do name servers on the loopback answer", ("resolv-loopback-dead",), look_at_servers),
    Diagnosis(GROUP, "addrconfig", "do clients with AI_ADDRCONFIG find it", ("addrconfig",), look_at_addrconfig),
)
