"""Reading a report that lodiag wrote to a file, to set a new one beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.model import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES = 1 << 28
"""Of a report on 100 000 sockets; more is something else."""


class UnusableError(Exception):
    """A file is no report of the command; the message says why."""


def read_report(path: str, command: str) -> Mapping[str, Any]:
    """Read what a command wrote as JSON; ``UnusableError`` if it is no such report."""
    import json
    from pathlib import Path

    try:
        with Path(path).open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        report = json.loads(raw) if len(raw) <= MOST_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or f"it is not JSON: {error!s:.60}"
        raise UnusableError(reason) from error
    if len(raw) > MOST_BYTES:
        reason = f"it is longer than {MOST_BYTES} bytes"
    elif not isinstance(report, dict) or report.get("schema") != SCHEMA:
        reason = f"it is not a report of {SCHEMA}"
    elif report.get("command") != command:
        reason = f"it is a report of {report.get('command')!r:.40}, not of {command}"
    else:
        return report
    raise UnusableError(reason)
