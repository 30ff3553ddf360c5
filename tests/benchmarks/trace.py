"""Times `trace` beyond reading: `python -m tests.benchmarks.trace`.

Follows one packet through what `iptables-save` prints of 10,000 Services with 10 endpoints each, as
`tests.benchmarks.rules` makes it (as root). Fails where that takes more than 1.5 s.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from compiler.analysis.packet_request import PacketRequest
from compiler.api import read_rules, trace
from tests.benchmarks.__main__ import machine
from tests.benchmarks.rules import make_inputs

LIMIT_SECONDS = 1.5


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.trace", description=__doc__)
    parser.add_argument("--services", type=int, default=10_000, help="Services, 10 endpoints each")
    parser.add_argument("--rounds", type=int, default=3, help="how often (3)")
    options = parser.parse_args()
    folder = Path(tempfile.gettempdir(), f"proxyrules-dumps-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    inputs = make_inputs(folder, options.services)
    times = []
    for _ in range(options.rounds):
        rules = read_rules(inputs.saved or inputs.restore)
        start = time.perf_counter()
        (answer,) = trace(rules, PacketRequest("pod", "default/svc-00000:http"))
        times.append(time.perf_counter() - start)
        assert len(answer.ways) == 10
    print(f"{machine()}; the best of {options.rounds} rounds")  # noqa: T201
    print(f"one trace, beyond reading: {min(times):.2f} s")  # noqa: T201
    sys.exit(min(times) > LIMIT_SECONDS)


if __name__ == "__main__":
    main()
