"""Every case loaded into a kernel and read back: the rules are the compiler's, in every form."""

from __future__ import annotations

import pytest

from compiler.analysis.diff import diff_rules
from compiler.analysis.verify import verify_rules
from compiler.family import IPV4, IPV6, Family
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.printing import print_rules
from tests.cases import ALL_CASES, FIXTURE_CASES
from tests.kernel.namespace import Namespace
from tests.kernel.node import ACCOUNTS, BACKENDS, Node

pytestmark = pytest.mark.kernel

FAMILIES: tuple[Family, ...] = (IPV4, IPV6)


@pytest.mark.kernel("nfacct")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_verify_finds_nothing(namespace: Namespace, backend: str, family: Family) -> None:
    node = Node(namespace, backend, family)
    for account in ACCOUNTS:
        namespace.run(["nfacct", "add", account])
    cases = [case for case in ALL_CASES if case.family == family]
    assert len(cases) > 20
    for case in cases:
        expected = parse_rules(case.expected, family=family)
        node.load(case.expected)
        for form, found in node.forms(all_of_them=case in FIXTURE_CASES).items():
            assert verify_rules(expected, found) == (), (case.name, form)
            assert not found.unknown


@pytest.mark.parametrize("backend", BACKENDS)
def test_print_is_valid_restore_text(namespace: Namespace, backend: str) -> None:
    node = Node(namespace, backend, IPV4)
    node.load(FOREIGN, jumps=False)
    held = node.save()
    printed = print_rules(held)
    node.load("*filter\nCOMMIT\n*nat\nCOMMIT\n", jumps=False)
    node.load(printed, jumps=False)
    assert node.save() == held
    assert diff_rules(held, node.save()).same


# What other programs write: quoting, odd masks, matches that the parser does not know.
FOREIGN = r"""
*filter
:INPUT DROP [0:0]
:F2B - [0:0]
-A INPUT -p tcp -m multiport --destination-ports http,90 -g F2B
-A F2B -m comment --comment "quo\"te back\\slash and 'single'" -s 10.0.0.0/255.0.0.0 -j REJECT
-A F2B -m comment --comment "a'b;c" -s 10.1.2.3/255.0.255.0 -j REJECT --reject-with tcp-reset -p tcp
-A F2B -m comment --comment "" -p sctp --dport 80:90 -j ACCEPT
-A F2B -p tcp --syn -j LOG --log-prefix "hello world " --log-level info
-A F2B -p icmp --icmp-type echo-request -m limit --limit 120/minute -j ACCEPT
-A F2B -i cni+ ! -o eth0 -m state --state NEW,ESTABLISHED -j ACCEPT
-A F2B -m physdev --physdev-is-bridged -m u32 --u32 "6&0xFF=1" -j ACCEPT
-A F2B -m string --string "a b" --algo bm -j DROP
-A F2B -f -p 47 -m addrtype --dst-type LOCAL,UNICAST -c 5 10 -j ACCEPT
-A F2B -p tcp -m tcp ! --sport 1000: ! --tcp-flags ALL NONE -j RETURN
COMMIT
*nat
:X - [0:0]
-A X -j MARK --set-mark 0x00004000/0xff
-A X -j MARK --and-mark 0x00004000
-A X -p udp -j DNAT --to-destination 10.0.0.1-10.0.0.9:80-90 --random --persistent
-A X -p tcp -j REDIRECT --to-ports 8080
-A X -j SNAT --to-source 1.2.3.4-1.2.3.9 --random-fully
-A X -m statistic --mode nth --every 3 --packet 1 -j ACCEPT
-A X -m recent --update --seconds 60 --hitcount 4 --name ssh --rdest -j RETURN
COMMIT
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_foreign_rules_read_back_as_written(namespace: Namespace, backend: str) -> None:
    node = Node(namespace, backend, IPV4)
    node.load(FOREIGN, jumps=False)
    written = parse_rules(FOREIGN, family=IPV4)
    for form, found in node.forms(all_of_them=True).items():
        for table, chain in (("filter", "INPUT"), ("filter", "F2B"), ("nat", "X")):
            texts = [rule.text for rule in found.rules(table, chain)]
            wanted = [rule.text for rule in written.rules(table, chain)]
            # words that aren't known are compared as text: the kernel's spelling is another
            assert [t for t in texts if "u32" not in t] == [t for t in wanted if "u32" not in t], (
                form
            )
        assert {unknown.words for unknown in found.unknown} == {"-m u32", "-m string"}
