"""Experiments of a lab as values, for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from compiler.lab.expected import Expected
from compiler.lab.experiment import Experiment
from compiler.lab.request import Answer, Reply

PODS = ("web-1", "web-2", "web-3")
THIRDS = dict.fromkeys(PODS, Fraction(1, 3))


def answers(*counts: int, names: Sequence[str] = PODS) -> list[str]:
    """Each name so many times, in turn as far as they reach."""
    rows = [[name] * count for name, count in zip(names, counts, strict=True)]
    return [row[n] for n in range(max(map(len, rows))) for row in rows if n < len(row)]


def experiment(
    names: Sequence[str],
    *,
    shares: Mapping[str, Fraction] | None = None,
    clients: int = 1,
    every: float = 0,
    affinity: int = 0,
    pinned: Sequence[int] = (),
    unknown: str = "",
    changed: bool = False,
) -> Experiment:
    """Requests that these answered, clients taking turns; by default each of three Pods alike."""
    known = THIRDS if shares is None else shares
    return Experiment(
        service_port="default/web:http",
        clients=tuple(f"client-{number + 1}" for number in range(clients)),
        expected=tuple(
            Expected({} if unknown else known, affinity, number in pinned, unknown)
            for number in range(clients)
        ),
        replies=[
            Reply(place % clients, place // clients * every, Answer(name))
            for place, name in enumerate(names)
        ],
        every=every,
        rules_changed=changed,
    )
