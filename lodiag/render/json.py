"""The whole report as one JSON document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lodiag.model import to_plain

if TYPE_CHECKING:
    from lodiag.model import Report


def render(report: Report[Any, Any]) -> str:
    """Write the report as the schema has it, in ASCII: no locale can garble it."""
    return json.dumps(to_plain(report), indent=2, allow_nan=False) + "\n"
