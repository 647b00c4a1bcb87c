"""JSON lines: each has a ``type``, and the last is the report itself without its records and findings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lodiag.dataclass import replace
from lodiag.model import to_plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.model import Report
    from lodiag.model.ping import PingReply


def render(report: Report[Any, Any]) -> Iterator[str]:
    """Write a line per record, one per finding, and one of type ``report``: without that, the rest is cut short."""
    encode = json.JSONEncoder(allow_nan=False).encode
    for kind, parts in (("record", report.records), ("finding", report.findings)):
        for part in parts:
            yield encode({"type": kind, **to_plain(part)}) + "\n"
    plain = to_plain(replace(report, records=(), findings=()))
    yield encode({"type": "report", **{k: v for k, v in plain.items() if k not in {"records", "findings"}}}) + "\n"


def render_reply(target: str, address: str, reply: PingReply) -> str:
    """Write the fate of one probe as a line of type ``reply``."""
    return json.dumps({"type": "reply", "target": target, "address": address, **to_plain(reply)}, allow_nan=False)
