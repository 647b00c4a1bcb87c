"""All diagnoses, in the order in which they are told."""

from __future__ import annotations

from lodiag.diagnoses.groups import (
    canary,
    environment,
    filters,
    icmp,
    interface,
    limits,
    names,
    routes,
    service,
    sockets,
    timing,
)

DIAGNOSES = (
    *service.DIAGNOSES,
    *canary.DIAGNOSES,
    *interface.DIAGNOSES,
    *routes.DIAGNOSES,
    *filters.DIAGNOSES,
    *icmp.DIAGNOSES,
    *timing.DIAGNOSES,
    *names.DIAGNOSES,
    *environment.DIAGNOSES,
    *sockets.DIAGNOSES,
    *limits.DIAGNOSES,
)
GROUPS = tuple(dict.fromkeys(diagnosis.group for diagnosis in DIAGNOSES))
UNLOOKED = "diagnosis-failed"
"""What ``doctor`` finds of itself."""
CODES = (*dict.fromkeys(code for diagnosis in DIAGNOSES for code in diagnosis.codes), UNLOOKED)
