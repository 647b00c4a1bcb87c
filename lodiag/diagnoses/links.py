"""The loopback interface and its addresses, as several diagnoses need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.diagnoses import SkipError

if TYPE_CHECKING:
    from lodiag.diagnoses.survey import Survey
    from lodiag.model.net import Link, LinkAddress

NO_NETLINK = "the kernel does not tell interfaces to this process (rtnetlink)"


def need_lo(survey: Survey) -> Link:
    """Give the loopback interface; ``SkipError`` where it is not told."""
    if survey.links is None:
        raise SkipError(NO_NETLINK)
    if survey.lo is None:
        reason = "this network namespace has no loopback interface"
        raise SkipError(reason)
    return survey.lo


def count_bits(address: LinkAddress) -> int:
    """Bits of an address's prefix; all, if they are not told."""
    whole = 128 if address.family == "inet6" else 32
    return whole if address.prefixlen is None else address.prefixlen
