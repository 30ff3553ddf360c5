"""Times `graph` beyond reading: `python -m tests.benchmarks.graph`.

Draws one Service in what `iptables-save` prints of 10,000 Services with 10 endpoints each, as
`tests.benchmarks.rules` makes it (as root), and a Service with 1,000 endpoints. Fails where the
first takes more than 2 s.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from compiler.api import Column, graph, read_rules
from compiler.netfilter.ruleset import Ruleset
from tests.benchmarks.__main__ import machine
from tests.benchmarks.rules import make_inputs
from tests.cases import GOLDEN

LIMIT_SECONDS = 2.0
NODE = "192.168.0.11"


def best(rounds: int, read: Callable[[], Ruleset], service: str) -> float:
    """Return the shortest time in which a Service was drawn."""
    times = []
    for _ in range(rounds):
        column = Column("node", read(), [NODE])
        start = time.perf_counter()
        (drawn,) = graph(column, [service])
        times.append(time.perf_counter() - start)
        assert len(drawn.nodes) > 10
    return min(times)


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.graph", description=__doc__)
    parser.add_argument("--services", type=int, default=10_000, help="Services, 10 endpoints each")
    parser.add_argument("--rounds", type=int, default=3, help="how often (3)")
    options = parser.parse_args()
    folder = Path(tempfile.gettempdir(), f"proxyrules-dumps-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    inputs = make_inputs(folder, options.services)
    rules = inputs.saved or inputs.restore
    one = best(options.rounds, lambda: read_rules(rules), "default/svc-00000:http")
    large = GOLDEN / "large-cluster.rules"
    many = best(options.rounds, lambda: read_rules(large), "default/web")
    print(f"{machine()}; the best of {options.rounds} rounds")  # noqa: T201
    print(f"one Service of {options.services:,}, beyond reading: {one:.2f} s")  # noqa: T201
    print(f"a Service with 1,001 endpoints, beyond reading: {many:.2f} s")  # noqa: T201
    sys.exit(one > LIMIT_SECONDS)


if __name__ == "__main__":
    main()
