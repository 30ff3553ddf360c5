"""Whether counts differ from shares by more than chance, against tables and exact sums."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import product

import pytest

from compiler.analysis.chance import (
    ENOUGH,
    NOT_CHANCE,
    Group,
    Judgement,
    interval,
    judge,
    statistic_of,
    survival,
)

THIRDS = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}
HALVES = {"a": 0.5, "b": 0.5}


# Upper percentage points (NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.4).
@pytest.mark.parametrize(
    ("degrees", "statistic", "probability"),
    [
        (1, 2.706, 0.10),
        (1, 3.841, 0.05),
        (1, 10.828, 0.001),
        (2, 5.991, 0.05),
        (3, 7.815, 0.05),
        (4, 13.277, 0.01),
        (5, 9.236, 0.10),
        (9, 27.877, 0.001),
        (10, 18.307, 0.05),
        (49, 74.919, 0.01),
        (50, 67.505, 0.05),
        (100, 149.449, 0.001),
    ],
)
def test_survival_is_that_of_the_tables(degrees: int, statistic: float, probability: float) -> None:
    assert survival(statistic, degrees) == pytest.approx(probability, rel=2e-3)


@pytest.mark.parametrize("statistic", [0.01, 0.7, 3.0, 40.0, 700.0])
def test_survival_has_its_closed_forms(statistic: float) -> None:
    assert survival(statistic, 2) == pytest.approx(math.exp(-statistic / 2), rel=1e-12)
    assert survival(statistic, 1) == pytest.approx(math.erfc(math.sqrt(statistic / 2)), rel=1e-12)
    # The recurrence that 26.4.8 gives.
    half = statistic / 2
    for degrees in range(1, 60):
        step = math.exp(degrees / 2 * math.log(half) - half - math.lgamma(degrees / 2 + 1))
        assert survival(statistic, degrees + 2) == pytest.approx(
            survival(statistic, degrees) + step, rel=1e-9, abs=1e-300
        )


def test_ends_of_survival() -> None:
    assert survival(0, 3) == 1
    assert 0 <= survival(1e6, 3) < 1e-300
    assert survival(1000, 999) == pytest.approx(0.4847, abs=2e-3)
    with pytest.raises(ValueError, match="0 degrees of freedom"):
        survival(1, 0)


def test_a_textbook_example() -> None:
    """Mendel's peas: 315, 108, 101 and 32 where 9:3:3:1 was expected; chi-squared is 0.470."""
    shares = {"round": 9 / 16, "wrinkled": 3 / 16, "green": 3 / 16, "both": 1 / 16}
    peas = Group(shares, {"round": 315, "wrinkled": 108, "green": 101, "both": 32})
    assert statistic_of(peas) == pytest.approx(0.470, abs=5e-4)
    found = judge([peas])
    assert (found.finding, found.method, found.degrees) == ("chance", "chi-squared", 3)
    assert found.probability == pytest.approx(0.9254, abs=1e-4)


def outcomes(shares: Mapping[str, float], count: int) -> Iterator[tuple[dict[str, int], float]]:
    """All counts that can come, with their probabilities."""
    names = list(shares)
    for numbers in product(range(count + 1), repeat=len(names)):
        if sum(numbers) == count:
            ways = math.factorial(count) / math.prod(map(math.factorial, numbers))
            chance = math.prod(shares[name] ** n for name, n in zip(names, numbers, strict=True))
            yield dict(zip(names, numbers, strict=True)), ways * chance


@pytest.mark.parametrize("observed", [(4, 4, 4), (7, 3, 2), (9, 2, 1), (12, 0, 0)])
def test_few_trials_are_simulated_and_agree_with_the_exact_sum(
    observed: tuple[int, int, int],
) -> None:
    group = Group(THIRDS, dict(zip("abc", observed, strict=True)))
    exact = sum(
        probability
        for counts, probability in outcomes(THIRDS, 12)
        if statistic_of(Group(THIRDS, counts)) >= statistic_of(group) - 1e-9
    )
    found = judge([group])
    assert found.method == "simulated"
    assert found.runs == (9_999 if exact < 0.03 else pytest.approx(ENOUGH / exact, rel=0.2))
    # Four standard errors, and the run itself, which is counted.
    allowed = 4 * math.sqrt(exact * (1 - exact) / found.runs) + 1e-3
    assert found.probability == pytest.approx(exact, abs=allowed)
    assert judge([group]) == found


