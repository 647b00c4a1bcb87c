"""Commands of Linux that repair what ``doctor`` finds: exact for this machine, with what takes them back."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

from lodiag.model.doctor import Repair

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMAND_S = 10.0
_DROP_IN = "/etc/sysctl.d/90-loopback.conf"
_REWRITE = "printf '%s\\n' \"$new\" >/etc/"
"""In a container such files are mounted: they can be written, but not replaced as sed -i does."""
_HANDLE = "nft -a list chain {family} {table} {chain} | sed -n 's/.*\"lodiag\".*handle //p'"
_STUB = "/run/systemd/resolve/resolv.conf"
_LOCAL4 = "proto kernel scope host src 127.0.0.1"


class _Recipe(NamedTuple):
    """What to do; ``automatic`` is on the allow-list of ``doctor --fix``. Facts stand in braces."""

    commands: tuple[str, ...]
    undo: tuple[str, ...] = ()
    persistent: tuple[str, ...] = ()
    automatic: bool = False
    needs_root: bool = True


def _sysctl(wanted: str, *, automatic: bool) -> _Recipe:
    return _Recipe(
        (f"sysctl -w {{parameter}}={wanted}",),
        ("sysctl -w {parameter}={value}",),
        (f"echo '{{bare}} = {wanted.strip(chr(39))}' >>{_DROP_IN}",),
        automatic,
    )


_RECIPES = {
    "lo-up": _Recipe(("ip link set {dev} up",), ("ip link set {dev} down",), (), automatic=True),
    "xdp": _Recipe(
        ("ip link set dev {dev} xdp off", "ip link set dev {dev} xdpgeneric off"),
    ),
    "addr4": _Recipe(
        ("ip addr add 127.0.0.1/8 dev {dev}",), ("ip addr del 127.0.0.1/8 dev {dev}",), (), automatic=True
    ),
    "addr4-narrow": _Recipe(
        ("ip addr add 127.0.0.1/8 dev {dev}", "ip addr del {narrow} dev {dev}"),
        ("ip addr add {narrow} dev {dev}", "ip addr del 127.0.0.1/8 dev {dev}"),
        (),
        automatic=True,
    ),
    "addr6": _Recipe(("ip -6 addr add ::1/128 dev {dev}",), ("ip -6 addr del ::1/128 dev {dev}",), (), automatic=True),
    "ipv6-here": _sysctl("0", automatic=True),
    "ipv6-everywhere": _Recipe(
        (
            "sysctl -w net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0",
            "sysctl -w net.ipv6.conf.{dev}.disable_ipv6=0",
        ),
        ("sysctl -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",),
        (f"echo 'net.ipv6.conf.all.disable_ipv6 = 0' >>{_DROP_IN}",),
        automatic=True,
    ),
    "mtu": _Recipe(
        ("ip link set {dev} mtu 65536", "ip -6 addr replace ::1/128 dev {dev}"),
        ("ip link set {dev} mtu {mtu}",),
        (),
        automatic=True,
    ),
    "mtu-without-ipv6": _Recipe(("ip link set {dev} mtu 65536",), ("ip link set {dev} mtu {mtu}",), (), automatic=True),
    "mtu-both": _Recipe(
        (
            "ip link set {dev} mtu 65536",
            "ip addr add 127.0.0.1/8 dev {dev}",
            "ip -6 addr replace ::1/128 dev {dev}",
        ),
        ("ip link set {dev} mtu {mtu}",),
        (),
        automatic=True,
    ),
    "qdisc": _Recipe(("tc qdisc del dev {dev} root",), (), (), automatic=True),
    "route-prefix": _Recipe(
        (f"ip route add local 127.0.0.0/8 dev {{dev}} table local {_LOCAL4}",),
        ("ip route del local 127.0.0.0/8 dev {dev} table local",),
        (),
        automatic=True,
    ),
    "route-address": _Recipe(
        (f"ip route add local 127.0.0.1 dev {{dev}} table local {_LOCAL4}",),
        ("ip route del local 127.0.0.1 dev {dev} table local",),
        (),
        automatic=True,
    ),
    "route-both": _Recipe(
        (
            f"ip route add local 127.0.0.1 dev {{dev}} table local {_LOCAL4}",
            f"ip route add local 127.0.0.0/8 dev {{dev}} table local {_LOCAL4}",
        ),
        (
            "ip route del local 127.0.0.0/8 dev {dev} table local",
            "ip route del local 127.0.0.1 dev {dev} table local",
        ),
        (),
        automatic=True,
    ),
    "route6": _Recipe(
        ("ip -6 route add local ::1 dev {dev} table local proto kernel metric 0",),
        ("ip -6 route del local ::1 dev {dev} table local",),
        (),
        automatic=True,
    ),
    "rule-missing": _Recipe(
        ("ip{six} rule add pref 0 lookup local",), ("ip{six} rule del pref 0 lookup local",), (), automatic=True
    ),
    "rule-del": _Recipe(("ip{six} rule del {rule}",), ("ip{six} rule add {rule}",)),
    "route-leak": _Recipe(("ip{six} route del {route}",), ("ip{six} route add {route}",)),
    "icmp-groups": _sysctl("'0 2147483647'", automatic=False),
    "sysctl-0": _sysctl("0", automatic=True),
    "first-free-port": _sysctl("1024", automatic=False),
    "first-free-port-lower": _sysctl("{port}", automatic=False),
    "port-range": _sysctl("'32768 60999'", automatic=False),
    "no-reserved-ports": _sysctl("''", automatic=False),
    "reserve-ports": _sysctl("{ports}", automatic=False),
    "localnet": _sysctl("0", automatic=False),
    "conntrack": _Recipe(
        ("sysctl -w net.netfilter.nf_conntrack_max={wanted}",),
        ("sysctl -w net.netfilter.nf_conntrack_max={value}",),
        (f"echo 'net.netfilter.nf_conntrack_max = {{wanted}}' >>{_DROP_IN}",),
    ),
    "filter-accept": _Recipe(
        ("nft insert rule {family} {table} {chain} {side} {dev} accept comment '\"lodiag\"'",),
        (f"nft delete rule {{family}} {{table}} {{chain}} handle $({_HANDLE})",),
    ),
    "filter-delete": _Recipe(("nft delete rule {family} {table} {chain} handle {handle}",)),
    "filter-iptables": _Recipe(
        ("iptables -I {chain} 1 {side} {dev} -j ACCEPT",), ("iptables -D {chain} {side} {dev} -j ACCEPT",)
    ),
    "filter-ip6tables": _Recipe(
        ("ip6tables -I {chain} 1 {side} {dev} -j ACCEPT",), ("ip6tables -D {chain} {side} {dev} -j ACCEPT",)
    ),
    "hosts-add": _Recipe(("printf '{lines}' >>/etc/hosts",)),
    "hosts-replace": _Recipe(
        (f"new=$(sed '{{numbers}}s/^[[:space:]]*[^[:space:]#]*/{{address}}/' /etc/hosts) && {_REWRITE}hosts",)
    ),
    "hosts-readable": _Recipe(("chmod 644 /etc/hosts",)),
    "hosts-new": _Recipe(("rm -f /etc/hosts", "printf '127.0.0.1\\tlocalhost\\n::1\\tlocalhost\\n' >/etc/hosts")),
    "nsswitch": _Recipe((f"new=$(sed 's/^hosts:.*/hosts: files dns/' /etc/nsswitch.conf) && {_REWRITE}nsswitch.conf",)),
    "nsswitch-new": _Recipe(("echo 'hosts: files dns' >>/etc/nsswitch.conf",)),
    "resolv": _Recipe((f"ln -sf {_STUB} /etc/resolv.conf || cat {_STUB} >/etc/resolv.conf",)),
    "resolv-out": _Recipe((f"new=$(sed '{{numbers}}' /etc/resolv.conf) && {_REWRITE}resolv.conf",)),
    "no-proxy": _Recipe(
        ('export no_proxy="${no_proxy:+$no_proxy,}{hosts}"', 'export NO_PROXY="$no_proxy"'), needs_root=False
    ),
    "continue": _Recipe(("kill -CONT {pid}",), ("kill -STOP {pid}",), needs_root=False),
    "more-files": _Recipe(
        ("prlimit --pid {pid} --nofile={wanted}: || prlimit --pid {pid} --nofile={wanted}",),
        ("prlimit --pid {pid} --nofile={limit}:",),
    ),
    "alias-narrow": _Recipe(
        ("ip addr del {prefix} dev {dev}", "ip addr add {address}/{whole} dev {dev}"),
        ("ip addr del {address}/{whole} dev {dev}", "ip addr add {prefix} dev {dev}"),
    ),
    "alias-del": _Recipe(("ip addr del {prefix} dev {dev}",), ("ip addr add {prefix} dev {dev}",)),
    "xfrm": _Recipe(("ip xfrm policy flush",)),
}
"""By cause: what repairs it."""

_VERBATIM = frozenset({"rule", "route", "six", "lines", "side", "numbers", "hosts", "ports", "family"})
"""Facts that are words of lodiag's own, made of what was read and checked."""

