from __future__ import annotations

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.cases import FIXTURES, GOLDEN
from tests.run import Runner

OLD, NEW = FIXTURES / "seed-affinity-none", FIXTURES / "seed-affinity-clientip"
CIDR = ("--cluster-cidr", "10.10.0.0/16")


@pytest.mark.parametrize("like", [False, True])
def test_delta(proxyrules: Runner, golden: SnapshotAssertion, like: bool) -> None:
    flags = ("--like-kube-proxy",) if like else ()
    result = proxyrules("delta", OLD / "input.yaml", NEW / "input.yaml", *CIDR, *flags)
    assert (result.code, result.err) == (0, "")
    assert result.out == golden(name=f"delta{'-like-kube-proxy' * like}.restore")


def test_nothing_to_do(proxyrules: Runner) -> None:
    result = proxyrules("delta", OLD / "input.yaml", GOLDEN / f"{OLD.name}.rules", "-v", *CIDR)
    assert (result.code, result.out) == (0, "")
    assert result.err == "Nothing to do: OLD already has the rules of NEW.\n"


def test_output_and_summary(proxyrules: Runner, tmp_path: Path) -> None:
    file = tmp_path / "delta"
    sides = [GOLDEN / f"{name}.rules" for name in (OLD.name, NEW.name)]
    result = proxyrules("delta", *sides, "-v", "-o", file)
    assert (result.code, result.out) == (0, "")
    lines = file.read_text().count("\n")
    assert result.err == (
        f"{lines} lines instead of 41: 4 chains written with 13 rules, 0 chains removed\n"
    )


def test_a_chain_that_stays_is_reported(proxyrules: Runner, tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.write_text(
        "*filter\n:INPUT ACCEPT [0:0]\n:KUBE-FIREWALL - [0:0]\n-A INPUT -j KUBE-FIREWALL\n"
        "-A KUBE-FIREWALL -s 10.0.0.1 -j DROP\nCOMMIT\n"
    )
    empty = tmp_path / "empty"
    empty.write_text("*filter\nCOMMIT\n")
    result = proxyrules("delta", node, empty)
    assert result.out == "*filter\n:KUBE-FIREWALL - [0:0]\nCOMMIT\n"
    assert "KUBE-FIREWALL is emptied, not deleted" in result.err


def test_quiet_still_warns(proxyrules: Runner, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    dump.write_text("*nat\n:X - [0:0]\n-A X -m u32 --u32 1\nCOMMIT\n")
    result = proxyrules("delta", dump, dump, "-q")
    assert result.err == f"{dump}: unknown, so compared as text: -m u32\n" * 2


def test_entries_of_a_udp_endpoint_that_is_gone(proxyrules: Runner, tmp_path: Path) -> None:
    """As kube-proxy deletes them: a UDP flow goes on to the endpoint that it began with."""
    text = (GOLDEN / f"{OLD.name}.rules").read_text().replace(" tcp ", " udp ")
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text(text)
    gone = "KUBE-SEP-TBW2IYJKUCAC7GB3"
    assert f"-A {gone} " in text
    new.write_text("".join(line for line in text.splitlines(keepends=True) if gone not in line))
    entry = "conntrack -D -f ipv4 -p udp --orig-dst 10.200.1.201 --orig-port-dst 9000"
    command = f"{entry} --reply-src 10.10.1.2 --reply-port-src 80"
    result = proxyrules("delta", old, new, "-q")
    assert result.code == 0
    assert f"-X {gone}\n" in result.out
    assert result.err == f"then delete stale UDP entries: {command}\n"
    # There is none where an endpoint comes, nor for TCP, whose clients connect again.
    assert proxyrules("delta", new, old, "-q").err == ""
    for side in (old, new):
        side.write_text(side.read_text().replace(" udp ", " tcp "))
    assert proxyrules("delta", old, new, "-q").err == ""
