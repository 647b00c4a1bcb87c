"""Kinds of checks: a module each, found by its name in ``KINDS``.

A kind is a module here with

- ``TARGET``: the key that says what is checked, which is also what stands after the colon of ``tcp:8080``; ``None``
  if there is none;
- ``KEYS``: its further keys, each with what reads its value (``lodiag.checks.keys``);
- ``attempt(settings, left_s, system) -> Outcome``: one attempt, in a thread of its own, that takes no longer than
  ``left_s`` seconds. It says what it found, and raises ``LodiagError`` where it could not look;

and where it has them ``REQUIRED``, keys without which it says nothing, ``TIMEOUT_S``, seconds that an attempt may take
if nobody said, and ``verify(settings)``, which raises ``ValueError`` for keys that contradict each other.

What ``tcp`` alone needs is loaded by every health check: it must not load what takes milliseconds, such as ``typing``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

KINDS = ("tcp", "udp", "http", "listen", "conns", "resolve", "iface", "ping", "trace", "bench", "doctor")

SHORT = {
    "tcp4": ("tcp", {"family": "ipv4"}),
    "tcp6": ("tcp", {"family": "ipv6"}),
    "udp4": ("udp", {"family": "ipv4"}),
    "udp6": ("udp", {"family": "ipv6"}),
    "free": ("listen", {"state": "free"}),
}
"""Words that stand for a kind and some of its keys, before the colon of a check on the command line."""


def load_kind(name: str) -> ModuleType:
    """Load the module of one of ``KINDS``."""
    from importlib import import_module

    return import_module(f"lodiag.checks.kinds.{name}")
