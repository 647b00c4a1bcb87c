"""``lodiag schema``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.cli.parsing import add_file_argument

if TYPE_CHECKING:
    import argparse

    from lodiag.cli.output import Output

USAGE = "[OPTIONS]"
EXAMPLES = """example:
  lodiag schema > lodiag.schema.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where to write it: there is but one schema, in one format."""
    add_file_argument(parser)


def run(options: argparse.Namespace, output: Output) -> int:
    """Print the JSON Schema of reports."""
    del options
    import json

    from lodiag.schema import build_schema

    output.write(json.dumps(build_schema(), indent=2) + "\n")
    return 0