_WITHOUT = {
    "ip link set {dev} up": "lodiag iface up",
    "ip link set {dev} mtu 65536": "lodiag iface mtu 65536",
    "ip addr add 127.0.0.1/8 dev {dev}": "lodiag iface add 127.0.0.1/8",
    "ip -6 addr add ::1/128 dev {dev}": "lodiag iface add ::1",
    "ip -6 addr replace ::1/128 dev {dev}": "lodiag iface add ::1",
}
"""Commands of lodiag itself, for a machine without ip(8)."""


def prescribe(cause: str, facts: Mapping[str, object]) -> Repair | None:
    """Fill in the recipe for a cause; ``None`` if there is none for this kind of system, or facts are lacking."""
    recipe = _RECIPES.get(cause) if sys.platform == "linux" else None
    if recipe is None:
        return None
    words = {key: str(value) if key in _VERBATIM else shlex.quote(str(value)) for key, value in facts.items()}
    words.setdefault("six", "")
    words["bare"] = str(facts.get("parameter"))
    return Repair(
        commands=tuple(_fill(command, words) for command in recipe.commands),
        needs_root=recipe.needs_root,
        undo=tuple(_fill(command, words) for command in recipe.undo),
        persistent=tuple(_fill(command, words) for command in recipe.persistent),
        automatic=recipe.automatic,
    )


