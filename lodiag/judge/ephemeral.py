"""Whether there are ports left for clients: by the rule of the kernel's connect, not by counting what waits."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from lodiag.judge.snapshot import Judgement, Listeners, name_end
from lodiag.model import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lodiag.judge.snapshot import Snapshot
    from lodiag.model.conns import ConnRecord, Endpoint

NEARLY_EXHAUSTED = 0.8
"""Part of the ports from which few are left."""

TIME_WAIT_MS = 60_000
"""TCP_TIMEWAIT_LEN in Linux's include/net/tcp.h."""

REUSE_DELAY_MS = 1000
"""After which a port that waits may be taken again, in kernels that have no parameter for it."""

DEFAULT_PORTS = 28_232
"""As many has the range that Linux comes with, 32768 to 60999 (Documentation/networking/ip-sysctl.rst)."""


class _Rule(NamedTuple):
    """Which ports the kernel gives to clients, and when one that waits out its end may be taken again."""

    ports: frozenset[int]
    delay_ms: int | None
    """``None`` if none may be taken before its end."""
    is_narrow: bool
    """Whether there are fewer than in the range that Linux comes with."""


class _Use(NamedTuple):
    """Ports from which nothing more can be connected to one destination."""

    live: int
    waiting: int

    @property
    def used(self) -> int:
        return self.live + self.waiting


def judge_ephemeral_ports(snapshot: Snapshot, nearly: float = NEARLY_EXHAUSTED) -> Iterator[Judgement]:
    """Find destinations to which no port, or few, are left to connect from.

    A port is used up for one source, destination and destination port: by a connection, or by one in TIME_WAIT that may
    not be taken again yet (tcp_twsk_unique in Linux's net/ipv4/tcp_ipv4.c). A port that is bound or listens is used up
    for all (__inet_hash_connect). Those that wait at the server's end are in nobody's way.
    """
    rule = _read_rule(snapshot)
    held = snapshot.held_ports
    if rule is None or not rule.ports - held:
        return
    rule = rule._replace(ports=rule.ports - held)
    for (source, target), rows in _group(snapshot.records).items():
        if len(rows) < nearly * len(rule.ports):
            continue
        key = source, target
        uses = [_count(rows, rule)]
        if snapshot.later is not None:
            later = _group(list(snapshot.later.values())).get(key, [])
            uses.append(_count(later, rule))
        use = min(uses, key=lambda one: one.used)
        if use.used >= nearly * len(rule.ports):
            yield _judge_use(source, rows, use, rule, snapshot)


def _read_rule(snapshot: Snapshot) -> _Rule | None:
    span, reserved = snapshot.read_range(), snapshot.settings.get("reserved-ports")
    reuse = snapshot.read_number("reuse-of-waiting")
    if not span or reuse is None:
        return None
    ports = frozenset(span) - parse_ports(reserved.value if reserved else None)
    delay = snapshot.read_number("reuse-delay")
    may_reuse = reuse > 0 and snapshot.read_number("timestamps") != 0
    delay = REUSE_DELAY_MS if delay is None else delay
    return _Rule(ports, delay if may_reuse else None, len(span) < DEFAULT_PORTS)


def parse_ports(text: str | None) -> frozenset[int]:
    """Ports of a list such as ``8080,9000-9005``."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.strip().partition("-")
        if first:
            found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _group(records: Sequence[ConnRecord]) -> Mapping[tuple[str, tuple[str, int]], list[ConnRecord]]:
    """TCP sockets that have a peer, by their own address and the peer's end."""
    groups: dict[tuple[str, tuple[str, int]], list[ConnRecord]] = defaultdict(list)
    for row in records:
        if row.proto == "tcp" and row.remote is not None:
            groups[row.local.address, (row.remote.address, row.remote.port)].append(row)
    return groups


def _count(rows: Sequence[ConnRecord], rule: _Rule) -> _Use:
    live = {row.local.port for row in rows if row.state != "time-wait"} & rule.ports
    waiting = {row.local.port for row in rows if row.state == "time-wait" and _blocks(row, rule)} & rule.ports
    return _Use(len(live), len(waiting - live))


def _blocks(row: ConnRecord, rule: _Rule) -> bool:
    return rule.delay_ms is None or (row.timer_ms is not None and TIME_WAIT_MS - row.timer_ms <= rule.delay_ms)


def _judge_use(source: str, rows: Sequence[ConnRecord], use: _Use, rule: _Rule, snapshot: Snapshot) -> Judgement:
    ports = len(rule.ports)
    # The kernel looks at an even number of ports, so of an odd one it may miss the last.
    is_exhausted = use.used >= ports - ports % 2
    target: Endpoint = rows[0].remote or rows[0].local
    culprit, hint = _find_culprit(use, rule, snapshot)
    shown = [role for role in _SHOWN if role != culprit] + ([culprit] if culprit else [])
    facts = [snapshot.settings[role] for role in shown if role in snapshot.settings]
    words = f"ports from which {source} can connect to {name_end(target)}"
    evidence = (
        Evidence(name="ports used", value=use.used, source=snapshot.source),
        Evidence(name="of these in use", value=use.live, source=snapshot.source),
        Evidence(name="of these in time-wait, not to be taken yet", value=use.waiting, source=snapshot.source),
        Evidence(name="ports for clients", value=ports, source="kernel parameters"),
        *(Evidence(name=fact.name, value=fact.value, source="kernel parameter") for fact in facts if fact.value),
    )
    finding = (
        Finding(
            code="ephemeral-exhausted",
            severity="fail",
            subject=name_end(target),
            message=f"all {ports} {words} are used up: connect fails with EADDRNOTAVAIL",
            evidence=evidence,
            hint=hint,
            fix=None,
            see=("RFC 6056 2.2",),
        )
        if is_exhausted
        else Finding(
            code="ephemeral-low",
            severity="warn",
            subject=name_end(target),
            message=f"{use.used} of {ports} {words} are used up",
            evidence=evidence,
            hint=hint,
            fix=None,
            see=("RFC 6056 2.2",),
        )
    )
    there = Listeners(snapshot.records).find(target.address, target.port)
    return Judgement(finding, (*rows, *there))


_SHOWN = ("timestamps", "reuse-delay", "reserved-ports", "reuse-of-waiting", "port-range")


def _find_culprit(use: _Use, rule: _Rule, snapshot: Snapshot) -> tuple[str | None, str]:
    """Find the parameter that is to blame, by its role, and say what else helps."""
    if use.waiting > use.live:
        keep = "Keep connections open and use them again instead of making one for each request."
        if snapshot.read_number("reuse-of-waiting") == 0:
            return "reuse-of-waiting", f"The kernel is set never to take a port that waits. {keep}"
        if snapshot.read_number("timestamps") == 0:
            return "timestamps", f"Without timestamps the kernel cannot take a port that waits. {keep}"
        return None, f"More connections are closed within the delay of reuse than there are ports. {keep}"
    share = (
        "Share connections, or let the service listen on more addresses, such as 127.0.0.2: each has all ports anew."
    )
    return ("port-range" if rule.is_narrow else None), share
