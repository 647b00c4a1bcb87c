"""What is loopback: every form that fools other parsers."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from faking import FakeSystem
from hypothesis import example, given
from hypothesis import strategies as st

from lodiag.errors import TargetError
from lodiag.system import System
from lodiag.system.facts import unmap
from lodiag.targets import family_of, is_loopback, is_wildcard, resolve_source, resolve_target


def names(*addresses: str) -> System:
    """Make a machine on which every name has these addresses."""
    return FakeSystem(lambda _probe, _seq: None, addresses=addresses)


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.9.9.9", "127.9.9.9"),
        ("127.0.0.0", "127.0.0.0"),
        ("127.255.255.254", "127.255.255.254"),
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.000.000.001", "127.0.0.1"),
        ("::1", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
    ],
)
def test_literals_are_normalised(target: str, address: str) -> None:
    assert resolve_target(target, None, names()) == (address,)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("", "not an address or a host name"),
        (" 127.0.0.1", "not an address or a host name"),
        ("127.0.0.1\n", "not an address or a host name"),
        ("127.0.0.1\0", "not an address or a host name"),
        ("\x1b[2J", "not an address or a host name"),
        ("a" * 10_000, "not an address or a host name"),
        ("127..0.0.1", "not an address"),
        ("127.0.0.0.1", "not an address"),
        (":::1", "not an address"),
        ("[::1]", "not an address"),
        ("300.1.1.1", "not an IPv4 address"),
        ("127.0.0.256", "not an IPv4 address"),
        ("99999999999", "not an IPv4 address"),
        ("0", "not on the loopback"),
        ("127", "not on the loopback"),
        ("::", "not on the loopback"),
        ("0.0.0.0", "not on the loopback"),
        ("192.0.2.1", "not on the loopback"),
        ("::127.0.0.1", "not on the loopback"),
        ("2001:db8::1", "not on the loopback"),
        ("::ffff:127.0.0.1", "IPv4-mapped"),
        ("::ffff:192.0.2.1", "IPv4-mapped"),
        ("fe80::1%lo", "has a zone"),
        ("::1%lo", "has a zone"),
        ("::1%1", "has a zone"),
        ("127.255.255.255", "broadcast"),
    ],
)
def test_everything_else_is_refused(target: str, words: str) -> None:
    with pytest.raises(TargetError, match=words) as caught:
        resolve_target(target, None, names("127.0.0.1"))
    assert caught.value.hint


def test_a_name_has_every_address_that_it_resolves_to() -> None:
    assert resolve_target("localhost", None, names("127.0.0.1", "::1")) == ("127.0.0.1", "::1")
    assert resolve_target("localhost", "ipv6", names("127.0.0.1", "::1")) == ("::1",)


@pytest.mark.parametrize("stray", ["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "::ffff:127.0.0.1", "0.0.0.0"])
def test_a_name_with_one_address_off_the_loopback_is_refused(stray: str) -> None:
    with pytest.raises(TargetError, match="resolves to"):
        resolve_target("localhost", None, names("127.0.0.1", stray))


@pytest.mark.parametrize(("target", "family"), [("::1", "ipv4"), ("127.0.0.1", "ipv6")])
def test_a_literal_of_the_other_family_is_refused(target: str, family: str) -> None:
    with pytest.raises(TargetError, match="is not an IPv"):
        resolve_target(target, family, names())


@pytest.mark.parametrize("label", ["a" * 64 + ".test", "\N{LATIN SMALL LETTER A WITH ACUTE}" * 60])
def test_names_that_cannot_be_encoded_are_refused(label: str) -> None:
    """Such a label makes getaddrinfo raise UnicodeError before it asks anybody."""
    with pytest.raises(TargetError, match="cannot resolve"):
        resolve_target(label, None, System())


@pytest.mark.parametrize(
    ("source", "family", "words"),
    [
        ("192.0.2.47", None, "not on the loopback"),
        ("::1", "ipv4", "not an IPv4 address"),
        ("127.0.0.5", "ipv6", "not an IPv6 address"),
        ("localhost", None, "not an address"),
        ("", None, "not an address"),
        ("127.0.0.1\0", None, "not an address"),
    ],
)
def test_sources_are_loopback_literals_of_the_target_family(source: str, family: str | None, words: str) -> None:
    with pytest.raises(TargetError, match=words):
        resolve_source(source, family)


@given(st.text(max_size=300))
@example("::ffff:127.0.0.1")
@example("127.0.0.1%")
def test_no_text_gets_through_unless_it_is_loopback(text: str) -> None:
    try:
        addresses = resolve_target(text, None, names())
    except TargetError:
        return
    assert all(ip_address(address).is_loopback for address in addresses)


@given(st.ip_addresses())
def test_no_address_gets_through_unless_it_is_loopback(address: object) -> None:
    try:
        (found,) = resolve_target(str(address), None, names())
    except TargetError:
        return
    assert found == "::1" or found.startswith("127.")


def test_small_predicates() -> None:
    assert unmap("::ffff:127.0.0.1") == ("127.0.0.1", True)
    assert unmap("::1") == ("::1", False)
    assert all(is_loopback(a) for a in ("::ffff:127.0.0.1", "127.3.4.5", "::1"))
    assert not any(is_loopback(a) for a in ("::2", "128.0.0.1", "::ffff:192.0.2.1"))
    assert [is_wildcard(a) for a in ("0.0.0.0", "::", "127.0.0.1")] == [True, True, False]
    assert (family_of("127.0.0.1"), family_of("::1")) == ("ipv4", "ipv6")
