"""Times `proxyrules compile` side by side with `json.load`: `python -m tests.benchmarks`.

The dumps and charts are made once and kept (`--folder`). Commands take turns, round for round, so
that a machine that slows down slows all of them. The tables show the best time of all rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.charts import write_chart
from tests.benchmarks.generate import node_name
from tests.benchmarks.measure import MIB, Samples, peak_memory

PROXYRULES = Path(sys.executable).with_name("proxyrules")
FLAGS = ("--cluster-cidr", "10.128.0.0/9", "--node", node_name(1))
SMALL = "fixtures/seed-affinity-clientip/input.yaml"
SMALL_NODE = "myk8s-worker"
# Services, and Deployments, of the largest chart that is timed.
LARGEST_CHART = 4_000
RESTORES = ("iptables-nft-restore", "iptables-legacy-restore")


@dataclass(frozen=True)
class Dump:
    """An input: its format is `json`, `line` (JSON on one line) or `yaml`."""

    services: int
    endpoints: int
    format: str
    limit: float | None = None
    """The most that a compile should take, as a multiple of `json.load` of the same objects."""

    def __str__(self) -> str:
        kind = {"json": "JSON", "line": "JSON, one line", "yaml": "YAML"}[self.format]
        return f"{kind}, {self.services:,} with {self.endpoints}"

    def path(self, folder: Path) -> Path:
        """The path at which the dump is kept."""
        suffix = "yaml" if self.format == "yaml" else "json"
        indent = "-line" if self.format == "line" else ""
        return folder / f"{self.services}-{self.endpoints}{indent}.{suffix}"

    def make(self, folder: Path) -> Path:
        """Write the dump, unless it is there.

        Another process does: the kernel counts the memory of this one as that of its children.
        """
        path = self.path(folder)
        if not path.exists():
            print(f"making {path}", file=sys.stderr)  # noqa: T201
            unfinished = path.with_stem(f"{path.stem}-unfinished")
            command = [sys.executable, "-m", "tests.benchmarks.generate", str(unfinished)]
            command += ["--services", str(self.services), "--endpoints", str(self.endpoints)]
            command += ["--one-line"] if self.format == "line" else []
            subprocess.run(command, check=True)
            unfinished.rename(path)
        return path


DUMPS = (
    Dump(10_000, 10, "json", 1.0),
    Dump(10_000, 10, "line", 1.0),
    Dump(5_000, 50, "json", 1.0),
    Dump(10_000, 10, "yaml", 2.0),
    Dump(1_000, 10, "json"),
    Dump(1_000, 10, "yaml"),
)


def compile_command(path: Path, output: Path) -> list[str]:
    """Return the command that compiles a dump."""
    return [str(PROXYRULES), "compile", str(path), *FLAGS, "--output", str(output)]


def json_load(path: Path) -> list[str]:
    """Return the command that reads a dump's objects with Python's own JSON."""
    return [sys.executable, "-c", f"import json; json.load(open({str(path)!r}))"]


def dump_rows(dumps: Sequence[Dump], folder: Path, rounds: int) -> Iterator[list[str]]:
    """Measure every dump, and give the rows of the first table."""
    samples = {dump: (Samples(), Samples()) for dump in dumps}
    output = folder / "output.rules"
    for _ in range(rounds):
        for dump, (compiles, loads) in samples.items():
            compiles.run(compile_command(dump.make(folder), output))
            loads.run(json_load(_as_json(dump).make(folder)))
    for dump, (compiles, loads) in samples.items():
        path = dump.path(folder)
        peak = peak_memory(compile_command(path, output))
        sizes = (path.stat().st_size / MIB, output.stat().st_size / MIB)
        times, memory = compiles.best / loads.best, peak / sum(sizes)
        yield [
            str(dump),
            f"{sizes[0]:.0f} + {sizes[1]:.0f}",
            f"{compiles.best:.2f} ({compiles.typical:.2f})",
            f"{min(compiles.cpu):.2f}",
            f"{loads.best:.2f} ({loads.typical:.2f})",
            f"**{times:.2f}** (≤ {dump.limit:.1f})" if dump.limit else f"{times:.2f}",
            f"{peak:.0f}",
            f"**{memory:.2f}** (≤ 2.0)" if dump.limit else f"{memory:.2f}",
        ]


def _as_json(dump: Dump) -> Dump:
    """Return the JSON that a dump is compared with."""
    return Dump(dump.services, dump.endpoints, "json") if dump.format == "yaml" else dump


def stage_rows(dumps: Sequence[Dump], folder: Path, rounds: int) -> Iterator[list[str]]:
    """Time the stages of a compile of each dump."""
    for dump in dumps:
        command = [sys.executable, "-m", "tests.benchmarks.stages", str(dump.make(folder))]
        runs = [
            json.loads(subprocess.run([*command, node_name(1)], stdout=-1, check=True).stdout)
            for _ in range(rounds)
        ]
        for at, (name, _, peak) in enumerate(runs[0]):
            yield [str(dump), name, f"{min(run[at][1] for run in runs):.3f}", f"{peak:.0f}"]


def chart_rows(folder: Path, rounds: int, pairs: Sequence[int]) -> Iterator[list[str]]:
    """Time charts of so many Services and as many Deployments."""
    output = folder / "output.rules"
    for count in pairs:
        path = folder / f"chart-{count}.yaml"
        if not path.exists():
            write_chart(path, count)
        samples = Samples()
        for _ in range(rounds):
            samples.run(compile_command(path, output))
        yield [
            f"{count:,} Services, {count:,} Deployments",
            f"{path.stat().st_size / MIB:.1f}",
            f"{samples.best:.2f} ({samples.typical:.2f})",
            f"{min(samples.cpu):.2f}",
            f"{peak_memory(compile_command(path, output)):.0f}",
            "≤ 1 s" if count == LARGEST_CHART else "",
        ]


def start_rows(folder: Path, rounds: int) -> Iterator[list[str]]:
    """Time what a small run takes, and how the time grows."""
    python = [sys.executable, "-c", "pass"]
    small = [str(PROXYRULES), "compile", SMALL, "--node", SMALL_NODE]
    tenth, whole = (Dump(n, 10, "json").make(folder) for n in (1_000, 10_000))
    output = folder / "output.rules"
    commands = {
        "empty Python": python,
        "--help": [str(PROXYRULES), "--help"],
        "small": small,
        "1,000": compile_command(tenth, output),
        "10,000": compile_command(whole, output),
    }
    samples = {name: Samples() for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            samples[name].run(command)
    best = {name: sample.best for name, sample in samples.items()}
    growth = (best["10,000"] - best["small"]) / (best["1,000"] - best["small"])
    beyond = best["small"] - best["empty Python"]
    yield ["an empty Python process", f"{best['empty Python']:.3f} s", ""]
    yield ["`proxyrules --help`", f"{best['--help']:.3f} s", "≤ 0.1 s"]
    yield ["the study's file, beyond an empty Python", f"{beyond:.3f} s", "≤ 0.2 s"]
    yield ["10,000 Services to 1,000, beyond the study's file", f"{growth:.1f} times", "≤ 11 times"]


def kernel_rows(dump: Dump, folder: Path) -> Iterator[list[str]]:
    """Time `iptables-restore --test` on a dump's rules, in a network namespace of its own."""
    output = folder / "output.rules"
    compiles = Samples()
    compiles.run(compile_command(dump.make(folder), output))
    for restore in filter(shutil.which, RESTORES):
        restores = Samples()
        restores.run(["unshare", "--net", restore, "--test", str(output)])
        ratio = compiles.best / restores.best
        yield [f"{restore} --test", f"{restores.best:.2f}", f"{compiles.best:.2f}", f"{ratio:.2f}"]


