"""The loopback interface: that it is up, has its addresses, and an mtu that lets IPv6 live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.checks.keys import boolean, bounds, describe_bounds, is_within, shorten, texts
from lodiag.checks.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lodiag.checks.keys import Reading
    from lodiag.system import System
    from lodiag.system.facts import Interface


def addresses(value: Any, reading: Reading) -> tuple[str, ...]:  # noqa: ANN401 - as TOML has it
    """Read addresses of the interface, with or without the length of their prefix."""
    from ipaddress import ip_interface

    try:
        return tuple(
            str(ip_interface(item)) if "/" in item else str(ip_interface(item).ip) for item in texts(value, reading)
        )
    except ValueError as error:
        message = f'must be addresses, as in "127.0.0.1/8", not {shorten(value)}'
        raise ValueError(message) from error


TARGET = None
KEYS = {"up": boolean, "addresses": addresses, "mtu": bounds}


def attempt(settings: Mapping[str, Any], left_s: float, system: System) -> Outcome:
    """Read the interfaces that have the loopback's flag; without any key, one must be up."""
    del left_s
    found = system.list_loopback_interfaces()
    if found is None:
        return Outcome("error", "the interfaces cannot be read", error="unreadable")
    observed = "; ".join(
        f"{item.name} {_word(item)}, mtu {item.mtu_bytes}, {' '.join(item.addresses) or 'no address'}" for item in found
    )
    here = list_addresses(system, found) if "addresses" in settings else ()
    wrong = list(_judge(settings, found, here)) if found else ["there is no loopback interface"]
    if not wrong:
        return Outcome("ok", observed, observed=observed)
    hint = "lodiag doctor tells the command that mends it."
    return Outcome("fail", "; ".join(wrong), error=wrong[0], observed=observed, hint=hint)


def list_addresses(system: System, found: Sequence[Interface]) -> Sequence[str]:
    """Addresses of these interfaces, with the length of their prefix where the system tells it."""
    names = {item.name for item in found}
    told = system.list_addresses()
    if told is None:
        return [address for item in found for address in item.addresses]
    return [f"{item.local}/{item.prefixlen}" for item in told if system.name_interface(item.ifindex) in names]


def _judge(settings: Mapping[str, Any], found: Sequence[Interface], here: Sequence[str]) -> Iterator[str]:
    is_wanted_up = settings.get("up", True)
    for item in found:
        if item.is_up != is_wanted_up:
            yield f"{item.name} is {_word(item)}"
        if "mtu" in settings and not is_within(item.mtu_bytes, settings["mtu"]):
            yield f"{item.name} has mtu {item.mtu_bytes}, not {describe_bounds(settings['mtu'])}"
    bare = {address.partition("/")[0] for address in here}
    for address in settings.get("addresses", ()):
        name, _, prefix = address.partition("/")
        if name not in bare:
            yield f"{found[0].name} has no {address}"
        elif prefix and address not in here and any("/" in other for other in here):
            yield f"{found[0].name} has {name} with another prefix than /{prefix}"


def _word(item: Interface) -> str:
    return "up" if item.is_up else "down"
