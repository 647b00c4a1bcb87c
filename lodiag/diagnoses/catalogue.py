"""All diagnoses, in the order in which they are told."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lodiag.diagnoses import Diagnosis

MODULES = (
    "service",
    "canary",
    "interface",
    "shaping",
    "aliases",
    "rules",
    "routes",
    "filters",
    "icmp",
    "timing",
    "names",
    "resolver",
    "environment",
    "sockets",
    "limits",
)
"""Each is the name of a module of ``groups`` that has ``DIAGNOSES``."""

DIAGNOSES: tuple[Diagnosis, ...] = tuple(
    diagnosis for name in MODULES for diagnosis in import_module(f"lodiag.diagnoses.groups.{name}").DIAGNOSES
)
GROUPS = tuple(dict.fromkeys(diagnosis.group for diagnosis in DIAGNOSES))
UNLOOKED = "diagnosis-failed"
"""What ``doctor`` finds of itself."""
CODES = (*dict.fromkeys(code for diagnosis in DIAGNOSES for code in diagnosis.codes), UNLOOKED)
