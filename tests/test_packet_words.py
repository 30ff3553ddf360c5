"""What becomes of a packet, in words."""

from __future__ import annotations

import pytest

from compiler.analysis.packet_words import treatment_in_words
from compiler.netfilter.outcome import Treatment

NOTHING = Treatment("accepted", "", "forward", "", "", 0, "", (), "")
TARGET = "10.200.1.201:9000/tcp"


@pytest.mark.parametrize(
    ("treatment", "alone", "one_of_several"),
    [
        (
            NOTHING._replace(destination="10.10.1.2:80"),
            "10.10.1.2:80",
            "10.10.1.2:80",
        ),
        (
            NOTHING._replace(destination="10.10.1.2:80", source="masquerade"),
            "10.10.1.2:80, masqueraded",
            "10.10.1.2:80 (masqueraded)",
        ),
        (
            NOTHING._replace(source="10.0.0.1"),
            f"not translated, continues to {TARGET}, from 10.0.0.1",
            f"not translated, continues to {TARGET} (from 10.0.0.1)",
        ),
        (
            NOTHING._replace(verdict="rejected", answer="tcp-reset"),
            "rejected (tcp-reset)",
            "rejected (tcp-reset)",
        ),
        (NOTHING._replace(verdict="dropped"), "dropped", "dropped"),
    ],
)
def test_treatment(treatment: Treatment, alone: str, one_of_several: str) -> None:
    assert treatment_in_words(treatment, TARGET) == alone
    assert treatment_in_words(treatment, TARGET, one_of_several=True) == one_of_several


def test_what_is_hardly_noticed() -> None:
    treatment = NOTHING._replace(
        destination="10.10.1.2:80", mark=0x4000, lists=("+A", "-B"), options="--random-fully"
    )
    details = "mark 0x4000, added to the list A, removed from the list B, --random-fully"
    assert treatment_in_words(treatment, TARGET, full=True) == f"10.10.1.2:80, {details}"
    several = treatment_in_words(treatment, TARGET, full=True, one_of_several=True)
    assert several == f"10.10.1.2:80 ({details})"
    rejected = treatment._replace(verdict="rejected", answer="tcp-reset")
    several = treatment_in_words(rejected, TARGET, full=True, one_of_several=True)
    assert several == f"rejected (tcp-reset, {details})"