def table(heads: Sequence[str], rows: Iterator[list[str]]) -> None:
    """Print a table in Markdown as its rows come in."""
    print(f"| {' | '.join(heads)} |")  # noqa: T201
    print("|" + " --- |" * len(heads))  # noqa: T201
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)  # noqa: T201
    print()  # noqa: T201


def machine() -> str:
    """Name the machine."""
    model = next(
        (
            line.partition(": ")[2]
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    versions = f"Linux {platform.release()}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {versions}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each command (5)")
    parser.add_argument("--quick", action="store_true", help="one round, 1,000 Services at most")
    parser.add_argument("--folder", type=Path, help="where the dumps are kept (a new one in /tmp)")
    parser.add_argument("--no-kernel", action="store_true", help="leave iptables-restore out")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.gettempdir(), f"proxyrules-dumps-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    rounds = 1 if options.quick else options.rounds
    dumps = [dump for dump in DUMPS if not options.quick or dump.services <= 1_000]

    print(f"{machine()}; the best of {rounds} rounds (in brackets: the median)\n")  # noqa: T201
    heads = "input|MiB in + out|compile, s|its CPU, s|json.load, s|ratio|peak MiB|peak to in + out"
    table(heads.split("|"), dump_rows(dumps, folder, rounds))
    charts = (500,) if options.quick else (500, 1_500, LARGEST_CHART)
    heads = "chart|MiB|compile, s|its CPU, s|peak MiB|target"
    table(heads.split("|"), chart_rows(folder, rounds, charts))
    if not options.quick:
        table(("start and growth", "", "target"), start_rows(folder, rounds))
    table(("input", "stage", "s", "peak MiB"), stage_rows(dumps[:4], folder, min(rounds, 3)))
    if os.geteuid() == 0 and not options.no_kernel:
        heads = f"rules of {dumps[0]}|s|compile, s|compile to it"
        table(heads.split("|"), kernel_rows(dumps[0], folder))


if __name__ == "__main__":
    main()
