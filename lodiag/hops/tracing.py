"""One trace to one address: its paths, the kernel's route beside them, and the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.clock import NS_PER_S
from lodiag.dataclass import replace
from lodiag.hops.mtu import find_path_mtu
from lodiag.hops.paths import find_paths
from lodiag.judge.silence import UNSEEN_INTERFACES, Surroundings
from lodiag.judge.trace import judge_trace
from lodiag.model import Missing
from lodiag.model.trace import TraceSummary
from lodiag.report import ReportMaker
from lodiag.targets import family_of, is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.hops.options import TraceOptions
    from lodiag.hops.paths import Path
    from lodiag.model import Refusal, Report
    from lodiag.model.net import RouteAnswer
    from lodiag.model.trace import HopRecord
    from lodiag.system import System
    from lodiag.system.facts import Interface


def trace_address(target: str, address: str, options: TraceOptions, system: System) -> Report[HopRecord, TraceSummary]:
    """Trace the way to an address, a literal, that ``target`` was found to be."""
    maker = ReportMaker("trace", system)
    end_ns = maker.started_ns + round(options.deadline_s * NS_PER_S)
    paths, refused = find_paths(system, address, options, end_ns)
    summary = _sum_up(target, address, paths, refused)
    route = _look_up_route(system, address, paths)  # before the kernel learns of the path's mtu
    records = [record for path in paths for record in path.records]
    path_mtu = None
    if options.with_mtu:
        path_mtu = find_path_mtu(system, address, end_ns)
        records = [replace(record, mtu_bytes=path_mtu.told.get(record.address or "")) for record in records]
    interfaces = system.list_loopback_interfaces()
    interface = _find_interface(interfaces, address)
    summary = replace(
        summary,
        interface=interface.name if interface else None,
        mtu_bytes=interface.mtu_bytes if interface else None,
        path_mtu_bytes=path_mtu.mtu_bytes if path_mtu else None,
        path_mtu_status=path_mtu.status if path_mtu else None,
        route=route,
    )
    settings = system.read_settings(interfaces[0].name if interfaces else None)
    around = Surroundings(interfaces=interfaces, settings=settings)
    return maker.make(
        source=summary.method,
        summary=summary,
        records=records,
        findings=judge_trace(summary, records, options, around),
        missing=[*_list_untried(summary, options), *([UNSEEN_INTERFACES] if interfaces is None else [])],
    )


def _sum_up(target: str, address: str, paths: Sequence[Path], refused: Sequence[Refusal]) -> TraceSummary:
    """Sum up what the probes saw."""
    first = next((path for path in paths if path.hops is not None), paths[0])
    is_one = len(paths) == 1
    return TraceSummary(
        target=target,
        address=address,
        method=first.method if is_one else "all",
        reached=first.hops is not None,
        hops=first.hops,
        interface=None,
        mtu_bytes=None,
        path_mtu_bytes=None,
        path_mtu_status=None,
        port=first.port if is_one else None,
        route=None,
        methods=tuple(path.describe() for path in paths),
        refused=tuple(refused),
    )


def _look_up_route(system: System, address: str, paths: Sequence[Path]) -> RouteAnswer | None:
    """Ask which way a probe goes; where there are several kinds, which way any packet does."""
    if len(paths) > 1:
        return system.look_up_route(address)
    kind = paths[0].method.partition("-")[0]
    proto = "ipv6-icmp" if kind == "icmp" and family_of(address) == "ipv6" else kind
    return system.look_up_route(address, proto=proto, port=paths[0].port)


def _list_untried(summary: TraceSummary, options: TraceOptions) -> Iterator[Missing]:
    """Say which of several methods could not be compared, and that the mtu was not found."""
    tried = {found.method for found in summary.methods}
    for ladder in options.ladders:
        if not tried & set(ladder):
            why = "; ".join(f"{r.method}: {r.why}" for r in summary.refused if r.method in ladder)
            yield Missing(what=f"the way by {ladder[0].partition('-')[0]}", count=None, why=why)
    if summary.path_mtu_status == "unanswered":
        yield Missing(what="the mtu of the path", count=None, why="UDP packets without fragments were not answered")


def _find_interface(interfaces: tuple[Interface, ...] | None, address: str) -> Interface | None:
    """Loopback interface that has a loopback address of this family."""
    for interface in interfaces or ():
        if any(is_loopback(own) and family_of(own) == family_of(address) for own in interface.addresses):
            return interface
    return None
