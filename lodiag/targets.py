"""What is loopback, and what is not: every address is judged here before a socket sees it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lodiag.errors import TargetError
from lodiag.limits import LAST_PORT, require_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Network, IPv6Network

    from lodiag.system import System

ADDRESSES = {"ipv4": "127.0.0.1", "ipv6": "::1"}
"""The usual address of each family."""

BROADCAST = "127.255.255.255"
"""Linux routes the last address of 127.0.0.0/8 as a broadcast (table local)."""

MOST_ADDRESSES = 1 << 16
"""Addresses of one run."""

_LONGEST_NAME = 253
"""Characters of a host name: RFC 1035 2.3.4, without the root's dot."""

_OLD_IPV4 = r"(0[xX][0-9a-fA-F]+|[0-9]+)(\.(0[xX][0-9a-fA-F]+|[0-9]+)){0,3}"
"""Forms that inet_aton(3) takes: 127.1, 2130706433, 0x7f.1, 0177.0.0.1."""

_NAME = r"[\w-]+(\.[\w-]+)*\.?"
"""What a host name may look like; anything else is not worth a question to a name server."""

_HINT = "lodiag probes 127.0.0.0/8 and ::1 only; nothing was sent."
_SERVICE = r"(?:https?://)?((?:[\w.-]+:|\[[\da-fA-F:]+\]:)?\d{1,5})(?:/.*)?"
"""A port, an address and a port, or the URL of one: what stands where an address is wanted, and the other way round."""
_LONGEST_TARGET = 300
"""Characters of a host name, and more; Python reads numbers of no more than 4300."""
_HOW_TO_ASK = "Give a port, or address and port: 5432, 127.0.0.1:5432, [::1]:5432, localhost:5432."
_WORDS = {"ipv4": "IPv4", "ipv6": "IPv6"}


def is_loopback(address: str) -> bool:
    """Whether an address, after unmapping, is in 127.0.0.0/8 or is ::1."""
    return address == "::1" or address.startswith(("127.", "::ffff:127."))


