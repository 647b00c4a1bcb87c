"""Where the name localhost leads, as several diagnoses need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.diagnoses import told
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from lodiag.diagnoses.survey import Survey
    from lodiag.model import Evidence


def is_well(survey: Survey) -> bool:
    """Whether localhost leads to the loopback and nowhere else."""
    addresses = survey.localhost.addresses
    return bool(addresses) and all(map(is_loopback, addresses))


def tell_localhost(survey: Survey) -> Evidence:
    """Give what the resolver says as evidence."""
    answer = survey.localhost
    shown = answer.error or " ".join(dict.fromkeys(answer.addresses))
    return told("localhost", shown, f"getaddrinfo, {answer.took_ms:g} ms")
