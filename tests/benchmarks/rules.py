"""Times the questions about rules: `python -m tests.benchmarks.rules`.

Makes a cluster, its restore text, a copy of the cluster that lacks one endpoint and, as root, what
`iptables-save` prints once a kernel has the rules. Every question is a process of its own, from its
start to its exit, beside `json.load` of the same manifests. The table shows the best time of all
rounds, in brackets the median, and the most memory that a process needed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.__main__ import FLAGS, PROXYRULES, Dump, json_load, machine, table
from tests.benchmarks.measure import Samples, peak_memory

ENDPOINTS = 10
RESTORE, SAVE = "iptables-legacy-restore", "iptables-legacy-save"


@dataclass(frozen=True)
class Question:
    """One row: a command, and the exit code that shows that it came to the right answer."""

    name: str
    command: tuple[str, ...]
    exit_code: int


@dataclass(frozen=True)
class Inputs:
    """The files that are asked about."""

    manifests: Path
    equal: Path
    fewer: Path
    restore: Path
    saved: Path | None

    def questions(self) -> Iterator[Question]:
        """Return the rows of the table."""
        manifests, restore = str(self.manifests), str(self.restore)
        yield _ask("`verify` of restore text", 0, "verify", manifests, "--against", restore)
        if self.saved is not None:
            saved = str(self.saved)
            yield _ask("`verify` of `iptables-save`", 0, "verify", manifests, "--against", saved)
        yield _ask("`diff` of equal manifests", 0, "diff", manifests, str(self.equal))
        fewer = str(self.fewer)
        yield _ask("`diff` of rules and manifests, one endpoint gone", 1, "diff", restore, fewer)
        yield _ask("`delta` of the same", 0, "delta", restore, fewer)
        yield Question("`json.load` of the manifests", tuple(json_load(self.manifests)), 0)


def _ask(name: str, exit_code: int, *words: str) -> Question:
    return Question(name, (str(PROXYRULES), *words, *FLAGS), exit_code)


def make_inputs(folder: Path, services: int) -> Inputs:
    """Make the files, unless they are there."""
    manifests = Dump(services, ENDPOINTS, "json").make(folder)
    equal, fewer = (manifests.with_stem(f"{manifests.stem}-{what}") for what in ("equal", "fewer"))
    restore = manifests.with_suffix(".rules")
    _make(equal, lambda path: shutil.copyfile(manifests, path))
    _make(fewer, lambda path: _elsewhere(without_an_endpoint, manifests, path))
    _make(restore, lambda path: _compile(manifests, path))
    saved = None
    if os.geteuid() == 0 and shutil.which(RESTORE):
        saved = manifests.with_suffix(".save")
        _make(saved, lambda path: _load_and_save(manifests, path))
    return Inputs(manifests, equal, fewer, restore, saved)


def _make(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name first: an interrupted one must not be taken for complete."""
    if not path.exists():
        print(f"making {path}", file=sys.stderr)  # noqa: T201
        unfinished = path.with_stem(f"{path.stem}-unfinished")
        write(unfinished)
        unfinished.rename(path)


def _elsewhere(work: Callable[[Path, Path], None], source: Path, target: Path) -> None:
    """Work in another process: the kernel counts this one's memory as that of its children."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as processes:
        processes.submit(work, source, target).result()


def without_an_endpoint(source: Path, target: Path) -> None:
    """Copy manifests without the first endpoint of the first slice that has several."""
    objects = json.loads(source.read_bytes())
    endpoints = next(
        item["endpoints"] for item in objects["items"] if len(item.get("endpoints", ())) > 1
    )
    del endpoints[0]
    target.write_text(json.dumps(objects, indent=4, sort_keys=True), encoding="utf-8")


def _compile(manifests: Path, output: Path, *options: str) -> None:
    command = [str(PROXYRULES), "compile", str(manifests), *FLAGS, *options, "-q"]
    subprocess.run([*command, "--output", str(output)], check=True)


def _load_and_save(manifests: Path, output: Path) -> None:
    """Save the rules as a kernel prints them, from a network namespace that ends with the call."""
    with tempfile.NamedTemporaryFile(suffix=".rules") as rules:
        _compile(manifests, Path(rules.name), "--standalone")
        script = f'{RESTORE} < "$1" && {SAVE} > "$2"'
        command = ["unshare", "--net", "sh", "-c", script, "sh", rules.name, str(output)]
        subprocess.run(command, check=True)


def rows(questions: list[Question], rounds: int) -> Iterator[list[str]]:
    """Time the questions in turns, so that a machine that slows down slows all of them."""
    samples = [Samples() for _ in questions]
    for _ in range(rounds):
        for question, sample in zip(questions, samples, strict=True):
            sample.run(question.command, exit_code=question.exit_code)
    for question, sample in zip(questions, samples, strict=True):
        peak = peak_memory(question.command, exit_code=question.exit_code)
        yield [question.name, f"{sample.best:.2f} ({sample.typical:.2f})", f"{peak:.0f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.rules", description=__doc__)
    parser.add_argument("--services", type=int, default=10_000, help="Services, 10 endpoints each")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each command (3)")
    parser.add_argument("--folder", type=Path, help="where the inputs are kept (a new one in /tmp)")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.gettempdir(), f"proxyrules-dumps-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    inputs = make_inputs(folder, options.services)
    with inputs.restore.open("rb") as file:
        lines = sum(1 for _ in file)

    print(f"{machine()}; the best of {options.rounds} rounds (in brackets: the median)\n")  # noqa: T201
    heads = (f"{options.services:,} Services with {ENDPOINTS}, {lines:,} lines", "s", "peak MiB")
    table(heads, rows(list(inputs.questions()), options.rounds))


if __name__ == "__main__":
    main()
