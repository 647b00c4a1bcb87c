"""Words for ICMP errors."""

from __future__ import annotations

from lodiag.model import Evidence

WORDS = {
    ("ipv4", 3, 0): "network unreachable",
    ("ipv4", 3, 1): "host unreachable",
    ("ipv4", 3, 2): "protocol unreachable",
    ("ipv4", 3, 3): "port unreachable",
    ("ipv4", 3, 4): "fragmentation needed",
    ("ipv4", 3, 9): "network administratively prohibited",
    ("ipv4", 3, 10): "host administratively prohibited",
    ("ipv4", 3, 13): "communication administratively prohibited",
    ("ipv4", 11, 0): "TTL exceeded in transit",
    ("ipv4", 11, 1): "fragment reassembly time exceeded",
    ("ipv6", 1, 0): "no route to destination",
    ("ipv6", 1, 1): "communication administratively prohibited",
    ("ipv6", 1, 3): "address unreachable",
    ("ipv6", 1, 4): "port unreachable",
    ("ipv6", 1, 5): "source address failed policy",
    ("ipv6", 1, 6): "reject route to destination",
    ("ipv6", 2, 0): "packet too big",
    ("ipv6", 3, 0): "hop limit exceeded in transit",
    ("ipv6", 3, 1): "fragment reassembly time exceeded",
}
"""By family, type and code: RFC 792, RFC 1812 5.2.7.1, RFC 4443 3."""


def tell_icmp_error(family: str, icmp_type: int | None, icmp_code: int | None, sender: str | None) -> Evidence | None:
    """Give an ICMP error as evidence; ``None`` if there was none."""
    if icmp_type is None or icmp_code is None:
        return None
    words = WORDS.get((family, icmp_type, icmp_code))
    meaning = f" ({words})" if words else ""
    origin = f" from {sender}" if sender else ""
    return Evidence(name="ICMP error", value=f"type {icmp_type} code {icmp_code}{meaning}{origin}", source="probe")
