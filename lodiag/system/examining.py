"""What ``doctor`` asks of the machine besides what other commands do; a part of ``System``."""

from __future__ import annotations

TYPE_CHECKING = False  # as in the package's own module
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from lodiag.model.doctor import Repair
    from lodiag.system.attempts import Met
    from lodiag.system.facts import Setting
    from lodiag.system.knocking import Elsewhere, Knock
    from lodiag.system.resolving import Answer, HostsFile
    from lodiag.system.ruleset import Chain
    from lodiag.system.sandbox import Confinement
    from lodiag.system.train import Train


class Examining:
    """Questions of ``doctor``."""

    def sing(self, timeout_s: float) -> tuple[Met, ...]:
        """Probe own sockets by TCP, UDP and ICMP in both families at once, one byte each."""
        from lodiag.system import canary

        return canary.sing(timeout_s)

    def send_train(self, family: str) -> Train:
        """Send some ten datagrams to an own socket."""
        from lodiag.system import train

        return train.send_train(family)

    def connect_at_once(self, family: str) -> tuple[Met, ...]:
        """Open some connections to own listeners at once."""
        from lodiag.system import train

        return train.connect_at_once(family)

    def knock(self, address: str, port: int, inspect: Callable[[str, int, int], tuple[int | None, int]]) -> Knock:
        """Connect to a service, send nothing, and see what it does; ``inspect`` looks while it is open."""
        from lodiag.system import knocking

        return knocking.knock(address, port, inspect)

    def find_listeners_elsewhere(self, port: int) -> list[Elsewhere]:
        """Find listeners at a TCP port in other network namespaces."""
        from lodiag.system import knocking

        return knocking.find_listeners_elsewhere(port)

    def count_files(self, pid: int) -> int | None:
        """How many files a process has open; ``None`` if that may not be seen."""
        from lodiag.system import procfs

        return procfs.count_files(pid)

    def try_to_bind(self, address: str, port: int) -> str | None:
        """Bind a TCP socket for a moment, as a service would; the name of the errno if that is refused."""
        from lodiag.system import knocking

        return knocking.try_to_bind(address, port)

    def count_packets(self, interface: str) -> Mapping[str, int]:
        """Counters of packets on their way over an interface, by the layer that counts them; empty if hidden."""
        from lodiag.system import counters

        return counters.count_packets(interface)

    def read_doctor_settings(self, interface: str | None) -> Mapping[str, Setting]:
        """Kernel parameters that a diagnosis looks at, by what they decide."""
        from lodiag.system import host
        from lodiag.system.facts import Setting

        names = host.name_doctor_settings(interface)
        return {role: Setting(name, host.read_sysctl(name)) for role, name in names.items()}

    def read_hosts(self, names: Collection[str]) -> HostsFile:
        """Read what the hosts file says of these names."""
        from lodiag.system import resolving

        return resolving.read_hosts(names)

    def read_host_sources(self) -> tuple[str, ...] | None:
        """Where the resolver looks for hosts, in order; ``None`` where that is not told."""
        from lodiag.system import resolving

        return resolving.read_host_sources()

    def read_name_servers(self) -> tuple[str, ...]:
        """Addresses of the name servers that the resolver asks."""
        from lodiag.system import resolving

        return resolving.read_name_servers()

    def has_stub_servers(self) -> bool:
        """Whether the name servers are known that a stub on the loopback asks."""
        from lodiag.system import resolving

        return resolving.has_stub_servers()

    def ask_name_server(self, address: str) -> str | None:
        """Ask a name server for localhost; ``None`` if it answers, or what it met instead."""
        from lodiag.system import resolving

        return resolving.ask_name_server(address)

    def look_up_name(self, name: str, family: str | None = None, *, addrconfig: bool = False) -> Answer:
        """Ask the resolver for a name, for a second or two at most."""
        from lodiag.system import resolving

        return resolving.look_up(name, family, addrconfig=addrconfig)

    def read_hostname(self) -> str:
        """Name of this host."""
        from lodiag.system import resolving

        return resolving.read_hostname()

    def limit_descriptors(self) -> int | None:
        """How many descriptors this process may have open; ``None`` where that is not told, or has no limit."""
        from lodiag.system import sandbox

        return sandbox.limit_descriptors()

    def read_confinement(self) -> Confinement:
        """Tell what confines this process."""
        from lodiag.system import sandbox

        return sandbox.read_confinement()

    def find_refused_families(self) -> Mapping[str, str]:
        """Kinds of sockets (ipv4, ipv6, netlink) that this process may not make, with the errno."""
        from lodiag.system import sandbox

        return sandbox.find_refused_families()

    def has_ipv6(self) -> bool:
        """Whether this kernel speaks IPv6 at all."""
        from lodiag.system import sandbox

        return sandbox.has_ipv6()

    def read_proxies(self) -> Mapping[str, str]:
        """Proxies of the environment, by variable, without user and password."""
        from lodiag.system import sandbox

        return sandbox.read_proxies()

    def read_no_proxy(self) -> tuple[str, ...]:
        """Hosts that the environment keeps from the proxy."""
        from lodiag.system import sandbox

        return sandbox.read_no_proxy()

    def read_ruleset(self) -> tuple[Chain, ...]:
        """Read the chains of the packet filter; ``MethodRefusedError`` with the reason where that may not be."""
        from lodiag.system import ruleset

        return ruleset.read_ruleset()

    def prescribe(self, cause: str, **facts: object) -> Repair | None:
        """Commands of this kind of system against a cause; ``None`` where none are known."""
        from lodiag.system import repairs

        return repairs.prescribe(cause, facts)

    def join_repairs(self, repairs: tuple[Repair | None, ...]) -> Repair | None:
        """Make one repair of several; ``None`` if there is none."""
        from lodiag.system import repairs as known

        return known.join(repairs)

    def run_command(self, command: str) -> str | None:
        """Run a shell command; ``None`` if it succeeds, or what it said."""
        from lodiag.system import repairs

        return repairs.run_command(command)
