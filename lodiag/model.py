"""The result model: every command returns one ``Report`` of facts (records) and judgements (findings).

``None`` means *not measured*, never zero. A unit ends the name of what it measures (``rtt_ms``,
``size_bytes``, ``loss_ratio``). A field's name is at once its column title, JSON key and metric stem;
its meaning is written once, here, and read from here by the JSON Schema and the Prometheus format.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any

SCHEMA = "lodiag/1"


def fact(meaning: str) -> Any:  # noqa: ANN401 - stands for a field of any type, as dataclasses.field() does
    """Declare a plain field."""
    return field(metadata={"meaning": meaning, "role": "fact"})


def label(meaning: str) -> Any:  # noqa: ANN401 - as above
    """Declare a field that names what a record is about: a label in Prometheus."""
    return field(metadata={"meaning": meaning, "role": "label"})


def metric(meaning: str) -> Any:  # noqa: ANN401 - as above
    """Declare a measured number: a series in Prometheus."""
    return field(metadata={"meaning": meaning, "role": "metric"})


def detail(meaning: str) -> Any:  # noqa: ANN401 - as above
    """Declare a list too long for a cell: JSON has it, tables and CSV do not."""
    return field(metadata={"meaning": meaning, "role": "detail"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One measured value that a finding rests on."""

    name: str = fact("What was measured.")
    value: str | int | float | bool | None = fact("The value, as it was read.")
    source: str = fact("Where it was read: a file, a system call, a probe.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """The commands that repair what a finding found, and those that take the repair back."""

    commands: tuple[str, ...] = fact("Shell commands, to be run in this order.")
    needs_root: bool = fact("Whether they need administrator rights.")
    undo: tuple[str, ...] = fact("Commands that restore the former state; empty where there is nothing to undo.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One judgement, with the evidence that it rests on."""

    code: str = label("Stable kebab-case name of what was found.")
    severity: str = label("ok, info, warn or fail; one fail makes the exit status 1.")
    subject: str = label("What the finding is about: an address, a socket, a process.")
    message: str = fact("One sentence that says what was found.")
    evidence: tuple[Evidence, ...] = fact("The measured values that the finding rests on.")
    hint: str | None = fact("What to do or to try next, in words.")
    fix: Fix | None = fact("Commands that repair it on this machine, where they are known.")
    see: tuple[str, ...] = fact("Where to read more: an RFC, a manual page.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Something that could not be seen, so that its absence is not read as "there is none"."""

    what: str = fact("What is missing.")
    count: int | None = fact("How many of them, where that is known.")
    why: str = fact("Why it could not be seen.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The facts that decide what could be seen from where lodiag ran."""

    platform: str = fact("Operating system, as Python's sys.platform names it.")
    uid: int | None = fact("Effective user id; null where the system has none.")
    netns: int | None = fact("Inode number of the network namespace; null where unknown.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A better method that this machine refused, and why."""

    method: str = fact("The method that was tried.")
    reason: str = fact("Why it was refused.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PingReply:
    """The fate of one probe."""

    seq: int = fact("Number of the probe, from 1; it does not wrap at 65536.")
    sent_at: str = fact("When it was sent: RFC 3339, UTC.")
    rtt_ms: float | None = fact("Round trip in milliseconds, by a monotonic clock; null unless a reply came.")
    reply_ttl: int | None = fact("TTL or hop limit of what came back.")
    size_bytes: int | None = fact("Bytes of payload that came back.")
    status: str = fact("received, timeout, late, corrupted, unreachable or not-sent.")
    error: str | None = fact("Code of what went wrong; null when received.")
    icmp_type: int | None = fact("Type of the ICMP message that came back.")
    icmp_code: int | None = fact("Code of the ICMP message that came back.")
    reply_from: str | None = fact("Address that the message came from.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PingRecord:
    """All that one address answered."""

    target: str = label("The target as it was given.")
    address: str = label("The loopback address that was probed.")
    family: str = label("ipv4 or ipv6.")
    method: str | None = label("icmp-datagram, icmp-raw or udp; null if no socket could be had.")
    source: str | None = fact("Source address asked for; null leaves it to the kernel.")
    interval_s: float = fact("Seconds from one probe to the next.")
    size_bytes: int = fact("Bytes of payload in each probe.")
    sent: int = metric("Probes that were sent.")
    received: int = metric("Probes whose intact reply came in time.")
    lost: int = metric("Probes that were sent and not received.")
    loss_ratio: float | None = metric("Lost of sent, 0 to 1; null when nothing was sent.")
    not_sent: int = metric("Probes that the system refused to send.")
    duplicates: int = metric("Further replies to a probe that had one.")
    corrupted: int = metric("Replies whose payload or checksum was wrong; not received.")
    late: int = metric("Replies after the timeout; not received.")
    rtt_min_ms: float | None = metric("Shortest round trip of the received probes.")
    rtt_avg_ms: float | None = metric("Arithmetic mean of the round trips.")
    rtt_max_ms: float | None = metric("Longest round trip.")
    rtt_stddev_ms: float | None = metric("Population standard deviation of the round trips.")
    rtt_p50_ms: float | None = metric("Median round trip, by nearest rank.")
    rtt_p95_ms: float | None = metric("95th percentile round trip, by nearest rank.")
    rtt_p99_ms: float | None = metric("99th percentile round trip, by nearest rank.")
    jitter_ms: float | None = metric("Mean absolute difference of the round trips of consecutive probes.")
    error: str | None = fact("Code of the last thing that kept a probe from being sent or answered; null if none.")
    refused: tuple[Refusal, ...] = detail("Better methods that were refused, best first.")
    replies: tuple[PingReply, ...] | None = detail("The fate of each probe; null where it was not kept.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PingSummary:
    """Totals over all addresses."""

    addresses: int = metric("Addresses that were probed.")
    answered: int = metric("Addresses of which at least one reply was received.")
    sent: int = fact("Probes sent to all of them.")
    received: int = fact("Probes received from all of them.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HopProbe:
    """The fate of one probe of a hop."""

    address: str | None = fact("Address that answered this probe.")
    rtt_ms: float | None = fact("Milliseconds until an answer came, by a monotonic clock.")
    status: str = fact("reached, ttl-exceeded, unreachable, timeout or not-sent.")
    icmp_type: int | None = fact("Type of the ICMP message that came back.")
    icmp_code: int | None = fact("Code of the ICMP message that came back.")
    error: str | None = fact("Code of what went wrong; null when it was reached or passed on.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HopRecord:
    """What answered at one distance."""

    hop: int = label("TTL or hop limit of the probes.")
    address: str | None = label("First address that answered; null for a silent hop.")
    method: str = label("icmp-datagram, icmp-raw, udp or tcp.")
    probes: tuple[HopProbe, ...] = detail("The fate of each probe.")
    sent: int = metric("Probes that were sent.")
    received: int = metric("Probes that something answered.")
    loss_ratio: float | None = metric("Unanswered of sent, 0 to 1; null when nothing was sent.")
    rtt_min_ms: float | None = metric("Shortest time to an answer.")
    rtt_avg_ms: float | None = metric("Arithmetic mean of the times to an answer.")
    rtt_max_ms: float | None = metric("Longest time to an answer.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSummary:
    """Where the trace ended."""

    target: str = label("The target as it was given.")
    address: str = label("The loopback address that was traced.")
    method: str = label("icmp-datagram, icmp-raw, udp or tcp.")
    reached: bool = metric("Whether the target answered.")
    hops: int | None = metric("Distance at which the target answered; null when it did not.")
    interface: str | None = fact("Loopback interface of the address's family; null where unknown.")
    mtu_bytes: int | None = metric("That interface's mtu.")
    port: int | None = fact("Destination port of udp and tcp probes.")
    refused: tuple[Refusal, ...] = detail("Better methods that were refused, best first.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One end of a socket."""

    address: str = fact("Address; an IPv4-mapped one is given as the IPv4 address.")
    port: int = fact("Port.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process that holds a socket."""

    pid: int = fact("Process id.")
    process: str | None = fact("Name of the process; null if it ended meanwhile or is hidden.")
    user: str | None = fact("User that the process runs as.")
    cmdline: str | None = fact("Command line; null unless it was asked for, because it may hold secrets.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnRecord:
    """One socket that uses the loopback, or answers on it."""

    proto: str = label("tcp or udp.")
    family: str = label("Family of the socket: ipv4 or ipv6.")
    state: str = label("TCP state; for UDP, unconnected or established.")
    local: Endpoint = fact("This end.")
    remote: Endpoint | None = fact("The other end; null if there is none.")
    mapped: bool = fact("Whether an IPv6 socket carries IPv4 addresses (::ffff:a.b.c.d).")
    scope: str = fact("loopback: every end is; wildcard: any address; mixed: one end only is.")
    owners: tuple[Owner, ...] | None = fact(
        "Processes that hold the socket; empty if none does, null if that was not asked or may not be seen."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnCount:
    """How many sockets are in one state."""

    proto: str = label("tcp or udp.")
    state: str = label("State of the sockets.")
    sockets: int = metric("Sockets in that state.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnsSummary:
    """Totals over the sockets shown."""

    sockets: int = fact("Sockets shown.")
    counts: tuple[ConnCount, ...] = detail("Sockets by protocol and state.")


Record = PingRecord | HopRecord | ConnRecord
Summary = PingSummary | TraceSummary | ConnsSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one run of one command saw and concluded."""

    schema: str = fact("Name and version of this format.")
    command: str = fact("The command that made the report.")
    version: str = fact("Version of lodiag that made it.")
    started_at: str = fact("When it began: RFC 3339, UTC.")
    duration_ms: float = fact("How long it took, in milliseconds.")
    host: Host = fact("From where it was seen.")
    source: str | None = fact("Which mechanism answered; null if none did.")
    complete: bool = fact("Whether everything that was asked for could be seen.")
    missing: tuple[Missing, ...] = fact("What could not be seen, and why.")
    summary: Summary = fact("Totals.")
    findings: tuple[Finding, ...] = fact("Judgements, worst first.")
    records: tuple[Record, ...] = fact("Facts, a row each.")

    @property
    def exit_status(self) -> int:
        """1 if any finding failed, else 0: the only place where it is decided."""
        return int(any(finding.severity == "fail" for finding in self.findings))


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind))


def to_plain(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Turn any part of a report into dicts, lists and scalars, in the model's order.

    ``dataclasses.asdict`` copies each leaf deeply, which takes several times as long.
    """
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {name: to_plain(getattr(value, name)) for name in _names(type(value))}
    return value
