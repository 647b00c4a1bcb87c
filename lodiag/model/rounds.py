"""What ``trace --watch`` tells: first which way it watches, then each round."""

from __future__ import annotations

from lodiag.dataclass import dataclass
from lodiag.model import METHODS, Finding, Host, Refusal, fact, label
from lodiag.model.net import RouteAnswer  # noqa: TC001 - the schema reads the type of each field
from lodiag.model.trace import HopRecord  # noqa: TC001 - likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceWatching:
    """Which way is watched, and how often: the first line, of type ``watching``."""

    schema: str = fact("Name and version of this format.")
    version: str = fact("Version of lodiag that watches.")
    started_at: str = fact("When the first round began: RFC 3339, UTC.")
    interval_s: float = fact("Seconds from one round to the next.")
    host: Host = fact("From where it is seen.")
    target: str = label("The target as it was given.")
    address: str = label("The loopback address that is traced.")
    method: str = label("How it is probed; all if by several methods.", (*METHODS, "all"))
    refused: tuple[Refusal, ...] = fact("Better methods that were refused, best first.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRound:
    """One trace of many, with one probe a hop: a line of type ``round``."""

    round: int = fact("Number of the round, from 1.")
    at: str = fact("When it began: RFC 3339, UTC.")
    duration_ms: float = fact("How long it took, in milliseconds.")
    reached: bool = fact("Whether the target answered in this round.")
    hops: int | None = fact("Distance at which it did; null when it did not.")
    route: RouteAnswer | None = fact("The kernel's route to the address; null where it is not told.")
    findings: tuple[Finding, ...] = fact("Judgements of this round, worst first.")
    records: tuple[HopRecord, ...] = fact(
        "The hops to the target, or as far as anything answered: probes are of this round, counts and times of all."
    )
