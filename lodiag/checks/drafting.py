"""A file of checks that says what is so now: what listens, and the loopback itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.checks.kinds.iface import list_addresses
from lodiag.checks.source import VERSION
from lodiag.conns import list_connections
from lodiag.system import System

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lodiag.model.conns import ConnRecord

_HEAD = f"""# What lodiag check expects of this machine: written by lodiag check --init, to be cut down to what matters.
schema = {VERSION}

[defaults]
timeout = "2s"      # of one attempt
wait = "0s"         # until it must pass; 0s is one attempt
interval = "250ms"  # between attempts
"""


def write_checks(system: System | None = None) -> str:
    """Write checks that all pass now: of the interface, of localhost, and of each TCP port that something listens on.

    Only what is there is told, and never that something is missing. An owner that may not be seen is left out.
    """
    system = system or System()
    parts = [_HEAD, *_write_interface(system), *_write_names(system)]
    report = list_connections(proto="tcp", states=["listen"], system=system)
    ports: dict[int, list[ConnRecord]] = {}
    for record in report.records:
        ports.setdefault(record.local.port, []).append(record)
    parts += [_write_port(port, records) for port, records in sorted(ports.items())]
    return "\n".join(parts)


def _write_interface(system: System) -> Iterator[str]:
    found = system.list_loopback_interfaces()
    if found and len(found) == 1 and found[0].is_up:
        addresses = ", ".join(map(_quote, list_addresses(system, found)))
        has = [f"addresses = [{addresses}]"] if addresses else []
        yield _write_check("loopback", "iface", "up = true", *has)


def _write_names(system: System) -> Iterator[str]:
    from lodiag.errors import TargetError
    from lodiag.targets import is_loopback

    try:
        addresses = system.resolve("localhost", None)
    except TargetError:
        return
    if all(map(is_loopback, addresses)):
        yield _write_check(
            "localhost", "resolve", 'name = "localhost"', f"expect = [{', '.join(map(_quote, addresses))}]"
        )


def _write_port(port: int, records: Sequence[ConnRecord]) -> str:
    lines = [f"port = {port}"]
    if all(record.scope == "loopback" for record in records):
        lines.append("exposed = false")
    names = {owner.process for record in records for owner in record.owners or ()}
    seen = all(record.owners for record in records)
    name = names.pop() if len(names) == 1 and seen else None
    if name and name.isprintable():
        lines.append(f"owner = {_quote(name)}")
    return _write_check(f"port-{port}", "listen", *lines)


def _write_check(name: str, kind: str, *lines: str) -> str:
    return "\n".join(_list_lines(name, kind, lines))


def _list_lines(name: str, kind: str, lines: Iterable[str]) -> Iterator[str]:
    yield "[[check]]"
    yield f"id = {_quote(name)}"
    yield f"type = {_quote(kind)}"
    yield from lines
    yield ""


def _quote(text: str) -> str:
    """A basic string of TOML; only printable text is given."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
