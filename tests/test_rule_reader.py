from __future__ import annotations

import pytest

from compiler.family import IPV4, IPV6, Family
from compiler.netfilter.rule_reader import MAX_WORDS, RuleReader
from compiler.netfilter.words import BadWord, split_line


def read(line: str, family: Family = IPV4) -> RuleReader:
    words, quoted = split_line(line)
    reader = RuleReader(words, quoted, family)
    reader.read(0)
    return reader


def canonical(line: str, family: Family = IPV4) -> str:
    (text,) = read(line, family).texts()
    return text


# As written, and what iptables-save 1.8.9 (nft and legacy) printed for it.
RULES = [
    (
        (
            '-m comment --comment "default/web:http cluster IP" -m tcp -p tcp -d 10.200.1.10'
            " --dport 80 ! -s 10.10.0.0/16 -j KUBE-MARK-MASQ"
        ),
        (
            "! -s 10.10.0.0/16 -d 10.200.1.10/32 -p tcp -m comment"
            ' --comment "default/web:http cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ'
        ),
    ),
    (
        "-m recent --name KUBE-SEP-X --rcheck --seconds 10800 --reap -j KUBE-SEP-X",
        (
            "-m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-X --mask 255.255.255.255"
            " --rsource -j KUBE-SEP-X"
        ),
    ),
    ("-j MARK --or-mark 0x00004000", "-j MARK --set-xmark 0x4000/0x4000"),
    ("-j REJECT", "-j REJECT --reject-with icmp-port-unreachable"),
    ("-p tcp --syn -j DROP", "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"),
    ("-p tcp ! --syn -j DROP", "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"),
    ("-m limit --limit 5/minute --limit-burst 5", "-m limit --limit 5/min"),
    ("--protocol udp --destination-port=53 --jump DROP", "-p udp -m udp --dport 53 -j DROP"),
    ("-s10.0.0.1 -jDROP", "-s 10.0.0.1/32 -j DROP"),
    ("-p icmp --icmp-type ping", "-p icmp -m icmp --icmp-type 8"),
    ("-p sctp -m sctp", "-p sctp"),
    ("-m conntrack --ctstate ESTABLISHED,RELATED", "-m conntrack --ctstate RELATED,ESTABLISHED"),
    ("! -s 0.0.0.0/0 -j DROP", "! -s 0.0.0.0/0 -j DROP"),
    ("-d 0.0.0.0/0 -i + -p all -j DROP", "-j DROP"),
    ("-j LOG --log-level 4 --log-prefix 'x", '-j LOG --log-prefix "\\\'x"'),
    ("", ""),
]


@pytest.mark.parametrize(("written", "printed"), RULES)
def test_canonical(written: str, printed: str) -> None:
    assert canonical(written) == printed
    assert canonical(printed) == printed


def test_ipv6_defaults() -> None:
    assert canonical("-j REJECT", IPV6) == "-j REJECT --reject-with icmp6-port-unreachable"
    mask = ":".join(["ffff"] * 8)
    assert canonical("-m recent --set", IPV6) == (
        f"-m recent --set --name DEFAULT --mask {mask} --rsource"
    )


def test_pure_matches_may_change_places() -> None:
    one = canonical("-p tcp -m mark --mark 1 -m tcp --dport 80 -m comment --comment x -j Y")
    other = canonical("-p tcp -m comment --comment x -m tcp --dport 80 -m mark --mark 1 -j Y")
    assert one == other


@pytest.mark.parametrize("match", ["statistic --mode random --probability 0.5", "u32 --u32 1=1"])
def test_matches_that_remember_keep_their_place(match: str) -> None:
    assert canonical(f"-m mark --mark 1 -m {match} -j Y") != canonical(
        f"-m {match} -m mark --mark 1 -j Y"
    )


def test_unknown_words_are_kept_and_said() -> None:
    reader = read(
        '-p tcp -m u32 --u32 "6&0xFF=1" ! --other a "b c" -m tcp --dport 80 -j TEE --gateway x'
    )
    assert reader.texts() == [
        '-p tcp -m u32 --u32 "6&0xFF=1" ! --other a "b c" -m tcp --dport 80 -j TEE --gateway x'
    ]
    assert reader.unknown == ["-m u32", "-j TEE"]


def test_unknown_option_of_a_known_match() -> None:
    reader = read("-m recent --set --brand-new 7 -j X")
    assert "--brand-new 7" in reader.texts()[0]
    assert reader.unknown == ["-m recent --brand-new"]


def test_several_addresses_are_several_rules() -> None:
    assert read("-s 10.0.0.1,10.0.0.2 -d 10.1.0.0/16,10.2.0.0/16 -j X").texts() == [
        "-s 10.0.0.1/32 -d 10.1.0.0/16 -j X",
        "-s 10.0.0.1/32 -d 10.2.0.0/16 -j X",
        "-s 10.0.0.2/32 -d 10.1.0.0/16 -j X",
        "-s 10.0.0.2/32 -d 10.2.0.0/16 -j X",
    ]


def test_comment_like_an_option() -> None:
    assert canonical('-m comment --comment "-j ACCEPT" -j X') == (
        '-m comment --comment "-j ACCEPT" -j X'
    )


@pytest.mark.parametrize(
    ("line", "index", "message"),
    [
        ("-p tcp --dport 80x", 3, 'invalid value "80x" for --dport'),
        ("--dport 80", 0, "unknown option --dport here"),
        ("-j X -j Y", 2, "a second target"),
        ("-s 10.0.0.300 -j X", 1, 'invalid value "10.0.0.300" for -s'),
        ("-p tcp stray", 2, 'unexpected argument "stray"'),
        ("-m", 0, "-m needs a value"),
        ("-j X !", 2, "nothing after !"),
        ("! -j X", 1, "-j can't be negated with !"),
        ("-p tcp -p udp", 2, "duplicate option -p"),
        ("-m comment --comment", 2, "--comment needs a value"),
        ("-j " + "K" * 29, 1, f'invalid chain name "{"K" * 29}"'),
        ('-m comment -D --comment "x" -j ACCEPT', 2, "unknown option -D here"),
    ],
)
def test_bad_words(line: str, index: int, message: str) -> None:
    with pytest.raises(BadWord) as caught:
        read(line).texts()
    assert (caught.value.index, caught.value.message) == (index, message)


def test_bounds() -> None:
    with pytest.raises(BadWord, match="a rule of 256 words"):
        read(" ".join(["-4"] * (MAX_WORDS + 1)))
    many = ",".join(["10.0.0.1"] * 65)
    with pytest.raises(BadWord, match="more than 4096 rules"):
        read(f"-s {many} -d {many}").texts()
