"""JSON lines: each has a ``type``, and the last is the report itself without its records and findings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lodiag.model import to_plain

if TYPE_CHECKING:
    from lodiag.model import Report
    from lodiag.model.ping import PingReply


def render(report: Report[Any, Any]) -> str:
    """Write a line per record, one per finding, and one of type ``report``: without that, the rest is cut short."""
    plain = to_plain(report)
    records, findings = plain.pop("records"), plain.pop("findings")
    lines = [{"type": "record", **record} for record in records]
    lines += [{"type": "finding", **finding} for finding in findings]
    lines.append({"type": "report", **plain})
    return "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)


def render_reply(target: str, address: str, reply: PingReply) -> str:
    """Write the fate of one probe as a line of type ``reply``."""
    return json.dumps({"type": "reply", "target": target, "address": address, **to_plain(reply)}, allow_nan=False)
