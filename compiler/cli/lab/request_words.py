"""Whether answers are as expected, in words."""

from __future__ import annotations

from compiler.analysis.chance import Judgement
from compiler.lab.experiment import Experiment
from compiler.lab.request import FAILURES, TIMED_OUT

_WHOLES = (100, 1_000, 10_000, 100_000, 1_000_000)


def runs_in_words(probability: float) -> str:
    """Write how often something happens: `43 of 100 runs`, `fewer than 1 of 1,000,000 runs`."""
    for whole in _WHOLES:
        if probability * whole >= 0.95:
            return f"{max(1, round(probability * whole)):,} of {whole:,} runs"
    return f"fewer than 1 of {_WHOLES[-1]:,} runs"


def verdict(experiment: Experiment) -> str:
    """Say whether the answers are as the rules give them, or why that is not tested."""
    if reason := experiment.untested():
        return f"not tested: {reason}"
    found = experiment.judgement()
    if found.finding == "impossible":
        return f"not chance: {_impossible(experiment, found)}"
    if found.finding == "certain":
        return "as expected: the rules leave nothing to chance"
    if found.finding == "too few":
        return _too_few(experiment, found)
    often = f"chance alone differs this much in {runs_in_words(found.probability)}"
    begin = {
        "chance": "as expected",
        "unusual": "unusual, and more requests would tell",
        "not chance": "not chance",
    }[found.finding]
    return f"{begin}: {_subject(experiment)}{often} ({_method(found)})"


def _subject(experiment: Experiment) -> str:
    """Name what was tested where that is not every answer."""
    if not experiment.affinity:
        return ""
    return f"of the {_undecided(experiment)}, "


def _undecided(experiment: Experiment) -> str:
    """Count the answers that affinity left to chance."""
    count = len(experiment.independent)
    return f"{count:,} answer{'s'[: count != 1]} that affinity did not decide"


def _method(found: Judgement) -> str:
    if found.method == "simulated":
        return f"{found.runs:,} simulated runs"
    return f"chi-squared, {found.degrees} degree{'s'[: found.degrees != 1]} of freedom"


def _impossible(experiment: Experiment, found: Judgement) -> str:
    total = len(experiment.replies)
    words = [
        f"{count:,} of {total:,} requests {_was(name, count)}" for name, count in found.impossible
    ]
    return f"{', '.join(words)}, and the rules don't account for that"


def _was(name: str, count: int) -> str:
    were = "was" if count == 1 else "were"
    if name == TIMED_OUT:
        return "timed out"
    return f"{were} {name}" if name in FAILURES else f"{were} answered by {name}"


def _too_few(experiment: Experiment, found: Judgement) -> str:
    count = len(experiment.independent)
    plain = f"{count:,} request{'s'[: count != 1]}"
    needed = f"; at least {found.needed:,} are needed" if found.needed else ""
    return f"too few to judge: {_undecided(experiment) if experiment.affinity else plain}{needed}"