def test_finding_depends_on_how_rare_it_is() -> None:
    def finding(*counts: int) -> str:
        return judge([Group(HALVES, dict(zip("ab", counts, strict=True)))]).finding

    assert finding(50, 50) == finding(60, 40) == "chance"
    assert finding(64, 36) == "unusual"
    assert finding(70, 30) == finding(100, 0) == "not chance"


def test_too_few_trials_are_not_judged() -> None:
    """Chance gives eight of eight at one of three in 3 of 6,561 runs, seven in 3 of 2,187."""
    for count in range(1, 8):
        assert judge([Group(THIRDS, {"a": count})]) == Judgement("too few", needed=8)
    assert 3 / 3**8 < NOT_CHANCE < 3 / 3**7
    assert judge([Group(THIRDS, {"a": 8})]).finding == "not chance"
    assert judge([]).finding == judge([Group(THIRDS, {})]).finding == "too few"


def test_what_cannot_come_is_no_chance() -> None:
    found = judge([Group({"a": 1.0, "c": 0.0}, {"a": 9, "b": 1, "c": 2})])
    assert (found.finding, found.impossible) == ("impossible", (("b", 1), ("c", 2)))
    assert judge([Group({"a": 1.0}, {"a": 9})]).finding == "certain"


def test_groups_are_compared_with_their_own_shares() -> None:
    """Together they look even; each alone is far from its shares."""
    both = [Group({"a": 0.9, "b": 0.1}, {"a": 50, "b": 50}), Group(HALVES, {"a": 50, "b": 50})]
    found = judge(both)
    assert (found.finding, found.degrees) == ("not chance", 2)
    swapped = [Group({"a": 0.9, "b": 0.1}, {"a": 90, "b": 10}), Group(HALVES, {"a": 52, "b": 48})]
    assert judge(swapped).probability == pytest.approx(survival(0.16, 2), rel=1e-9)


def test_false_alarms_are_as_rare_as_they_say() -> None:
    """Over all outcomes of 40 trials, chi-squared's own approximation included."""
    counts = list(outcomes(HALVES, 40))
    alarms = sum(p for seen, p in counts if judge([Group(HALVES, seen)]).finding == "not chance")
    unusual = sum(p for seen, p in counts if judge([Group(HALVES, seen)]).finding == "unusual")
    assert 0 < alarms < 0.0015
    assert 0 < unusual < 0.012


@pytest.mark.parametrize(("count", "share"), [(10, 0.5), (30, 1 / 3), (100, 0.02), (1, 0.5)])
def test_interval_holds_95_of_100_runs(count: int, share: float) -> None:
    low, high = interval([Group({"a": share}, {"a": count})], "a")

    def within(first: int, last: int) -> float:
        return sum(
            math.comb(count, n) * share**n * (1 - share) ** (count - n)
            for n in range(first, last + 1)
        )

    assert within(low, high) >= 0.95
    assert within(0, low - 1) <= 0.025
    assert within(high + 1, count) <= 0.025


def test_interval_of_many_trials_and_of_several_groups() -> None:
    low, high = interval([Group({"a": 1 / 3}, {"a": 1_000_000})], "a")
    deviation = math.sqrt(2_000_000) / 3
    assert 1_000_000 / 3 - low == pytest.approx(1.96 * deviation, abs=2)
    assert high - 1_000_000 / 3 == pytest.approx(1.96 * deviation, abs=2)
    assert interval([Group({"a": 1.0}, {"a": 7})], "a") == (7, 7)
    assert interval([Group({"a": 0.5}, {"b": 7})], "b") == (0, 0)
    two = [Group({"a": 1 / 3}, {"a": 300}), Group({"a": 1.0}, {"a": 100})]
    assert interval(two, "a") == (183, 217)
