"""Formats: a report in, text out. A format shows what the report holds; it judges, counts and filters nothing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lodiag.model import Report

FORMATS = ("table", "json", "jsonl", "csv", "markdown", "prometheus")
"""Each is the name of a module here with a function ``render(report) -> str``."""


def render(report: Report[Any, Any], format_name: str) -> str:
    """Write the report in one of ``FORMATS``; the text ends with a newline unless it is empty."""
    text: str = import_module(f"lodiag.render.{format_name}").render(report)
    return text
