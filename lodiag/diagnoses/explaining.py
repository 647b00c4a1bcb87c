"""Explanations of the codes of ``doctor``, offline: a page a code, in ``lodiag/diagnoses/pages``."""

from __future__ import annotations

import re
from pathlib import Path

from lodiag.diagnoses.catalogue import CODES, DIAGNOSES, GROUPS
from lodiag.errors import ConfigError
from lodiag.limits import suggest

HOME = Path(__file__).parent / "pages"
ALIASES = {
    "ports-exhausted": "ephemeral-exhausted",
    "backlog": "accept-queue-full",
    "in-use": "port-held",
    "shadowed": "two-services-on-one-port",
    "container-localhost": "other-namespace",
    "sandbox-no-netadmin": "lo-down",
    "v6-slow-fallback": "order-v6-first",
}
"""Other names of codes, which people look for."""


def load_pages() -> dict[str, str]:
    """Read all pages, by code."""
    pages: dict[str, str] = {}
    for path in sorted(HOME.glob("*.md")):
        parts = re.split(r"^## (\S+)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
        pages |= dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
    return pages


def explain(code: str) -> str:
    """Give the page of a code; ``ConfigError`` if there is none."""
    pages = load_pages()
    known = ALIASES.get(code, code)
    if known not in pages:
        guess = ", but has no words yet" if known in CODES else suggest(code, (*pages, *ALIASES))
        message = f"{code[:40]!r} is {'a' if known in CODES else 'not a'} code{guess}"
        raise ConfigError(message, "lodiag doctor --list has all codes.")
    title = known if known == code else f"{known} ({code})"
    return f"{title}\n\n{pages[known]}\n"


def list_all() -> str:
    """List groups of diagnoses, the diagnoses of each, and the codes that each may find."""
    lines = []
    for group in GROUPS:
        lines.append(f"{group}")
        for diagnosis in (item for item in DIAGNOSES if item.group == group):
            lines += _wrap(diagnosis.purpose, f"  {diagnosis.name:<16} ", " " * len(f"  {'':<16} "))
            lines += _wrap(" ".join(diagnosis.codes), " " * 6, " " * 6)
    return "\n".join(lines) + f"\n\n{len(DIAGNOSES)} diagnoses, {len(CODES)} codes; lodiag doctor --explain CODE\n"


def _wrap(text: str, lead: str, indent: str) -> list[str]:
    from textwrap import wrap

    return wrap(text, 78, initial_indent=lead, subsequent_indent=indent, break_on_hyphens=False)
