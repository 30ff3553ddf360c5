"""The text that the real kube-proxy wrote, byte for byte.

`cases/random-*` mix everything; `cases/upstream-*` are the states that kube-proxy's own unit tests
put it in. The named cases are in `fixtures/`, see tests/test_goldens.py.
"""

from __future__ import annotations

import pytest

from tests.cases import CONFORMANCE_CASES, Case, case_id
from tests.run import Runner


def test_all_cases_are_there() -> None:
    assert len(CONFORMANCE_CASES) == 60 + 147


@pytest.mark.parametrize("case", CONFORMANCE_CASES, ids=case_id)
def test_text(case: Case, proxyrules: Runner) -> None:
    result = proxyrules("compile", *case.arguments)
    assert result.code == 0, result.err
    assert result.out == case.expected
