"""What is wrong with a loopback interface that was looked at, and what became of a change."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.judge.silence import make_finding, tell
from lodiag.model import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lodiag.model.iface import IfaceChange, IfaceRecord
    from lodiag.system.facts import Setting

SEE = {"up": "ip-link(8)", "down": "ip-link(8)", "mtu": "ip-link(8)", "add": "ip-address(8)", "del": "ip-address(8)"}


def judge_interfaces(records: Sequence[IfaceRecord], settings: Mapping[str, Setting]) -> Iterator[Finding]:
    """Judge what every loopback should be: up, with an address in 127.0.0.0/8, and ::1 where IPv6 is not disabled."""
    if not records:
        return
    first = records[0]
    if not any("UP" in record.flags for record in records):
        state = Evidence(name=f"{first.ifname} is up", value=False, source="interface flags")
        yield make_finding("lo-down", "fail", first.ifname, (state,))
        return
    addresses = [address.local for record in records for address in record.addr_info]
    facts = (
        Evidence(name="interface", value=first.ifname, source="interface flags"),
        Evidence(name="addresses", value=" ".join(addresses) or "none", source="interface addresses"),
        Evidence(name="mtu", value=first.mtu, source="interface"),
    )
    if not any(address.startswith("127.") for address in addresses):
        yield make_finding("addr4-missing", "fail", "127.0.0.1", facts)
    disabled = settings.get("ipv6-disabled")
    if "::1" not in addresses and disabled is not None and disabled.value is not None:
        severity = "info" if disabled.value == "1" else "warn"
        yield make_finding("addr6-missing", severity, "::1", (*facts, tell(disabled)))


class Reach(NamedTuple):
    """What is known of the address that a change is about; ``asked`` is ``None`` if it is about none."""

    asked: str | None
    is_reached: bool
    """Whether packets to it came before it was given, or still do after it was taken away."""
    follows: str | None
    """The first address of its prefix, with which it goes."""


def judge_change(change: IfaceChange, *, unkept: Sequence[str], reach: Reach) -> Iterator[Finding]:
    """Judge a change: whether it can be read back, whether packets pass, what it takes along, whether it is of use.

    ``unkept`` are the commands whose effect cannot be read back.
    """
    if unkept:
        facts = [Evidence(name="not so", value=command, source="read back") for command in unkept]
        message = f"{change.interface} is not as it was asked to be, though the system took the change"
        hint = "Something else changed it meanwhile."
        yield _make(change, code="change-not-kept", severity="fail", message=message, hint=hint, evidence=facts)
    yield from _judge_packets(change)
    if change.loses:
        how = ("would go", "plan") if change.status == "planned" else ("gone", "read back")
        facts = [Evidence(name=how[0], value=item, source=how[1]) for item in change.loses]
        others = f" and {len(facts) - 1} more" if len(facts) > 1 else ""
        message = f"{change.loses[0]}{others}, which nobody named, goes with it and does not come back by itself"
        hint = "The commands of the undo put it back."
        yield _make(change, code="change-takes-along", severity="warn", message=message, hint=hint, evidence=facts)
    if reach.asked is not None:
        yield from _judge_alias(change, reach, reach.asked)


def _judge_packets(change: IfaceChange) -> Iterator[Finding]:
    """Judge whether packets pass, as they should; of an interface that was taken down none should."""
    name = change.interface
    silent = [packet for packet in change.packets if packet.error is not None]
    if change.action == "down":
        if len(silent) < len(change.packets):
            message = f"packets to 127.0.0.1 still come back, though {name} is down"
            hint = "Another interface may have the address."
            yield _make(change, code="change-not-kept", severity="fail", message=message, hint=hint, evidence=[])
    elif silent:
        facts = [Evidence(name=packet.address, value=packet.error, source="udp packet") for packet in silent]
        message = f"{silent[0].address} does not answer over {name}, which was set as asked"
        hint = f"Something else keeps it silent, such as the packet filter. See: lodiag ping {silent[0].address}"
        yield _make(change, code="change-not-answering", severity="fail", message=message, hint=hint, evidence=facts)
    elif not change.packets and change.action in {"add", "mtu"} and change.status != "planned":
        message = f"no packet could prove it: {name} is down, or has neither 127.0.0.1 nor ::1"
        hint = "See: lodiag iface; to bring it up: lodiag iface up"
        yield _make(change, code="change-not-proved", severity="info", message=message, hint=hint, evidence=[])


def _judge_alias(change: IfaceChange, reach: Reach, asked: str) -> Iterator[Finding]:
    when = {"add": "answers without this alias too", "del": "answers as before"}[change.action]
    if reach.is_reached:
        message = f"{asked.partition('/')[0]} {when}: on Linux every address of a prefix on the loopback is local"
        yield _make(change, code="alias-adds-no-reach", severity="info", message=message, hint=None, evidence=[])
    if reach.follows is not None and change.action == "add":
        message = f"{asked} is the second address of its prefix: if other tools remove {reach.follows}, it goes too"
        hint = f"lodiag iface del keeps it. One that stands alone: lodiag iface add {asked.partition('/')[0]}/32"
        yield _make(change, code="alias-goes-with-another", severity="info", message=message, hint=hint, evidence=[])


def _make(  # noqa: PLR0913 - what a finding is made of
    change: IfaceChange, *, code: str, severity: str, message: str, hint: str | None, evidence: Sequence[Evidence]
) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        subject=change.interface,
        message=message,
        evidence=tuple(evidence),
        hint=hint,
        fix=None,
        see=(SEE[change.action],),
    )
