"""Sockets that use the loopback or answer on it: their state, their ends, their owners."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.limits import require_choice
from lodiag.sockets.listing import list_chosen
from lodiag.sockets.options import ConnsOptions, parse_address, parse_state
from lodiag.sockets.ordering import SORT_KEYS
from lodiag.system import System

if TYPE_CHECKING:
    from collections.abc import Collection

    from lodiag.model import Report
    from lodiag.model.conns import ConnRecord, ConnsSummary


def list_connections(  # noqa: PLR0913 - netstat has this many options
    *,
    proto: str | None = None,
    family: str | None = None,
    states: Collection[str] | None = None,
    port: int | None = None,
    local_port: int | None = None,
    remote_port: int | None = None,
    local_address: str | None = None,
    pid: int | None = None,
    process: str | None = None,
    user: str | None = None,
    unit: str | None = None,
    wildcard: bool = True,
    with_process: bool = True,
    with_cmdline: bool = False,
    with_tcp: bool = False,
    with_findings: bool = False,
    sort: str = "state",
    source: str | None = None,
    system: System | None = None,
) -> Report[ConnRecord, ConnsSummary]:
    """List the TCP and UDP sockets of which an end is on the loopback, and the wildcard ones that answer on it.

    Args:
        proto: See ``ConnsOptions``, as for all that follow.
        family: ``ipv4`` or ``ipv6``, of the socket; ``None`` for both.
        states: States to show; ``None`` for all.
        port: Port that either end must have.
        local_port: Port that this end must have.
        remote_port: Port that the other end must have.
        local_address: Address that this end must have.
        pid: Process that must own the socket.
        process: Text that an owner's name must contain, in any case.
        user: Name or number of the user who made the socket, or whose process owns it.
        unit: Text that the socket's systemd unit, or its container's id, must contain.
        wildcard: Whether to show sockets bound to every address.
        with_process: Whether to resolve owners; otherwise they are ``None``.
        with_cmdline: Whether to read the owners' command lines, which may hold secrets.
        with_tcp: Whether to ask what the kernel measured of connections; otherwise ``tcp`` is ``None``.
        with_findings: Whether to judge the sockets, with knowledge of all others, and not only to list them. It takes a
            second reading a moment later, and implies ``with_tcp``.
        sort: A key of ``SORT_KEYS``; equal rows go by port, then by all else, so that the order is stable.
        source: ``sock_diag``, ``proc`` or ``psutil``; ``None`` for the best that is to be had.
        system: The machine; a test's own stands in for it.

    Returns:
        A report with one ``ConnRecord`` per socket. Owners that may not be seen are ``None``, and counted in
        ``missing``; a socket that no process holds has none: ``()``, and ``no_owner`` says why. Findings are those
        about any of the sockets listed.

    Raises:
        ConfigError: A filter is out of range.
        UnsupportedError: The socket table cannot be read.

    """
    options = ConnsOptions(
        proto=proto,
        family=family,
        states=None if states is None else frozenset(parse_state(state) for state in states),
        port=port,
        local_port=local_port,
        remote_port=remote_port,
        local_address=None if local_address is None else parse_address(local_address),
        pid=pid,
        process=process,
        user=user,
        unit=unit,
        wildcard=wildcard,
        with_process=with_process,
        with_cmdline=with_cmdline,
        with_tcp=with_tcp,
        with_findings=with_findings,
        source=source,
    )
    require_choice("sort", sort, SORT_KEYS)
    return list_chosen(options, sort, system or System())
