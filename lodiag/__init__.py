"""lodiag: what is happening on this machine's loopback, and what is wrong with it.

The functions and types below load their modules when they are first used, so ``import lodiag`` costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lodiag.audit import audit_bindings
    from lodiag.bench import bench_loopback
    from lodiag.check import run_checks
    from lodiag.conns import list_connections
    from lodiag.doctor import diagnose
    from lodiag.echo.options import PingOptions
    from lodiag.echo.run import PingRun
    from lodiag.echo.sweep import sweep_sizes
    from lodiag.errors import ConfigError, LodiagError, PrivilegeError, TargetError, UnsupportedError
    from lodiag.hops.rounds import watch_route
    from lodiag.iface import add_alias, bring_down, bring_up, list_interfaces, remove_alias, set_mtu
    from lodiag.links.rates import watch_interfaces
    from lodiag.map import map_flows
    from lodiag.model import Finding, Report
    from lodiag.ping import ping_address
    from lodiag.sockets.watch import watch_connections
    from lodiag.system import System
    from lodiag.trace import trace_route
    from lodiag.who import find_answerer

__version__ = "0.1.0"

_HOMES = {
    "ping_address": "ping",
    "PingRun": "echo.run",
    "PingOptions": "echo.options",
    "sweep_sizes": "echo.sweep",
    "trace_route": "trace",
    "bench_loopback": "bench",
    "list_connections": "conns",
    "watch_connections": "sockets.watch",
    "watch_route": "hops.rounds",
    "find_answerer": "who",
    "map_flows": "map",
    "list_interfaces": "iface",
    "watch_interfaces": "links.rates",
    "bring_up": "iface",
    "bring_down": "iface",
    "add_alias": "iface",
    "remove_alias": "iface",
    "set_mtu": "iface",
    "diagnose": "doctor",
    "run_checks": "check",
    "audit_bindings": "audit",
    "Report": "model",
    "Finding": "model",
    "System": "system",
    "LodiagError": "errors",
    "TargetError": "errors",
    "PrivilegeError": "errors",
    "UnsupportedError": "errors",
    "ConfigError": "errors",
}

__all__ = [  # noqa: RUF022 - functions first, as a reader looks for them
    "ping_address",
    "PingRun",
    "PingOptions",
    "sweep_sizes",
    "trace_route",
    "bench_loopback",
    "list_connections",
    "watch_connections",
    "watch_route",
    "find_answerer",
    "map_flows",
    "list_interfaces",
    "watch_interfaces",
    "bring_up",
    "bring_down",
    "add_alias",
    "remove_alias",
    "set_mtu",
    "diagnose",
    "run_checks",
    "audit_bindings",
    "Report",
    "Finding",
    "System",
    "LodiagError",
    "TargetError",
    "PrivilegeError",
    "UnsupportedError",
    "ConfigError",
    "__version__",
]


def __getattr__(name: str) -> object:
    """Load a public name's module (PEP 562)."""
    if name not in _HOMES:
        message = f"module 'lodiag' has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    return getattr(import_module(f"lodiag.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
