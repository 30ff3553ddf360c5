from __future__ import annotations

import pytest

from compiler.family import IPV4, IPV6, Family
from compiler.netfilter import values

# What iptables-save 1.8.9 printed for each, read back from the kernel.
ADDRESSES: list[tuple[Family, str, str]] = [
    (IPV4, "10.0.0.1", "10.0.0.1/32"),
    (IPV4, "10.1.2.3/24", "10.1.2.0/24"),
    (IPV4, "10.0.0.0/255.0.0.0", "10.0.0.0/8"),
    (IPV4, "10.1.2.3/255.0.255.0", "10.0.2.0/255.0.255.0"),
    (IPV4, "1.2.3.4/0", ""),
    (IPV6, "fd00:10:0:0::2:2", "fd00:10::2:2/128"),
    (IPV6, "FD00::1/64", "fd00::/64"),
    (IPV6, "fd00::1/ffff::", "fd00::/16"),
    (IPV6, "::/0", ""),
]


@pytest.mark.parametrize(("family", "word", "printed"), ADDRESSES)
def test_address(family: Family, word: str, printed: str) -> None:
    assert values.address(word, family) == printed


@pytest.mark.parametrize(
    "word", ["10.0.0.256", "example.com", "", "10.0.0.1/33", "10.0.0.1/x", "10.0.0.01", "fd00::1"]
)
def test_bad_address(word: str) -> None:
    with pytest.raises(ValueError, match=r"address|prefix"):
        values.address(word, IPV4)


@pytest.mark.parametrize(
    ("word", "printed"),
    [
        ("80", "80"), ("080", "80"), ("80:90", "80:90"), (":90", "0:90"), ("80:", "80:65535"),
        ("0:65535", ""), ("80:80", "80"), ("http", "80"),
    ],
)  # fmt: skip
def test_port(word: str, printed: str) -> None:
    assert values.port(word, IPV4) == printed


@pytest.mark.parametrize("word", ["65536", "99999999999999999999", "-1", "", "9:8", "²", "no such"])
def test_bad_port(word: str) -> None:
    with pytest.raises(ValueError, match="port"):
        values.port(word, IPV4)


@pytest.mark.parametrize(
    ("word", "printed"),
    [
        ("0.3333333333", "0.33333333349"), ("0.0001", "0.00009999983"), ("1", "1.00000000000"),
        ("0.1428571429", "0.14285714272"), ("0.5000000000", "0.50000000000"),
        (".5", "0.50000000000"),
    ],
)  # fmt: skip
def test_probability(word: str, printed: str) -> None:
    assert values.probability(word, IPV4) == printed
    assert values.probability(printed, IPV4) == printed


@pytest.mark.parametrize("word", ["1.1", "nan", "inf", "1e3", "-0.5", "", "٣"])
def test_bad_probability(word: str) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        values.probability(word, IPV4)


def test_marks() -> None:
    assert values.mark("0x00004000/0x00004000", IPV4) == "0x4000/0x4000"
    assert values.mark("16384", IPV4) == "0x4000"
    assert values.or_mark("0x4000", IPV4) == "0x4000/0x4000"
    assert values.xor_mark("0x4000", IPV4) == "0x4000/0x0"
    assert values.and_mark("0x4000", IPV4) == "0x0/0xffffbfff"
    assert values.set_mark("0x4000/0xff", IPV4) == "0x4000/0x40ff"
    assert values.set_xmark("0x4000", IPV4) == "0x4000/0xffffffff"
    with pytest.raises(ValueError, match="32 bits"):
        values.mark("0x100000000", IPV4)
    with pytest.raises(ValueError, match="octal"):
        values.mark("09", IPV4)


@pytest.mark.parametrize(
    ("word", "printed"),
    [("5/minute", "5/min"), ("120/minute", "2/sec"), ("3/hour", "3/hour"), ("10", "10/sec"),
     ("7/d", "7/day")],
)  # fmt: skip
def test_rate(word: str, printed: str) -> None:
    assert values.rate(word, IPV4) == printed


def test_nat_addresses() -> None:
    assert values.nat_address("10.0.0.1:80", IPV4) == "10.0.0.1:80"
    assert values.nat_address("10.0.0.1-10.0.0.9:80-90", IPV4) == "10.0.0.1-10.0.0.9:80-90"
    assert values.nat_address("[fd00:10:0:0::2:2]:8080", IPV6) == "[fd00:10::2:2]:8080"
    assert values.nat_address("fd00:0::1", IPV6) == "fd00::1"
    for word in ("10.0.0.1:70000", "10.0.0.1:", "x:80", "1.2.3.4-5.6.7.8-9.9.9.9"):
        with pytest.raises(ValueError, match=r"port|address"):
            values.nat_address(word, IPV4)


def test_small_ones() -> None:
    assert values.protocol("TCP", IPV4) == "tcp"
    assert values.protocol("47", IPV4) == "gre"
    assert values.protocol("icmpv6", IPV6) == "ipv6-icmp"
    assert values.protocol("all", IPV4) == ""
    assert values.interface("+", IPV4) == ""
    assert values.icmp_type("echo-request", IPV4) == "8"
    assert values.icmp_type("echo-request", IPV6) == "128"
    assert values.log_level("info", IPV4) == "6"
    assert values.tcp_flags("ALL", "NONE") == "FIN,SYN,RST,PSH,ACK,URG NONE"
    assert values.reject_with("port-unreach", IPV6) == "icmp6-port-unreachable"
