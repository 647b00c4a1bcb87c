"""``lodiag conns``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.cli.parsing import add_family_arguments, add_output_arguments, number

if TYPE_CHECKING:
    import argparse

    from lodiag.cli.output import Output

USAGE = "[OPTIONS]"
EXAMPLES = """examples:
  lodiag conns -tl                 what listens for TCP
  lodiag conns --port 5432         both ends of every connection to PostgreSQL
  lodiag conns --json | jq '.records[] | select(.local.port == 5432)'
"""

SORT_KEYS = ("state", "port", "proto", "local", "remote", "pid", "process")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``conns`` takes; letters are those of ss(8) and netstat(8)."""
    parser.add_argument("-t", "--tcp", action="store_true", help="TCP sockets")
    parser.add_argument("-u", "--udp", action="store_true", help="UDP sockets")
    add_family_arguments(parser)
    parser.add_argument("-l", "--listening", action="store_true", help="sockets that listen")
    parser.add_argument("-e", "--established", action="store_true", help="sockets that are connected")
    parser.add_argument("--state", metavar="STATE[,STATE]", help="sockets in these states, as in listen,time-wait")
    parser.add_argument("--port", type=number(int), help="sockets of which either end has this port")
    parser.add_argument("--pid", type=number(int), help="sockets of this process")
    parser.add_argument("--process", metavar="TEXT", help="sockets of processes whose name contains this")
    parser.add_argument("--no-wildcard", action="store_true", help="without sockets bound to every address")
    parser.add_argument("--no-process", action="store_true", help="do not look up who owns them")
    parser.add_argument("--cmdline", action="store_true", help="show command lines, which may hold secrets")
    parser.add_argument("--sort", choices=SORT_KEYS, default="state", help="what to order rows by (default: state)")
    habit = "accepted for habit; it is the default"
    parser.add_argument("-a", "--all", action="store_true", help=habit)
    parser.add_argument("-n", "--numeric", action="store_true", help=habit)
    parser.add_argument("-p", "--processes", action="store_true", help=habit)
    add_output_arguments(parser)


def run(options: argparse.Namespace, output: Output) -> int:
    """List sockets and print the report."""
    from lodiag.conns import LISTENING, list_connections
    from lodiag.render import render

    states = set(options.state.split(",")) if options.state is not None else set()
    states |= LISTENING if options.listening else set()
    states |= {"established"} if options.established else set()
    report = list_connections(
        proto=None if options.tcp == options.udp else "tcp" if options.tcp else "udp",
        family=options.family,
        states=states or None,
        port=options.port,
        pid=options.pid,
        process=options.process,
        wildcard=not options.no_wildcard,
        with_process=not options.no_process,
        with_cmdline=options.cmdline,
        sort=options.sort,
    )
    output.write(render(report, options.format))
    return report.exit_status
