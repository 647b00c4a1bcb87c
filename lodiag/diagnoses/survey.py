"""What ``doctor`` measures: each thing once, when it is first asked for, whichever diagnoses ask."""

from __future__ import annotations

from collections import defaultdict
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from lodiag.errors import TargetError
from lodiag.model import FAMILIES
from lodiag.system.facts import Question
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lodiag.model import Report
    from lodiag.model.conns import ConnRecord, ConnsSummary
    from lodiag.model.net import Link, LinkAddress, Qdisc, Route, RouteAnswer, Rule
    from lodiag.model.who import WhoRecord, WhoSummary
    from lodiag.system import System
    from lodiag.system.attempts import Met
    from lodiag.system.facts import Setting, Socket
    from lodiag.system.resolving import Answer, HostsFile
    from lodiag.system.ruleset import Chain
    from lodiag.system.sandbox import Confinement
    from lodiag.system.train import Train

SETTLE_S, SETTLE_TIMES = 0.02, 50
CANARY_S = 0.3
"""A loopback that works answers in less than a millisecond; what has not come by then is taken for lost."""

ResultT = TypeVar("ResultT")


class Service(NamedTuple):
    """The service that is asked about: a port, at the addresses that a client tries; ``host`` as it was given."""

    host: str | None
    port: int
    addresses: tuple[str, ...]

    @property
    def name(self) -> str:
        """What a client asks for."""
        host = self.host or "localhost"
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


