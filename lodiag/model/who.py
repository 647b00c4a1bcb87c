"""Records of ``who``."""

from __future__ import annotations

from lodiag.dataclass import dataclass
from lodiag.model import FAMILIES, PROTOS, Refusal, detail, fact, label, metric
from lodiag.model.conns import NO_OWNER, Endpoint

STATUSES = ("answered", "refused", "no-address", "lo-down", "unknown")
HOWS = ("specific", "wildcard", "dual-stack-wildcard")


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoOwner:
    """A process that holds a socket."""

    pid: int = fact("Process id.")
    process: str | None = fact("Name of the process; null if it is hidden.")
    user: str | None = fact("User that the process runs as.")
    fd: int | None = fact("Lowest descriptor by which it holds the socket; null where the source does not tell.")
    cmdline: str | None = fact("Command line; null unless it was asked for, because it may hold secrets.")
    started_at: str | None = fact("When the process was started, to the second; null if it is hidden.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoSocket:
    """A socket that answers on the port, or holds it."""

    proto: str = fact("Protocol.", PROTOS)
    family: str = fact("Family of the socket.", FAMILIES)
    state: str = fact("TCP state; for UDP, unconnected or established.")
    local: Endpoint = fact("This end.")
    remote: Endpoint | None = fact("The other end; null if there is none.")
    interface: str | None = fact("Interface that the socket is bound to; null if to none.")
    v6only: bool | None = fact("Whether an IPv6 socket takes no IPv4; null where the source does not tell.")
    owners: tuple[WhoOwner, ...] | None = fact(
        "Processes that hold the socket; empty if none does, null if they may not be seen."
    )
    no_owner: str | None = fact("Why no process holds it, in the words of conns.", NO_OWNER)
    uid: int | None = fact("User id that the socket was made under; null where the source does not tell.")
    user: str | None = fact("Name of that user, or the number of one without a name.")
    cgroup: str | None = fact("Control group that the socket was made in.")
    unit: str | None = fact("systemd unit of that group.")
    container: str | None = fact("Short id of the container of that group.")
    accept_queue: int | None = fact("Connections of a listener that wait to be accepted.")
    backlog: int | None = fact("Limit of that queue, from listen(2); one more than it may wait.")
    drops: int | None = fact("Connections or datagrams dropped because a queue was full.")
    inode: int | None = fact("Inode of the socket; 0 if no process has it.")
    cookie: str | None = fact("Number that the kernel gives each socket, in hexadecimal.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoRecord:
    """What a client meets at one address by one protocol."""

    proto: str = label("Protocol.", PROTOS)
    address: str = label("Address that a client would ask.")
    port: int = label("Port that a client would ask.")
    answered: bool | None = metric("Whether a socket would get what is sent there now; null if that is not known.")
    status: str = fact(
        "answered; refused: no socket takes it; no-address: this machine has no such address; lo-down: nothing "
        "reaches it; unknown: the source does not tell whether an IPv6 socket takes IPv4.",
        STATUSES,
    )
    how: str | None = fact(
        "Whether the socket is bound to that address (specific), to every address of its family (wildcard), or to "
        "every address of IPv6 and takes IPv4 as well (dual-stack-wildcard).",
        HOWS,
    )
    method: str = fact(
        "lookup: the kernel's own; table: by its rules, applied to the socket table.", ("lookup", "table")
    )
    socket: WhoSocket | None = fact(
        "The socket that would get it; of those that share the port, the one that the kernel named, or else the first."
    )
    shared_by: tuple[WhoSocket, ...] = detail(
        "All sockets bound to the same address and port, that one too; empty if it is alone."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoSummary:
    """What became of the question as a whole."""

    target: str = label("The target as it was given.")
    port: int = label("The port.")
    name: str = fact("What a client is taken to ask for: the target's host and port, or localhost and the port.")
    resolved: tuple[str, ...] = fact("Addresses that it tries, in the resolver's order.")
    answered: bool = fact("Whether anything answers at any of the addresses asked.")
    verdict: str = fact("What a client meets that asks for the name, address by address in that order.")
    listeners: tuple[WhoSocket, ...] = detail("Every socket on the port that answers anybody, wherever it is bound.")
    held: tuple[WhoSocket, ...] = detail(
        "Sockets that hold the port and answer nobody: bound and not listening, or connected from it. Connections that "
        "a listener of the port has accepted are left out."
    )
    time_waits: int = metric("Connections from the port, without a listener there, that wait out their end.")
    time_wait_ms: int | None = metric("Milliseconds until the last of them is gone; null if there is none.")
    refused: tuple[Refusal, ...] = detail("Better sources that could not be had, best first.")


RECORD, SUMMARY = WhoRecord, WhoSummary
