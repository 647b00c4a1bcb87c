"""One socket for probes to thousands of addresses of 127.0.0.0/8, where a socket for each would run out of descriptors.

What arrives is told apart by the number that a probe carries, by the address that it comes from where that is damaged
or was cut off, and, for an error, by the address that the probe went to.
"""

from __future__ import annotations

import socket
from collections import deque
from time import perf_counter_ns
from typing import TYPE_CHECKING

from lodiag.system import errqueue
from lodiag.system.icmp import IcmpProbe
from lodiag.system.packets import (
    ECHO_HEADER,
    ECHO_REPLY,
    PAYLOAD_KEY,
    decode_echo,
    make_payload,
    strip_ipv4_header,
)
from lodiag.system.probe import Answer, SendError, unwrap_seq
from lodiag.system.sockopts import set_ttl
from lodiag.system.udp import UdpProbe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lodiag.system.stamping import Stamper
    from lodiag.system.stamps import ControlMessages

FAMILY = "ipv4"
"""IPv6 has one loopback address only."""

MESSAGES_AT_ONCE = 256
RECEIVE_BUFFER_BYTES = 1 << 22

INDEX_SHIFT = 32
"""A number has that of the address above that of the probe: there are no more than 1e9 of these."""


class NumberedStamper:
    """The stamps of one address' probes among those of a socket that all share."""

    def __init__(self, stamper: Stamper, index: int) -> None:
        """Number the probes so that those of no two addresses are alike."""
        self._stamper, self._base = stamper, index << INDEX_SHIFT

    @property
    def queues(self) -> bool:
        """Whether stamps come by the error queue."""
        return self._stamper.queues

    def use(self, clock: str, *, closely: bool = False) -> bool:
        """Time by this clock from now on, for all addresses."""
        return self._stamper.use(clock, closely=closely)

    def note_send(self, seq: int) -> int:
        """Note that probe ``seq`` is sent now."""
        return self._stamper.note_send(self._base + seq)

    def retract_send(self, seq: int) -> str:
        """Take back a send that failed."""
        return self._stamper.retract_send(self._base + seq)

    def locate(self, seq: int) -> str | None:
        """How far a probe came that was not answered."""
        return self._stamper.locate(self._base + seq)

    def take(self, ancillary: ControlMessages) -> bool:
        """Keep a stamp, whosever it is."""
        return self._stamper.take(ancillary)

    def awaits(self, seq: int) -> bool:
        """Whether the stamp of this probe's sending is still to be read."""
        return self._stamper.awaits(self._base + seq)

    def measure(self, seq: int, arrived_ns: int | None, received_ns: int) -> tuple[int | None, str]:
        """Round trip by the kernel's stamps, and which clock that is."""
        return self._stamper.measure(self._base + seq, arrived_ns, received_ns)


class FanIcmpProbe(IcmpProbe):
    """Echo requests to one address from a socket that all share."""

    def __init__(self, carrier: IcmpProbe, address: str, index: int) -> None:
        """Have all that the carrier has, but an address and numbers of its own."""
        vars(self).update(vars(carrier))
        self.address = self._address = address
        self._last_seq = 0
        self._stamper = NumberedStamper(carrier._stamper, index)  # type: ignore[assignment] # noqa: SLF001 - of one kind
        self._base = index << INDEX_SHIFT
        self.inbox: deque[Answer] = deque()

    def _payload(self, seq: int) -> bytes:
        return make_payload(self._key, self._base + seq, self._size)

    def receive(self) -> Answer | None:
        """Return the next answer that was sorted out for this address."""
        return self.inbox.popleft() if self.inbox else None

    def take_message(self, packet: bytes, source: str, received_ns: int, ancillary: ControlMessages) -> Answer | None:
        """Judge what came from this address, or has a number of its probes."""
        message = decode_echo(FAMILY, packet, errqueue.find_ttl(ancillary))
        if message is None or message.ident != self._ident or message.icmp_type != ECHO_REPLY[FAMILY]:
            return None
        return self._to_answer(message, source, received_ns, ancillary)

    def take_error(self, caught: errqueue.Caught) -> Answer | None:
        """Judge an error about what was sent to this address, by this socket or, to a raw one, by another."""
        if len(caught.quoted) < ECHO_HEADER.size:
            return None
        *_, ident, wire_seq = ECHO_HEADER.unpack_from(caught.quoted)
        seq = unwrap_seq(wire_seq, self._last_seq)
        if ident != self._ident or not self._payload(seq).startswith(caught.quoted[ECHO_HEADER.size :]):
            return None
        return self._to_error(seq, caught.error, caught.ttl, caught.received_ns, caught.interface_index)

    def close(self) -> None:
        """Leave the socket to the others."""


