"""UDP probes to a closed port: the target's "port unreachable" is the reply, and no privilege is needed."""

from __future__ import annotations

import os
import socket
from collections import deque
from time import perf_counter_ns
from typing import TYPE_CHECKING

from lodiag.system import errqueue
from lodiag.system.packets import PAYLOAD_KEY, PORT_UNREACHABLE, UNREACHABLE, make_payload, name_error
from lodiag.system.probe import Answer, SendError
from lodiag.system.sockopts import UDP_TRACEROUTE_PORT, hold_closed_port, open_socket, set_ttl
from lodiag.system.stamping import Stamper

if TYPE_CHECKING:
    from collections.abc import Iterable


class UdpProbe:
    """Datagrams to one port of one address from one connected socket.

    With the error queue every answer names its probe, its sender and its TTL. Without it the kernel
    reports only that the port refused, and that is taken for the answer to the latest probe: on the
    loopback it arrives before send() returns.
    """

    method = "udp"

    def __init__(  # noqa: PLR0913 - what decides a UDP probe
        self,
        family: str,
        address: str,
        *,
        source: str | None,
        size_bytes: int,
        port: int | None,
        error_queue: bool = True,
    ) -> None:
        """Open the socket; without ``port``, reserve one that nothing listens on."""
        self._sock = open_socket(family, socket.SOCK_DGRAM, source)
        self._holder = hold_closed_port(family, socket.SOCK_DGRAM, address) if port is None else None
        self.port = port or (self._holder.getsockname()[1] if self._holder else UDP_TRACEROUTE_PORT)
        self._family, self._address, self._size = family, address, size_bytes
        self._key = os.urandom(8)
        self._last_seq = 0
        self._ttl: int | None = None
        self._connected = False
        self._aside: deque[errqueue.Caught] = deque()
        self._has_queue = error_queue and errqueue.enable(self._sock, family)
        errqueue.enable_ttl(self._sock, family)
        self._stamper = Stamper(self._sock)

    @property
    def own_address(self) -> str | None:
        """Address that the kernel chose when the socket was connected."""
        return str(self._sock.getsockname()[0]) if self._connected else None

    def tell_interfaces(self) -> None:
        """Have errors tell by which interface they come."""
        errqueue.enable_interface(self._sock, self._family)

    def use_clock(self, clock: str, *, closely: bool = False) -> bool:
        """Have the kernel stamp the datagrams and the errors about them, where there is an error queue."""
        return (self._has_queue or clock == "user") and self._stamper.use(clock, closely=closely)

    def send(self, seq: int, ttl: int | None = None) -> int:
        """Send datagram ``seq``."""
        if ttl is not None and ttl != self._ttl:
            set_ttl(self._sock, self._family, ttl)
            self._ttl = ttl
        payload = make_payload(self._key, seq, self._size)
        self._last_seq = seq
        errqueue.clear_pending(self._sock)
        try:
            if not self._connected:
                self._sock.connect((self._address, self.port))
                self._connected = True
            sent_ns = self._stamper.note_send(seq)
            errqueue.send(self._sock, payload)
        except OSError as error:
            self._read_stamps()
            raise SendError(error, self._stamper.retract_send(seq)) from error
        return sent_ns

    def _read_stamps(self) -> None:
        if self._stamper.queues:
            while caught := errqueue.read(self._sock, self._family, self._stamper):
                self._aside.append(caught)

    def locate(self, seq: int) -> str | None:
        """Tell by the kernel's stamps how far a datagram came."""
        self._read_stamps()
        return self._stamper.locate(seq)

    def receive(self) -> Answer | None:
        """Return the next answer: an ICMP error, or a datagram where something does listen."""
        if self._aside:
            return self._from_queue(self._aside.popleft())
        return (self._receive_queued() or self._receive_datagram()) if self._connected else None

    def _receive_datagram(self) -> Answer | None:
        try:
            size = len(self._sock.recv(65_536))
        except BlockingIOError:  # nothing there
            return None
        except OSError as error:  # the notice of an ICMP error, which has come meanwhile if there is a queue
            if self._has_queue:
                return self._receive_queued()
            if not isinstance(error, ConnectionRefusedError):
                return None
            return Answer(seq=self._last_seq, received_ns=perf_counter_ns(), address=self._address)
        return Answer(seq=self._last_seq, received_ns=perf_counter_ns(), address=self._address, size_bytes=size)

    def _receive_queued(self) -> Answer | None:
        caught = errqueue.read(self._sock, self._family, self._stamper) if self._has_queue else None
        return None if caught is None else self._from_queue(caught)

    def _from_queue(self, caught: errqueue.Caught) -> Answer:
        seq, intact = self._last_seq, True
        if len(caught.quoted) >= PAYLOAD_KEY.size:
            key, number = PAYLOAD_KEY.unpack_from(caught.quoted)
            intact = key == self._key and make_payload(key, number, self._size).startswith(caught.quoted)
            seq = number if intact else seq
        error = caught.error
        refused = (error.icmp_type, error.icmp_code) == (UNREACHABLE[self._family], PORT_UNREACHABLE[self._family])
        is_reply = refused and error.offender == self._address
        kernel_rtt_ns, clock = self._stamper.measure(seq, caught.arrived_ns, caught.received_ns)
        return Answer(
            seq=seq,
            received_ns=caught.received_ns,
            is_reply=is_reply,
            intact=intact,
            address=error.offender,
            ttl=caught.ttl,
            icmp_type=error.icmp_type,
            icmp_code=error.icmp_code,
            error=None if is_reply else name_error(self._family, error.icmp_type, error.icmp_code, echo=False),
            interface_index=caught.interface_index,
            kernel_rtt_ns=kernel_rtt_ns,
            clock=clock,
        )

    def waits_for(self) -> Iterable[tuple[socket.socket, bool]]:
        """Wait for the one socket to be readable, as it also is when its error queue is not empty."""
        yield self._sock, False

    def close(self) -> None:
        """Close the socket and release the port."""
        self._sock.close()
        if self._holder is not None:
            self._holder.close()
