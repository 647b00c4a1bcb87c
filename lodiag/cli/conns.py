"""``lodiag conns``."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from lodiag.cli.parsing import MORE, add_output_arguments
from lodiag.cli.shared import (
    HABIT,
    add_cmdline_argument,
    add_family_arguments,
    add_proto_arguments,
    add_source_argument,
    add_watch_argument,
    choose_proto,
    number,
)

if TYPE_CHECKING:
    import argparse

    from lodiag.cli.output import Output

USAGE = "[OPTIONS]"
EXAMPLES = """examples:
  lodiag conns -tl                 what listens for TCP
  lodiag conns --findings          what is wrong with any, and how to mend it
  lodiag conns --port 5432         both ends of every connection to PostgreSQL
  lodiag conns --json | jq '.records[] | select(.local.port == 5432)'
  lodiag conns --watch -e          what comes, changes and goes
"""

_MEASURED = ("tcp.", "congestion", "drops")
"""Beginnings of the columns that the kernel is asked for with --info."""

SORT_KEYS = ("state", "port", "proto", "local", "remote", "pid", "process")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``conns`` takes; letters are those of ss(8) and netstat(8)."""
    _add_select_arguments(parser.add_argument_group("select"))
    judge = parser.add_argument_group("judge")
    judge.add_argument(
        "--findings",
        action="store_true",
        help="judge them as well: full queues, leaks, stuck readers, ports run out ...",
    )
    show = parser.add_argument_group("show")
    add_watch_argument(
        show,
        "read them again and again (every 1 s): a live table, or in a pipe a line of JSON for each change",
    )
    show.add_argument("--wide", action="store_true", help="show queues, drops, timers, units and round trips as well")
    show.add_argument("-i", "--info", action="store_true", help="ask what TCP measured: round trips, bytes, windows")
    show.add_argument(
        "--columns",
        metavar="NAME[,NAME]",
        help="what to show: names of the JSON's fields, process, cmdline, tcp.rtt_ms ...",
    )
    show.add_argument("--sort", choices=SORT_KEYS, default="state", help="what to order rows by (default: state)")
    add_cmdline_argument(show)
    show.add_argument("--no-process", action="store_true", help="do not look up who owns them")
    add_source_argument(show)
    add_output_arguments(parser)
    more = parser.add_argument_group(MORE)
    more.add_argument("-a", "--all", action="store_true", help=HABIT)
    more.add_argument("-n", "--numeric", action="store_true", help=HABIT)
    more.add_argument("-p", "--processes", action="store_true", help=HABIT)


def _add_select_arguments(group: argparse._ArgumentGroup) -> None:
    add_proto_arguments(group)
    add_family_arguments(group)
    group.add_argument("-l", "--listening", action="store_true", help="sockets that listen")
    group.add_argument("-e", "--established", action="store_true", help="sockets that are connected")
    group.add_argument("--state", metavar="STATE[,STATE]", help="sockets in these states, as in listen,time-wait")
    group.add_argument("--port", type=number(int), help="sockets of which either end has this port")
    group.add_argument("--lport", type=number(int), help="sockets of which this end has this port", metavar="PORT")
    group.add_argument("--rport", type=number(int), help="sockets of which the other end has this port", metavar="PORT")
    group.add_argument("--local", metavar="ADDRESS", help="sockets of which this end has this address")
    group.add_argument("--pid", type=number(int), help="sockets of this process")
    group.add_argument("--process", metavar="TEXT", help="sockets of processes whose name contains this")
    group.add_argument("--user", metavar="USER", help="sockets of this user, by name or number")
    group.add_argument("--unit", metavar="TEXT", help="sockets of a systemd unit or container whose name contains this")
    group.add_argument("--no-wildcard", action="store_true", help="without sockets bound to every address")


def run(options: argparse.Namespace, output: Output) -> int:
    """List sockets and print the report, or watch them.

    Nothing of a table is garbage before it is printed: looking for some would take a fifth of the time.
    """
    if options.watch is not None:
        return _watch(options, output)
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return _run(options, output)
    finally:
        if was_enabled:
            gc.enable()


def _run(options: argparse.Namespace, output: Output) -> int:
    from lodiag.conns import list_connections
    from lodiag.render import stream

    columns = _choose_columns(options)
    report = list_connections(with_findings=options.findings, sort=options.sort, **_choose_sockets(options, columns))
    for piece in stream(report, options.format, columns, output.width, output.encoding):
        output.write(piece)
        if output.is_in_vain:
            break
    return report.exit_status


def _watch(options: argparse.Namespace, output: Output) -> int:
    from lodiag.cli import watching

    if options.findings:
        from lodiag.errors import ConfigError

        message = "--watch tells what becomes of sockets, and --findings judges them once"
        raise ConfigError(message, "Leave out one of them.")
    options.format = watching.choose_format(options, "conns")
    columns = _choose_columns(options)
    filters = _choose_sockets(options, columns)
    if options.format == "jsonl":
        return watching.watch_lines(options.watch, options.sort, filters, output)
    filters["with_tcp"] = True  # for the rates
    return watching.watch_table(options.watch, options.sort, filters, columns)


def _choose_sockets(options: argparse.Namespace, columns: tuple[str, ...]) -> dict[str, Any]:
    """Filters of ``list_connections``."""
    from lodiag.sockets.describing import LISTENING

    states = set(options.state.split(",")) if options.state is not None else set()
    states |= LISTENING if options.listening else set()
    states |= {"established"} if options.established else set()
    return {
        "proto": choose_proto(options),
        "family": options.family,
        "states": states or None,
        "port": options.port,
        "local_port": options.lport,
        "remote_port": options.rport,
        "local_address": options.local,
        "pid": options.pid,
        "process": options.process,
        "user": options.user,
        "unit": options.unit,
        "source": options.source,
        "wildcard": not options.no_wildcard,
        "with_process": not options.no_process,
        "with_cmdline": options.cmdline or "cmdline" in columns,
        "with_tcp": options.info or any(name.startswith(_MEASURED) for name in columns),
    }


def _choose_columns(options: argparse.Namespace) -> tuple[str, ...]:
    """Columns that were asked for, or none; ``ConfigError`` if they are not to be had."""
    from lodiag.errors import ConfigError
    from lodiag.limits import suggest
    from lodiag.render import COLUMNED
    from lodiag.render.columns import WIDE, list_columns

    if options.columns is None:
        wide = WIDE if options.wide and options.format in COLUMNED else ()
        return tuple(name for name in wide if not (options.no_process and name == "process"))
    if options.format not in COLUMNED:
        message = f"the format {options.format} has all columns"
        raise ConfigError(message, f"--columns chooses those of: {', '.join(COLUMNED)}.")
    names = tuple(name.strip() for name in options.columns.split(","))
    if options.no_process and {"process", "cmdline"} & set(names):
        message = "processes cannot be shown when they are not to be looked up"
        raise ConfigError(message, "Leave out --no-process, or the columns process and cmdline.")
    unknown = [name for name in names if name not in list_columns()]
    if unknown:
        message = f"{unknown[0][:40]!r} is not a column{suggest(unknown[0], list_columns())}"
        raise ConfigError(message, f"Columns: {', '.join(list_columns())}.")
    return names
