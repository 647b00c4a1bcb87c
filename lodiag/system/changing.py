"""Changes of interfaces, addresses, routes and rules: as the command of each kind of system, and done by rtnetlink."""

from __future__ import annotations

import errno
import shlex
import sys
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from lodiag.model.net import FOREVER_S
from lodiag.system.change import ChangeRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.model.net import LinkAddress, Route, Rule
    from lodiag.system.change import Change


def spell(change: Change, platform: str = sys.platform) -> str | None:
    """Command of a kind of system that makes a change; ``None`` where it has none."""
    words = _SPELLERS.get(platform, _spell_ifconfig)(change)
    if words is None:
        return None
    if platform == "win32":
        import subprocess

        return subprocess.list2cmdline(words)
    return shlex.join(words)


def apply(changes: Sequence[Change], platform: str = sys.platform) -> None:
    """Make changes, all of them or, if the first is refused, none; ``ChangeRefusedError`` if one is refused.

    On Linux they are handed to the kernel by one system call, in which no signal ends a process: one that is killed has
    made all of them or none. On other systems their commands are run.
    """
    if platform == "linux":
        from lodiag.system import rtchanges

        rtchanges.apply(changes)
    else:
        _run_all(changes, platform)


def _run_all(changes: Sequence[Change], platform: str) -> None:
    import subprocess

    for change in changes:
        words = _SPELLERS.get(platform, _spell_ifconfig)(change)
        if words is None:
            raise ChangeRefusedError(change, errno.ENOTSUP, "this system has no command for it")
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 - checked
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ChangeRefusedError(change, errno.ENOENT, str(error)) from error
        if done.returncode:
            message = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
            is_refused = "ermission" in message or "not permitted" in message or "elevat" in message
            raise ChangeRefusedError(change, errno.EPERM if is_refused else errno.EINVAL, message)


def _spell_ip(change: Change) -> list[str] | None:
    if change.verb in {"up", "down"}:
        return ["ip", "link", "set", change.ifname, change.verb]
    if change.verb == "mtu":
        return ["ip", "link", "set", change.ifname, "mtu", str(change.mtu)]
    if change.verb == "no-qdisc":
        return ["tc", "qdisc", "del", "dev", change.ifname, "root"]
    if change.address is not None:
        return _spell_address(change.address, change)
    if change.route is not None:
        return _spell_route(change.route, change)
    return None if change.rule is None else _spell_rule(change.rule, change)


def _spell_address(address: LinkAddress, change: Change) -> list[str]:
    verb = "del" if change.verb == "del" else "add" if change.verb == "add" else "replace"
    words = [*_ip_of(":" in address.local), "address", verb]
    words += [*([address.local, "peer"] if address.address else [])]
    words += [f"{address.address or address.local}/{address.prefixlen}", "dev", change.ifname]
    if verb == "del":
        return words
    if address.label not in {None, change.ifname}:
        words += ["label", str(address.label)]
    if address.scope == "host" and not address.local.startswith("127.") and address.family == "inet":
        words += ["scope", "host"]
    words += ["broadcast", address.broadcast] if address.broadcast else []
    words += ["metric", str(address.metric)] if address.metric else []
    words += ["noprefixroute"] if address.noprefixroute else []
    for name, value in (("valid_lft", address.valid_life_time), ("preferred_lft", address.preferred_life_time)):
        words += [name, str(value)] if value not in {None, FOREVER_S} else []
    return words


def _spell_route(route: Route, change: Change) -> list[str]:
    words = [*_ip_of(route.family == "ipv6"), "route", "del" if change.verb == "del-route" else "add"]
    words += [*([route.type] if route.type != "unicast" else []), route.dst]
    further: dict[str, Any] = {"via": route.gateway, "dev": route.dev, "src": route.prefsrc}
    further |= {"table": route.table if route.table != "main" else None, "proto": route.protocol}
    further |= {"scope": route.scope, "metric": route.metric or None, "mtu": route.mtu}
    if route.protocol == "boot":  # what ip(8) itself writes
        del further["proto"]
    for name, value in further.items():
        words += [name, str(value)] if value is not None else []
    return words


def _spell_rule(rule: Rule, change: Change) -> list[str]:
    verb = "del" if change.verb == "del-rule" else "add"
    words = [*_ip_of(rule.family == "ipv6"), "rule", verb, "pref", str(rule.priority)]
    words += ["to", _with_bits(rule.dst, rule.dstlen)] if rule.dst else []
    words += ["from", _with_bits(rule.src, rule.srclen)] if rule.src != "all" else []
    return [*words, *(["lookup", str(rule.table)] if rule.action == "lookup" else [rule.action])]


def _with_bits(address: str, bits: int | None) -> str:
    return address if bits is None else f"{address}/{bits}"


def _ip_of(is_six: bool) -> list[str]:  # noqa: FBT001 - which of two programs, so to say
    return ["ip", "-6"] if is_six else ["ip"]


def _spell_ifconfig(change: Change) -> list[str] | None:
    """Write a change for the systems of BSD, macOS among them: ifconfig(8)."""
    words = ["ifconfig", change.ifname]
    if change.verb in {"up", "down"}:
        return [*words, change.verb]
    if change.verb == "mtu":
        return [*words, "mtu", str(change.mtu)]
    if change.address is None:
        return None
    address = change.address
    if ":" in address.local:
        words += ["inet6", address.local]
        return [*words, "delete"] if change.verb == "del" else [*words, "prefixlen", str(address.prefixlen), "alias"]
    if change.verb == "del":
        return [*words, "-alias", address.local]
    return [*words, "alias", address.local, "netmask", _netmask(address.prefixlen)]


def _spell_netsh(change: Change) -> list[str] | None:
    if change.verb == "mtu":
        return ["netsh", "interface", "ipv4", "set", "subinterface", change.ifname, f"mtu={change.mtu}", "store=active"]
    if change.address is None:
        return None
    address, verb = change.address, "delete" if change.verb == "del" else "add"
    words = ["netsh", "interface", "ipv6" if ":" in address.local else "ipv4", verb, "address", change.ifname]
    if ":" in address.local:
        return [*words, f"{address.local}/{address.prefixlen}" if verb == "add" else address.local]
    return [*words, address.local, *([_netmask(address.prefixlen)] if verb == "add" else [])]


def _netmask(bits: int | None) -> str:
    return str(ip_network((0, 32 if bits is None else bits)).netmask)


_SPELLERS = {"linux": _spell_ip, "win32": _spell_netsh}
