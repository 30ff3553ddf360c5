"""Times `proxyrules who`: `python -m tests.benchmarks.who`.

Makes the inputs of `tests.benchmarks.rules` (10,000 Services with 10 endpoints each) unless they
are there. Every question is a process of its own, from its start to its exit, beside `compile` of
the same manifests, which reads them as well. The table shows the best time of all rounds, in
brackets the median. Fails where the dump takes more than 5 s to annotate, or a bare hash more than
2 s beyond `compile`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.__main__ import FLAGS, PROXYRULES, machine, table
from tests.benchmarks.measure import Samples
from tests.benchmarks.rules import make_inputs

ANNOTATED_WITHIN, FOUND_WITHIN = 5.0, 2.0
SERVICES = 10_000


def last_endpoint(rules: Path) -> str:
    """Return the last endpoint's chain of a text of rules."""
    with rules.open("rb") as file:
        file.seek(-10_000, os.SEEK_END)
        tail = file.read().decode()
    return "KUBE-SEP-" + tail.rpartition("-A KUBE-SEP-")[2][:16]


def questions(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the commands by what they do."""
    inputs = make_inputs(folder, SERVICES)
    manifests, dump = str(inputs.manifests), str(inputs.saved or inputs.restore)
    chain = last_endpoint(inputs.restore)
    found = {
        "`compile`": ("compile", manifests, "--output", "/dev/null", "-q"),
        "`who` of a bare hash": ("who", chain, manifests),
        "annotate, by manifests": ("who", "--annotate", dump, manifests),
        "annotate, by the dump itself": ("who", "--annotate", dump),
    }
    return {name: (str(PROXYRULES), *words, *FLAGS) for name, words in found.items()}


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.who", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each command (3)")
    parser.add_argument("--folder", type=Path, help="where the inputs are kept (a new one in /tmp)")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.gettempdir(), f"proxyrules-dumps-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    commands = questions(folder)
    samples = {name: Samples() for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            samples[name].run(command)
    print(f"{machine()}; the best of {options.rounds} rounds (in brackets: the median)\n")  # noqa: T201
    rows = (
        [name, f"{one.best:.2f} ({one.typical:.2f})", f"{min(one.cpu):.2f}"]
        for name, one in samples.items()
    )
    table((f"{SERVICES:,} Services with 10", "s", "processor s"), rows)
    compiled, hashed, annotated, _ = (one.best for one in samples.values())
    return int(annotated > ANNOTATED_WITHIN or hashed - compiled > FOUND_WITHIN)


if __name__ == "__main__":
    sys.exit(main())
