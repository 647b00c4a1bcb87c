"""The way to a loopback address: does its traffic stay on this host, and by which hops does it go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.hops.options import TraceOptions
from lodiag.hops.tracing import trace_address
from lodiag.system import System
from lodiag.targets import resolve_target

if TYPE_CHECKING:
    from lodiag.model import Report
    from lodiag.model.trace import HopRecord, TraceSummary


def trace_route(  # noqa: PLR0913 - traceroute has this many options
    target: str = "localhost",
    *,
    method: str = "auto",
    first_hop: int = 1,
    max_hops: int = 30,
    queries: int | None = None,
    timeout_s: float = 1.0,
    deadline_s: float = 2.0,
    port: int | None = None,
    family: str | None = None,
    with_mtu: bool = False,
    system: System | None = None,
) -> Report[HopRecord, TraceSummary]:
    """Trace the way to a loopback address and report each hop.

    Args:
        target: A name or an address; of a name the first address that the resolver gives is traced.
        method: See ``TraceOptions``, as for all that follow.
        first_hop: TTL to begin with.
        max_hops: TTL to end with.
        queries: Probes per hop.
        timeout_s: Seconds to wait for an answer.
        deadline_s: Seconds after which the whole trace ends.
        port: Destination port of udp and tcp probes.
        family: ``ipv4``, ``ipv6``, or ``None`` for either.
        with_mtu: Whether to look for the largest packet that passes unfragmented.
        system: The machine; a test's own stands in for it.

    Returns:
        A report with one ``HopRecord`` per hop and method. Silent hops are kept, with a null address. A target
        that was not reached, and any sign that its traffic leaves this host, are failed findings.

    Raises:
        TargetError: The target is malformed, unknown, or not on the loopback; nothing was sent.
        ConfigError: An option is out of range; nothing was sent.
        PrivilegeError: Every method was refused; nothing was sent.

    """
    options = TraceOptions(
        method=method,
        first_hop=first_hop,
        max_hops=max_hops,
        queries=queries,
        timeout_s=timeout_s,
        deadline_s=deadline_s,
        port=port,
        family=family,
        with_mtu=with_mtu,
    )
    machine = system or System()
    return trace_address(target, resolve_target(target, family, machine)[0], options, machine)
