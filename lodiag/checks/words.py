"""What is said of checks as a whole."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_NAMED = 3
LONGEST_NAME = 60


def tell_verdict(checks: int, *, failed: Sequence[str], warned: int, skipped: int, elapsed_ms: float) -> str:
    """Say in one sentence what became of all checks, and begin with the worst; ``failed`` are names."""
    took = f"{elapsed_ms:.0f} ms" if elapsed_ms < 1000 else f"{elapsed_ms / 1000:.2f} s"  # noqa: PLR2004 - a second
    further = [f"{warned} with a warning"] if warned else []
    further += [f"{skipped} skipped"] if skipped else []
    if not failed:
        begin = "warn" if warned else "ok"
        passed = f"{count(checks - warned - skipped, 'check')} passed"
        return f"{begin}: {', '.join([passed, *further])}, in {took}"
    named = ", ".join(name[:LONGEST_NAME] for name in failed[:MOST_NAMED])
    named += f" and {len(failed) - MOST_NAMED} more" if len(failed) > MOST_NAMED else ""
    lost = f"{len(failed)} of {count(checks, 'check')} failed"
    return f"fail: {', '.join([lost, *further])}, in {took}: {named}"


def count(number: int, word: str) -> str:
    """Write a number of things."""
    return f"{number} {word}{'' if number == 1 else 's'}"
