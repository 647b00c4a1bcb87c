"""Which services are on the loopback alone, and which other hosts may reach."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from lodiag.bindings.baseline import read_baseline
from lodiag.bindings.peers import Peers, count_peers, place_of
from lodiag.dataclass import replace
from lodiag.judge.audit import Audit, judge_audit, tell_verdict
from lodiag.judge.exposure import classify, is_of_loopback
from lodiag.judge.servers import identify
from lodiag.model import Missing, Refusal
from lodiag.model.audit import EXPOSURES, AuditCount, AuditForward, AuditRecord, AuditSummary
from lodiag.report import ReportMaker
from lodiag.sockets.describing import HIDDEN, LISTENING, Describer
from lodiag.sockets.options import STATES, ConnsOptions
from lodiag.system import System
from lodiag.system.facts import Question

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lodiag.bindings.policy import Expectation
    from lodiag.model import Report
    from lodiag.model.conns import ConnRecord
    from lodiag.system.facts import Forward, Forwards, Namespaces, Opening, SocketTable

ASKED = Question(states=frozenset(STATES) - {"bound"}, everywhere=True)
"""All that listens, and all connections, wherever they come from."""


def audit_bindings(  # noqa: PLR0913 - what it is judged by, and how it is read
    *,
    expect: Sequence[str] = (),
    file: str | None = None,
    baseline: str | None = None,
    with_cmdline: bool = False,
    source: str | None = None,
    system: System | None = None,
) -> Report[AuditRecord, AuditSummary]:
    """Find out which sockets of this network namespace other hosts may reach, and which are on the loopback alone.

    Args:
        expect: Expectations, each as ``5432=loopback``: a port, a range of them, ``any`` for those that no other names,
            or ``new`` for those that the baseline has not; ``/tcp`` or ``/udp`` if only one of them is meant; then the
            exposures that are allowed, or ``loopback``, ``wildcard``, ``exposed`` for several, ``none`` for nothing.
        file: A TOML file with such expectations as ``[[audit]]`` tables; ``-`` for standard input.
        baseline: A file that holds an earlier report in JSON, with which this one is compared.
        with_cmdline: Whether to tell the owners' command lines, which may hold secrets.
        source: ``sock_diag``, ``proc`` or ``psutil``; ``None`` for the best that is to be had.
        system: The machine; a test's own stands in for it.

    Returns:
        A report with one ``AuditRecord`` per TCP listener and UDP socket without a peer, the most exposed first. An
        expectation that does not hold is a failed finding, or a warning if the file says so.

    Raises:
        ConfigError: An expectation, the file, or the baseline cannot be used.
        UnsupportedError: The socket table cannot be read.

    """
    options = ConnsOptions(source=source, with_cmdline=True)  # by which servers are told; taken out again below
    machine = system or System()
    expected = _read_expectations(expect, file, baseline, machine)
    earlier = None if baseline is None else read_baseline(baseline, _read_range(machine))
    maker = ReportMaker("audit", machine)
    table = machine.list_sockets(source, ASKED)
    around = _look_around(machine)
    records = _make_records(table, options, machine, around)
    records.sort(key=_order)
    if earlier is not None:
        records = [replace(record, since_baseline=earlier.compare(record)) for record in records]
    judged = judge_audit(Audit(records, expected, around.openings or (), around.forwards.rules or (), table.source))
    summary = AuditSummary(
        verdict=tell_verdict(records, len(expected), judged.unmet),
        sockets=len(records),
        exposed=sum(record.exposed for record in records),
        counts=tuple(_count(records)),
        interfaces_up=around.interfaces,
        forwards=None if around.forwards.rules is None else tuple(map(_tell_forward, around.forwards.rules)),
        file=file,
        expectations=len(expected),
        unmet=len(judged.unmet),
        baseline_at=None if earlier is None else earlier.made_at,
        refused=tuple(Refusal(method=name, why=reason) for name, reason in table.refused),
    )
    return maker.make(
        source=table.source,
        summary=summary,
        records=records if with_cmdline else [_hide_cmdline(record) for record in records],
        findings=judged.findings,
        missing=list(_find_missing(table, records, around)),
    )


def _read_expectations(
    words: Sequence[str], file: str | None, baseline: str | None, system: System
) -> Sequence[Expectation]:
    if not words and file is None:
        return ()
    from lodiag.bindings.policy import read_expectations

    return read_expectations(words, file, has_baseline=baseline is not None, system=system)


class _Around(NamedTuple):
    """What else decides who reaches a socket, and what is not seen.

    ``loopbacks`` and ``interfaces`` are the names of those that are the loopback's, and of the others that are up;
    ``places`` are the interfaces that addresses are on. ``None`` where that is not told.
    """

    openings: tuple[Opening, ...] | None
    forwards: Forwards
    namespaces: Namespaces
    loopbacks: frozenset[str]
    interfaces: tuple[str, ...] | None
    places: Mapping[str, str] | None


def _look_around(system: System) -> _Around:
    links, addresses = system.list_links(), system.list_addresses()
    names = {link.ifindex: link.ifname for link in links or ()}
    loopbacks = frozenset(interface.name for interface in system.list_loopback_interfaces() or ())
    return _Around(
        openings=system.find_openings(),
        forwards=system.read_forwards(),
        namespaces=system.count_namespaces(),
        loopbacks=loopbacks,
        interfaces=None
        if links is None
        else tuple(link.ifname for link in links if link.is_up and link.ifname not in loopbacks),
        places=None if addresses is None else {item.local: names.get(item.ifindex, "") for item in addresses},
    )


def _read_range(system: System) -> range:
    """Ports that the kernel gives to those who ask for none."""
    setting = system.read_socket_settings().get("port-range")
    words = (setting.value if setting and setting.value else "").split()
    return range(int(words[0]), int(words[1]) + 1) if len(words) == len(("first", "last")) else range(0)


def _order(record: AuditRecord) -> tuple[object, ...]:
    return (
        not record.exposed,
        EXPOSURES.index(record.exposure),
        record.local.port,
        record.proto,
        record.family,
        record.local.address,
        record.inode or 0,
    )


def _make_records(table: SocketTable, options: ConnsOptions, system: System, around: _Around) -> list[AuditRecord]:
    rows = [row for row in table.sockets if row.state in LISTENING and row.local[1]]
    describer = Describer(system, options)
    described = [describer.describe(row, owners) for row, owners in zip(rows, describer.find_owners(rows), strict=True)]
    peers = count_peers(rows, table.sockets, around.places, system)
    return [_make_record(found, peers.get(place_of(row)), around) for row, found in zip(rows, described, strict=True)]


def _make_record(found: ConnRecord, peers: Peers | None, around: _Around) -> AuditRecord:
    exposure = classify(found, around.loopbacks)
    opened_by = tuple(_find_openers(found, exposure, around))
    exposed = not is_of_loopback(exposure) or bool(opened_by)
    owners = [(owner.process, owner.cmdline) for owner in found.owners or ()]
    server, told_by = identify(owners, found.unit, found.user, found.local.port) or (None, None)
    seen = peers or (Peers(0, 0, 0) if found.proto == "tcp" else None)
    return AuditRecord(
        proto=found.proto,
        family=found.family,
        state=found.state,
        local=found.local,
        exposure=exposure,
        exposed=exposed,
        opened_by=opened_by,
        interface=found.interface,
        address_interface=(around.places or {}).get(found.local.address) or None,
        v6only=found.v6only,
        owners=found.owners,
        uid=found.uid,
        user=found.user,
        cgroup=found.cgroup,
        unit=found.unit,
        container=found.container,
        software=server,
        identified_by=told_by,
        peers=None if seen is None else seen.all,
        local_peers=None if seen is None else seen.local,
        loopback_peers=None if seen is None else seen.by_loopback,
        could_be_loopback=seen.all == seen.local if exposed and seen is not None and seen.all else None,
        since_baseline=None,
        inode=found.inode,
        cookie=found.cookie,
    )


def _find_openers(found: ConnRecord, exposure: str, around: _Around) -> Iterator[str]:
    """Name what lets neighbours reach a socket of 127.0.0.0/8."""
    if found.interface is not None or exposure not in {"loopback-ipv4", "loopback-other"} or not around.openings:
        return
    yield from dict.fromkeys(opening.setting.name for opening in around.openings)
    for forward in around.forwards.rules or ():
        is_there = forward.address == found.local.address and forward.port in {None, found.local.port}
        if is_there and forward.proto in {None, found.proto}:
            yield forward.rule


def _hide_cmdline(record: AuditRecord) -> AuditRecord:
    if not record.owners:
        return record
    return replace(record, owners=tuple(owner._replace(cmdline=None) for owner in record.owners))


def _count(records: Sequence[AuditRecord]) -> Iterator[AuditCount]:
    tally = Counter((record.proto, record.exposure) for record in records)
    for (proto, exposure), number in sorted(tally.items(), key=lambda item: (item[0][0], EXPOSURES.index(item[0][1]))):
        yield AuditCount(proto=proto, exposure=exposure, sockets=number)


def _find_missing(table: SocketTable, records: Sequence[AuditRecord], around: _Around) -> Iterator[Missing]:
    """Say what is not seen from here, so that an empty table is not read as a machine that nobody reaches."""
    if table.partial:
        yield table.partial
    hidden = sum(record.owners is None for record in records)
    if hidden:
        yield Missing(what="owners", count=hidden, why=HIDDEN)
    if "interface" in table.lacks and records:
        why = f"the source {table.source} does not tell them: a socket may be less exposed than it is shown"
        yield Missing(what="interfaces that sockets are bound to", count=None, why=why)
    if around.openings is None:
        why = "this system does not let them be read"
        yield Missing(what="settings by which neighbours reach 127.0.0.0/8", count=None, why=why)
    if around.forwards.untold is not None:
        why = f"{around.forwards.untold}; such a port, as containers publish it, needs no socket"
        yield Missing(what="ports that the packet filter forwards", count=None, why=why)
    others, is_whole = around.namespaces
    if others or not is_whole:
        number = f"{others} more" if is_whole else f"{others} more, or others," if others else "others"
        verb = "is" if is_whole and others == 1 else "are" if others else "may be"
        why = f"{number} {verb} in use, as containers have them: run lodiag in each, as by nsenter -t PID -n"
        yield Missing(what="sockets of other network namespaces", count=None, why=why)
    why = "its rules are not evaluated, and neither are eBPF programs: what is exposed here may be shut off there"
    yield Missing(what="what a packet filter keeps out", count=None, why=why)


def _tell_forward(rule: Forward) -> AuditForward:
    port = "" if rule.port is None else f":{rule.port}"
    address = rule.address if rule.address is None or not port or ":" not in rule.address else f"[{rule.address}]"
    to = None if address is None else f"{address}{port}"
    return AuditForward(rule=rule.rule, proto=rule.proto, ports=rule.ports, address=rule.at, to=to)
