"""``lodiag who``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.cli.parsing import add_output_arguments
from lodiag.cli.shared import add_cmdline_argument, add_family_arguments, add_proto_arguments, choose_proto

if TYPE_CHECKING:
    import argparse

    from lodiag.cli.output import Output

USAGE = "[OPTIONS] PORT|ADDRESS:PORT"
EXAMPLES = """examples:
  lodiag who 5432                  at each address of localhost, by TCP and UDP
  lodiag who -t '[::1]:8080'       at one address, by TCP
  lodiag who 8080 --json | jq -r '.summary.verdict'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``who`` takes; letters are those of ss(8)."""
    parser.add_argument(
        "target", metavar="PORT|ADDRESS:PORT", help="a port, or where: 127.0.0.1:5432, [::1]:5432, localhost:5432"
    )
    select = parser.add_argument_group("select")
    add_proto_arguments(select)
    add_family_arguments(select)
    add_cmdline_argument(parser.add_argument_group("show"))
    add_output_arguments(parser)


def run(options: argparse.Namespace, output: Output) -> int:
    """Find who answers and print the report."""
    from lodiag.render import render
    from lodiag.who import find_answerer

    proto = choose_proto(options)
    report = find_answerer(options.target, proto=proto, family=options.family, with_cmdline=options.cmdline)
    output.write(render(report, options.format, width=output.width, encoding=output.encoding))
    return report.exit_status
