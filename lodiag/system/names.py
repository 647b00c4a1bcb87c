"""Names to addresses, by the system's resolver."""

from __future__ import annotations

import socket

from lodiag.errors import TargetError

_FAMILIES = {None: socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}


def resolve(name: str, family: str | None) -> tuple[str, ...]:
    """Addresses of ``name`` in the resolver's order, each once.

    AI_ADDRCONFIG is never set: glibc then hides ::1 on a machine without another IPv6 address.
    """
    # Bytes are taken as they are; for a text, what knows the scripts of the world is loaded first.
    host = name.encode() if name.isascii() else name
    try:
        found = socket.getaddrinfo(host, None, _FAMILIES[family], socket.SOCK_DGRAM)
    except (socket.gaierror, UnicodeError, ValueError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "not a valid host name"
        wanted = {"ipv4": " to an IPv4 address", "ipv6": " to an IPv6 address"}.get(family or "", "")
        message = f"cannot resolve {name[:80]!r}{wanted}: {reason}"
        raise TargetError(message, "See /etc/hosts, or give the address itself.") from error
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def has_address(address: str) -> bool:
    """Whether a socket can be bound to an address, which is so if the machine has it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
    except OSError:
        return False
    return True


def index_interface(name: str) -> int:
    """Index of the interface of this name; 0, which is that of none, if it is gone."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def name_interface(index: int) -> str | None:
    """Name of the interface of this index; ``None`` if it is gone."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return None
