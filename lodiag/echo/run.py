"""A ping under way: its probes to all addresses, when it ends, and its report at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.dataclass import replace
from lodiag.echo.fans import Fans
from lodiag.echo.flood import FloodStream
from lodiag.echo.loop import ProbeLoop
from lodiag.echo.options import LARGEST_PAYLOAD, PingOptions
from lodiag.echo.stream import EchoStream
from lodiag.errors import ConfigError, PrivilegeError, UnsupportedError
from lodiag.judge.alike import fold_alike
from lodiag.judge.ping import judge_deadline, judge_ping, name_silence
from lodiag.judge.replies import has_usual_ttl
from lodiag.judge.silence import UNSEEN_INTERFACES, Surroundings
from lodiag.model.ping import PingSummary
from lodiag.report import ReportMaker
from lodiag.system import System
from lodiag.targets import MOST_ADDRESSES, expand_target, family_of, resolve_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.echo.stream import PingEvent
    from lodiag.model import Finding, Report
    from lodiag.model.ping import PingRecord


MOST_FLOODED = 16
"""Addresses to flood at once: each has its own socket, and the buffers of a burst."""


class PingRun:
    """A ping under way: iterate over it for the fate of each probe, ask for its report at any time.

    Leaving the iteration early (by ``break``), or ``stop()``, ends the run; the report then tells what had
    happened until then, and probes still unanswered count as lost, as in ping(8).
    """

    def __init__(self, targets: tuple[str, ...], options: PingOptions, system: System | None = None) -> None:
        """Check the options and resolve the targets; nothing is sent or opened yet.

        Raises:
            TargetError: A target is malformed, unknown, or not on the loopback.
            ConfigError: An option is out of range, or does not fit a target's family.

        """
        self._system = system or System()
        if options.source_address is not None:
            source = resolve_source(options.source_address, options.family)
            options = replace(options, source_address=source, family=family_of(source))
        self._options = options
        self._is_open = False
        self._maker = ReportMaker("ping", self._system)
        pairs = dict.fromkeys(
            pair for target in targets for pair in expand_target(target, options.family, self._system)
        )
        _require_few(len(pairs), options)
        for target, address in pairs:
            largest = LARGEST_PAYLOAD[family_of(address)]
            if options.size_bytes > largest:
                name = address if target == address else f"{target} ({address})"
                message = f"size must be at most {largest} bytes for {name}, not {options.size_bytes}"
                raise ConfigError(message)
        if options.reachable is not None and options.reachable > len(pairs):
            message = f"reachable must be at most the number of addresses, which is {len(pairs)}"
            raise ConfigError(message)
        stream = FloodStream if options.flood else EchoStream
        self._fans = Fans(self._system, len(pairs))
        self.streams = tuple(stream(target, address, options, self._maker.instant) for target, address in pairs)
        self._loop = ProbeLoop(self.streams, self._fans, options, self._system)

    def __iter__(self) -> Iterator[PingEvent]:
        """Send the probes and yield the fate of each.

        Raises:
            PrivilegeError: Every method was refused; nothing was sent.
            UnsupportedError: The clock that was asked for is not to be had; nothing was sent.

        """
        try:
            self.open()
            yield from self._loop.run(self._maker.started_ns)
        finally:
            for stream in self.streams:
                stream.close()
            self._fans.close()

    def open(self) -> None:
        """Open a socket for each address, as iterating does if this was not done before.

        Raises:
            PrivilegeError: Every method was refused; nothing was sent.
            UnsupportedError: The clock that was asked for is not to be had; nothing was sent.

        """
        if self._is_open:
            return
        self._is_open = True
        for stream in self.streams:
            stream.open(self._fans, self._options.ladder)
        barred = [s for s in self.streams if s.probe is None and s.error is None]
        if barred:
            reasons = "; ".join(f"{r.method}: {r.why}" for r in barred[0].refused)
            message = f"no socket to probe {barred[0].address} with may be opened: {reasons}"
            raise PrivilegeError(message, self._privilege_hint())
        for stream in self.streams:
            if stream.probe is not None and stream.clock is None:
                message = f"the kernel gives no {self._options.clock} stamps on {stream.probe.method} sockets here"
                raise UnsupportedError(message, "Leave --clock out to time by the best clock that is to be had.")
        stamped = dict.fromkeys(stream.family for stream in self.streams if stream.clock not in {None, "user"})
        self._system.wait_for_stamps(stamped)

    @property
    def records(self) -> list[PingRecord]:
        """How it stands with each address; not judged yet."""
        return [stream.record() for stream in self.streams]

    def stop(self) -> None:
        """End the run before its next step: may be called by a signal handler, or by another thread."""
        self._loop.is_stopped = True

    def _privilege_hint(self) -> str:
        groups = self._system.read_settings()["icmp-groups"]
        hint = "Try --method udp, which needs no privilege."
        if groups.value is None:
            return hint
        return (
            f"{hint} ICMP needs CAP_NET_RAW, or a group of yours within {groups.name}, which is now '{groups.value}'."
        )

    def report(self) -> Report[PingRecord, PingSummary]:
        """Judge what has happened so far and report it."""
        records = self.records
        troubled = any(record.received == 0 or not has_usual_ttl(record) for record in records)
        interfaces = self._system.list_loopback_interfaces() if troubled else None
        settings = self._system.read_settings(interfaces[0].name if interfaces else None)
        around = Surroundings(interfaces=interfaces, settings=settings)
        records = [name_silence(record, around) for record in records]
        methods = dict.fromkeys(record.method for record in records if record.method)
        return self._maker.make(
            source="+".join(methods) or None,
            summary=PingSummary(
                addresses=len(records),
                answered=sum(record.received > 0 for record in records),
                sent=sum(record.sent for record in records),
                received=sum(record.received for record in records),
            ),
            records=records,
            missing=[UNSEEN_INTERFACES] if troubled and interfaces is None else [],
            findings=fold_alike(self._judge(records, around)),
        )

    def _judge(self, records: list[PingRecord], surroundings: Surroundings) -> Iterator[Finding]:
        answered = {record.target for record in records if record.received}
        is_enough = self._loop.has_enough
        for record in records:
            yield from judge_ping(
                record,
                surroundings,
                others_answered=is_enough or record.target in answered,
                max_loss_ratio=self._options.max_loss_ratio,
                max_rtt_ms=self._options.max_rtt_ms,
            )
            wanted = self._options.most_probes
            if self._loop.was_cut and wanted is not None:
                yield judge_deadline(record, wanted)


def _require_few(addresses: int, options: PingOptions) -> None:
    """Raise ``ConfigError`` for more addresses than can be probed so at once."""
    most = MOST_FLOODED if options.flood else MOST_ADDRESSES
    if addresses > most:
        message = f"{'a flood takes' if options.flood else 'one run takes'} at most {most} addresses, not {addresses}"
        raise ConfigError(message, "Give fewer, or leave out --flood." if options.flood else "Give fewer.")
