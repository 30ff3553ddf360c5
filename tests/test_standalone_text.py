"""The texts of --standalone and --cleanup, as goldens to be read."""

from __future__ import annotations

import re

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.cases import FIXTURE_CASES, FIXTURES, Case, case_id
from tests.run import Runner

# IPv4 with KUBE-FIREWALL and every kind of chain; IPv6, which has none.
SHOWN = ["nodeport-local", "loadbalancer-source-ranges", "dual-stack-ipv6"]


@pytest.mark.parametrize("option", ["standalone", "cleanup"])
@pytest.mark.parametrize("name", SHOWN)
def test_golden(name: str, option: str, proxyrules: Runner, golden: SnapshotAssertion) -> None:
    result = proxyrules("compile", *Case(FIXTURES / name).arguments, f"--{option}")
    assert result.code == 0, result.err
    assert result.out == golden(name=f"{name}.{option}")


@pytest.mark.parametrize("case", FIXTURE_CASES, ids=case_id)
def test_standalone_adds_to_the_text_and_cleanup_takes_every_chain(
    case: Case, proxyrules: Runner
) -> None:
    """Remarks and jumps come on top of kube-proxy's text; what is declared is deleted."""
    standalone = proxyrules("compile", *case.arguments, "--standalone").out
    added = re.compile(r"^(?:#|-I ).*\n", re.MULTILINE)
    assert added.sub("", standalone) == case.expected
    cleanup = proxyrules("compile", *case.arguments, "--cleanup").out
    by_table = {
        text: [sorted(re.findall(pattern, part, re.MULTILINE)) for part in text.split("\n*nat\n")]
        for text, pattern in ((standalone, r"^:(\S+)"), (cleanup, r"^-X (\S+)"))
    }
    assert by_table[cleanup] == by_table[standalone]
    jumps = re.findall(r"^-I (.*)$", standalone, re.MULTILINE)
    assert re.findall(r"^-D (.*)$", cleanup, re.MULTILINE) == jumps
