"""A flowchart in Mermaid's language, in the fence by which Markdown, such as a GitHub step summary, draws it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lodiag.render.flows import label_lines, list_nodes
from lodiag.render.markdown import describe_finding, describe_missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.model import Report
    from lodiag.model.map import FlowRecord

_MEANING = re.compile(r"[^\w ,:/?.-]|_|(?<![^\W_])[.-]|[.-](?![^\W_])|(?<!\S) ")
"""What means something in a quoted text, in HTML or in Markdown, as the dot in "1. one" does."""


def render(report: Report[FlowRecord, Any]) -> Iterator[str]:
    """Write an arrow from client to server for each flow, dotted if which is which was guessed."""
    yield "```mermaid\nflowchart LR\n"
    nodes = list_nodes(report.records)
    for name, words in nodes.values():
        yield f'  {name}["{_escape(words)}"]\n'
    if not nodes:
        yield '  none["no connections to show"]\n'
    for flow in report.records:
        arrow = "-.->" if flow.direction == "guessed" else "-->"
        label = "<br/>".join(_escape(line) for line in label_lines(flow))
        yield f'  {nodes[flow.client.node][0]} {arrow}|"{label}"| {nodes[flow.server.node][0]}\n'
    yield "```\n"
    for line in (*map(describe_finding, report.findings), *map(describe_missing, report.missing)):
        yield f"\n{line}\n"


def _escape(text: str) -> str:
    """Write what has a meaning as Mermaid's ``#code;``: no name can end the text, or be more than text."""
    return _MEANING.sub(lambda found: f"#{ord(found[0])};", text)
