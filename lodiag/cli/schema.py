"""``lodiag schema``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from lodiag.cli.output import Output

USAGE = ""
EXAMPLES = """example:
  lodiag schema > lodiag.schema.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the schema is one."""
    del parser


def run(options: argparse.Namespace, output: Output) -> int:
    """Print the JSON Schema of reports."""
    del options
    import json

    from lodiag.schema import build_schema

    output.write(json.dumps(build_schema(), indent=2) + "\n")
    return 0
