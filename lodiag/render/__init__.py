"""Formats: a report in, text out. A format shows what the report holds; it judges, counts and filters nothing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from lodiag.model import Report

FORMATS = ("table", "json", "jsonl", "csv", "markdown", "prometheus")
"""Each is the name of a module here with a function ``render(report) -> str``; those that can follow a ping
as it runs also have ``render_reply(target, address, reply) -> str``."""


def load_format(name: str) -> ModuleType:
    """Load the module of one of ``FORMATS``."""
    return import_module(f"lodiag.render.{name}")


def render(report: Report[Any, Any], name: str) -> str:
    """Write the report in one of ``FORMATS``; the text ends with a newline unless it is empty."""
    text: str = load_format(name).render(report)
    return text
