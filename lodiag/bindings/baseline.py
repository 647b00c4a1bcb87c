"""An earlier report of ``audit``, with which a new one is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from lodiag.errors import ConfigError
from lodiag.model.audit import EXPOSURES
from lodiag.saved import UnusableError, read_report

if TYPE_CHECKING:
    from collections.abc import Container

    from lodiag.model.audit import AuditRecord

WIDE, BETWEEN, NARROW = range(3)


class Known(NamedTuple):
    """A socket of the earlier report; ``processes`` is ``None`` where its owners were not seen."""

    proto: str
    address: str
    port: int
    interface: str | None
    exposure: str
    processes: frozenset[str | None] | None


class Baseline:
    """The sockets that an earlier report has."""

    def __init__(self, made_at: str, sockets: list[Known], ephemeral: Container[int]) -> None:
        """Keep them; ``ephemeral`` are the ports that the kernel gives, which differ from one start to the next."""
        self.made_at = made_at
        self._ephemeral = ephemeral
        self._by_port: dict[tuple[str, int], list[Known]] = {}
        self._given: set[tuple[object, ...]] = set()
        for known in sockets:
            self._by_port.setdefault((known.proto, known.port), []).append(known)
            if known.port in ephemeral and known.processes:
                self._given.add(_tell_apart_from_port(known))

    def compare(self, record: AuditRecord) -> str:
        """Say what is new of a socket, in the words of ``NEWS``."""
        own = describe(record)
        there = self._by_port.get((own.proto, own.port), [])
        same = [known for known in there if known[1:4] == own[1:4]] or [
            known for known in there if _rank(known) == WIDE
        ]
        if same and min(map(_rank, same)) <= _rank(own):
            return "known" if any(_may_be_same_owner(own, known) for known in same) else "other-owner"
        if there:
            return "wider" if _rank(own) < min(map(_rank, there)) else "new"
        # What takes any port may have another after each start.
        is_given = own.port in self._ephemeral and bool(own.processes)
        return "known" if is_given and _tell_apart_from_port(own) in self._given else "new"


def _tell_apart_from_port(known: Known) -> tuple[object, ...]:
    return known.proto, known.address, known.exposure, known.processes


def describe(record: AuditRecord) -> Known:
    """Give what is compared of a record."""
    names = None if record.owners is None else frozenset(owner.process for owner in record.owners)
    return Known(record.proto, record.local.address, record.local.port, record.interface, record.exposure, names)


def _rank(known: Known) -> int:
    """Order sockets by who reaches them: all, the hosts of one network, this one alone."""
    if known.exposure.startswith("loopback"):
        return NARROW
    return WIDE if known.exposure.startswith("wildcard") and known.interface is None else BETWEEN


def _may_be_same_owner(own: Known, known: Known) -> bool:
    return not own.processes or not known.processes or not own.processes.isdisjoint(known.processes)


def read_baseline(path: str, ephemeral: Container[int]) -> Baseline:
    """Read what ``audit --json`` saved; ``ConfigError`` if it is no such report."""
    try:
        report = read_report(path, "audit")
    except UnusableError as error:
        _refuse(path, str(error))
    try:
        sockets = [_read_socket(record) for record in report["records"]]
        return Baseline(str(report["started_at"]), sockets, ephemeral)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        _refuse(path, f"a record lacks what audit writes: {error!r:.60}")


def _read_socket(record: Any) -> Known:  # noqa: ANN401 - what a file holds
    owners = record["owners"]
    if record["exposure"] not in EXPOSURES:
        raise ValueError(record["exposure"])
    return Known(
        proto=str(record["proto"]),
        address=str(record["local"]["address"]),
        port=int(record["local"]["port"]),
        interface=record["interface"],
        exposure=record["exposure"],
        processes=None if owners is None else frozenset(owner["process"] for owner in owners),
    )


def _refuse(path: str, why: str) -> NoReturn:
    message = f"the baseline {path[:200]!r} cannot be used: {why}"
    raise ConfigError(message, "Save one by lodiag audit --json --output FILE.")