def is_wildcard(address: str) -> bool:
    """Whether a socket bound to this address answers on every address."""
    return address in {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to


def family_of(address: str) -> str:
    """Return ``ipv4`` or ``ipv6`` for a literal."""
    return "ipv6" if ":" in address else "ipv4"


def resolve_target(target: str, family: str | None, system: System) -> tuple[str, ...]:
    """Loopback addresses of a target, as literals in the resolver's order.

    A name is resolved once, and refused if *any* of its addresses is off the loopback.

    Raises:
        TargetError: The target is malformed, unknown, of another family, or not on the loopback.

    """
    if not isinstance(target, str) or not 0 < len(target) <= _LONGEST_NAME or not _is_one_word(target):
        message = f"{str(target)[:40]!r} is not an address or a host name"
        raise TargetError(message, "Give localhost, an address in 127.0.0.0/8, or ::1.")
    literal = _parse_literal(target)
    if literal is None:
        addresses = system.resolve(target, family)
        for address in addresses:
            _require_loopback(f"{target!r} resolves to {address}, which", address)
        return addresses
    _require_loopback(target, literal, _hint_at_services(target))
    if family not in {None, family_of(literal)}:
        message = f"{target} is not an {_WORDS[str(family)]} address"
        raise TargetError(message, "Target, source, -4 and -6 must all be of one family.")
    return (literal,)


def expand_target(target: str, family: str | None, system: System) -> Iterator[tuple[str, str]]:
    """Yield each address of a target and the target that it belongs to, which of a prefix is the address itself.

    A prefix is written 127.0.0.0/24 and stands for all its addresses but the broadcast address, at most 65536.

    Raises:
        TargetError: As for ``resolve_target``, or the prefix is too large.

    """
    if not isinstance(target, str) or target.count("/") != 1:
        yield from ((target, address) for address in resolve_target(target, family, system))
        return
    network = _parse_prefix(target)
    if family not in {None, f"ipv{network.version}"}:
        message = f"{target} is not of {_WORDS[str(family)]}"
        raise TargetError(message, "Target, source, -4 and -6 must all be of one family.")
    if network.num_addresses > MOST_ADDRESSES:
        message = f"{target} has {network.num_addresses} addresses, and at most {MOST_ADDRESSES} are probed at once"
        raise TargetError(message, "Give a longer prefix, such as 127.0.0.0/16, or several.")
    yield from ((address, address) for address in map(str, network) if address != BROADCAST)


def _parse_prefix(text: str) -> IPv4Network | IPv6Network:
    """Network of a prefix; ``TargetError`` unless all of it is loopback."""
    from ipaddress import ip_network

    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        message = f"{text[:40]!r} is not a prefix of addresses"
        raise TargetError(message, "Give it as 127.0.0.0/24.") from error
    ends = str(network[0]), str(network[-1])
    if not (ends == ("::1", "::1") or all(end.startswith("127.") for end in ends)):
        message = f"{text[:40]} is not on the loopback"
        raise TargetError(message, _HINT)
    return network


def _is_prefix(text: str) -> bool:
    address, _, bits = text.partition("/")
    return bits.isdecimal() and (":" in address or bool(re.fullmatch(_OLD_IPV4, address)))


def _is_one_word(text: str) -> bool:
    return text.isprintable() and not any(c.isspace() for c in text)


def split_target(target: str | int) -> tuple[str | None, int]:
    """Split a target into host, or ``None``, and port; ``TargetError`` or ``ConfigError`` if it is none."""
    text = str(target)
    host, separator, digits = text.rpartition(":")
    service = re.fullmatch(_SERVICE, text) if "://" in text else None
    if service:
        message = f"{text[:80]!r} is a URL; did you mean {service[1][:80]}?"
        raise TargetError(message, _HOW_TO_ASK)
    if not (digits.isascii() and digits.isdecimal()) or len(text) > _LONGEST_TARGET:
        message = f"{text[:80]!r} has no port" if separator or not text else f"{text[:80]!r} is not a port"
        raise TargetError(message, f"{_HOW_TO_ASK} Names of services are not looked up.")
    port = int(digits)
    require_whole("port", port, 1, LAST_PORT)
    if host.startswith("[") and host.endswith("]") and ":" in host:
        return host[1:-1], port
    if ":" in host or "[" in host:
        message = f"{text[:80]!r} is not an address and a port"
        raise TargetError(message, "Write an address of IPv6 in brackets: [::1]:5432.")
    return host or None, port


def resolve_source(source: str, family: str | None) -> str:
    """Check a source address: a loopback literal, of ``family`` if that is given; ``TargetError`` otherwise."""
    is_plain = source.isprintable() and bool(source) and not source.startswith("-")
    literal = _parse_literal(source) if is_plain else None
    if literal is None:
        message = f"the source address {source[:40]!r} is not an address"
        raise TargetError(message, "Give an address in 127.0.0.0/8, or ::1.")
    _require_loopback(f"the source address {source}", literal)
    if family not in {None, family_of(literal)}:
        message = f"the source address {source} is not an {_WORDS[str(family)]} address"
        raise TargetError(message, "Target, source, -4 and -6 must all be of one family.")
    return literal


def parse_alias(text: str) -> tuple[str, int | None]:
    """Read an address of the loopback, with the bits of its prefix if they are given; ``TargetError`` for another."""
    address, slash, bits = str(text).partition("/")
    literal = _parse_literal(address) if address and _is_one_word(address) else None
    if literal is None or (slash and not (bits.isascii() and bits.isdecimal() and len(bits) <= _MOST_DIGITS)):
        message = f"{str(text)[:40]!r} is not an address, or an address and the bits of its prefix"
        raise TargetError(message, "Give it as in 127.0.0.2, 127.0.0.2/8 or ::1.")
    _require_loopback(address, literal, "lodiag gives interfaces 127.0.0.0/8 and ::1 only; nothing was changed.")
    return literal, int(bits) if slash else None


_MOST_DIGITS = 3
"""Of the bits of a prefix."""


def _parse_literal(text: str) -> str | None:
    """Normalise an address; ``None`` if the text is a name. Old IPv4 forms become the address they stand for."""
    import socket
    from ipaddress import ip_address

    if re.fullmatch(_OLD_IPV4, text):
        try:
            return socket.inet_ntoa(socket.inet_aton(text))
        except OSError as error:
            message = f"{text[:40]!r} is not an IPv4 address"
            raise TargetError(message, _HINT) from error
    try:
        return str(ip_address(text))
    except ValueError as error:
        if _is_prefix(text):
            message = f"{text[:40]!r} is a prefix of addresses, and one address or a name is wanted"
            raise TargetError(message, "lodiag ping takes prefixes, unless with --sweep.") from error
        if text.startswith("-") or not re.fullmatch(_NAME, text) or text.replace(".", "").isdigit():
            message = f"{text[:80]!r} is not an address or a host name"
            raise TargetError(message, _hint_at_services(text)) from error
        return None


def _hint_at_services(text: str) -> str:
    """Say which commands take a port, if it may be one."""
    service = re.fullmatch(_SERVICE, text)
    if service is None:
        return _HINT
    return f"What answers at a port is told by: lodiag who {service[1]}; lodiag doctor {service[1]}. {_HINT}"


def _require_loopback(subject: str, literal: str, hint: str = _HINT) -> None:
    from ipaddress import IPv6Address, ip_address

    address = ip_address(literal)
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            good, why = False, "has a zone, which ::1 does not need"
        elif address.ipv4_mapped is not None:
            good, why = False, "is an IPv4-mapped address, which leaves the loopback by the IPv6 default route"
            hint = f"Give {address.ipv4_mapped} itself. {hint}"
        else:
            good, why = literal == "::1", "is not on the loopback"
    elif literal == BROADCAST:
        good, why = False, "is the broadcast address of the loopback, which answers nobody"
    else:
        good, why = literal.startswith("127."), "is not on the loopback"
    if not good:
        message = f"{subject} {why}"
        raise TargetError(message, hint)
