"""Loopback interfaces, and what surrounds them, as records."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

from lodiag.dataclass import dataclass
from lodiag.errors import ConfigError
from lodiag.judge.settings import note_settings
from lodiag.limits import suggest
from lodiag.links.plans import Place, classify
from lodiag.model import Missing, Refusal
from lodiag.model.iface import IfaceAddress, IfaceRecord, IfaceSummary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lodiag.model.iface import IfaceChange
    from lodiag.model.net import Link, LinkAddress, Qdisc, Route, Rule
    from lodiag.system import System
    from lodiag.system.facts import Links, Setting

SOURCES = ("rtnetlink", "psutil")
BEST = SOURCES[0]
_WHOLE = {"ipv4": "127.0.0.0/8", "ipv6": "::1"}
"""Prefix of the local route by which all of the loopback of a family is delivered here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What was read at once."""

    source: str
    links: Sequence[Link]
    addresses: Sequence[LinkAddress]
    """Of these links."""
    records: Sequence[IfaceRecord]
    settings: Mapping[str, Setting]
    routes: tuple[Route, ...] | None
    rules: tuple[Rule, ...] | None
    missing: Sequence[Missing]
    refused: Sequence[tuple[str, str]]

    def summarise(self, change: IfaceChange | None = None) -> IfaceSummary:
        """Tell what is no interface's own."""
        return IfaceSummary(
            interfaces=len(self.records),
            routes=self.routes,
            rules=self.rules,
            settings=tuple(note_settings(self.settings)),
            change=change,
            refused=tuple(Refusal(method=name, why=why) for name, why in self.refused),
        )

    def place(self, system: System) -> Place:
        """Give the one interface that is to be changed; ``ConfigError`` if that is not clear."""
        if len(self.links) != 1:
            names = ", ".join(link.ifname for link in self.links)
            message = f"there are several loopback interfaces: {names}" if names else "there is no loopback interface"
            raise ConfigError(message, "Say which, by --interface." if names else None)
        (link,) = self.links
        is_best = self.source == BEST
        disabled = self.settings.get("ipv6-disabled")
        return Place(
            link=link,
            addresses=self.addresses,
            routes=(system.list_routes_of(link.ifindex) or ()) if is_best else (),
            has_ipv6=disabled is not None and disabled.value == "0" if is_best else True,
            is_all_local=is_best,
        )


def look(system: System, source: str | None, interface: str | None) -> View:
    """Read all that concerns the loopback, or the interface of this name, which must be one."""
    found = system.read_links(source)
    links = _choose(found, interface)
    is_best = found.source == BEST
    queues = {queue.dev: queue for queue in (system.list_qdiscs() or () if is_best else ()) if queue.root}
    routes, rules = (system.list_routes(), system.list_rules()) if is_best else (None, None)
    names = [link.ifname for link in links]
    settings = system.read_loopback_settings(names[0]) if names else {}
    settings |= {f"localnet-routed at {opening.interface}": opening.setting for opening in system.find_openings() or ()}
    own = {link.ifindex: [a for a in found.addresses if a.ifindex == link.ifindex] for link in links}
    return View(
        source=found.source,
        links=links,
        addresses=[address for link in links for address in own[link.ifindex]],
        records=[_describe(link, own[link.ifindex], queues.get(link.ifname)) for link in links],
        settings=settings if any(setting.value is not None for setting in settings.values()) else {},
        routes=None if routes is None or rules is None else tuple(_leave_defaults(routes, rules)),
        rules=None if rules is None else tuple(rule for rule in rules if concerns(rule, names)),
        missing=list(_find_missing(found.source, routes, rules)),
        refused=found.refused,
    )


def look_at_links(system: System, source: str | None, interface: str | None) -> list[IfaceRecord]:
    """Read no more than the interfaces themselves, and their addresses."""
    found = system.read_links(source)
    chosen = _choose(found, interface)
    return [_describe(link, [a for a in found.addresses if a.ifindex == link.ifindex], None) for link in chosen]


def _choose(found: Links, interface: str | None) -> list[Link]:
    if interface is None:
        return [link for link in found.links if link.is_loopback]
    named = [link for link in found.links if link.ifname == interface]
    if not named:
        close = suggest(interface, [link.ifname for link in found.links if link.is_loopback])
        message = f"there is no interface {interface[:40]!r}{close}"
        raise ConfigError(message, "lodiag iface shows those that there are.")
    if not named[0].is_loopback:
        message = f"{interface} is not a loopback interface"
        raise ConfigError(message, "lodiag looks at, and changes, loopback interfaces only; nothing was changed.")
    return named


def _describe(link: Link, addresses: Sequence[LinkAddress], queue: Qdisc | None) -> IfaceRecord:
    known = link._asdict()
    own = tuple(IfaceAddress(*address[1:], classify(address.local)) for address in addresses)
    return IfaceRecord(**known, addr_info=own, queue=queue)


def _find_missing(source: str, routes: object, rules: object) -> Iterator[Missing]:
    if source != BEST:
        what = "states and queues of interfaces, scopes and lifetimes of addresses, routes and rules"
        yield Missing(what=what, count=None, why=f"{source} does not tell them")
    elif routes is None or rules is None:
        yield Missing(what="routes and rules", count=None, why="the kernel does not tell them to this process")


def concerns(rule: Rule, loopbacks: Sequence[str]) -> bool:
    """Whether a rule may choose for packets to 127.0.0.0/8 or ::1: those that this machine sends, by its loopback."""
    if rule.iif is not None and rule.iif not in {"lo", *loopbacks}:
        return rule.inverted
    if rule.dst is None or rule.inverted:
        return True
    bits = "" if rule.dstlen is None else f"/{rule.dstlen}"
    network = ip_network(f"{rule.dst}{bits}", strict=False)
    return network.overlaps(ip_network(_WHOLE[rule.family]))


def _leave_defaults(routes: Sequence[Route], rules: Sequence[Rule]) -> Iterator[Route]:
    """Leave out default routes that no packet to the loopback takes: the local table, asked first, has all of it."""
    for family, whole in _WHOLE.items():
        own = [route for route in routes if route.family == family]
        first = next((rule for rule in rules if rule.family == family), None)
        is_asked_first = first is not None and (first.table, first.src, first.dst) == ("local", "all", None)
        has_all = any((r.type, r.table, r.dst) == ("local", "local", whole) for r in own)
        yield from (route for route in own if route.dst != "default" or not (is_asked_first and has_all))
