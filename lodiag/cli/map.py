"""``lodiag map``."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from lodiag.cli.parsing import add_output_arguments, add_source_argument, number
from lodiag.limits import SOURCES
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
    parser.add_argument("-t", "--tcp", action="store_true", help="TCP connections")
    parser.add_argument("-u", "--udp", action="store_true", help="UDP connections")
    parser.add_argument("--process", metavar="TEXT", help="connections of which an end's name contains this")
    parser.add_argument("--port", type=number(int), help="connections to a server of this port")
    add_source_argument(parser, SOURCES, "sockets")
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
        proto=None if options.tcp == options.udp else "tcp" if options.tcp else "udp",
        process=options.process,
        port=options.port,
        source=options.source,
        system=system,
    )
    if options.format == SVG:
        output.write(system.draw_graph(render(report, "dot")))
        return report.exit_status
    for piece in stream(report, options.format, width=output.width):
        output.write(piece)
        if output.is_in_vain:
            break
    return report.exit_status
