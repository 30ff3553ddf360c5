from __future__ import annotations

import pytest

from compiler.netfilter.parse import parse_rules
from tests.cases import CONFORMANCE_CASES
from tests.mutations import KINDS, faults

CASES = [case for case in CONFORMANCE_CASES if case.name.startswith("random-0000")]


def test_equal_seeds_give_equal_faults() -> None:
    assert list(faults(40, seed=1, cases=CASES)) == list(faults(40, seed=1, cases=CASES))
    assert list(faults(40, seed=1, cases=CASES)) != list(faults(40, seed=2, cases=CASES))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_changes_one_place(kind: str) -> None:
    for fault in faults(5, seed=3, cases=CASES, kinds=[kind]):
        old, new = fault.old.splitlines(), fault.new.splitlines()
        before, after = list(fault.before), list(fault.after)
        places = [place for place in range(len(old)) if old[place : place + len(before)] == before]
        made = [old[:place] + after + old[place + len(before) :] for place in places]
        assert new in made, fault.kind
        assert parse_rules(fault.old, family=fault.family) != parse_rules(
            fault.new, family=fault.family
        ), fault.before


def test_no_case_with_such_a_fault() -> None:
    with pytest.raises(ValueError, match="no case has anything of these kinds"):
        list(faults(1, seed=1, kinds=[]))
