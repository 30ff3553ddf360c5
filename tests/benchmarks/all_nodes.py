"""Times `compile --all-nodes` beside `compile` of one node: `python -m tests.benchmarks.all_nodes`.

Makes a cluster of 200 nodes in 3 zones, and runs each command as a process of its own. In one row a
twentieth of the Services have node ports, half of them with a Local policy, and a fifth
`trafficDistribution`; in another nodes have Pod networks of their own (`detectLocalMode:
NodeCIDR`), so that no two have the same rules; in the last every Service has a Local policy.

Files are written to memory (/dev/shm) where there is a file system in it. Writing is timed apart: a
process writes files of the same sizes. The table shows the best time of all rounds, in brackets the
median. The ratio is of processor time. The benchmark ends with 1 where, in a row with a limit, all
nodes take more than 4 times as much as one beyond writing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.__main__ import machine, table
from tests.benchmarks.generate import Shape, node_name, objects, write_json
from tests.benchmarks.measure import Samples, peak_memory

LIMIT = 4.0
CIDR = ("--cluster-cidr", "10.128.0.0/9")
# Writes files of so many bytes, in chunks as `compile` does.
WRITE = """
import sys
from pathlib import Path
folder, sizes = Path(sys.argv[1]), list(map(int, sys.argv[2].split(",")))
chunk = bytes(500_000)
folder.mkdir()
for place, size in enumerate(sizes):
    with Path(folder, str(place)).open("wb") as file:
        for start in range(0, size, len(chunk)):
            file.write(chunk[: size - start])
"""


@dataclass(frozen=True)
class Row:
    """A cluster, the options of both commands, and whether the limit is for it."""

    name: str
    shape: Shape
    options: tuple[str, ...]
    is_limited: bool


def rows(services: int, nodes: int) -> tuple[Row, ...]:
    """Return the rows of the table."""
    usual = Shape(services, 10, zone_hints=0.2, on_nodes=nodes)
    local = Shape(services, 10, node_ports=1.0, local=1.0, on_nodes=nodes)
    return (
        Row("some Services Local, some by zone", usual, CIDR, is_limited=True),
        Row("the same, NodeCIDR", usual, ("--detect-local-mode", "NodeCIDR"), is_limited=True),
        Row("every Service Local", local, CIDR, is_limited=False),
    )


class Measured:
    """The runs of one row."""

    def __init__(self, row: Row, folder: Path, number: int) -> None:
        self.row, self.out = row, folder / "out"
        path = folder / f"{number}.json"
        write_json(objects(row.shape), path)
        compile_ = (sys.executable, "-m", "compiler", "compile", str(path), "-q", *row.options)
        self.one_command = (*compile_, "--node", node_name(1), "-o", str(folder / "one.rules"))
        self.all_command = (*compile_, "--all-nodes", "--jobs", "1", "-o", str(self.out))
        self.one, self.all, self.writing = Samples(), Samples(), Samples()
        self.sizes: list[int] = []

    def run(self) -> None:
        """Run all three once; each writes to a new folder."""
        self.one.run(self.one_command)
        self._fresh()
        self.all.run(self.all_command)
        self.sizes = [path.stat().st_size for path in self.out.glob("*.rules")]
        self._fresh()
        self.writing.run(
            (sys.executable, "-c", WRITE, str(self.out), ",".join(map(str, self.sizes)))
        )
        self._fresh()

    def _fresh(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        os.sync()
        time.sleep(0.5)  # until the disk is idle again

    @property
    def ratio(self) -> float:
        """The processor time of all nodes beyond writing, as a multiple of one node's."""
        return (min(self.all.cpu) - min(self.writing.cpu)) / min(self.one.cpu)

    def cells(self) -> list[str]:
        """Return the row of the table."""
        peak = peak_memory(self.all_command)
        self._fresh()
        limit = f"**{self.ratio:.1f}** (≤ {LIMIT:.0f})"
        return [
            self.row.name,
            f"{len(self.sizes)}, {sum(self.sizes) / 1e6:,.0f} MB",
            *(f"{s.best:.2f} ({s.typical:.2f})" for s in (self.one, self.all, self.writing)),
            limit if self.row.is_limited else f"{self.ratio:.1f}",
            f"{peak:.0f}",
        ]


def main() -> int:
    """Measure, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=2_000, help="10 endpoints each (2,000)")
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{machine()}\n")  # noqa: T201
    size = f"{arguments.services:,} Services with 10, {arguments.nodes} nodes"
    memory = Path("/dev/shm")  # a disk takes now more, now less of the processor
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        # As installed: compiled once, in the first round.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(folder, "compiled"))
        found = [
            Measured(row, Path(folder), number)
            for number, row in enumerate(rows(arguments.services, arguments.nodes))
        ]
        for _ in range(arguments.rounds):
            for one in found:
                one.run()
        heads = (size, "texts", "one node, s", "all nodes, s", "writing, s", "ratio", "peak MiB")
        table(heads, (one.cells() for one in found))
    return int(any(one.ratio > LIMIT for one in found if one.row.is_limited))


if __name__ == "__main__":
    sys.exit(main())
