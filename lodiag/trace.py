"""The way to a loopback address: does its traffic stay on this host, and by which hops does it go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lodiag.clock import NS_PER_S
from lodiag.errors import PrivilegeError
from lodiag.hops import HopWalk, describe_unsent
from lodiag.judge.silence import UNSEEN_INTERFACES, Surroundings
from lodiag.judge.trace import judge_trace
from lodiag.model import Refusal
from lodiag.model.trace import TraceSummary
from lodiag.options import TraceOptions
from lodiag.report import ReportMaker
from lodiag.system import System
from lodiag.system.probe import MethodRefusedError, SendError
from lodiag.targets import family_of, is_loopback, resolve_target

if TYPE_CHECKING:
    from lodiag.model import Report
    from lodiag.model.trace import HopRecord
    from lodiag.system.facts import Interface
    from lodiag.system.probe import ProbeSocket

PAYLOAD_BYTES = 32


@dataclass(slots=True)
class _Path:
    """What was learned on the way to an address."""

    method: str
    port: int | None
    refused: list[Refusal]
    records: list[HopRecord]


def trace_route(  # noqa: PLR0913 - traceroute has this many options
    target: str = "localhost",
    *,
    method: str = "auto",
    first_hop: int = 1,
    max_hops: int = 30,
    queries: int = 3,
    timeout_s: float = 1.0,
    deadline_s: float = 5.0,
    port: int | None = None,
    family: str | None = None,
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
        system: The machine; a test's own stands in for it.

    Returns:
        A report with one ``HopRecord`` per hop. Silent hops are kept, with a null address. A target that
        was not reached, and any hop that is not the target, are failed findings.

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
    )
    machine = system or System()
    address = resolve_target(target, family, machine)[0]
    maker = ReportMaker("trace", machine)
    path = _walk(machine, address, options, maker.started_ns + round(deadline_s * NS_PER_S))
    interfaces = machine.list_loopback_interfaces()
    interface = _find_interface(interfaces, address)
    reached = next((r.hop for r in path.records if any(p.status == "reached" for p in r.probes)), None)
    summary = TraceSummary(
        target=target,
        address=address,
        method=path.method,
        reached=reached is not None,
        hops=reached,
        interface=interface.name if interface else None,
        mtu_bytes=interface.mtu_bytes if interface else None,
        port=path.port,
        refused=tuple(path.refused),
    )
    settings = machine.read_settings(interfaces[0].name if interfaces else None)
    findings = judge_trace(summary, path.records, options, Surroundings(interfaces=interfaces, settings=settings))
    return maker.make(
        source=path.method,
        summary=summary,
        records=path.records,
        findings=findings,
        missing=[UNSEEN_INTERFACES] if interfaces is None else [],
    )


def _walk(system: System, address: str, options: TraceOptions, end_ns: int) -> _Path:
    """Walk by the first method that is not refused."""
    refused: list[Refusal] = []
    for method in options.ladder:
        try:
            probe = _open(system, method, address, options.port)
        except MethodRefusedError as refusal:
            refused.append(Refusal(method=method, reason=str(refusal)))
        except SendError as error:
            unsent = describe_unsent(options.first_hop, method, options.queries, error)
            return _Path(method, options.port, refused, [unsent])
        else:
            walk = HopWalk(probe, system, queries=options.queries, timeout_s=options.timeout_s, end_ns=end_ns)
            try:
                walk.walk(options.first_hop, options.max_hops)
            finally:
                probe.close()
            return _Path(probe.method, probe.port, refused, walk.records())
    reasons = "; ".join(f"{r.method}: {r.reason}" for r in refused)
    message = f"no socket to trace {address} with may be opened: {reasons}"
    raise PrivilegeError(message, "Try --method udp or tcp, which need no privilege.")


def _open(system: System, method: str, address: str, port: int | None) -> ProbeSocket:
    return system.open_probe(method, family_of(address), address, source=None, size_bytes=PAYLOAD_BYTES, port=port)


def _find_interface(interfaces: tuple[Interface, ...] | None, address: str) -> Interface | None:
    """Loopback interface that has a loopback address of this family."""
    for interface in interfaces or ():
        if any(is_loopback(own) and family_of(own) == family_of(address) for own in interface.addresses):
            return interface
    return None
