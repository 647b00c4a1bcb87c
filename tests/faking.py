"""Machines that cannot be had: passed in as ``system``, never patched in."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, cast

from lodiag.system import System
from lodiag.system.probe import Answer, MethodRefusedError, SendError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Sequence

    from lodiag.model.net import RouteAnswer
    from lodiag.system.bursts import BurstProbe
    from lodiag.system.facts import Interface
    from lodiag.system.fan import Fan
    from lodiag.system.probe import ProbeSocket, Waitable

NS_PER_S = 1_000_000_000


class FakeSystem(System):
    """A machine whose time passes only when lodiag waits, and whose sockets answer by ``behave``."""

    def __init__(
        self, behave: Callable[[FakeProbe, int], None], *, addresses: tuple[str, ...] = ("127.0.0.1",)
    ) -> None:
        """``behave(probe, seq)`` is called at each send; it may call ``probe.answer`` or raise."""
        self.now_ns = 0
        self.probes: list[FakeProbe] = []
        self.clocks = {"user"}
        self.sysctls: dict[str, str] = {}
        self.interfaces: tuple[Interface, ...] | None = None
        self.route: RouteAnswer | None = None
        self._behave, self._addresses = behave, addresses

    def monotonic_ns(self) -> int:
        """Tell the fake time."""
        return self.now_ns

    def wall_ns(self) -> int:
        """A fixed beginning."""
        return 1_700_000_000 * NS_PER_S

    def resolve(self, name: str, family: str | None) -> tuple[str, ...]:
        """Every name has the addresses of this machine."""
        del name
        return tuple(a for a in self._addresses if family in {None, "ipv6" if ":" in a else "ipv4"})

    def open_probe(  # noqa: PLR0913 - as System has it
        self, method: str, family: str, address: str, *, source: str | None, size_bytes: int, port: int | None = None
    ) -> ProbeSocket:
        """Give a socket that answers by ``behave``."""
        del family, source, port
        probe = FakeProbe(self, method, address, size_bytes, self._behave)
        self.probes.append(probe)
        return probe

    def open_fan(self, method: str, address: str, *, source: str | None, size_bytes: int) -> Fan:
        """Give a socket that is shared."""
        del address
        return cast("Fan", FakeFan(self, method, source, size_bytes))

    def open_burst_probe(  # noqa: PLR0913 - what decides a probe socket
        self, method: str, family: str, address: str, *, source: str | None, size_bytes: int, stamp_each: bool = False
    ) -> BurstProbe:
        """Have none."""
        del family, address, source, size_bytes, stamp_each
        raise MethodRefusedError(method)

    def wait_for_stamps(self, families: Iterable[str]) -> None:
        """Stamp at once."""

    def wait(self, probes: Sequence[Waitable], timeout_s: float) -> None:
        """Let the time pass until the first answer is due, or until the end."""
        waited = [each for probe in probes for each in (probe.joined if isinstance(probe, FakeFan) else [probe])]
        due = [at for probe in waited if isinstance(probe, FakeProbe) for at, _ in probe.under_way]
        self.now_ns = max(self.now_ns, min([self.now_ns + round(timeout_s * NS_PER_S), *due]))

    def read_sysctl(self, name: str) -> str | None:
        """Read ``sysctls``."""
        return self.sysctls.get(name)

    def list_loopback_interfaces(self) -> tuple[Interface, ...] | None:
        """Give ``interfaces``."""
        return self.interfaces

    def look_up_route(
        self, address: str, source: str | None = None, *, proto: str | None = None, port: int | None = None
    ) -> RouteAnswer | None:
        """Give ``route``."""
        del address, source, proto, port
        return self.route


class FakeProbe:
    """A socket whose answers arrive when the test says."""

    port = None
    own_address = None

    def __init__(
        self, system: FakeSystem, method: str, address: str, size_bytes: int, behave: Callable[[FakeProbe, int], None]
    ) -> None:
        """Keep what was asked for."""
        self.method, self.address, self.size_bytes = method, address, size_bytes
        self.sent: list[tuple[int, int]] = []
        self.under_way: deque[tuple[int, Answer]] = deque()
        self.is_closed = False
        self.ttl: int | None = None
        self.reached: dict[int, str] = {}
        self.clock = "user"
        self._system, self._behave = system, behave

    def tell_interfaces(self) -> None:
        """Tell them anyway."""

    def use_clock(self, clock: str, *, closely: bool = False) -> bool:
        """Grant the clocks of this machine."""
        del closely
        self.clock = clock
        return clock in self._system.clocks

    def send(self, seq: int, ttl: int | None = None) -> int:
        """Note the probe and let the test decide its fate."""
        self.ttl = ttl
        self._behave(self, seq)
        self.sent.append((seq, self._system.now_ns))
        return self._system.now_ns

    def answer(  # noqa: PLR0913 - what an answer can be
        self,
        seq: int,
        *,
        after_s: float = 0.00001,
        is_reply: bool = True,
        intact: bool = True,
        address: str | None = None,
        error: str | None = None,
        ttl: int | None = 64,
        kernel_s: float | None = None,
        clock: str | None = None,
        interface_index: int | None = None,
        was_resent: bool = False,
    ) -> None:
        """Let an answer arrive ``after_s`` seconds from now, which the kernel timed as ``kernel_s``."""
        at = self._system.now_ns + round(after_s * NS_PER_S)
        answer = Answer(
            seq=seq,
            received_ns=at,
            address=address or self.address,
            is_reply=is_reply,
            intact=intact,
            ttl=ttl,
            size_bytes=self.size_bytes,
            icmp_type=0 if is_reply else 3,
            icmp_code=0,
            error=error,
            interface_index=interface_index,
            was_resent=was_resent,
            kernel_rtt_ns=None if kernel_s is None else round(kernel_s * NS_PER_S),
            clock=clock or ("user" if kernel_s is None else self.clock),
        )
        self.under_way.append((at, answer))
        self.under_way = deque(sorted(self.under_way, key=lambda entry: entry[0]))

    def receive(self) -> Answer | None:
        """Hand over the next answer that has arrived."""
        if self.under_way and self.under_way[0][0] <= self._system.now_ns:
            return self.under_way.popleft()[1]
        return None

    def locate(self, seq: int) -> str | None:
        """Tell what the test says of this probe."""
        return self.reached.get(seq)

    def waits_for(self) -> Iterable[tuple[socket.socket, bool]]:
        """There is no real socket."""
        return ()

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


class FakeFan:
    """A socket of many addresses, each of which is a ``FakeProbe``."""

    def __init__(self, system: FakeSystem, method: str, source: str | None, size_bytes: int) -> None:
        """Keep what was asked for."""
        self._system, self._method, self._source, self._size = system, method, source, size_bytes
        self.joined: list[FakeProbe] = []

    def has(self, address: str) -> bool:
        """Whether this address is among them."""
        return any(probe.address == address for probe in self.joined)

    def join(self, address: str) -> FakeProbe:
        """Add one."""
        probe = self._system.open_probe(self._method, "ipv4", address, source=self._source, size_bytes=self._size)
        assert isinstance(probe, FakeProbe)
        self.joined.append(probe)
        return probe

    def sort(self) -> Iterable[str]:
        """Tell which have answers."""
        return [p.address for p in self.joined if p.under_way and p.under_way[0][0] <= self._system.now_ns]

    def waits_for(self) -> Iterable[tuple[socket.socket, bool]]:
        """There is no real socket."""
        return ()

    def close(self) -> None:
        """There is nothing to give back."""


def refuse(code: int) -> SendError:
    """Make the error of a send that the kernel refuses with this errno."""
    return SendError(OSError(code, "refused"))
