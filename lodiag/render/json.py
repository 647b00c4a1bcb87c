"""The whole report as one JSON document."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from lodiag.model import to_plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.model import Report


def render(report: Report[Any, Any]) -> Iterator[str]:
    """Write the report as the schema has it, in ASCII: no locale can garble it.

    Each key of the report is on a line of its own, and so is each record: whole indentation would take three times as
    long and as much room, and ``jq`` does it.
    """
    encode = json.JSONEncoder(allow_nan=False).encode
    lead = "{\n"
    for item in fields(report):
        value = getattr(report, item.name)
        yield f"{lead}  {encode(item.name)}: "
        if isinstance(value, tuple) and value:
            separator = "[\n"
            for part in value:
                yield f"{separator}    {encode(to_plain(part))}"
                separator = ",\n"
            yield "\n  ]"
        else:
            yield encode(to_plain(value))
        lead = ",\n"
    yield "\n}\n"
