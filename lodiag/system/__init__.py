"""What the machine says: the only layer that names icmplib, psutil or /proc, or asks which system this is.

``System`` is what every function of lodiag that touches the machine is handed as ``system``. A test
passes a subclass in; nothing is ever patched. Each source is loaded when it is first asked.
"""

from __future__ import annotations

import time

from lodiag.system.examining import Examining

TYPE_CHECKING = False  # typing takes half as long to load as Python takes to start, and health checks start often
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from lodiag.model import Finding, Host
    from lodiag.model.bench import BenchMachine
    from lodiag.model.net import Link, LinkAddress, Qdisc, Route, RouteAnswer, Rule
    from lodiag.system.bursts import BurstProbe
    from lodiag.system.census import Census
    from lodiag.system.change import Change
    from lodiag.system.ends.pool import Ends
    from lodiag.system.facts import (
        Condition,
        Forwards,
        Group,
        Holder,
        Interface,
        Links,
        Namespaces,
        Opening,
        Privilege,
        Process,
        Question,
        Setting,
        Socket,
        SocketTable,
    )
    from lodiag.system.fan import Fan
    from lodiag.system.probe import ProbeSocket, Waitable
    from lodiag.system.sizing import SizeProbe


class System(Examining):
    """The machine that lodiag runs on."""

    def monotonic_ns(self) -> int:
        """Nanoseconds of the clock by which probes are timed; it is never set back."""
        return time.perf_counter_ns()

    def wall_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return time.time_ns()

    def describe_host(self) -> Host:
        """Tell the facts that decide what can be seen from here."""
        from lodiag.system import host

        return host.describe_host()

    def sees_all_processes(self) -> bool:
        """Whether a process that is not seen to hold a socket certainly does not."""
        from lodiag.system import host

        return self.describe_host().uid == 0 and host.is_root_of_all()

    def read_sysctl(self, name: str) -> str | None:
        """Value of a kernel parameter, such as ``net.ipv4.icmp_echo_ignore_all``; ``None`` if there is none."""
        from lodiag.system import host

        return host.read_sysctl(name)

    def read_settings(self, interface: str | None = None) -> dict[str, Setting]:
        """Kernel parameters that keep a loopback silent, by what they decide (see ``host.name_settings``)."""
        from lodiag.system import host
        from lodiag.system.facts import Setting

        return {role: Setting(name, self.read_sysctl(name)) for role, name in host.name_settings(interface).items()}

    def read_socket_settings(self) -> dict[str, Setting]:
        """Kernel parameters that decide which ports clients get, by what they decide."""
        from lodiag.system import host
        from lodiag.system.facts import Setting

        return {role: Setting(name, self.read_sysctl(name)) for role, name in host.SOCKET_SETTINGS.items()}

    def count_overflows(self) -> Mapping[str, int]:
        """How often the kernel dropped what found a queue full, by kind of queue: accept, udp."""
        from lodiag.system import counters

        return counters.count_overflows()

    def complete(self, finding: Finding) -> Finding:
        """Add what is known of a finding on this kind of system: commands that repair it or show more, manuals."""
        from lodiag.system import fixes

        return fixes.complete(finding)

    def resolve(self, name: str, family: str | None) -> tuple[str, ...]:
        """Addresses of a name in the resolver's order, each once; ``TargetError`` if it has none."""
        from lodiag.system import names

        return names.resolve(name, family)

    def open_probe(  # noqa: PLR0913 - what decides a probe socket
        self, method: str, family: str, address: str, *, source: str | None, size_bytes: int, port: int | None = None
    ) -> ProbeSocket:
        """Open a socket that probes ``address`` (a literal) by icmp-datagram, icmp-raw, udp or tcp.

        Raises ``MethodRefusedError`` where the machine refuses the method and ``SendError`` where the address
        or ``source`` cannot be used.
        """
        # Loaded before the sockets take what may be the last descriptors; an import needs one.
        from lodiag.system import waiting  # noqa: F401

        if method == "udp":
            from lodiag.system.udp import UdpProbe

            return UdpProbe(family, address, source=source, size_bytes=size_bytes, port=port)
        if method == "tcp":
            from lodiag.system.tcp import TcpProbe

            return TcpProbe(family, address, source=source, port=port)
        from lodiag.system.icmp import IcmpProbe

        return IcmpProbe(family, address, method, source=source, size_bytes=size_bytes)

    def open_fan(self, method: str, address: str, *, source: str | None, size_bytes: int) -> Fan:
        """Open one socket for probes to many addresses of 127.0.0.0/8; it raises what ``open_probe`` does."""
        from lodiag.system import waiting  # noqa: F401 - as above
        from lodiag.system.fan import Fan

        return Fan(method, address, source=source, size_bytes=size_bytes)

    def open_burst_probe(  # noqa: PLR0913 - what decides a probe socket
        self, method: str, family: str, address: str, *, source: str | None, size_bytes: int, stamp_each: bool = False
    ) -> BurstProbe:
        """Open an ICMP socket that sends many probes by one system call, and stamps each or the first of a burst.

        Raises ``MethodRefusedError`` where this machine has no such calls or stamps, where it refuses the method, and
        for what cannot be sent so; ``SendError`` where the address or ``source`` cannot be used.
        """
        from lodiag.system.bursts import open_burst_probe

        return open_burst_probe(method, family, address, source=source, size_bytes=size_bytes, stamp_each=stamp_each)

    def open_size_probe(self, family: str, address: str) -> SizeProbe:
        """Open a socket that sends UDP packets of chosen sizes, which nothing may fragment; ``SendError`` likewise."""
        from lodiag.system.sizing import SizeProbe

        return SizeProbe(family, address)

    def wait_for_stamps(self, families: Iterable[str]) -> None:
        """Wait, for some tens of milliseconds at most, until the kernel stamps what sockets that ask for it receive."""
        from lodiag.system import stamping

        any(stamping.warm_up(family) for family in families)

    def wait(self, probes: Sequence[Waitable], timeout_s: float) -> None:
        """Sleep until an answer may have arrived at one of the probes; it may be less than ``timeout_s``."""
        from lodiag.system import waiting

        waiting.wait(probes, timeout_s)

    def list_sockets(self, source: str | None = None, question: Question | None = None) -> SocketTable:
        """Read the socket table of this network namespace, by ``source`` or by the best that is to be had.

        More may come than was asked for. Raises ``UnsupportedError`` if no source is to be had.
        """
        from lodiag.system import sources
        from lodiag.system.facts import Question

        return sources.list_sockets(source, question or Question())

    def look_up_socket(
        self, proto: str, local: tuple[str, int], remote: tuple[str, int], interface: str | None = None
    ) -> Socket | None:
        """Find the socket to which the kernel would give what comes to ``local`` from ``remote``; nothing is sent.

        The ends are literals of one family, and ports. A socket that is bound to an interface gets only what comes by
        that one. ``None`` if there is none. Raises ``SourceRefusedError`` where the kernel does not tell.
        """
        from lodiag.system import names, netlink

        index = names.index_interface(interface) if interface else 0
        return netlink.look_up(proto, local, remote, interface_index=index)

    def find_holders(
        self, inodes: Collection[int], pids: Collection[int] | None = None
    ) -> Mapping[int, tuple[Holder, ...]]:
        """Find the processes that hold sockets of these inodes; those that this user may not see are left out.

        ``pids`` are the only processes to look into, if they are given.
        """
        from lodiag.system import procfs

        return procfs.find_holders(inodes, pids)

    def find_start(self, pid: int) -> int | None:
        """When a process was started, in seconds since the epoch; ``None`` if it has ended or is hidden."""
        from lodiag.system import procfs

        if procfs.is_here():
            return procfs.find_start(pid)
        from lodiag.system import portable

        return portable.find_start(pid)

    def describe_process(self, pid: int, *, with_cmdline: bool) -> Process:
        """Tell what may be known of a process."""
        from lodiag.system import procfs

        if procfs.is_here():
            return procfs.describe_process(pid, with_cmdline=with_cmdline)
        from lodiag.system import portable

        return portable.describe_process(pid, with_cmdline=with_cmdline)

    def describe_condition(self, pid: int) -> Condition:
        """Tell how a process is: what it runs, whose child it is, whether it is stopped."""
        from lodiag.system import portable

        return portable.describe_condition(pid)

    def list_groups(self) -> Mapping[int, Group]:
        """Control groups by the id that sockets bear; empty where there are none."""
        from lodiag.system import cgroups

        return cgroups.list_groups()

    def name_user(self, uid: int) -> str:
        """Name of a user, or the number of one that has none."""
        from lodiag.system import procfs

        return procfs.name_user(uid)

    def has_user(self, name: str) -> bool | None:
        """Whether there is a user of this name; ``None`` where that cannot be asked."""
        from lodiag.system import procfs

        return procfs.has_user(name)

    def has_address(self, address: str) -> bool:
        """Whether a socket of this machine can have an address (a literal); nothing is sent."""
        from lodiag.system import names

        return names.has_address(address)

    def name_interface(self, index: int) -> str | None:
        """Name of the interface of this index; ``None`` if it is gone."""
        from lodiag.system import names

        return names.name_interface(index)

    def require_graphviz(self) -> None:
        """Raise ``UnsupportedError`` where no graph can be drawn."""
        from lodiag.system import graphviz

        graphviz.find()

    def draw_graph(self, graph: str) -> str:
        """Draw a graph, given in Graphviz's language, as SVG; ``UnsupportedError`` where that cannot be had."""
        from lodiag.system import graphviz

        return graphviz.draw(graph)

    def list_loopback_interfaces(self) -> tuple[Interface, ...] | None:
        """Find the loopback interfaces, by their flag and not by their name; ``None`` if none can be read."""
        from lodiag.errors import UnsupportedError

        try:
            return self.read_links().loopbacks()
        except UnsupportedError:
            return None

    def read_links(self, source: str | None = None) -> Links:
        """Read all interfaces and their addresses, by rtnetlink or psutil; ``UnsupportedError`` if neither tells."""
        from lodiag.system import sources

        return sources.read_links(source)

    def open_ends(self) -> Ends:
        """Give processes that send traffic to each other; they are gone when the context ends."""
        from lodiag.system.ends.pool import Ends

        return Ends()

    def list_cores(self) -> tuple[int, ...]:
        """Cores that this process may use, the first two of which share least; none where none can be chosen."""
        from lodiag.system import machine

        return machine.list_cores()

    def check_congestion(self, name: str) -> None:
        """Raise ``ConfigError`` where TCP cannot use this congestion control."""
        from lodiag.system.ends import paths

        paths.check_congestion(name)

    def describe_machine(self) -> BenchMachine:
        """Tell what the speed of the loopback depends on."""
        from lodiag.system import machine

        links = [link for link in self.list_links() or () if link.is_loopback]
        return machine.describe_machine(links[0] if links else None)

    def count_tracked(self) -> int | None:
        """How many connections the packet filter tracks here; ``None`` if it tracks none at all, or does not tell."""
        count = self.read_sysctl("net.netfilter.nf_conntrack_count")
        return int(count) if count else None

    def take_census(self) -> Census:
        """Tell how much of the processors everybody has used so far."""
        from lodiag.system import census

        return census.take_census()

    def read_load(self) -> float | None:
        """Load average over a minute; ``None`` where there is none."""
        from lodiag.system import machine

        return machine.read_load()

    def find_openings(self) -> tuple[Opening, ...] | None:
        """Find the interfaces that are up, but for the loopback's, by which packets for 127.0.0.0/8 are let in.

        ``None`` where the kernel has such a setting, and it may not be read.
        """
        from lodiag.system import openings

        if not openings.is_any_open():
            return () if openings.are_readable() else None
        links = self.list_links()
        up = openings.list_interfaces() if links is None else [link.ifname for link in links if link.is_up]
        loopbacks = {interface.name for interface in self.list_loopback_interfaces() or ()}
        return openings.find_openings(name for name in up if name not in loopbacks)

    def read_forwards(self) -> Forwards:
        """Read the rules of the packet filter that send on what other hosts send here."""
        from lodiag.system import forwards

        return forwards.read_forwards()

    def count_namespaces(self) -> Namespaces:
        """Count the other network namespaces of this machine, of which nothing is seen from here."""
        from lodiag.system import openings

        return openings.count_namespaces(sees_all=self.sees_all_processes())

    def list_links(self) -> tuple[Link, ...] | None:
        """All interfaces of this network namespace; ``None`` where rtnetlink is not to be had."""
        from lodiag.system import interfaces

        return interfaces.try_to(interfaces.list_links)

    def list_addresses(self) -> tuple[LinkAddress, ...] | None:
        """Addresses of all interfaces; ``None`` likewise."""
        from lodiag.system import interfaces

        return interfaces.try_to(interfaces.list_addresses)

    def list_routes(self) -> tuple[Route, ...] | None:
        """Routes of all tables that packets to 127.0.0.0/8 or ::1 could take, default routes too; ``None`` likewise."""
        from lodiag.system import interfaces

        return interfaces.try_to(interfaces.list_routes)

    def list_routes_of(self, index: int) -> tuple[Route, ...] | None:
        """Routes of all tables that lead to the interface of this index; ``None`` likewise."""
        from lodiag.system import interfaces

        return interfaces.try_to(lambda: interfaces.list_routes_of(index))

    def list_rules(self) -> tuple[Rule, ...] | None:
        """All rules that choose among the tables of routes, by family and priority; ``None`` likewise."""
        from lodiag.system import interfaces

        return interfaces.try_to(interfaces.list_rules)

    def list_qdiscs(self) -> tuple[Qdisc, ...] | None:
        """What queues the packets of all interfaces; ``None`` likewise."""
        from lodiag.system import interfaces

        return interfaces.try_to(interfaces.list_qdiscs)

    def look_up_route(
        self, address: str, source: str | None = None, *, proto: str | None = None, port: int | None = None
    ) -> RouteAnswer | None:
        """Ask for the way that a packet to ``address`` (a literal) would take; nothing is sent. ``None`` likewise.

        ``source`` is the address that it would come from, ``proto`` tcp, udp or icmp, ``port`` that of the destination.
        Of an interface that is down this tells nothing: its routes stay.
        """
        from lodiag.system import interfaces

        return interfaces.try_to(lambda: interfaces.look_up_route(address, source, proto, port))

    def read_loopback_settings(self, loopback: str) -> dict[str, Setting]:
        """Kernel parameters that decide how a loopback interface behaves, by what they decide."""
        from lodiag.system import host
        from lodiag.system.facts import Setting

        names = host.name_loopback_settings(loopback)
        return {role: Setting(name, self.read_sysctl(name)) for role, name in names.items()}

    def write_sysctl(self, name: str, value: str) -> None:
        """Set a kernel parameter; ``OSError`` if that may not be."""
        from lodiag.system import host

        host.write_sysctl(name, value)

    def spell_change(self, change: Change) -> str | None:
        """Command of this kind of system that makes a change; ``None`` where it has none."""
        from lodiag.system import changing

        return changing.spell(change)

    def apply_changes(self, changes: Sequence[Change]) -> None:
        """Make changes, all at once where the system can; ``ChangeRefusedError`` if one is refused."""
        from lodiag.system import changing

        changing.apply(changes)

    def describe_privilege(self) -> Privilege:
        """Tell whether this process may change interfaces, and where it would have to be allowed to."""
        from lodiag.system import privilege

        return privilege.describe()

    def exchange_datagram(self, address: str, size_bytes: int, timeout_s: float) -> tuple[int | None, str | None]:
        """Send a datagram from an address to itself: nanoseconds until it came, or the reason why it did not."""
        from lodiag.system import datagrams

        return datagrams.exchange(address, size_bytes, timeout_s)
