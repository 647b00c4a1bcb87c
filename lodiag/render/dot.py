"""A directed graph in Graphviz's language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.render.escaping import printable
from lodiag.render.flows import label_lines, list_nodes
from lodiag.render.layout import note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.model import Report
    from lodiag.model.map import FlowRecord


def render(report: Report[FlowRecord, Any]) -> Iterator[str]:
    """Write an edge from client to server for each flow, dashed if which is which was guessed.

    What was found, and what could not be seen, is written below the graph.
    """
    yield 'digraph lodiag {\n  rankdir=LR;\n  node [shape=box, fontname="sans-serif"];\n'
    yield '  edge [fontname="sans-serif", fontsize=10];\n'
    notes = [f"{found.severity} {found.code}: {found.message}" for found in report.findings]
    notes += [f"note: {note(item)}" for item in report.missing]
    if notes:
        yield f'  label="{_join(notes)}"; labeljust=l; fontname="sans-serif"; fontsize=10;\n'
    nodes = list_nodes(report.records)
    for name, words in nodes.values():
        yield f'  {name} [label="{_escape(words)}"];\n'
    if not nodes:
        yield '  none [label="no connections to show"];\n'
    for flow in report.records:
        style = ", style=dashed" if flow.direction == "guessed" else ""
        ends = f"{nodes[flow.client.node][0]} -> {nodes[flow.server.node][0]}"
        yield f'  {ends} [label="{_join(label_lines(flow))}"{style}];\n'
    yield "}\n"


def _join(lines: list[str]) -> str:
    r"""Put lines under each other, each from the left: ``\l`` ends one so."""
    return "".join(f"{_escape(line)}\\l" for line in lines)


def _escape(text: str) -> str:
    r"""Take from a text what has a meaning within quotes: quotes, escapes such as ``\N``, and entities of HTML."""
    return printable(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
