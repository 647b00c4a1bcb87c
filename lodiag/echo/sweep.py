"""Probes of many sizes to each address, one after the other: how long they take, and from which on none comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.dataclass import replace
from lodiag.echo.options import LARGEST_PAYLOAD, PingOptions
from lodiag.echo.run import PingRun
from lodiag.echo.sizes import choose_sizes, count_fragments, find_break, find_largest_whole
from lodiag.errors import ConfigError
from lodiag.judge.sweep import judge_sweep
from lodiag.limits import require_whole
from lodiag.model.ping import PingSummary
from lodiag.report import ReportMaker
from lodiag.system import System
from lodiag.targets import family_of, resolve_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.model import Finding, Report
    from lodiag.model.ping import PingRecord

USUAL_COUNT = 3
USUAL_INTERVAL_S = 0.01
USUAL_TIMEOUT_S = 0.2
"""Ten times what a busy machine lets a process wait (see judge/delays.py for what the kernel takes): with three probes
of a size, silence that is none needs three such waits."""


class SweepRun:
    """A sweep under way: iterate over it for the record of each size, ask for its report at any time."""

    def __init__(
        self, targets: tuple[str, ...], sizes: tuple[int, int], options: PingOptions, system: System | None = None
    ) -> None:
        """Check what was asked for; nothing is sent or opened yet.

        Raises:
            TargetError: A target is malformed, unknown, or not on the loopback.
            ConfigError: An option or a size is out of range.

        """
        self._system = system or System()
        self._options, self._sizes = options, sizes
        self._maker = ReportMaker("ping", self._system)
        self._pairs = list(
            dict.fromkeys(
                (target, address)
                for target in targets
                for address in resolve_target(target, options.family, self._system)
            )
        )
        first, last = sizes
        require_whole("sweep", first, 0, max(LARGEST_PAYLOAD.values()), "bytes")
        for _, address in self._pairs:
            require_whole(f"the end of the sweep for {address}", last, 0, LARGEST_PAYLOAD[family_of(address)], "bytes")
        if first >= last:
            message = f"a sweep must end with a larger size than it begins with: {first} is not less than {last}"
            raise ConfigError(message)
        self._records: dict[tuple[str, str], dict[int, PingRecord]] = {pair: {} for pair in self._pairs}
        self._reports: dict[tuple[str, str], Report[PingRecord, PingSummary]] = {}
        self._run: PingRun | None = None
        self._is_stopped = False

    def __iter__(self) -> Iterator[PingRecord]:
        """Probe with one size after the other; where some are silent, find the very size from which on.

        Raises:
            PrivilegeError: Every method was refused; nothing was sent.
            UnsupportedError: The clock that was asked for is not to be had; nothing was sent.

        """
        interfaces = self._system.list_loopback_interfaces()
        mtu = interfaces[0].mtu_bytes if interfaces else None
        for pair in self._pairs:
            family = family_of(pair[1])
            whole = None if mtu is None else find_largest_whole(family, mtu)
            for size in choose_sizes(*self._sizes, whole):
                yield from self._probe(pair, size, mtu)
            while (edge := self._find_break(pair)) is not None and edge[1] - edge[0] > 1:
                yield from self._probe(pair, sum(edge) // 2, mtu)

    def _find_break(self, pair: tuple[str, str]) -> tuple[int, int] | None:
        found = self._records[pair]
        answered = {size for size, record in found.items() if record.received}
        return None if self._is_stopped else find_break(answered, found.keys() - answered)

    def _probe(self, pair: tuple[str, str], size: int, mtu: int | None) -> Iterator[PingRecord]:
        if self._is_stopped:
            return
        target, address = pair
        self._run = PingRun((address,), replace(self._options, size_bytes=size), self._system)
        for _ in self._run:
            pass
        report = self._run.report()
        self._reports.setdefault(pair, report)
        fragments = None if mtu is None else count_fragments(family_of(address), size, mtu)
        record = replace(report.records[0], target=target, fragments=fragments)
        if not self._is_stopped or record.received:
            self._records[pair][size] = record
            yield record

    def stop(self) -> None:
        """End the sweep before its next step: may be called by a signal handler, or by another thread."""
        self._is_stopped = True
        if self._run is not None:
            self._run.stop()

    @property
    def records(self) -> list[PingRecord]:
        """A record for each address and size so far, in order of size."""
        return [found[size] for found in self._records.values() for size in sorted(found)]

    def report(self) -> Report[PingRecord, PingSummary]:
        """Judge what has happened so far and report it; an address that never answered is judged as ping judges it."""
        records = self.records
        answered = [pair for pair, found in self._records.items() if any(r.received for r in found.values())]
        report = self._maker.make(
            source="+".join(dict.fromkeys(record.method for record in records if record.method)) or None,
            summary=PingSummary(
                addresses=len(self._pairs),
                answered=len(answered),
                sent=sum(record.sent for record in records),
                received=sum(record.received for record in records),
            ),
            records=records,
            findings=self._judge(),
        )
        silent = [found for pair, found in self._reports.items() if pair not in answered]
        return replace(
            report,
            findings=(*(finding for one in silent for finding in one.findings), *report.findings),
            missing=tuple(dict.fromkeys(item for one in silent for item in one.missing)),
            complete=all(one.complete for one in silent),
        )

    def _judge(self) -> Iterator[Finding]:
        for found in self._records.values():
            records = [found[size] for size in sorted(found)]
            yield from judge_sweep(
                records,
                find_break(
                    {r.size_bytes for r in records if r.received}, {r.size_bytes for r in records if not r.received}
                ),
            )


def sweep_sizes(
    *targets: str,
    first_bytes: int = 64,
    last_bytes: int = 65_507,
    options: PingOptions | None = None,
    system: System | None = None,
) -> Report[PingRecord, PingSummary]:
    """Probe loopback addresses with payloads of some twenty sizes and report how long each takes.

    Where sizes are silent, the largest that is answered below them is found to the byte.

    Args:
        *targets: Names and addresses, as for ``ping_address``.
        first_bytes: Smallest payload.
        last_bytes: Largest payload, at most 65507 for IPv4 and 65527 for IPv6.
        options: How to ping with each size; by default 3 probes, 10 ms apart, that are waited for 0.2 s.
        system: The machine; a test's own stands in for it.

    Returns:
        A report of ``ping`` with one ``PingRecord`` per address and size.

    Raises:
        TargetError: A target is malformed, unknown, or not on the loopback; nothing was sent.
        ConfigError: A size or an option is out of range; nothing was sent.
        PrivilegeError: Every method was refused; nothing was sent.
        UnsupportedError: The clock that was asked for is not to be had; nothing was sent.

    """
    usual = PingOptions(count=USUAL_COUNT, interval_s=USUAL_INTERVAL_S, timeout_s=USUAL_TIMEOUT_S, keep_replies=False)
    run = SweepRun(targets or ("localhost",), (first_bytes, last_bytes), options or usual, system)
    for _ in run:
        pass
    return run.report()
