"""How to change a loopback interface, what else that takes along, and how to take it back; touches nothing."""

from __future__ import annotations

from ipaddress import ip_interface
from typing import TYPE_CHECKING, NamedTuple

from lodiag.errors import ConfigError, ConsentError
from lodiag.model.net import FOREVER_S, LinkAddress
from lodiag.system.change import Change
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from lodiag.model.net import Link, Route

STANDARD = {"127.0.0.1": 8, "::1": 128}
"""What Linux gives a loopback that is brought up, with the length of the prefix."""

LEAST_IPV4_MTU, LEAST_IPV6_MTU = 68, 1280
"""RFC 791, RFC 8200: an interface of Linux whose mtu is smaller loses all addresses of that protocol."""
MOST_MTU = 65_536
"""That of Linux's loopback: no packet of IP is larger, jumbograms aside."""

LONGEST_LABEL = 15
"""Characters of the name of an interface (IFNAMSIZ, include/uapi/linux/if.h)."""


class Place(NamedTuple):
    """A loopback interface as it is, with what goes when it goes down."""

    link: Link
    addresses: Sequence[LinkAddress]
    routes: Sequence[Route]
    """All that lead to it."""
    has_ipv6: bool
    """Whether IPv6 is enabled on it."""
    is_all_local: bool
    """Whether every address of a prefix on it is local, as on Linux; elsewhere each has to be added."""

    def change(self, verb: str, *, mtu: int | None = None, address: LinkAddress | None = None) -> Change:
        """Write a change of it."""
        return Change(verb, self.link.ifname, self.link.ifindex, mtu=mtu, address=address)

    def list_fading(self) -> tuple[list[LinkAddress], list[Route]]:
        """List what does not come back when it goes down and up: all addresses of IPv6 but ::1, and routes."""
        addresses = [a for a in self.addresses if ":" in a.local and a.local != "::1"]
        return addresses, [route for route in self.routes if route.protocol != "kernel"]


class Plan(NamedTuple):
    """What to do, in order; nothing if it is so already."""

    changes: Sequence[Change] = ()
    undo: Sequence[Change] = ()
    loses: Sequence[str] = ()
    """What goes with it though nobody asked."""
    addresses: Sequence[str] = ()
    """Those that a packet should reach afterwards."""


def plan_up(place: Place) -> Plan:
    """Bring it up, by which Linux gives it 127.0.0.1/8 and ::1/128, if it never had one."""
    if place.link.is_up:
        return Plan(addresses=standard_of(place.addresses))
    return Plan([place.change("up")], [place.change("down")], addresses=tuple(STANDARD))


def plan_down(place: Place, *, force: bool) -> Plan:
    """Take it down, which cuts every local connection; ``ConsentError`` without ``force``."""
    if not place.link.is_up:
        return Plan()
    addresses, routes = place.list_fading()
    loses = [*map(write_address, addresses), *map(write_route, routes)]
    if not force:
        lost = f", and does not come back by itself: {', '.join(loses)}" if loses else ""
        message = f"with {place.link.ifname} down, every connection to this machine itself breaks{lost}"
        raise ConsentError(message, "Give --force to take it down all the same; nothing was changed.")
    return Plan([place.change("down")], [place.change("up"), *_put_back(place, addresses, routes)], loses)


def plan_add(place: Place, address: str, bits: int | None, label: str | None) -> Plan:
    """Give it an address; one of a prefix that it has already is the second of that, and goes with the first."""
    wanted = _make_address(place, address, bits, label)
    found = [a for a in place.addresses if (a.local, a.prefixlen) == (wanted.local, wanted.prefixlen)]
    if found:
        if label not in {None, found[0].label}:
            message = f"{place.link.ifname} has {write_address(found[0])} already, under the label {found[0].label}"
            raise ConfigError(message, f"To change that: lodiag iface del {write_address(found[0])}, then add it.")
        return Plan(addresses=(address,))
    _require_room(place, address)
    return Plan([place.change("add", address=wanted)], [place.change("del", address=wanted)], addresses=(address,))


