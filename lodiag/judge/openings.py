"""What opens the loopback to neighbours, or other ports to them than those that sockets show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.judge.exposure import list_ends
from lodiag.model import Evidence, Finding
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.model.audit import AuditRecord
    from lodiag.system.facts import Forward, Opening


def judge_openings(records: Sequence[AuditRecord], openings: Sequence[Opening], source: str) -> Iterator[Finding]:
    """Find interfaces by which neighbours reach 127.0.0.0/8, told once for each parameter."""
    by_setting: dict[str, list[Opening]] = {}
    for opening in openings:
        by_setting.setdefault(opening.setting.name, []).append(opening)
    reached = [record for record in records if record.opened_by]
    what = f": {list_ends(reached)}" if reached else ", where nothing listens now"
    for name, own in by_setting.items():
        interfaces = ", ".join(opening.interface for opening in own)
        yield Finding(
            code="route-localnet",
            severity="warn",
            subject=name,
            message=f"hosts next to {interfaces} can reach 127.0.0.0/8 of this one{what}",
            evidence=(
                Evidence(name=name, value=own[0].setting.value, source="kernel parameter"),
                Evidence(name="interfaces that are up", value=interfaces, source="interface flags"),
                Evidence(name="sockets that it opens", value=len(reached), source=source),
            ),
            hint=(
                "What listens on the loopback trusts whoever reaches it. Programs that forward ports to 127.0.0.1, "
                "such as kube-proxy, set it: they need a packet filter that drops what else comes for 127.0.0.0/8."
            ),
            fix=None,
            see=("CVE-2020-8558",),
        )


def judge_forwards(forwards: Sequence[Forward], openings: Sequence[Opening]) -> Iterator[Finding]:
    """Say which ports the packet filter sends on: to the loopback, or to where no socket of this host is.

    What must have been sent to the loopback comes from this host, unless the kernel lets neighbours in.
    """
    for forward in forwards:
        if forward.at is not None and is_loopback(forward.at) and not openings:
            continue
        is_ours = forward.address is not None and is_loopback(forward.address)
        is_open = is_ours and bool(openings)
        yield Finding(
            code="dnat-to-loopback" if is_ours else "port-forwarded",
            severity="warn" if is_open else "info",
            subject=forward.rule,
            message=f"the packet filter sends {_write(forward)}{_CONSEQUENCES[is_ours, is_open]}",
            evidence=(Evidence(name="rule", value=forward.rule, source="packet filter"),),
            hint=_LEAVE_OUT if is_ours else _GIVE_ADDRESS,
            fix=None,
            see=(),
        )


_CONSEQUENCES = {
    (True, True): ": so other hosts reach it",
    (True, False): ", which the kernel drops as long as route_localnet is 0",
    (False, False): "; no socket of this host needs to be there",
}
_LEAVE_OUT = "Take the rule out unless other hosts are meant to reach what listens on the loopback."
_GIVE_ADDRESS = "Containers publish ports so. With an address, as in 127.0.0.1:8080:80, one stays on this host."


def _write(forward: Forward) -> str:
    what = f"port {forward.ports}" if forward.ports else "what is sent here"
    taken = " ".join(filter(None, (forward.proto, what, f"of {forward.at}" if forward.at else None)))
    if forward.address is None:
        return f"{taken} on, where to is not told"
    host = f"[{forward.address}]" if ":" in forward.address else forward.address
    return f"{taken} to {host if forward.port is None else f'{host}:{forward.port}'}"
