"""What iptables-restore says of a text that it does not take, put into words."""

from __future__ import annotations

import pytest

from compiler.netfilter.check import CheckError, check, refusal
from tests.cases import FIXTURES, Case
from tests.run import Runner

CASE = Case(FIXTURES / "seed-affinity-clientip")
LINES = CASE.expected.splitlines()


def line_with(*words: str) -> int:
    """The number, from 1, of the first line with all these words."""
    return 1 + next(i for i, line in enumerate(LINES) if all(word in line for word in words))


@pytest.mark.parametrize(
    "prefix", ["iptables-nft-restore v1.8.9 (nf_tables)", "iptables-restore v1.8.9 (legacy)"]
)
def test_a_word_that_it_does_not_know(prefix: str) -> None:
    number = line_with("--probability 0.3333333333")
    told = refusal(
        CASE.expected,
        f'{prefix}: statistic: bad value for option "--probability", or out of range (0-1).\n\n'
        f"Error occurred at line: {number}\n"
        "Try `iptables-restore -h' or 'iptables-restore --help' for more information.\n",
    )
    assert str(told) == (
        f"line {number}, of default/svc-clusterip:svc-webport: "
        'statistic: bad value for option "--probability", or out of range (0-1).\n'
        f"  {LINES[number - 1]}"
    )


def test_a_rule_that_the_kernel_refuses_under_nft() -> None:
    number = line_with("-A KUBE-FORWARD", "INVALID")
    told = refusal(
        CASE.expected,
        "iptables-nft-restore v1.8.9 (nf_tables): \n"
        f"line {number}: RULE_APPEND failed (No such file or directory): "
        "rule in chain KUBE-FORWARD\n",
    )
    assert (told.line, told.service) == (number, "")
    assert (
        told.reason == "RULE_APPEND failed (No such file or directory): rule in chain KUBE-FORWARD"
    )


def test_a_missing_chain_under_legacy() -> None:
    number = line_with("-A KUBE-MARK-MASQ")
    told = refusal(CASE.expected, f"iptables-restore: line {number} failed\n")
    assert str(told) == f"line {number}: refused\n  {LINES[number - 1]}"
    told = refusal(
        CASE.expected, f"iptables-restore: line {number} failed: No chain by that name.\n"
    )
    assert told.reason == "No chain by that name."


def test_a_table_that_is_refused_as_a_whole() -> None:
    number = len(LINES)
    told = refusal(CASE.expected, f"iptables-restore: line {number} failed\n")
    assert told.reason == "the table nat was refused as a whole"
    assert told.text == "COMMIT"


@pytest.mark.parametrize("said", ["", "no idea\n", "line 99999 failed\n", "line 0 failed\n"])
def test_whatever_else_it_says(said: str) -> None:
    assert str(refusal(CASE.expected, said))


def test_a_rule_without_comment_is_named_by_the_way_to_it() -> None:
    """In large clusters endpoints' rules have no comments."""
    large = Case(FIXTURES / "large-cluster").expected
    lines = large.splitlines()
    number = 1 + next(i for i, line in enumerate(lines) if "-j DNAT" in line)
    assert "--comment" not in lines[number - 1]
    told = refusal(large, f"Error occurred at line: {number}\n")
    assert told.service == "default/web:http"


def test_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CheckError, match="iptables-restore is not installed"):
        check(CASE.expected, "iptables-restore")


def test_check_that_can_not_be_made_fails_and_writes_nothing(
    proxyrules: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = proxyrules("compile", *CASE.arguments, "--check")
    assert (result.code, result.out) == (1, "")
    assert result.err == "Error: not checked: iptables-restore is not installed\n"


def test_cleanup_goes_with_neither(proxyrules: Runner) -> None:
    for option in ("--check", "--standalone"):
        result = proxyrules("compile", *CASE.arguments, "--cleanup", option)
        assert (result.code, result.out) == (2, "")