def plan_del(place: Place, address: str, bits: int | None, *, agreed: bool) -> Plan:
    """Take an address away, and of its prefix nothing else: what Linux takes along is put back in the same breath."""
    found = [a for a in place.addresses if a.local == address and bits in {None, a.prefixlen}]
    if not found:
        return Plan()
    if len(found) > 1:
        which = " and ".join(map(write_address, found))
        message = f"{place.link.ifname} has {which}"
        raise ConfigError(message, "Say which of them, with its prefix; nothing was changed.")
    (victim,) = found
    others = [a for a in place.addresses if a.local == address and a is not victim]
    seconds = [] if victim.secondary else [a for a in place.addresses if a.secondary and is_of_prefix(a, victim)]
    if address in STANDARD and not others and not agreed:
        message = f"without {address} most of what talks to this machine itself fails"
        raise ConsentError(message, "Give --yes to take it away all the same; nothing was changed.")
    back = [place.change("restore", address=a) for a in seconds]
    undo = [*(place.change("del", address=a) for a in reversed(seconds)), place.change("add", address=victim), *back]
    loses = [write_route(r) for r in place.routes if r.prefsrc == address and r.protocol != "kernel" and not others]
    return Plan([place.change("del", address=victim), *back], undo, loses, _remaining(place, victim))


def plan_mtu(place: Place, mtu: int, *, agreed: bool) -> Plan:
    """Set the mtu; what a smaller one took away comes back, if that is agreed to.

    Raises ``ConfigError`` for one that no IPv4 can live with, and ``ConsentError`` for one that ends IPv6.
    """
    before = place.link.mtu or MOST_MTU
    if not LEAST_IPV4_MTU <= mtu <= MOST_MTU:
        message = f"an mtu of {mtu} is not from {LEAST_IPV4_MTU} to {MOST_MTU}"
        raise ConfigError(message, "Below 68 an interface loses every IPv4 address, and no packet of IP exceeds 65535.")
    if mtu < LEAST_IPV6_MTU:
        return _plan_without_ipv6(place, mtu, agreed=agreed)
    missing = _find_missing(place) if agreed else []
    first = [] if mtu == before else [place.change("mtu", mtu=mtu)]
    changes = [*first, *(place.change("add", address=a) for a in missing)]
    undo = [*(place.change("del", address=a) for a in missing), *(place.change("mtu", mtu=before) for _ in first)]
    return Plan(changes, undo, addresses=standard_of([*place.addresses, *missing]))


def _plan_without_ipv6(place: Place, mtu: int, *, agreed: bool) -> Plan:
    name, before = place.link.ifname, place.link.mtu or MOST_MTU
    if mtu == before:
        return Plan(addresses=("127.0.0.1",))
    six = [a for a in place.addresses if ":" in a.local]
    routes = [route for route in place.list_fading()[1] if route.family == "ipv6"]
    loses = [*map(write_address, six), *map(write_route, routes)]
    if not agreed:
        lost = f": it loses {', '.join(loses)}, and a larger mtu brings none back" if loses else ""
        message = f"with an mtu below {LEAST_IPV6_MTU}, {name} cannot have IPv6{lost}"
        raise ConsentError(message, "Give --yes to set it all the same; nothing was changed.")
    undo = [place.change("mtu", mtu=before), *_put_back(place, six, routes)]
    return Plan([place.change("mtu", mtu=mtu)], undo, loses, ("127.0.0.1",))


def _put_back(place: Place, addresses: Iterable[LinkAddress], routes: Iterable[Route]) -> list[Change]:
    back = [place.change("restore", address=a) for a in addresses]
    return [*back, *(Change("add-route", place.link.ifname, place.link.ifindex, route=r) for r in routes)]


def _find_missing(place: Place) -> list[LinkAddress]:
    """Find the standard addresses that it lacks: all of IPv4, or ::1 where IPv6 is enabled."""
    if not place.link.is_up:  # then being brought up brings them
        return []
    has_four = any(":" not in a.local for a in place.addresses)
    has_one = any(a.local == "::1" for a in place.addresses)
    wanted = [*([] if has_four else ["127.0.0.1"]), *(["::1"] if place.has_ipv6 and not has_one else [])]
    return [_make_address(place, address, None, None) for address in wanted]


