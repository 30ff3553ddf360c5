"""What iptables-restore prints about a text that it rejects, read and put in a message."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from compiler.cli.check import describe, service_port_of
from compiler.kernel import CheckError, check, read_rejection
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
    rejection = read_rejection(
        CASE.expected,
        f'{prefix}: statistic: bad value for option "--probability", or out of range (0-1).\n\n'
        f"Error occurred at line: {number}\n"
        "Try `iptables-restore -h' or 'iptables-restore --help' for more information.\n",
    )
    assert describe(rejection, CASE.expected) == (
        f"line {number}, of default/svc-clusterip:svc-webport: "
        'statistic: bad value for option "--probability", or out of range (0-1).\n'
        f"  {LINES[number - 1]}"
    )


def test_a_rule_that_the_kernel_rejects_under_nft() -> None:
    number = line_with("-A KUBE-FORWARD", "INVALID")
    rejection = read_rejection(
        CASE.expected,
        "iptables-nft-restore v1.8.9 (nf_tables): \n"
        f"line {number}: RULE_APPEND failed (No such file or directory): "
        "rule in chain KUBE-FORWARD\n",
    )
    assert (rejection.line, service_port_of(CASE.expected, number)) == (number, "")
    assert (
        rejection.reason
        == "RULE_APPEND failed (No such file or directory): rule in chain KUBE-FORWARD"
    )


def test_a_missing_chain_under_legacy() -> None:
    number = line_with("-A KUBE-MARK-MASQ")
    rejection = read_rejection(CASE.expected, f"iptables-restore: line {number} failed\n")
    assert str(rejection) == f"line {number}: rejected\n  {LINES[number - 1]}"
    rejection = read_rejection(
        CASE.expected, f"iptables-restore: line {number} failed: No chain by that name.\n"
    )
    assert rejection.reason == "No chain by that name."


def test_a_table_that_is_rejected_as_a_whole() -> None:
    number = len(LINES)
    rejection = read_rejection(CASE.expected, f"iptables-restore: line {number} failed\n")
    assert rejection.reason == "the table nat was rejected as a whole"
    assert rejection.text == "COMMIT"


@pytest.mark.parametrize("said", ["", "no idea\n", "line 99999 failed\n", "line 0 failed\n"])
def test_whatever_else_it_says(said: str) -> None:
    assert str(read_rejection(CASE.expected, said))


def test_a_rule_without_comment_is_named_by_the_way_to_it() -> None:
    """In large clusters endpoints' rules have no comments."""
    large = Case(FIXTURES / "large-cluster").expected
    lines = large.splitlines()
    number = 1 + next(i for i, line in enumerate(lines) if "-j DNAT" in line)
    assert "--comment" not in lines[number - 1]
    rejection = read_rejection(large, f"Error occurred at line: {number}\n")
    assert rejection.line == number
    assert service_port_of(large, number) == "default/web:http"


def test_not_installed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CheckError, match="iptables-restore is not installed"):
        check(CASE.expected, "iptables-restore")


def test_check_that_can_not_be_made_fails_and_writes_nothing(
    proxyrules: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = proxyrules("compile", *CASE.arguments, "--check")
    assert (result.code, result.out) == (3, "")
    assert result.err == "--check: the text was not tested: iptables-restore is not installed\n"


def test_cleanup_goes_with_neither(proxyrules: Runner) -> None:
    for option in ("--check", "--standalone"):
        result = proxyrules("compile", *CASE.arguments, "--cleanup", option)
        assert (result.code, result.out) == (2, "")


def test_a_rejected_text_is_a_finding(
    proxyrules: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Exit code 1, as for a difference: the check worked, and its answer is no."""
    number = line_with("--probability 0.3333333333")
    program = tmp_path / "iptables-restore"
    message = f"iptables-restore: line {number} failed: No such match."
    program.write_text(f"#!/bin/sh\ncat >{tmp_path}/given\necho '{message}' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    result = proxyrules("compile", *CASE.arguments, "--check")
    assert (result.code, result.out) == (1, "")
    assert re.fullmatch(
        r"--check: rejected, (?:loaded|parsed) by iptables-restore[^:]*: "
        rf"line {number}, of default/svc-clusterip:svc-webport: No such match\.\n"
        rf"  {re.escape(LINES[number - 1])}\n",
        result.err,
    )
    assert (tmp_path / "given").read_text() == CASE.expected
