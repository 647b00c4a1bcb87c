"""The ways to a loopback address by one method or by several at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.dataclass import dataclass
from lodiag.errors import PrivilegeError
from lodiag.hops.walk import HopWalk, Probe, describe_hop, walk_all
from lodiag.model import Refusal
from lodiag.model.trace import TraceMethod
from lodiag.system.probe import MethodRefusedError, SendError
from lodiag.targets import family_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.hops.options import TraceOptions
    from lodiag.model.trace import HopRecord
    from lodiag.system import System
    from lodiag.system.probe import ProbeSocket

PAYLOAD_BYTES = 32


@dataclass(frozen=True, slots=True)
class Path:
    """What one method saw on the way."""

    method: str
    port: int | None
    source_address: str | None
    records: Sequence[HopRecord]

    @property
    def hops(self) -> int | None:
        """Distance at which the target answered; ``None`` if it did not."""
        return next((r.hop for r in self.records if any(p.status == "reached" for p in r.probes)), None)

    @property
    def error(self) -> str | None:
        """Code of what kept the target from being reached; ``None`` if it was."""
        if self.hops is not None:
            return None
        probes = [probe for record in self.records for probe in record.probes]
        if self.records and any(probe.status == "ttl-exceeded" for probe in self.records[-1].probes):
            return "max-hops-reached"
        found = (probe.error for probe in probes if probe.error not in {None, "timeout"})
        return next(found, "timeout" if probes else "interrupted")

    def describe(self) -> TraceMethod:
        """Describe what came of it."""
        return TraceMethod(
            method=self.method,
            port=self.port,
            reached=self.hops is not None,
            hops=self.hops,
            source_address=self.source_address,
            error=self.error,
        )


def find_paths(
    system: System, address: str, options: TraceOptions, end_ns: int
) -> tuple[Sequence[Path], Sequence[Refusal]]:
    """Walk by the first method of each ladder that is not refused, all at once; the paths, and what was refused.

    Raises ``PrivilegeError`` if everything was refused; nothing was sent then.
    """
    refused: list[Refusal] = []
    unsent: list[Path] = []
    walks: list[HopWalk] = []
    try:
        for ladder in options.ladders:
            found = _open(system, ladder, address, options, refused)
            if isinstance(found, Path):
                unsent.append(found)
            elif found is not None:
                walks.append(HopWalk(found, system, options, end_ns))
        if not walks and not unsent:
            reasons = "; ".join(f"{r.method}: {r.why}" for r in refused)
            message = f"no socket to trace {address} with may be opened: {reasons}"
            raise PrivilegeError(message, "Try --method udp or tcp, which need no privilege.")
        walk_all(walks, system)
        sources = [walk.socket.own_address for walk in walks]
    finally:
        for walk in walks:
            walk.socket.close()
    # Only now, as what names interfaces is loaded with a descriptor that the sockets may have held.
    walked = (
        Path(walk.socket.method, walk.socket.port, source, walk.records())
        for walk, source in zip(walks, sources, strict=True)
    )
    return [*walked, *unsent], refused


def _open(
    system: System, ladder: Sequence[str], address: str, options: TraceOptions, refused: list[Refusal]
) -> ProbeSocket | Path | None:
    """Open the first that is not refused; ``None`` if all are, a path of nothing sent if the address is unusable."""
    for method in ladder:
        try:
            probe = system.open_probe(
                method, family_of(address), address, source=None, size_bytes=PAYLOAD_BYTES, port=options.port
            )
        except MethodRefusedError as refusal:
            refused.append(Refusal(method=method, why=str(refusal)))
        except SendError as error:
            hop = options.first_hop
            probes = [Probe(hop, failure=error) for _ in range(options.probes_per_hop)]
            return Path(method, options.port, None, [describe_hop(hop, method, probes, system)])
        else:
            probe.tell_interfaces()
            return probe
    return None