def _make_address(place: Place, address: str, bits: int | None, label: str | None) -> LinkAddress:
    is_six = ":" in address
    if label is not None:
        _require_label(place, label, is_six=is_six)
    length = STANDARD.get(address, 32) if bits is None else bits
    if is_six and length != STANDARD["::1"]:
        message = f"::1/{length} would be more than ::1"
        raise ConfigError(message, "Give ::1/128, or ::1.")
    if not is_six and not STANDARD["127.0.0.1"] <= length <= 32:  # noqa: PLR2004 - bits of an address
        message = f"{address}/{length} would reach beyond 127.0.0.0/8" if length <= 32 else f"/{length} is no prefix"  # noqa: PLR2004
        raise ConfigError(message, "Give a prefix from /8 to /32; without one it is /32, and /8 for 127.0.0.1.")
    return LinkAddress(
        ifindex=place.link.ifindex,
        family="inet6" if is_six else "inet",
        local=address,
        prefixlen=length,
        scope="host",
        label=None if is_six else label or place.link.ifname,
        secondary=None,
        dynamic=None,
        tentative=None,
        dadfailed=None,
        deprecated=None,
        noprefixroute=None,
        valid_life_time=None,
        preferred_life_time=None,
    )


def _require_label(place: Place, label: str, *, is_six: bool) -> None:
    name = place.link.ifname
    is_fit = label.startswith(f"{name}:") and label.isascii() and label.isprintable() and " " not in label
    if is_six or not is_fit or len(label) > LONGEST_LABEL:
        message = "an address of IPv6 has no label" if is_six else f"{label[:40]!r} is not a label of {name}"
        raise ConfigError(
            message, f"A label is for IPv4, and begins with {name}: as in {name}:1; 15 characters at most."
        )


def _require_room(place: Place, address: str) -> None:
    """Raise ``ConfigError`` if the interface cannot have addresses of that family."""
    name, mtu = place.link.ifname, place.link.mtu or MOST_MTU
    is_six = ":" in address
    if is_six and not place.has_ipv6:
        message = f"IPv6 is disabled on {name}"
        raise ConfigError(message, "lodiag iface shows the kernel parameter that disables it.")
    least = LEAST_IPV6_MTU if is_six else LEAST_IPV4_MTU
    if mtu < least:
        message = f"{name} has an mtu of {mtu}, and IPv{6 if is_six else 4} needs {least}"
        again = "::1" if is_six else "127.0.0.1/8"
        raise ConfigError(message, f"lodiag iface mtu {MOST_MTU} --yes also gives it {again} again.")


def is_of_prefix(address: LinkAddress, first: LinkAddress) -> bool:
    """Whether an address is of the same prefix as another, of the same length."""
    return _network_of(address) == _network_of(first)


def _network_of(address: LinkAddress) -> IPv4Network | IPv6Network:
    return ip_interface(f"{address.address or address.local}/{address.prefixlen}").network


def covers(address: LinkAddress, wanted: str) -> bool:
    """Whether an address on a loopback of Linux makes another local, by its prefix."""
    if (":" in wanted) != (":" in address.local) or address.prefixlen is None:
        return False
    return ip_interface(wanted).ip in _network_of(address)


def _remaining(place: Place, victim: LinkAddress) -> tuple[str, ...]:
    return tuple(a for a in standard_of(place.addresses) if a != victim.local)


def standard_of(addresses: Iterable[LinkAddress]) -> tuple[str, ...]:
    """Give 127.0.0.1 and ::1, if they are there."""
    present = {a.local for a in addresses}
    return tuple(address for address in STANDARD if address in present)


def write_address(address: LinkAddress) -> str:
    """Write an address with its prefix, and a lifetime that ends."""
    ends = "" if address.valid_life_time in {None, FOREVER_S} else f" for {address.valid_life_time} s"
    peer = f"{address.local} peer " if address.address else ""
    return f"{peer}{address.address or address.local}/{address.prefixlen}{ends}"


def write_route(route: Route) -> str:
    """Write a route that leads to an interface."""
    kind = "" if route.type == "unicast" else f"{route.type} "
    return f"route {kind}{route.dst} of table {route.table}"


def classify(address: str) -> str:
    """Say what an address is on a loopback interface."""
    return "standard" if address in STANDARD else "alias" if is_loopback(address) else "extra"
