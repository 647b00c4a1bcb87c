"""``lodiag trace``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.cli.parsing import MORE, add_output_arguments
from lodiag.cli.shared import (
    HABIT,
    add_deadline_argument,
    add_family_arguments,
    add_watch_argument,
    number,
    seconds,
)

if TYPE_CHECKING:
    import argparse

    from lodiag.cli.output import Output

USAGE = "[OPTIONS] [TARGET]"
EXAMPLES = """examples:
  lodiag trace                     the first address of localhost, by UDP
  lodiag trace -I ::1              by ICMP echo
  lodiag trace -T -p 5432 --json   by TCP, to the port of a service
  lodiag trace --method all        by all three at once: which is blocked
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``trace`` takes; letters are those of traceroute(8)."""
    parser.add_argument(
        "target", nargs="?", metavar="TARGET", default="localhost", help="name or address (default: localhost)"
    )
    group = parser.add_argument_group("measure")
    methods = group.add_mutually_exclusive_group()
    methods.add_argument(
        "--method",
        choices=("auto", "icmp", "udp", "tcp", "all"),
        default="auto",
        help="auto takes UDP to a closed port, which needs no privilege, and ICMP where that is refused; "
        "all compares the three",
    )
    for letter, method in (("-I", "icmp"), ("-U", "udp"), ("-T", "tcp")):
        methods.add_argument(
            letter, dest="method", action="store_const", const=method, help=f"the same as --method {method}"
        )
    group.add_argument("-p", "--port", type=number(int), help="port for udp and tcp (default: one that is closed)")
    add_family_arguments(group)
    group.add_argument(
        "-M", "--mtu", action="store_true", help="look for the largest packet that passes unfragmented, by UDP"
    )
    group.add_argument(
        "-m", "--max-hops", type=number(int), default=30, help="TTL to end with (default: 30)", metavar="TTL"
    )
    group.add_argument(
        "-f", "--first-hop", type=number(int), default=1, help="TTL to begin with (default: 1)", metavar="TTL"
    )
    group.add_argument("-q", "--queries", type=number(int), help="probes a hop, 1 to 10 (default: 3)", metavar="COUNT")
    group.add_argument(
        "-w",
        "--timeout",
        type=seconds,
        default=1.0,
        help="seconds to wait for an answer (default: 1)",
        metavar="SECONDS",
    )
    add_deadline_argument(group, usual=" (default: 2)")
    add_watch_argument(
        parser.add_argument_group("show"),
        "trace again and again (every 1 s): a live table of loss and round trips, or in a pipe a line a round",
    )
    add_output_arguments(parser)
    parser.add_argument_group(MORE).add_argument("-n", "--numeric", action="store_true", help=HABIT)


def run(options: argparse.Namespace, output: Output) -> int:
    """Trace and print the report, or watch the way."""
    if options.watch is not None:
        return _watch(options, output)
    from lodiag.render import render
    from lodiag.trace import trace_route

    report = trace_route(
        options.target,
        queries=options.queries,
        deadline_s=2.0 if options.deadline is None else options.deadline,
        with_mtu=options.mtu,
        **_choose(options),
    )
    output.write(render(report, options.format, width=output.width))
    return report.exit_status


def _choose(options: argparse.Namespace) -> dict[str, Any]:
    """What one trace and a watch take alike."""
    return {
        "method": options.method,
        "first_hop": options.first_hop,
        "max_hops": options.max_hops,
        "timeout_s": options.timeout,
        "port": options.port,
        "family": options.family,
    }


def _watch(options: argparse.Namespace, output: Output) -> int:
    from lodiag.cli import rounds, watching
    from lodiag.errors import ConfigError

    once = {"--mtu": options.mtu, "--queries": options.queries, "--deadline": options.deadline}
    given = [name for name, value in once.items() if value not in {None, False}]
    if given:
        message = f"{given[0]} is of one trace, and --watch makes many, of one probe a hop"
        raise ConfigError(message, f"Leave out {given[0]}, or --watch.")
    if watching.choose_format(options, "trace") == "jsonl":
        return rounds.watch_lines(options.target, options.watch, _choose(options), output)
    return rounds.watch_table(options.target, options.watch, _choose(options))
