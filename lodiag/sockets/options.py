"""Which sockets to list: what a caller may choose, checked before anything is opened."""

from __future__ import annotations

from lodiag.dataclass import dataclass
from lodiag.errors import ConfigError
from lodiag.limits import LAST_PORT, SOURCES, require_choice, require_whole, suggest
from lodiag.model import FAMILIES, PROTOS

STATES = (
    "listen",
    "unconnected",
    "established",
    "syn-sent",
    "syn-recv",
    "fin-wait-1",
    "fin-wait-2",
    "close-wait",
    "last-ack",
    "closing",
    "time-wait",
    "close",
    "bound",
)
"""In the order in which they are shown: what answers, what talks, what ends (RFC 9293 3.3.2)."""

LAST_PID = 2**32 - 1
"""A pid of Windows is a DWORD; elsewhere they are smaller."""
_ALIASES = {"listening": "listen", "estab": "established", "unconn": "unconnected", "closed": "close"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnsOptions:
    """Which sockets to list.

    Attributes:
        proto: ``tcp`` or ``udp``; ``None`` for both.
        family: ``ipv4`` or ``ipv6``, of the socket; ``None`` for both.
        states: Names in ``STATES``; ``None`` for all.
        port: Port that either end must have.
        local_port: Port that this end must have.
        remote_port: Port that the other end must have.
        local_address: Address that this end must have, an IPv4-mapped one as IPv4.
        pid: Process that must own the socket.
        process: Text that an owner's name must contain, in any case.
        user: Name or number of the user who made the socket, or whose process owns it.
        unit: Text that the socket's systemd unit, or its container's id, must contain.
        wildcard: Whether to list sockets bound to every address.
        with_process: Whether to look up owners.
        with_cmdline: Whether to read the owners' command lines.
        with_tcp: Whether to ask what the kernel measured of connections.
        with_findings: Whether to judge them, which takes two readings, and what TCP measured.
        source: One of ``SOURCES``; ``None`` for the best that is to be had.

    """

    proto: str | None = None
    family: str | None = None
    states: frozenset[str] | None = None
    port: int | None = None
    local_port: int | None = None
    remote_port: int | None = None
    local_address: str | None = None
    pid: int | None = None
    process: str | None = None
    user: str | None = None
    unit: str | None = None
    wildcard: bool = True
    with_process: bool = True
    with_cmdline: bool = False
    with_tcp: bool = False
    with_findings: bool = False
    source: str | None = None

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for what is out of range."""
        for name, choice, choices in (
            ("proto", self.proto, PROTOS),
            ("family", self.family, FAMILIES),
            ("source", self.source, tuple(SOURCES)),
        ):
            if choice is not None:
                require_choice(name, choice, choices)
        for name, port in (("port", self.port), ("local-port", self.local_port), ("remote-port", self.remote_port)):
            if port is not None:
                require_whole(name, port, 0, LAST_PORT)
        if self.pid is not None:
            require_whole("pid", self.pid, 1, LAST_PID)
        for name, wanted in (("process", self.process), ("user", self.user), ("unit", self.unit)):
            if wanted == "":
                message = f"{name} must not be empty: every name contains that"
                raise ConfigError(message)
        if not self.with_process and (self.pid is not None or self.process is not None):
            message = "sockets cannot be chosen by their process when processes are not to be looked up"
            raise ConfigError(message, "Leave out --no-process, or --pid and --process.")

    @property
    def chooses_by_owner(self) -> bool:
        """Whether a socket is chosen by who holds or made it, and not by what it is alone."""
        return any(wanted is not None for wanted in (self.pid, self.process, self.user, self.unit))


def parse_state(text: str) -> str:
    """Name of a state, as STATES has it, from any of the ways in which tools write it; ``ConfigError`` if unknown."""
    name = text.strip().lower().replace("_", "-")
    name = _ALIASES.get(name, name)
    squeezed = {state.replace("-", ""): state for state in STATES}
    found = squeezed.get(name.replace("-", ""))
    if found is None:
        message = f"{text[:40]!r} is not a state of a socket{suggest(name, STATES)}"
        raise ConfigError(message, f"Known states: {', '.join(STATES)}.")
    return found


def parse_address(text: str) -> str:
    """Address of a socket's end in the words of a report; ``ConfigError`` if it is none."""
    from ipaddress import IPv6Address, ip_address

    try:
        address = ip_address(text)
    except ValueError as error:
        message = f"{text[:40]!r} is not an address"
        raise ConfigError(message, "Give it as 127.0.0.2, ::1, 0.0.0.0 or ::.") from error
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            message = f"{text[:40]!r} has a zone, which no address of a socket is shown with"
            raise ConfigError(message, "Leave it out.")
        return str(address.ipv4_mapped or address)
    return str(address)
