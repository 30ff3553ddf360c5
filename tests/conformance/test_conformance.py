"""The text that the real kube-proxy wrote, byte for byte.

`cases/random-*` mix everything; `cases/mixed-*` too, under the newest releases and with odder
slices, feature gates and node port addresses; `cases/upstream-*` are the states that kube-proxy's
own unit tests put it in. The named cases are in `fixtures/`, see tests/test_goldens.py.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.cases import CONFORMANCE_CASES, Case, case_id
from tests.run import Runner


def test_all_cases_are_there() -> None:
    groups = Counter(case.name.partition("-")[0] for case in CONFORMANCE_CASES)
    assert groups == {"mixed": 60, "random": 60, "upstream": 147}


def test_every_release_from_1_34_has_mixed_cases() -> None:
    mixed = [case for case in CONFORMANCE_CASES if case.name.startswith("mixed-")]
    releases = Counter(case.options[case.options.index("--kube-version") + 1] for case in mixed)
    assert releases == {"1.34": 15, "1.35": 10, "1.36": 14, "1.37": 21}


@pytest.mark.parametrize("case", CONFORMANCE_CASES, ids=case_id)
def test_text(case: Case, proxyrules: Runner) -> None:
    result = proxyrules("compile", *case.arguments)
    assert result.code == 0, result.err
    assert result.out == case.expected