class FanUdpProbe(UdpProbe):
    """Datagrams to one address from a socket that all share."""

    def __init__(self, carrier: UdpProbe, address: str, index: int) -> None:
        """Have all that the carrier has, but an address and numbers of its own."""
        vars(self).update(vars(carrier))
        self.address = self._address = address
        self._last_seq = 0
        self._stamper = NumberedStamper(carrier._stamper, index)  # type: ignore[assignment] # noqa: SLF001 - of one kind
        self.inbox: deque[Answer] = deque()

    def send(self, seq: int, ttl: int | None = None) -> int:
        """Send datagram ``seq``."""
        if ttl is not None:
            set_ttl(self._sock, FAMILY, ttl)
        self._last_seq = seq
        errqueue.clear_pending(self._sock)
        sent_ns = self._stamper.note_send(seq)
        try:
            errqueue.send(self._sock, make_payload(self._key, seq, self._size), (self._address, self.port))
        except OSError as error:
            self._read_stamps()
            raise SendError(error, self._stamper.retract_send(seq)) from error
        return sent_ns

    def receive(self) -> Answer | None:
        """Return the next answer that was sorted out for this address."""
        return self.inbox.popleft() if self.inbox else None

    def take_message(self, packet: bytes, _source: str, received_ns: int, _: ControlMessages) -> Answer | None:
        """Take in what a service says that listens there after all."""
        return Answer(seq=self._last_seq, received_ns=received_ns, address=self._address, size_bytes=len(packet))

    def take_error(self, caught: errqueue.Caught) -> Answer | None:
        """Judge an error about what was sent to this address."""
        return self._from_queue(caught)

    def close(self) -> None:
        """Leave the socket to the others."""


class Fan:
    """The socket that they share."""

    def __init__(self, method: str, address: str, *, source: str | None, size_bytes: int) -> None:
        """Open it, as for this one address: ``MethodRefusedError`` or ``SendError`` if that fails."""
        self._carrier: IcmpProbe | UdpProbe
        if method == "udp":
            self._carrier = UdpProbe(FAMILY, address, source=source, size_bytes=size_bytes, port=None)
        else:
            self._carrier = IcmpProbe(FAMILY, address, method, source=source, size_bytes=size_bytes)
        self._sock = next(iter(self._carrier.waits_for()))[0]
        self._has_queue = errqueue.enable(self._sock, FAMILY)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._probes: dict[str, FanIcmpProbe | FanUdpProbe] = {}
        self._numbered: list[FanIcmpProbe | FanUdpProbe] = []

    def has(self, address: str) -> bool:
        """Whether it has probes to this address: two of them could not be told apart."""
        return address in self._probes

    def join(self, address: str) -> FanIcmpProbe | FanUdpProbe:
        """Give a probe to one more address."""
        kind = FanUdpProbe if isinstance(self._carrier, UdpProbe) else FanIcmpProbe
        probe = kind(self._carrier, address, len(self._probes))  # type: ignore[arg-type] # the kind is the carrier's
        self._probes[address] = probe
        self._numbered.append(probe)
        return probe

    def sort(self) -> Iterable[str]:
        """Take in what has arrived, and return the addresses whose probes have answers now."""
        found: dict[str, None] = {}
        for _ in range(MESSAGES_AT_ONCE):
            try:
                packet, ancillary, _, source = self._sock.recvmsg(65_536, errqueue.ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError:  # the notice of an entry in the error queue
                continue
            received_ns = perf_counter_ns()
            for probe in self._find_probes(packet, source[0]):
                answer = probe.take_message(packet, source[0], received_ns, ancillary)
                if answer is not None:
                    self._deliver(probe, answer, found)
                    break
        if self._has_queue:
            self._sort_errors(found)
        return found

    def _find_probes(self, packet: bytes, source: str) -> Iterator[FanIcmpProbe | FanUdpProbe]:
        """Yield those to which a message may belong, the likeliest first."""
        sender = self._probes.get(source)
        if isinstance(self._carrier, IcmpProbe):
            payload = strip_ipv4_header(packet)[1][ECHO_HEADER.size :]
            index = PAYLOAD_KEY.unpack_from(payload)[1] >> INDEX_SHIFT if len(payload) >= PAYLOAD_KEY.size else None
            if index is not None and index < len(self._numbered) and self._numbered[index] is not sender:
                yield self._numbered[index]
        if sender is not None:
            yield sender

    def _sort_errors(self, found: dict[str, None]) -> None:
        aside, stamper = self._carrier._aside, self._carrier._stamper  # noqa: SLF001 - what they share
        for _ in range(MESSAGES_AT_ONCE):
            caught = aside.popleft() if aside else errqueue.read(self._sock, FAMILY, stamper)
            if caught is None:
                return
            probe = self._probes.get(caught.target or "")
            answer = None if probe is None else probe.take_error(caught)
            if probe is not None and answer is not None:
                self._deliver(probe, answer, found)

    def _deliver(self, probe: FanIcmpProbe | FanUdpProbe, answer: Answer, found: dict[str, None]) -> None:
        probe.inbox.append(answer)
        found[probe.address] = None

    def waits_for(self) -> Iterable[tuple[socket.socket, bool]]:
        """Wait for the one socket to be readable."""
        yield self._sock, False

    def close(self) -> None:
        """Close it."""
        self._carrier.close()
