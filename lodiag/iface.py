"""The loopback interface: how it is, and changing it safely."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.judge.iface import judge_interfaces
from lodiag.limits import require_choice
from lodiag.links.alterations import Alteration
from lodiag.links.plans import LEAST_IPV6_MTU, plan_add, plan_del, plan_down, plan_mtu, plan_up
from lodiag.links.records import SOURCES, look
from lodiag.report import ReportMaker
from lodiag.system import System
from lodiag.targets import parse_alias

if TYPE_CHECKING:
    from lodiag.model import Report
    from lodiag.model.iface import IfaceRecord, IfaceSummary


def list_interfaces(
    *, interface: str | None = None, source: str | None = None, system: System | None = None
) -> Report[IfaceRecord, IfaceSummary]:
    """Show the loopback interfaces: flags, addresses, counters, and what of routes, rules and parameters concerns them.

    Args:
        interface: Name of the one to show; ``None`` for all that have the LOOPBACK flag.
        source: ``rtnetlink`` or ``psutil``; ``None`` for the best that is to be had.
        system: The machine; a test's own stands in for it.

    Returns:
        A report with one ``IfaceRecord`` per interface. That it is down, or lacks an address, is a finding.

    Raises:
        ConfigError: There is no such interface, or it is no loopback.
        UnsupportedError: The interfaces cannot be read.

    """
    if source is not None:
        require_choice("source", source, SOURCES)
    machine = system or System()
    maker = ReportMaker("iface", machine)
    view = look(machine, source, interface)
    return maker.make(
        source=view.source,
        summary=view.summarise(),
        records=view.records,
        findings=judge_interfaces(view.records, view.settings),
        missing=view.missing,
    )


def bring_up(
    *, interface: str | None = None, dry_run: bool = False, system: System | None = None
) -> Report[IfaceRecord, IfaceSummary]:
    """Bring a loopback interface up; that gives it 127.0.0.1/8 and ::1/128 on Linux, if it was never up.

    Args:
        interface: Name of the interface; ``None`` for the loopback, if there is one only.
        dry_run: Whether only to tell what would be done.
        system: The machine; a test's own stands in for it.

    Returns:
        A report of the interface as it is afterwards; ``summary.change`` says what was done.

    Raises:
        ConfigError: There is no such loopback interface.
        PrivilegeError: This process may not change it; nothing was changed.
        UnsupportedError: This system cannot do it, or did not; nothing was changed.

    """
    return Alteration("up", interface, system or System()).make(plan_up, dry_run=dry_run)


def bring_down(
    *, force: bool = False, interface: str | None = None, dry_run: bool = False, system: System | None = None
) -> Report[IfaceRecord, IfaceSummary]:
    """Take a loopback interface down: every connection over it breaks.

    Args:
        force: Whether that is wanted; without it ``ConsentError`` lists what is lost.
        interface: See ``bring_up``, as for all that follow.
        dry_run: Whether only to tell what would be done.
        system: The machine.

    Returns:
        A report as of ``bring_up``; the undo puts back addresses and routes that would not come back by themselves.

    Raises:
        ConsentError: ``force`` is not set, and the interface is up.
        ConfigError: As ``bring_up``, as are the others.

    """
    return Alteration("down", interface, system or System()).make(
        lambda place: plan_down(place, force=force or dry_run), dry_run=dry_run
    )


def add_alias(
    address: str,
    *,
    label: str | None = None,
    interface: str | None = None,
    dry_run: bool = False,
    system: System | None = None,
) -> Report[IfaceRecord, IfaceSummary]:
    """Give a loopback interface an address of 127.0.0.0/8, or ::1.

    Args:
        address: The address, with a prefix if it is not to be /32, or /8 for 127.0.0.1: ``127.0.0.2``, ``127.0.0.2/8``.
        label: Name to show it under, as in ``lo:1``; of IPv4 only.
        interface: See ``bring_up``, as for all that follow.
        dry_run: Whether only to tell what would be done.
        system: The machine.

    Returns:
        A report as of ``bring_up``.

    Raises:
        TargetError: The address is not on the loopback.
        ConfigError: The prefix or the label is out of range, or the interface cannot have it.

    """
    local, bits = parse_alias(address)
    return Alteration("add", interface, system or System(), local).make(
        lambda place: plan_add(place, local, bits, label), dry_run=dry_run
    )


def remove_alias(
    address: str,
    *,
    agreed: bool = False,
    interface: str | None = None,
    dry_run: bool = False,
    system: System | None = None,
) -> Report[IfaceRecord, IfaceSummary]:
    """Take an address of 127.0.0.0/8, or ::1, from a loopback interface, and no other with it.

    Args:
        address: The address, with its prefix if it is there with several.
        agreed: Whether 127.0.0.1 or ::1 itself may go; without it that is a ``ConsentError``.
        interface: See ``bring_up``, as for all that follow.
        dry_run: Whether only to tell what would be done.
        system: The machine.

    Returns:
        A report as of ``bring_up``.

    Raises:
        TargetError: The address is not on the loopback.
        ConsentError: It is 127.0.0.1 or ::1, and ``agreed`` is not set.
        ConfigError: It is there with several prefixes.

    """
    local, bits = parse_alias(address)
    return Alteration("del", interface, system or System(), local).make(
        lambda place: plan_del(place, local, bits, agreed=agreed or dry_run), dry_run=dry_run
    )


def set_mtu(
    mtu: int,
    *,
    agreed: bool = False,
    interface: str | None = None,
    dry_run: bool = False,
    system: System | None = None,
) -> Report[IfaceRecord, IfaceSummary]:
    """Set the mtu of a loopback interface.

    Args:
        mtu: Bytes, 68 to 65536.
        agreed: Whether IPv6 may go, for less than 1280; or else, whether 127.0.0.1/8 and ::1 are put back that a
            small mtu took away.
        interface: See ``bring_up``, as for all that follow.
        dry_run: Whether only to tell what would be done.
        system: The machine.

    Returns:
        A report as of ``bring_up``.

    Raises:
        ConsentError: IPv6 would go, and ``agreed`` is not set.
        ConfigError: The mtu is out of range.

    """
    return Alteration("mtu", interface, system or System()).make(
        lambda place: plan_mtu(place, mtu, agreed=agreed or (dry_run and mtu < LEAST_IPV6_MTU)), dry_run=dry_run
    )
