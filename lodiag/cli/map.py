"""``lodiag map``."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from lodiag.cli.parsing import add_output_arguments
from lodiag.cli.shared import add_proto_arguments, add_source_argument, choose_proto, number
from lodiag.render import GRAPHS

if TYPE_CHECKING:
    import argparse

    from lodiag.cli.output import Output

USAGE = "[OPTIONS]"
EXAMPLES = """examples:
  lodiag map                           who talks to whom
  lodiag map --port 5432               the clients of PostgreSQL
  lodiag map --format svg > map.svg    drawn by Graphviz
  lodiag map --format mermaid >> "$GITHUB_STEP_SUMMARY"
"""

SVG = "svg"
"""What is drawn of the format dot, by another program."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``map`` takes; letters are those of ss(8)."""
    select = parser.add_argument_group("select")
    add_proto_arguments(select)
    select.add_argument("--port", type=number(int), help="connections to a server of this port")
    select.add_argument("--process", metavar="TEXT", help="connections of which an end's name contains this")
    add_source_argument(parser.add_argument_group("show"))
    add_output_arguments(parser, (*GRAPHS, SVG))


def run(options: argparse.Namespace, output: Output) -> int:
    """Map the connections and print the report.

    Nothing of a table is garbage before it is printed: looking for some would take a fifth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return _run(options, output)
    finally:
        if was_enabled:
            gc.enable()


def _run(options: argparse.Namespace, output: Output) -> int:
    from lodiag.map import map_flows
    from lodiag.render import render, stream
    from lodiag.system import System

    system = System()
    if options.format == SVG:
        system.require_graphviz()
    report = map_flows(
        proto=choose_proto(options),
        process=options.process,
        port=options.port,
        source=options.source,
        system=system,
    )
    if options.format == SVG:
        output.write(system.draw_graph(render(report, "dot")))
        return report.exit_status
    for piece in stream(report, options.format, width=output.width, encoding=output.encoding):
        output.write(piece)
        if output.is_in_vain:
            break
    return report.exit_status
