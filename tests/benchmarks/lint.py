"""Times `lint` beside `compile`: `python -m tests.benchmarks.lint`.

Makes clusters as `kubectl get -o yaml` and `-o json` print them, and runs both commands on each as
processes of their own. The table shows the best time of all rounds, in brackets the median; it ends
with 1 where `lint` takes more than 1.5 times as long as `compile` of the same file.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.__main__ import machine
from tests.benchmarks.generate import Shape, node_name, objects, write_json, write_yaml
from tests.benchmarks.measure import Samples

LIMIT = 1.5
SERVICES = 10_000


def main() -> int:
    """Measure, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=SERVICES)
    parser.add_argument("--endpoints", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    shape = Shape(arguments.services, arguments.endpoints)
    print(f"{machine()}\n")  # noqa: T201
    size = f"{shape.services:,} Services with {shape.endpoints} endpoints each"
    print(f"{size}, {shape.nodes} nodes\n")  # noqa: T201
    print("| file | compile | lint | lint / compile |\n|---|---|---|---|")  # noqa: T201
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        # As installed: compiled once, in the first round. `lint` has many more modules.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(folder, "compiled"))
        for suffix, write in (("json", write_json), ("yaml", write_yaml)):
            path = Path(folder, f"cluster.{suffix}")
            write(objects(shape), path)
            compiling, linting = Samples(), Samples()
            # As a module, so that a checkout is measured that is not the installed one.
            command = [sys.executable, "-m", "compiler"]
            for _ in range(arguments.rounds):
                compiling.run([*command, "compile", str(path), "--node", node_name(1)])
                linting.run([*command, "lint", str(path), "--fail-level", "never"])
            ratio = linting.best / compiling.best
            worst = max(worst, ratio)
            cells = [f"{one.best:.2f} s ({one.typical:.2f})" for one in (compiling, linting)]
            print(f"| {suffix} | {' | '.join(cells)} | {ratio:.2f} |")  # noqa: T201
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
