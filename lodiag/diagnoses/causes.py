"""Which findings are consequences of which: the root cause is told, and the others with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.dataclass import replace
from lodiag.diagnoses import Found
from lodiag.model.doctor import Repair

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NO_WAY = (
    "lo-down",
    "addr4-missing",
    "addr6-missing",
    "lo-mtu",
    "ipv6-disabled",
    "ipv6-absent",
    "seccomp",
)
_ROUTES = ("rule-order", "leaves-loopback", "route-local")
_FILTERS = (
    "xdp-program",
    "conntrack-full",
    "fw-input",
    "fw-output",
    "fw-reset",
    "fw-reject",
    "xfrm-policy",
)
_SHAPING = ("lo-qdisc",)
_ALL = (*_NO_WAY, *_ROUTES, *_FILTERS, "lsm", *_SHAPING)

EXPLAINED_BY: dict[str, tuple[str, ...]] = {
    # What the canary met.
    "network-unreachable": _ALL,
    "host-unreachable": _ALL,
    "address-not-available": (*_ALL, "ephemeral-exhausted", "ephemeral-low"),
    "address-family-not-supported": _ALL,
    "route-blackhole": _ALL,
    "route-prohibited": _ALL,
    "blocked-by-firewall": (*_ALL, "loss"),
    "refused": _ALL,
    "no-buffer-space": _ALL,
    "send-failed": _ALL,
    "too-many-open-files": ("files-exhausted",),
    "no-free-port": ("ephemeral-exhausted", "ephemeral-low"),
    "lsm": (*_NO_WAY, *_ROUTES, "fw-reject"),
    "timeout": (*_ALL, "loss", "fw-limit"),
    # Causes that have causes of their own.
    "ephemeral-low": ("ephemeral-exhausted",),
    "addr4-missing": ("lo-down", "lo-mtu"),
    "addr6-missing": ("lo-down", "lo-mtu", "ipv6-disabled", "ipv6-absent", "seccomp"),
    "addr4-narrow": ("lo-down", "lo-mtu"),
    "ipv6-disabled": (),
    "route-local": (
        "lo-down",
        "addr4-missing",
        "addr6-missing",
        "lo-mtu",
        "addr4-narrow",
        "leaves-loopback",
    ),
    "leaves-loopback": (),
    "rule-order": (),
    "fw-input": (*_NO_WAY, *_ROUTES, "xdp-program", "conntrack-full", "lo-qdisc"),
    "fw-output": (*_NO_WAY, *_ROUTES, "conntrack-full", "lo-qdisc"),
    "fw-reset": (*_NO_WAY, *_ROUTES),
    "fw-reject": (*_NO_WAY, *_ROUTES),
    "xfrm-policy": (*_NO_WAY, *_ROUTES),
    "fw-limit": (*_NO_WAY, *_ROUTES, "fw-input", "fw-output", "fw-reset", "lo-qdisc", "loss"),
    "fw-icmp": (*_NO_WAY, *_ROUTES, *_FILTERS, "icmp-ignored", "lo-qdisc", "loss", "fw-limit"),
    # What travels badly.
    "loss": (*_ALL,),
    "duplicates": _SHAPING,
    "reordered": _SHAPING,
    "corrupted": _SHAPING,
    "long-delay": _SHAPING,
    # Names.
    "localhost-v6-dead": _ALL,
    "hosts-no-localhost": ("hosts-missing", "hosts-unreadable", "nss-no-files", "hosts-foreign"),
    "hosts-foreign": ("hosts-missing", "hosts-unreadable", "nss-no-files"),
    "hosts-unreadable": ("files-exhausted",),
    "localhost-unresolved": (
        "files-exhausted",
        "hosts-missing",
        "hosts-unreadable",
        "nss-no-files",
        "hosts-no-localhost",
    ),
    "resolv-loopback-dead": _ALL,
    "hostname-unresolved": ("hosts-missing", "hosts-unreadable", "nss-no-files", "hosts-no-localhost"),
    # Sockets.
    "syn-sent-lasting": (*_ALL, "loss", "fw-limit", "accept-queue-full", "service-stopped", "files-exhausted"),
    "segments-lost": (*_ALL, "loss"),
    "accept-queue-overflow": ("accept-queue-full", "never-accepted", "service-stopped", "files-exhausted"),
    "accept-queue-full": ("service-stopped", "files-exhausted"),
    "never-accepted": ("accept-queue-full", "service-stopped", "files-exhausted"),
    "stuck-receiver": ("service-stopped",),
    "udp-drops": ("service-stopped",),
    # The service that was asked about.
    "service-timeout": (*_ALL, "accept-queue-full", "service-stopped", "files-exhausted", "never-accepted", "loss"),
    "service-silent": ("service-stopped", "files-exhausted", "accept-queue-full", "never-accepted"),
    "family-mismatch": (
        "wrong-family",
        "order-v6-first",
        "ipv6-disabled",
        "addr6-missing",
        "lo-mtu",
        "ipv6-absent",
    ),
    "only-at-another-address": ("bound-elsewhere",),
    "nobody-answers": ("lo-down", "addr4-missing"),
}
"""By code: what explains it. A finding about more families than its cause is not explained by that alone."""


def unite(found: Sequence[Found]) -> list[Found]:
    """Tell what is the same of 127.0.0.1 and of ::1 once."""
    united: list[Found] = []
    places: dict[tuple[str, str], int] = {}
    for item in found:
        key = item.finding.code, _without_address(item.finding.message)
        at = places.setdefault(key, len(united))
        if at == len(united):
            united.append(item)
        elif not item.families & united[at].families:
            united[at] = _join(united[at], item)
        elif item.finding != united[at].finding:
            united.append(item)
    return united


_EACH = ("127.0.0.1", "::1")


def _without_address(message: str) -> str:
    for address in _EACH:
        message = message.replace(address, "?")
    return message


def _join(one: Found, other: Found) -> Found:
    first, second = one.finding, other.finding
    both = " and ".join(_EACH)
    fixes = [finding.fix for finding in (first, second) if isinstance(finding.fix, Repair)]
    finding = replace(
        first,
        subject=first.subject if first.subject == second.subject else f"{first.subject} and {second.subject}",
        message=first.message.replace(_EACH[0], both) if _EACH[0] in first.message else first.message,
        impact=first.impact if first.impact == second.impact else " ".join(filter(None, (first.impact, second.impact))),
        evidence=tuple(dict.fromkeys((*first.evidence, *second.evidence))),
        fix=_join_fixes(fixes),
    )
    return Found(finding, one.families | other.families, one.pids | other.pids)


def _join_fixes(fixes: Sequence[Repair]) -> Repair | None:
    if len(fixes) < 2:  # noqa: PLR2004 - a pair
        return fixes[0] if fixes else None
    first, second = fixes
    return Repair(
        commands=tuple(dict.fromkeys((*first.commands, *second.commands))),
        needs_root=first.needs_root or second.needs_root,
        undo=tuple(dict.fromkeys((*second.undo, *first.undo))),
        persistent=tuple(dict.fromkeys((*first.persistent, *second.persistent))),
        automatic=first.automatic and second.automatic,
    )


def fold(found: Sequence[Found]) -> list[Found]:
    """Leave the root causes, each with the codes of what it explains."""
    parents: dict[int, int] = {}
    for at, item in enumerate(found):
        parent = _find_cause(at, item, found)
        if parent is not None:
            parents[at] = parent
    explained: dict[int, list[str]] = {}
    for at in parents:
        explained.setdefault(_find_root(at, parents), []).append(found[at].finding.code)
    return [
        item._replace(finding=replace(item.finding, explains=tuple(dict.fromkeys(explained.get(at, ())))))
        for at, item in enumerate(found)
        if at not in parents
    ]


def _find_cause(at: int, item: Found, found: Sequence[Found]) -> int | None:
    """Find what explains a finding: the cause that is named first, of those that are about all of its families."""
    for code in EXPLAINED_BY.get(item.finding.code, ()):
        for other, cause in enumerate(found):
            if other != at and cause.finding.code == code and _fits(item, cause):
                return other
    return _find_joint_cause(at, item, found)


def _fits(item: Found, cause: Found) -> bool:
    """Whether a cause is about all that a finding is about; one about processes explains what is about those."""
    return item.families <= cause.families and (not cause.pids or bool(item.pids & cause.pids))


def _find_joint_cause(at: int, item: Found, found: Sequence[Found]) -> int | None:
    """Find causes that explain a finding together, each for a family of its own; the first stands for them."""
    codes = EXPLAINED_BY.get(item.finding.code, ())
    causes = [other for other, cause in enumerate(found) if other != at and cause.finding.code in codes]
    covered = frozenset[str]().union(*(found[other].families for other in causes))
    return causes[0] if causes and item.families <= covered else None


def _find_root(at: int, parents: dict[int, int]) -> int:
    seen: set[int] = set()
    while at in parents and at not in seen:
        seen.add(at)
        at = parents[at]
    return at


def walk(found: Sequence[Found]) -> Iterator[str]:
    """Codes of all findings, those that are explained among them."""
    for item in found:
        yield item.finding.code
        yield from item.finding.explains