def _fill(template: str, words: Mapping[str, str]) -> str:
    """Put the facts into a command, in the words of a tool that is here."""
    tool = template.split(maxsplit=1)[0].partition("{")[0]
    if tool == "ip" and template in _WITHOUT and not _is_here("ip"):
        return _WITHOUT[template]
    command = template
    for key, value in words.items():
        command = command.replace(f"{{{key}}}", value)
    if tool == "sysctl" and not _is_here("sysctl"):
        pairs = [pair.partition("=") for pair in shlex.split(command)[2:]]
        return " && ".join(f"echo {value} >/proc/sys/{name.replace('.', '/')}" for name, _, value in pairs)
    return command


def _is_here(tool: str) -> bool:
    return bool(shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin"))


def join(repairs: tuple[Repair | None, ...]) -> Repair | None:
    """Make one repair of several, to be taken back in the reverse order; ``None`` if there is none."""
    known = [repair for repair in repairs if repair is not None]
    if not known:
        return None
    return Repair(
        commands=tuple(command for repair in known for command in repair.commands),
        needs_root=any(repair.needs_root for repair in known),
        undo=tuple(command for repair in reversed(known) for command in repair.undo),
        persistent=tuple(command for repair in known for command in repair.persistent),
        automatic=all(repair.automatic for repair in known),
    )


def run_command(command: str) -> str | None:
    """Run a command that was printed; ``None`` if it succeeds, or what it said."""
    own = f"{shlex.quote(sys.executable)} -m lodiag "
    script = command.replace("lodiag ", own, 1) if command.startswith("lodiag ") else command
    try:
        done = subprocess.run(  # noqa: S603 - one of the commands above, which the user has agreed to
            ["/bin/sh", "-c", script], capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if done.returncode == 0:
        return None
    return (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:][0] if done.stderr or done.stdout else "failed"
