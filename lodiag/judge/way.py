"""Whether traffic to a loopback address stays on this host, by what answered it, from where, and by the route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.judge.silence import LOOK_AT_ROUTES, LOOK_AT_RULES, tell
from lodiag.model import Evidence, Finding
from lodiag.targets import family_of, is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.hops.options import TraceOptions
    from lodiag.judge.silence import Surroundings
    from lodiag.model.trace import HopProbe, HopRecord, TraceSummary
    from lodiag.system.facts import Setting

_INITIAL_TTLS = (64, 128, 255)
"""What systems send answers with: Linux, the BSDs and macOS, Windows, and many a router, in this order."""


def judge_way(
    summary: TraceSummary, records: Sequence[HopRecord], options: TraceOptions, around: Surroundings
) -> Iterator[Finding]:
    """Judge where the traffic goes: off this host, in circles, past routers that keep silent, under another TTL."""
    local = {interface.name for interface in around.interfaces or ()}
    signs = list(_list_signs(summary, records, local))
    if signs:
        yield _judge_leaving(summary, records, signs, local)
    elif summary.hops is not None and summary.hops > options.first_hop:
        yield _judge_distance(summary, records)
    yield from _judge_contradiction(summary, records, local)
    loops = list(_judge_loop(summary, records))
    yield from loops
    if signs:
        yield from () if loops else _judge_distance_back(summary, records)
    else:
        yield from _judge_ttl(summary, records, around.settings.get(f"default-ttl-{family_of(summary.address)}"))


def _list_signs(summary: TraceSummary, records: Sequence[HopRecord], local: set[str]) -> Iterator[Evidence]:
    """List what shows that traffic leaves this host."""
    met: set[str | None] = {None}
    for record in records:
        stranger = next((p.address for p in record.probes if p.address not in {None, summary.address}), None)
        is_passed_on = any(p.status == "ttl-exceeded" for p in record.probes)
        address = stranger or (f"{summary.address}, TTL exceeded" if is_passed_on else None)
        if address not in met:
            met.add(address)
            yield Evidence(name=f"hop {record.hop}", value=address, source=f"{record.method} probe")
    for interface, record in _list_arrivals(records).items():
        if local and interface not in local:
            yield Evidence(name="answers come in by", value=interface, source=f"{record.method} probe")
    yield from _tell_route(summary, records, local)


def _tell_route(summary: TraceSummary, records: Sequence[HopRecord], local: set[str]) -> Iterator[Evidence]:
    """Tell what the route and the own address say, unless all answers come by the loopback all the same."""
    arrivals = set(_list_arrivals(records))
    if arrivals and arrivals <= local:
        return
    route = summary.route
    if route is not None and route.type == "unicast":
        via = f" via {route.gateway}" if route.gateway else ""
        yield Evidence(name="route", value=f"unicast{via} dev {route.dev}", source="rtnetlink")
    elif route is None and not arrivals:
        for found in summary.methods:
            if found.source_address is not None and not is_loopback(found.source_address):
                yield Evidence(name="own address", value=found.source_address, source=f"{found.method} socket")
                return


def _list_arrivals(records: Sequence[HopRecord]) -> dict[str, HopRecord]:
    """Interfaces by which answers came in, each with a hop that did."""
    return {p.interface: record for record in reversed(records) for p in record.probes if p.interface is not None}


def _judge_leaving(
    summary: TraceSummary, records: Sequence[HopRecord], signs: Sequence[Evidence], local: set[str]
) -> Finding:
    away = sorted(set(_list_arrivals(records)) - local) if local else []
    route = summary.route
    if away:
        how = f"leaves this host: its answers come in by {' and '.join(away)}, not by the loopback"
    elif route is not None and route.type == "unicast":
        how = f"leaves this host: the kernel's route to it leads to {route.gateway or route.dev}"
    else:
        how = "leaves this host or is redirected: loopback is one hop away"
    hops = Evidence(name="hops", value=summary.hops, source=_name_source(summary))
    return _make("leaves-loopback", "fail", summary, f"traffic to {summary.address} {how}", (hops, *signs))


def _judge_distance(summary: TraceSummary, records: Sequence[HopRecord]) -> Finding:
    """Say that only a far hop answers, which a router that keeps silent can cause, or the loss of many probes."""
    asked = sum(record.sent for record in records if record.hop < (summary.hops or 0))
    evidence = (
        Evidence(name="hops", value=summary.hops, source=_name_source(summary)),
        Evidence(name="nearer probes", value=f"{asked} sent, 0 answered", source=_name_source(summary)),
    )
    message = f"{summary.address} answers at hop {summary.hops} and no nearer, though loopback is one hop away"
    hint = "Its traffic passes routers that keep silent, or most probes are lost: look at routes and packet filter."
    return _make("nearer-hops-silent", "fail", summary, message, evidence, hint)


def _judge_contradiction(summary: TraceSummary, records: Sequence[HopRecord], local: set[str]) -> Iterator[Finding]:
    """Say that answers come in where the route does not lead: address translation does that."""
    route, arrivals = summary.route, _list_arrivals(records)
    if route is None or route.dev is None or not arrivals or not local:
        return
    is_local = route.type == "local"
    if is_local == (set(arrivals) <= local) and (is_local or route.dev in arrivals):
        return
    came = " and ".join(sorted(arrivals))
    message = f"the kernel's route to {summary.address} leads to {route.dev}, but its answers come in by {came}"
    evidence = (
        Evidence(name="route", value=f"{route.type} dev {route.dev}", source="rtnetlink"),
        Evidence(name="answers come in by", value=came, source=_name_source(summary)),
    )
    hint = "The packet filter rewrites addresses (NAT), which no routing table shows: look at its rules."
    yield _make("route-contradicted", "warn", summary, message, evidence, hint)


def _judge_loop(summary: TraceSummary, records: Sequence[HopRecord]) -> Iterator[Finding]:
    """Find a router that is met at two distances with another hop between: each passes the packets back."""
    for method in dict.fromkeys(record.method for record in records):
        met: dict[str, list[int]] = {}
        for record in records:
            if record.method == method and record.address not in {None, summary.address}:
                met.setdefault(str(record.address), []).append(record.hop)
        looping = {address: hops for address, hops in met.items() if hops[-1] - hops[0] > 1}
        if looping and not summary.reached:
            routers = " and ".join(looping)
            message = f"traffic to {summary.address} goes round in circles: {routers} pass it to one another"
            evidence = tuple(
                Evidence(name=address, value=f"at hops {', '.join(map(str, hops))}", source=f"{method} probe")
                for address, hops in looping.items()
            )
            yield _make("routing-loop", "fail", summary, message, evidence, LOOK_AT_ROUTES)


def _judge_ttl(summary: TraceSummary, records: Sequence[HopRecord], setting: Setting | None) -> Iterator[Finding]:
    """Say that answers on the loopback do not have the TTL that this host sends with."""
    usual = setting.value if setting else None
    for record, probe in _list_timed(records):
        if usual is not None and setting is not None and str(probe.reply_ttl) != usual:
            message = f"answers from {summary.address} have a TTL of {probe.reply_ttl}; this host sends with {usual}"
            evidence = (
                Evidence(name="reply_ttl", value=probe.reply_ttl, source=f"{record.method} probe"),
                tell(setting),
            )
            hint = f"Something rewrites it, or they come from elsewhere. {LOOK_AT_RULES}"
            yield _make("unexpected-ttl", "warn", summary, message, evidence, hint)
            return


def _judge_distance_back(summary: TraceSummary, records: Sequence[HopRecord]) -> Iterator[Finding]:
    """Say that an answer has come over more hops, or fewer, than the probe went: the TTL tells."""
    answered = {(record.method, record.hop) for record in records if record.received} | {
        (record.method, 0) for record in records
    }
    for record, probe in _list_timed(records):
        ttl = probe.reply_ttl or 0
        back = next(initial for initial in _INITIAL_TTLS if initial >= ttl) - ttl + 1
        # Behind a hop that was not asked, or that keeps silent, the distance is not certain.
        if back != record.hop and (record.method, record.hop - 1) in answered:
            message = f"{probe.address} answers at hop {record.hop}, but by the answer's TTL it is {back} hops away"
            evidence = (
                Evidence(name="hop", value=record.hop, source=f"{record.method} probe"),
                Evidence(name="reply_ttl", value=ttl, source=f"{record.method} probe"),
            )
            hint = "The TTL is rewritten on the way, or the way back is another one. " + LOOK_AT_RULES
            yield _make("unexpected-ttl", "warn", summary, message, evidence, hint)
            return


def _list_timed(records: Sequence[HopRecord]) -> Iterator[tuple[HopRecord, HopProbe]]:
    """Probes whose answers had a TTL, with their hops: a rejection may come from nearer than where it is told."""
    for record in records:
        for probe in record.probes:
            if probe.reply_ttl is not None and probe.status in {"reached", "ttl-exceeded"}:
                yield record, probe


def _name_source(summary: TraceSummary) -> str:
    return "probes" if summary.method == "all" else f"{summary.method} probe"


def _make(  # noqa: PLR0913, PLR0917 - what differs between findings
    code: str,
    severity: str,
    summary: TraceSummary,
    message: str,
    evidence: tuple[Evidence, ...],
    hint: str = "Look at the routes, at the rules that choose among them, and at the packet filter.",
) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        subject=summary.address,
        message=message,
        evidence=evidence,
        hint=hint,
        fix=None,
        see=(),
    )
