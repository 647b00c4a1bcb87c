"""The ways that the kernel gives packets, as several diagnoses tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.diagnoses import told

if TYPE_CHECKING:
    from lodiag.model import Evidence
    from lodiag.model.net import RouteAnswer

ENDINGS = {"blackhole", "unreachable", "prohibit"}
"""Types of routes and actions of rules that end the search, and deliver nothing."""


def tell_answer(answer: RouteAnswer | None) -> tuple[Evidence, ...]:
    """Give the kernel's answer as evidence, if there is one."""
    if answer is None:
        return ()
    way = answer.errno or " ".join(
        filter(None, (answer.type, answer.gateway and f"via {answer.gateway}", answer.dev and f"dev {answer.dev}"))
    )
    return (told(f"way to {answer.dst}", way, "rtnetlink lookup"),)
