"""Changing a loopback interface: planned, done, read back, and proved by a packet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.clock import NS_PER_S, to_ms
from lodiag.errors import PrivilegeError, UnsupportedError
from lodiag.judge.iface import Reach, judge_change, judge_interfaces
from lodiag.links.plans import MOST_MTU, covers, is_of_prefix, write_address, write_route
from lodiag.links.records import look
from lodiag.model.iface import IfaceChange, IfacePacket
from lodiag.report import ReportMaker
from lodiag.system.change import ChangeRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lodiag.links.plans import Place, Plan
    from lodiag.links.records import View
    from lodiag.model import Finding, Report
    from lodiag.model.iface import IfaceRecord, IfaceSummary
    from lodiag.system import System
    from lodiag.system.change import Change

HEADERS_BYTES = {"ipv4": 28, "ipv6": 48}
"""IP and UDP, without options."""
MOST_PAYLOAD_BYTES = 65_507
"""Of a datagram of IPv4: 65535 with both headers."""
SMALL_BYTES = 32

PATIENCE_S = 1.0
"""How long to wait for a packet: an address of IPv6 can be used a moment after it was given."""
TRY_S = 0.25
SILENCE_S = 0.1
"""How long to wait for what should not come."""
PAUSE_S = 0.005


class Alteration:
    """One change of one interface."""

    def __init__(self, action: str, interface: str | None, system: System, asked: str | None = None) -> None:
        """``asked`` is the address that it is about."""
        self._action, self._interface, self._system, self._asked = action, interface, system, asked

    def make(self, plan_for: Callable[[Place], Plan], *, dry_run: bool) -> Report[IfaceRecord, IfaceSummary]:
        """Plan the change, do it unless that is not wanted or it is so already, and report."""
        maker = ReportMaker("iface", self._system)
        before = look(self._system, None, self._interface)
        place = before.place(self._system)
        plan = plan_for(place)
        is_done = bool(plan.changes) and not dry_run
        if is_done:
            self._apply(plan.changes, place)
        after = look(self._system, None, place.link.ifname) if is_done else before
        change = IfaceChange(
            action=self._action,
            interface=place.link.ifname,
            status="unchanged" if not plan.changes else "changed" if is_done else "planned",
            commands=self._spell(plan.changes),
            undo=self._spell(plan.undo),
            loses=tuple(self._find_lost(plan, place, after)) if is_done else tuple(plan.loses),
            packets=() if dry_run else tuple(self._probe(plan, after)),
            before=tuple(before.records),
        )
        unkept = self._spell(find_unkept(plan.changes, after)) if is_done else ()
        return maker.make(
            source=after.source,
            summary=after.summarise(change),
            records=after.records,
            findings=[
                *judge_change(change, unkept=unkept, reach=self._judge_reach(place, after)),
                *(self._judge_state(after) if not dry_run else ()),
            ],
            missing=after.missing,
        )

    def _judge_state(self, after: View) -> Iterator[Finding]:
        """Judge what was to be mended: that an interface is down is told by what cannot be proved."""
        if self._action in {"up", "mtu"} and after.links[0].is_up:
            yield from judge_interfaces(after.records, after.settings)

    def _apply(self, changes: Sequence[Change], place: Place) -> None:
        try:
            self._system.apply_changes(changes)
        except ChangeRefusedError as refusal:
            command = self._system.spell_change(refusal.change) or refusal.change.verb
            if refusal.error in {"EPERM", "EACCES"}:
                raise PrivilegeError(self._explain(place), _PERMISSION_HINT) from refusal
            message = f"the system refused to change {place.link.ifname}: {refusal} ({command})"
            raise UnsupportedError(message, "lodiag iface shows how it is now.") from refusal

    def _explain(self, place: Place) -> str:
        """Say what is missing to be allowed to change the interface."""
        name, held = place.link.ifname, self._system.describe_privilege()
        if held.is_held is None:
            return f"{name} may be changed by an administrator only"
        own, network = held.user_namespace, held.network_namespace
        if held.is_held and held.owner != own:
            return (
                f"{name} may not be changed: this process has CAP_NET_ADMIN in user namespace {own}, but the owner of "
                f"network namespace {network} is another one"
            )
        if held.is_held:
            return f"{name} may not be changed, though this process has CAP_NET_ADMIN: a sandbox refuses it"
        owner = f"user namespace {held.owner}" if held.owner else "the user namespace"
        return f"{name} may not be changed: CAP_NET_ADMIN is missing in {owner} that owns network namespace {network}"

    def _probe(self, plan: Plan, after: View) -> Iterator[IfacePacket]:
        """Send a packet to each address that should answer, as large as the mtu that was asked for."""
        (link,) = after.links
        if self._action == "down":
            if plan.changes:
                yield self._send("127.0.0.1", SMALL_BYTES, SILENCE_S)
            return
        if not link.is_up:
            return
        present = {address.local for address in after.addresses}
        for address in plan.addresses:
            if address in present:
                size = SMALL_BYTES
                if self._action == "mtu":
                    headers = HEADERS_BYTES["ipv6" if ":" in address else "ipv4"]
                    size = min((link.mtu or MOST_MTU) - headers, MOST_PAYLOAD_BYTES)
                yield self._send(address, size, PATIENCE_S)

    def _send(self, address: str, size: int, patience_s: float) -> IfacePacket:
        """Send until one comes back; each is waited for a moment."""
        end_ns = self._system.monotonic_ns() + round(patience_s * NS_PER_S)
        while True:
            taken, error = self._system.exchange_datagram(address, size, min(patience_s, TRY_S))
            if error is None or self._system.monotonic_ns() >= end_ns:
                break
            self._system.wait((), PAUSE_S)
        rtt_ms = None if taken is None else to_ms(taken)
        return IfacePacket(address=address, size_bytes=size, rtt_ms=rtt_ms, error=error)

    def _find_lost(self, plan: Plan, place: Place, after: View) -> Iterator[str]:
        """Find what is gone and was not asked to go; ::1 comes back with the interface."""
        named = {(c.address.local, c.address.prefixlen) for c in plan.changes if c.address and c.verb == "del"}
        if self._action == "down":
            named.add(("::1", 128))
        kept = named | {(a.local, a.prefixlen) for a in after.addresses}
        yield from (write_address(a) for a in place.addresses if (a.local, a.prefixlen) not in kept)
        routes = self._system.list_routes_of(place.link.ifindex) if place.is_all_local else ()
        yield from (write_route(r) for r in place.routes if r.protocol != "kernel" and r not in (routes or ()))

    def _judge_reach(self, place: Place, after: View) -> Reach:
        """Tell whether the address that was asked for could be reached without it, and with which address it goes."""
        if self._asked is None or not place.is_all_local:
            return Reach(None, is_reached=False, follows=None)
        asked = self._asked
        others = place.addresses if self._action == "add" else after.addresses
        (link,) = after.links
        own = next((a for a in after.addresses if a.local == asked and a.secondary), None)
        first = own and next((a for a in after.addresses if not a.secondary and is_of_prefix(own, a)), None)
        return Reach(
            asked if own is None else write_address(own),
            is_reached=link.is_up and any(a.local != asked and covers(a, asked) for a in others),
            follows=write_address(first) if first else None,
        )

    def _spell(self, changes: Sequence[Change]) -> tuple[str, ...]:
        return tuple(command for change in changes if (command := self._system.spell_change(change)))


_PERMISSION_HINT = "Run it as root, or where it is allowed, as in unshare -Urn; nothing was changed."


def find_unkept(changes: Sequence[Change], view: View) -> list[Change]:
    """Find the changes whose effect cannot be read back."""
    (link,) = view.links
    present = {(a.local, a.prefixlen) for a in view.addresses}

    def is_kept(change: Change) -> bool:
        if change.address is not None:
            return ((change.address.local, change.address.prefixlen) in present) == (change.verb != "del")
        return link.mtu == change.mtu if change.verb == "mtu" else link.is_up == (change.verb == "up")

    return [change for change in changes if not is_kept(change)]
