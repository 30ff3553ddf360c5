"""Addresses: their families and special uses, held against Python's ipaddress."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.manifests.address import are_ordinary_ipv4, family_of, special_use

SPECIAL = {
    "0.0.0.0": "unspecified",
    "127.255.0.1": "loopback",
    "169.254.0.1": "link-local",
    "224.0.0.251": "link-local multicast",
    "224.0.1.0": "multicast",
    "239.255.255.255": "multicast",
    "::": "unspecified",
    "0:0::0": "unspecified",
    "::1": "loopback",
    "0::1": "loopback",
    "FE80::1": "link-local",
    "febf::1": "link-local",
    "ff02::1": "link-local multicast",
    "ff05::1": "multicast",
}
ORDINARY = (
    "10.0.0.1",
    "0.0.0.1",
    "169.253.0.1",
    "223.255.255.255",
    "240.0.0.1",
    "fd00::1",
    "fe8::1",
    "fec0::1",
    "::2",
)


@pytest.mark.parametrize("text", [*SPECIAL, *ORDINARY])
def test_special_uses(text: str) -> None:
    assert special_use(text) == SPECIAL.get(text, "")


@given(st.ip_addresses())
def test_no_special_use_is_missed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Whatever the short cuts leave out is ordinary."""
    if family_of(str(address)) is not None:
        is_special = (
            address.is_unspecified
            or address.is_loopback
            or address.is_multicast
            or address.is_link_local
        )
        assert bool(special_use(str(address))) == is_special


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], True),
        (["10.0.0.1", "10.0.0.2"], True),
        (["10.0.0.1", "127.0.0.1"], False),
        (["0.0.0.0"], False),
        (["0.0.0.0", "10.0.0.1"], False),
        (["10.0.0.0"], True),
        (["224.0.0.1"], False),
        (["224.0.1.1"], True),
        (["169.254.0.1"], False),
        (["10.0.0.1\n10.0.0.2"], False),
        (["10.0.0.01"], False),
        ([""], False),
    ],
)
def test_all_at_once(texts: list[str], expected: bool) -> None:
    assert are_ordinary_ipv4(texts) is expected
