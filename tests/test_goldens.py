from __future__ import annotations

import hashlib

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.cases import CONFORMANCE, FIXTURE_CASES, GOLDEN, Case, case_id
from tests.run import Runner

# The SHA-256 of the text that the real kube-proxy wrote, for the fixtures that it was asked about.
REAL: dict[str, str] = {
    name: digest
    for digest, name in map(
        str.split, (CONFORMANCE.parent / "kube-proxy.sha256").read_text().splitlines()
    )
}


@pytest.mark.parametrize("case", FIXTURE_CASES, ids=case_id)
def test_golden(case: Case, proxyrules: Runner, golden_rules: SnapshotAssertion) -> None:
    result = proxyrules("compile", *case.arguments)
    assert result.code == 0, result.err
    assert result.out == golden_rules(name=case.name)


@pytest.mark.parametrize("name", REAL)
def test_golden_is_what_the_real_kube_proxy_wrote(name: str) -> None:
    assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == REAL[name]


def test_every_fixture_says_what_it_shows() -> None:
    silent = [
        case.name
        for case in FIXTURE_CASES
        if not any(
            (case.folder / name).read_text().startswith("# ")
            for name in ("input.yaml", "kube-proxy.yaml")
            if (case.folder / name).exists()
        )
    ]
    assert not silent


def test_no_golden_without_a_fixture() -> None:
    rules = {path.stem for path in GOLDEN.glob("*.rules")}
    assert rules == {case.name for case in FIXTURE_CASES}