class Survey:
    """This machine as the diagnoses see it; they ask from several threads, and one answer serves all."""

    def __init__(self, system: System, service: Service | None = None) -> None:
        """Nothing is measured yet."""
        self.system = system
        self.service = service
        self._locks: dict[object, Lock] = defaultdict(Lock)
        self._known: dict[object, tuple[Any, BaseException | None]] = {}
        self._guard = Lock()

    def once(self, key: object, measure: Callable[[], ResultT]) -> ResultT:
        """Measure what was not measured yet; a failure is remembered as well."""
        with self._guard:
            lock = self._locks[key]
        with lock:
            if key not in self._known:
                try:
                    self._known[key] = measure(), None
                except Exception as error:  # noqa: BLE001 - each diagnosis that asks meets it
                    self._known[key] = None, error
            found, failure = self._known[key]
        if failure is not None:
            raise failure
        return cast("ResultT", found)

    # --- the canary ---------------------------------------------------------------------------------------------

    @property
    def canary(self) -> Mapping[tuple[str, str], Met]:
        """What one byte met, by protocol and family."""
        found = self.once("canary", lambda: self.system.sing(CANARY_S))
        return {(met.proto, met.family): met for met in found}

    def meets(self, family: str, *protos: str) -> tuple[str | None, ...]:
        """Errors that probes of a family met, by protocol."""
        return tuple(self.canary[proto, family].error for proto in protos or ("tcp", "udp"))

    def answers(self, family: str) -> bool:
        """Whether TCP and UDP both work in a family."""
        return self.meets(family) == (None, None)

    def train(self, family: str) -> Train:
        """What became of a train of datagrams."""
        return self._counted(family)[0]

    def passed(self, family: str) -> Mapping[str, int]:
        """By how much the kernel's counters of packets went up while that train was sent."""
        return self._counted(family)[1]

    def _counted(self, family: str) -> tuple[Train, Mapping[str, int]]:
        def measure() -> tuple[Train, Mapping[str, int]]:
            before = self.system.count_packets(self.lo_name)
            train = self.system.send_train(family)
            after = self.system.count_packets(self.lo_name)
            return train, {kind: count - before.get(kind, 0) for kind, count in after.items()}

        return self.once(("train", family), measure)

    def connects(self, family: str) -> tuple[Met, ...]:
        """What connections met that were opened at once."""
        return self.once(("connects", family), lambda: self.system.connect_at_once(family))

    def is_rejected(self, family: str) -> bool:
        """Whether connections are met by ICMP errors, as counters tell, and are not refused before they are sent."""
        kind = f"{family} unreachable"

        def count() -> bool:
            _ = self.conns  # before more sockets of lodiag's own are there
            before = self.system.count_packets(self.lo_name).get(kind, 0)
            met = self.system.connect_at_once(family)
            return self.system.count_packets(self.lo_name).get(kind, 0) - before >= len(met)

        return self.once(("rejected", family), count)

    def is_icmp_silent(self, family: str, proto: str) -> bool:
        """Whether a second try meets silence as well: an error may be left out when the kernel has sent many."""
        _ = self.conns  # likewise
        kind = f"{family} errors left out"

        def try_again() -> tuple[tuple[Met, ...], Mapping[str, int]]:
            return self.system.sing(CANARY_S), self.system.count_packets(self.lo_name)

        before = self.once("counters before the second canary", lambda: self.system.count_packets(self.lo_name))
        found, after = self.once("second canary", try_again)
        if proto == "icmp-error" and after.get(kind, 0) != before.get(kind, 0):
            return False
        again = next(met for met in found if (met.proto, met.family) == (proto, family))
        return again.error == "timeout" or again.stage == "send"

    # --- the interface, routes and rules ------------------------------------------------------------------------

    @property
    def links(self) -> Sequence[Link] | None:
        """All interfaces; ``None`` where the kernel does not tell."""
        return self.once("links", self.system.list_links)

    @property
    def lo(self) -> Link | None:
        """The loopback interface."""
        return next((link for link in self.links or () if link.is_loopback), None)

    @property
    def lo_name(self) -> str:
        """Name of the loopback interface."""
        if self.lo is not None:
            return self.lo.ifname
        found = self.once("interfaces", self.system.list_loopback_interfaces)
        return found[0].name if found else "lo"

    @property
    def addresses(self) -> Sequence[LinkAddress]:
        """Addresses of all interfaces."""
        return self.once("addresses", self.system.list_addresses) or ()

    def settle(self) -> None:
        """Wait for a moment if an address of the loopback was just given and may not be used yet (RFC 4862 5.4)."""
        for _ in range(SETTLE_TIMES):
            own = {link.ifindex for link in self.system.list_links() or () if link.is_loopback}
            if not any(address.tentative for address in self.system.list_addresses() or () if address.ifindex in own):
                return
            self.system.wait((), SETTLE_S)

    @property
    def own_addresses(self) -> Sequence[LinkAddress]:
        """Addresses of the loopback interface."""
        index = self.lo.ifindex if self.lo else None
        return [address for address in self.addresses if address.ifindex == index]

    @property
    def routes(self) -> Sequence[Route] | None:
        """Routes that packets to loopback addresses could take."""
        return self.once("routes", self.system.list_routes)

    @property
    def rules(self) -> Sequence[Rule] | None:
        """Rules that choose among the tables of routes."""
        return self.once("rules", self.system.list_rules)

    @property
    def qdiscs(self) -> Sequence[Qdisc]:
        """What queues packets."""
        return self.once("qdiscs", self.system.list_qdiscs) or ()

    def route(
        self, address: str, proto: str | None = None, port: int | None = None, source: str | None = None
    ) -> RouteAnswer | None:
        """Find the way that a packet would take."""
        key = ("route", address, proto, port, source)
        return self.once(key, lambda: self.system.look_up_route(address, source, proto=proto, port=port))

    # --- settings, the filter, confinement ----------------------------------------------------------------------

    @property
    def settings(self) -> Mapping[str, Setting]:
        """Kernel parameters by what they decide."""
        return self.once("settings", lambda: self.system.read_doctor_settings(self.lo_name))

    def setting(self, role: str) -> str | None:
        """Value of a kernel parameter; ``None`` if it cannot be read."""
        found = self.settings.get(role)
        return found.value if found else None

    def number(self, role: str) -> int | None:
        """Value of a kernel parameter that is a number."""
        value = self.setting(role)
        return int(value) if value is not None and value.isdecimal() else None

    @property
    def ruleset(self) -> tuple[Chain, ...]:
        """Chains of the packet filter."""
        return self.once("ruleset", self.system.read_ruleset)

    @property
    def confinement(self) -> Confinement:
        """What confines this process."""
        return self.once("confinement", self.system.read_confinement)

    @property
    def refused(self) -> Mapping[str, str]:
        """Kinds of sockets that this process may not make."""
        return self.once("refused", self.system.find_refused_families)

    # --- names --------------------------------------------------------------------------------------------------

    @property
    def hostname(self) -> str:
        """Name of this host."""
        return self.once("hostname", self.system.read_hostname)

    @property
    def hosts(self) -> HostsFile:
        """What the hosts file says of localhost and this host."""
        names = {"localhost", self.hostname.lower()}
        return self.once("hosts", lambda: self.system.read_hosts(names))

    @property
    def localhost(self) -> Answer:
        """What the resolver says of localhost."""
        return self.name("localhost")

    def name(self, name: str) -> Answer:
        """What the resolver says of a name."""
        return self.once(("name", name), lambda: self.system.look_up_name(name))

    # --- sockets ------------------------------------------------------------------------------------------------

    @property
    def conns(self) -> Report[ConnRecord, ConnsSummary]:
        """All sockets of the loopback, judged."""
        from lodiag.conns import list_connections

        patient = cast("System", _Patient(self.system, self))

        def read() -> Report[ConnRecord, ConnsSummary]:
            for family in FAMILIES:  # so that no socket of lodiag's own is among them
                if self.meets(family, "tcp")[0] in {None, "timeout"}:
                    self.connects(family)
            return list_connections(with_findings=True, system=patient)

        return self.once("conns", read)

    def listening_ports(self) -> set[int]:
        """TCP ports at which something listens for the loopback."""
        return {
            record.local.port
            for record in self.conns.records
            if record.proto == "tcp" and record.state == "listen" and record.interface is None
        }

    @property
    def answerers(self) -> Report[WhoRecord, WhoSummary]:
        """Who listens at the port of the service."""
        from lodiag.who import find_answerer

        service = self.service
        assert service is not None  # noqa: S101 - none of its diagnoses asks otherwise
        patient = cast("System", _Patient(self.system, self))
        return self.once("answerers", lambda: find_answerer(service.port, proto="tcp", system=patient))

    def find_far_end(self, address: str, port: int, local_port: int) -> int | None:
        """Find the port of the socket at the other end of an own connection; ``None`` if that is not seen."""
        mirror = self._look_up((address, port), (address, local_port))
        if mirror is not None and mirror.state != "listen":
            return port
        rows = self.system.list_sockets(None, Question("tcp", remote_port=local_port)).sockets
        ports = {row.local[1] for row in rows if row.remote and row.remote[1] == local_port}
        return ports.pop() if len(ports) == 1 else None

    def is_unaccepted(self, address: str, port: int, local_port: int) -> int:
        """Whether the server's end of an own connection belongs to no process: 1, or 0 if it does or that is untold."""
        mirror = self._look_up((address, port), (address, local_port))
        return int(mirror is not None and mirror.state == "established" and mirror.inode == 0)

    def _look_up(self, local: tuple[str, int], remote: tuple[str, int]) -> Socket | None:
        from lodiag.system.sources import SourceRefusedError

        try:
            return self.system.look_up_socket("tcp", local, remote)
        except SourceRefusedError:
            return None


class _Patient:
    """The machine, whose resolver has been asked already, and is not waited for again."""

    def __init__(self, system: System, survey: Survey) -> None:
        self._system, self._survey = system, survey

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the machine has
        return getattr(self._system, name)

    def resolve(self, name: str, family: str | None) -> tuple[str, ...]:
        """Addresses of a name, as the resolver told them before."""
        answer = self._survey.name(name)
        found = [a for a in dict.fromkeys(answer.addresses) if family is None or (":" in a) == (family == "ipv6")]
        if not found:
            message = f"cannot resolve {name[:80]!r}: {answer.error}"
            raise TargetError(message)
        return tuple(found)


def has_loopback(addresses: Sequence[LinkAddress], family: str) -> bool:
    """Whether there is a loopback address of a family among these."""
    assert family in FAMILIES  # noqa: S101 - a word of lodiag's own
    wanted = "inet6" if family == "ipv6" else "inet"
    return any(address.family == wanted and is_loopback(address.local) for address in addresses)
