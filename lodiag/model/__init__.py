"""The result model: every command returns one ``Report`` of facts (records) and judgements (findings).

``None`` means *not measured*, never zero. A unit ends the name of what it measures (``rtt_ms``,
``size_bytes``, ``loss_ratio``). A field's name is at once its column title, JSON key and metric stem;
its meaning is written once, here, and read from here by the JSON Schema and the Prometheus format.

The records of a command are in a module of its name: nobody who asks for one command should wait for the records of
ten.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from types import NoneType
from typing import Any, Generic, TypeVar

from lodiag.dataclass import dataclass, field, fields, is_dataclass

SCHEMA = "lodiag/1"

RecordT = TypeVar("RecordT")
SummaryT = TypeVar("SummaryT")


FAMILIES = ("ipv4", "ipv6")
PROTOS = ("tcp", "udp")
METHODS = ("icmp-datagram", "icmp-raw", "udp", "tcp")
CLOCKS = ("kernel", "kernel-rx", "user")
"""Best first: both ends of a round trip stamped by the kernel, its end only, neither."""
SEVERITIES = ("fail", "warn", "info", "ok")
"""Worst first; one fail makes the exit status 1."""


def fact(meaning: str, one_of: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - a field of any type, as field() is
    """Declare a plain field; ``one_of`` are the only words that it can be, if there are few."""
    return field(metadata={"meaning": meaning, "role": "fact", "one_of": one_of})


def label(meaning: str, one_of: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - as above
    """Declare a field that names what a record is about: a label in Prometheus."""
    return field(metadata={"meaning": meaning, "role": "label", "one_of": one_of})


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
    severity: str = label("How bad it is; one fail makes the exit status 1.", SEVERITIES)
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
    why: str = fact("Why it was refused.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Generic[RecordT, SummaryT]):
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
    summary: SummaryT = fact("Totals.")
    findings: tuple[Finding, ...] = fact("Judgements, worst first.")
    records: Sequence[RecordT] = fact("Facts, a row each.")

    @property
    def exit_status(self) -> int:
        """1 if any finding failed, else 0: the only place where it is decided."""
        return int(any(finding.severity == "fail" for finding in self.findings))

    @property
    def nagios_status(self) -> int:
        """What a monitoring plugin exits with: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

        UNKNOWN is what could not be looked at: every record that failed has the status ``error``.
        """
        words = {getattr(record, "status", None) for record in self.records}
        if self.exit_status:
            is_unknown = "error" in words and not words & {"fail", "timeout", "finding", "interrupted"}
            return 3 if is_unknown else 2
        return int(any(finding.severity == "warn" for finding in self.findings))


class Records(Sequence[RecordT]):
    """Records that are made one by one when they are asked for, and of which a field can be had of all at once."""

    @abstractmethod
    def column(self, name: str) -> Sequence[Any]:
        """Values of one field of every record, in order."""


def column(records: Sequence[Any], name: str) -> Sequence[Any]:
    """Values of one field of every record."""
    return records.column(name) if isinstance(records, Records) else [getattr(record, name) for record in records]


def names_of(kind: type) -> tuple[str, ...]:
    """Names of the fields of a part of a report, which is a dataclass or a named tuple; none for a plain value."""
    if kind not in _NAMES:
        _NAMES[kind] = tuple(item.name for item in fields(kind)) if is_dataclass(kind) else getattr(kind, "_fields", ())
    return _NAMES[kind]


_NAMES: dict[type, tuple[str, ...]] = {}


def to_plain(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Turn any part of a report into dicts, lists and scalars, in the model's order.

    ``dataclasses.asdict`` copies each leaf deeply, which takes many times as long.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    names = names_of(kind)
    if not names:
        return [to_plain(item) for item in value] if isinstance(value, Sequence) else value
    return {name: item if type(item := getattr(value, name)) in _SCALARS else to_plain(item) for name in names}


_SCALARS = frozenset({str, int, float, bool, NoneType})
