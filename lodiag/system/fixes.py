"""The commands that repair a finding on this kind of system."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lodiag.model import Fix

if TYPE_CHECKING:
    from lodiag.model import Finding

_BY_PLATFORM = {
    "linux": {
        "interface-down": ("ip link set {subject} up", "ip link set {subject} down"),
        "no-ipv6-loopback": ("ip -6 address add ::1/128 dev {interface}", "ip -6 address del ::1/128 dev {interface}"),
        "no-ipv4-loopback": (
            "ip address add 127.0.0.1/8 dev {interface}",
            "ip address del 127.0.0.1/8 dev {interface}",
        ),
        "icmp-ignored": ("sysctl -w {subject}=0", "sysctl -w {subject}={value}"),
        "icmp-not-permitted": (
            "sysctl -w net.ipv4.ping_group_range='0 2147483647'",
            "sysctl -w net.ipv4.ping_group_range='{value}'",
        ),
    },
    "darwin": {
        "interface-down": ("ifconfig {subject} up", "ifconfig {subject} down"),
        "address-not-available": ("ifconfig lo0 alias {subject} up", "ifconfig lo0 -alias {subject}"),
    },
}
"""Per system and finding: the command, and the one that takes it back.

``{value}`` is the last of the finding's evidence, the value that the command changes, and
``{interface}`` the value of the evidence of that name.
"""


def find_fix(finding: Finding) -> Fix | None:
    """Commands for a finding on this system; ``None`` where none is known."""
    known = _BY_PLATFORM.get(sys.platform, {}).get(finding.code)
    if known is None:
        return None
    values = {item.name: item.value for item in finding.evidence}
    facts = {
        "subject": finding.subject,
        "interface": values.get("interface", "lo"),
        "value": finding.evidence[-1].value if finding.evidence else None,
    }
    return Fix(commands=(known[0].format(**facts),), needs_root=True, undo=(known[1].format(**facts),))
