"""``lodiag audit``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.cli.parsing import add_output_arguments

if TYPE_CHECKING:
    import argparse

    from lodiag.cli.output import Output

USAGE = "[OPTIONS]"
EXAMPLES = """examples:
  lodiag audit                     what other hosts may reach, and what not
  lodiag audit --expect 5432=loopback --expect 443/tcp=wildcard
  lodiag audit --expect any=loopback
                                   exit with 1 if any socket is exposed
  lodiag audit --json --output before.json
  lodiag audit --baseline before.json
                                   what is new since
"""

SOURCES = ("sock_diag", "proc", "psutil")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``audit`` takes."""
    parser.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="PORT=CLASS",
        help="fail unless what listens there is bound so: 5432=loopback, 8000-8099=none, any=loopback ...",
    )
    parser.add_argument(
        "--file", metavar="FILE", help="read [[audit]] tables there (default: lodiag.toml, if it is here and has any)"
    )
    parser.add_argument("--baseline", metavar="FILE", help="a report of audit --json: tell what is new since")
    parser.add_argument("--cmdline", action="store_true", help="show command lines, which may hold secrets")
    parser.add_argument(
        "--source", choices=SOURCES, help="where to read sockets (default: the first of these that is to be had)"
    )
    add_output_arguments(parser)


def run(options: argparse.Namespace, output: Output) -> int:
    """Audit and print the report."""
    from lodiag.audit import audit_bindings
    from lodiag.policy import find_usual
    from lodiag.render import render

    report = audit_bindings(
        expect=options.expect,
        policy=options.file if options.file is not None else find_usual(),
        baseline=options.baseline,
        with_cmdline=options.cmdline,
        source=options.source,
    )
    output.write(render(report, options.format))
    return report.exit_status
