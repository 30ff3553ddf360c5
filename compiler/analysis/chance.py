"""Whether counts differ from expected shares by more than chance: Pearson's chi-squared test.

The sums of `survival` are exact for whole degrees of freedom (Abramowitz and Stegun, 26.4.4 and
26.4.5) and need `math` alone; scipy would be 40 MB for this one function.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import Literal

# Rarer than this is not taken for chance, and rarer than that is at least unusual.
NOT_CHANCE = 0.001
UNUSUAL = 0.01
# Below this expected count the distribution is not near enough to chi-squared (Cochran's rule).
LEAST_EXPECTED = 5
# Simulated runs: fewer where that many differ as much (then the probability is known well enough),
# or where their draws would take more than a second.
RUNS, FEWEST_RUNS, ENOUGH, DRAWS = 9_999, 1_999, 400, 5_000_000
SEED = 0
# What differs by less is equal: shares come from probabilities that are printed with ten digits.
_ROUNDING = 1e-6
_WITHIN = 0.95

Finding = Literal["chance", "unusual", "not chance", "impossible", "certain", "too few"]
Method = Literal["", "chi-squared", "simulated"]


@dataclass(frozen=True)
class Group:
    """Independent trials with the same chances: the share of each outcome, and how often it came.

    The shares add up to 1. What came and has no share is impossible.
    """

    shares: Mapping[str, float]
    observed: Mapping[str, int]

    @property
    def count(self) -> int:
        """How many trials there were."""
        return sum(self.observed.values())

    @property
    def possible(self) -> dict[str, float]:
        """The outcomes that can come, with their shares."""
        return {name: share for name, share in self.shares.items() if share > 0}


@dataclass(frozen=True)
class Judgement:
    """What the counts say of the shares.

    `probability` is how often chance alone differs at least as much, by `method`. `impossible` are
    outcomes that came and can't, with their counts. `needed` is how many trials would be enough
    where there were too few, 0 if that is unknown. `degrees` are chi-squared's degrees of freedom,
    `runs` how many were simulated.
    """

    finding: Finding
    probability: float = 1.0
    method: Method = ""
    impossible: tuple[tuple[str, int], ...] = ()
    needed: int = 0
    degrees: int = 0
    runs: int = 0


def survival(statistic: float, degrees: int) -> float:
    """Return the probability that chi-squared of so many degrees of freedom is at least that.

    Raises ValueError for less than one degree of freedom.
    """
    if degrees < 1:
        raise ValueError(f"{degrees} degrees of freedom")
    if statistic <= 0:
        return 1.0
    half = statistic / 2
    odd = degrees % 2
    places = [place + odd / 2 for place in range(degrees // 2)]
    terms = (math.exp(place * math.log(half) - half - math.lgamma(place + 1)) for place in places)
    return min(1.0, math.fsum(terms) + (math.erfc(math.sqrt(half)) if odd else 0.0))


def statistic_of(group: Group) -> float:
    """Return Pearson's statistic: the squares of differences, each by what was expected."""
    count = group.count
    return math.fsum(
        (group.observed.get(name, 0) - share * count) ** 2 / (share * count)
        for name, share in group.possible.items()
        if count
    )


def impossible(groups: Sequence[Group]) -> dict[str, int]:
    """Return the outcomes that came and have no share, with how often they came."""
    found: dict[str, int] = {}
    for group in groups:
        for name, count in group.observed.items():
            if count and not group.shares.get(name):
                found[name] = found.get(name, 0) + count
    return found


def judge(groups: Sequence[Group]) -> Judgement:
    """Say whether what came differs from the shares by more than chance.

    Each group is compared with its own shares; the statistics and their degrees of freedom add up.
    Where an outcome was expected less than five times, its distribution is simulated, with a fixed
    seed, instead of taken for chi-squared's.
    """
    if found := impossible(groups):
        return Judgement("impossible", 0.0, impossible=tuple(found.items()))
    open_ = [group for group in groups if len(group.possible) > 1 and group.count]
    if not open_:
        return Judgement("certain" if any(group.count for group in groups) else "too few")
    if math.prod(_rarest(group, group.count) for group in open_) > NOT_CHANCE:
        return Judgement("too few", needed=_needed(open_))
    statistic = math.fsum(map(statistic_of, open_))
    degrees = sum(len(group.possible) - 1 for group in open_)
    least = min(min(group.possible.values()) * group.count for group in open_)
    if least >= LEAST_EXPECTED:
        probability = survival(statistic, degrees)
        return Judgement(_finding(probability), probability, "chi-squared", degrees=degrees)
    probability, runs = _simulated(open_, statistic)
    return Judgement(_finding(probability), probability, "simulated", runs=runs)


