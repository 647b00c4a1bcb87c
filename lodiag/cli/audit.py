"""``lodiag audit``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lodiag.cli.judging import Sinks, add_judging_arguments
from lodiag.cli.shared import add_cmdline_argument, add_file_of_checks_argument, add_source_argument

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``audit`` takes."""
    judge = parser.add_argument_group("judge")
    judge.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="PORT=CLASS",
        help="fail unless what listens there is bound so: 5432=loopback, 8000-8099=none, any=loopback ...",
    )
    add_file_of_checks_argument(judge, "lodiag.toml, if it is here and has [[audit]] tables")
    judge.add_argument("--baseline", metavar="FILE", help="a report of audit --json: tell what is new since")
    show = parser.add_argument_group("show")
    add_cmdline_argument(show)
    add_source_argument(show)
    add_judging_arguments(parser)


def run(options: argparse.Namespace, output: Output) -> int:
    """Audit and print the report."""
    from lodiag.audit import audit_bindings

    with Sinks(options, output) as sinks:
        report = audit_bindings(
            expect=options.expect,
            file=options.file if options.file is not None else _find_usual(),
            baseline=options.baseline,
            with_cmdline=options.cmdline,
            source=options.source,
        )
        return sinks.write(report)


def _find_usual() -> str | None:
    """Find the usual file in the working directory; ``None`` if there is none, or it has no table for ``audit``."""
    if not os.path.lexists("lodiag.toml"):
        return None
    from lodiag.bindings.policy import has_policy
    from lodiag.checks.source import USUAL_FILE

    return USUAL_FILE if has_policy(USUAL_FILE) else None
