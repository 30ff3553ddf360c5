"""Times `snapshot` and `review`: `python -m tests.benchmarks.snapshots`.

Makes a repository with 200 snapshots of 50 Services with 3 endpoints each, and their rules. Every
command is a process of its own, from its start to its exit. The table shows the best time of all
rounds, in brackets the median, and the most memory that the processes needed together.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.__main__ import PROXYRULES, machine, table
from tests.benchmarks.measure import Samples, peak_memory

SERVICES, ENDPOINTS = 50, 3
IDENTITY = ("-c", "user.name=A", "-c", "user.email=a@example.org")


def manifests(snapshot: int) -> Iterator[str]:
    """Give the Services of a snapshot, and their EndpointSlices."""
    for number in range(SERVICES):
        name, namespace = f"web-{number}", f"shop-{snapshot}"
        yield f"""\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  clusterIP: 10.96.{snapshot}.{number + 1}
  selector:
    app: {name}
  ports:
    - name: http
      port: 80
      targetPort: 8080
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-abc
  namespace: {namespace}
  labels:
    kubernetes.io/service-name: {name}
addressType: IPv4
ports:
  - name: http
    port: 8080
endpoints:
"""
        for endpoint in range(ENDPOINTS):
            yield f"  - addresses: [10.244.{snapshot}.{number * ENDPOINTS + endpoint + 1}]\n"
            yield f"    nodeName: worker-{endpoint}\n"
        yield "---\n"


def make_repository(folder: Path, snapshots: int) -> None:
    """Write the manifests and the rules, and commit both."""
    entries = []
    (folder / "apps").mkdir()
    for number in range(snapshots):
        (folder / f"apps/shop-{number}.yaml").write_text("".join(manifests(number)))
        entries.append(f"  - name: shop-{number}\n    manifests: [apps/shop-{number}.yaml]\n")
    (folder / "proxyrules.yaml").write_text("snapshots:\n" + "".join(entries))
    subprocess.run([PROXYRULES, "snapshot", "update", "-q"], cwd=folder, check=True)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", *IDENTITY, *words], cwd=folder, check=True)


def rows(folder: Path, rounds: int) -> Iterator[list[str]]:
    """Time the commands, the last ones with a change of one Service in ten snapshots."""
    os.chdir(folder)
    for name, changed, words, code in (
        ("`snapshot check`, all up to date", 0, ("snapshot", "check"), 0),
        ("`snapshot check`, 10 differ", 10, ("snapshot", "check"), 1),
        ("`review`, nothing changed", 0, ("review", "HEAD"), 0),
        ("`review`, 10 changed", 10, ("review", "HEAD"), 0),
    ):
        subprocess.run(["git", "checkout", "-q", "."], check=True)
        for number in range(changed):
            path = Path(f"apps/shop-{number}.yaml")
            path.write_text(path.read_text().replace("port: 80\n", "port: 81\n", 1))
        command, samples = (str(PROXYRULES), *words), Samples()
        for _ in range(rounds):
            samples.run(command, exit_code=code)
        peak = f"{peak_memory(command, exit_code=code):.0f}"
        yield [name, f"{samples.best:.2f} ({samples.typical:.2f})", peak]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.snapshots")
    parser.add_argument("--snapshots", type=int, default=200, help="of 50 Services each (200)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each command (3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="proxyrules-") as made:
        folder = Path(made)
        make_repository(folder, options.snapshots)
        print(f"{machine()}; the best of {options.rounds} rounds (in brackets: the median)\n")  # noqa: T201
        heads = (f"{options.snapshots} snapshots of {SERVICES} Services", "s", "peak MiB")
        table(heads, rows(folder, options.rounds))
        os.chdir("/")


if __name__ == "__main__":
    main()