def _finding(probability: float) -> Finding:
    if probability < NOT_CHANCE:
        return "not chance"
    return "unusual" if probability < UNUSUAL else "chance"


def _rarest(group: Group, count: int) -> float:
    """Return how often chance gives what differs most: all trials with a least likely outcome."""
    shares = group.possible.values()
    least = min(shares)
    alike = sum(1 for share in shares if share - least < _ROUNDING)
    return min(1.0, alike * least**count)


def _needed(groups: Sequence[Group]) -> int:
    """Return from how many trials on one group's judgement is possible, 0 for several groups."""
    if len(groups) > 1:
        return 0
    return next(count for count in range(1, 10_000) if _rarest(groups[0], count) <= NOT_CHANCE)


def _simulated(groups: Sequence[Group], statistic: float) -> tuple[float, int]:
    """Return how often simulated runs differ at least as much, and how many there were.

    They end early where enough differ as much (Besag and Clifford, Sequential Monte Carlo p-values,
    1991). Otherwise the run that was observed counts as one, so the probability is never 0.
    """
    chance = random.Random(SEED)  # noqa: S311 - chance, and no secret
    draws = [_Draw.of(group) for group in groups]
    most = max(FEWEST_RUNS, min(RUNS, DRAWS // sum(group.count for group in groups)))
    least = statistic - _ROUNDING * max(1.0, statistic)
    as_far = 0
    for run in range(1, most + 1):
        as_far += sum(draw.statistic(chance) for draw in draws) >= least
        if as_far == ENOUGH:
            return as_far / run, run
    return (as_far + 1) / (most + 1), most


@dataclass(frozen=True)
class _Draw:
    """A group as it is simulated: each outcome's share, those before it added, and 1 / expected."""

    places: range
    cumulated: list[float]
    inverse: list[float]
    count: int

    @classmethod
    def of(cls, group: Group) -> _Draw:
        shares = list(group.possible.values())
        inverse = [1 / (share * group.count) for share in shares]
        return cls(range(len(shares)), list(accumulate(shares)), inverse, group.count)

    def statistic(self, chance: random.Random) -> float:
        """Return the statistic of as many trials: the sum of squares by expected, less the count.

        That is `statistic_of` with its squares written out.
        """
        drawn = Counter(chance.choices(self.places, cum_weights=self.cumulated, k=self.count))
        squares = (count * count * self.inverse[place] for place, count in drawn.items())
        return sum(squares) - self.count


def interval(groups: Sequence[Group], outcome: str) -> tuple[int, int]:
    """Return the least and greatest count of an outcome that chance gives in 95 of 100 runs.

    It is exact (binomial) where all trials have the same share, normal otherwise.
    """
    shares = [(group.shares.get(outcome, 0.0), group.count) for group in groups]
    count = sum(number for _, number in shares)
    if len(shares) == 1:
        return _binomial(count, shares[0][0])
    mean = math.fsum(share * number for share, number in shares)
    spread = math.sqrt(math.fsum(share * (1 - share) * number for share, number in shares))
    reach = NormalDist().inv_cdf((1 + _WITHIN) / 2) * spread
    return max(0, math.floor(mean - reach)), min(count, math.ceil(mean + reach))


def _binomial(count: int, share: float) -> tuple[int, int]:
    if share <= 0 or share >= 1:
        return (0, 0) if share <= 0 else (count, count)
    tail = (1 - _WITHIN) / 2
    return (
        next(number for number, below in _cumulated(count, share) if below > tail),
        next(number for number, below in _cumulated(count, share) if below >= 1 - tail),
    )


def _cumulated(count: int, share: float) -> Iterator[tuple[int, float]]:
    """Give each number that matters of a binomial distribution, with how often it's at most that.

    Ten standard deviations below the mean, nothing has been added up that a float could show.
    """
    reach = 10 * math.sqrt(count * share * (1 - share)) + 10
    below = 0.0
    for number in range(max(0, math.floor(count * share - reach)), count + 1):
        below += math.exp(
            math.lgamma(count + 1)
            - math.lgamma(number + 1)
            - math.lgamma(count - number + 1)
            + number * math.log(share)
            + (count - number) * math.log1p(-share)
        )
        yield number, below
    yield count, 1.0
