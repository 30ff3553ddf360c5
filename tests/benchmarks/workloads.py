"""Times `compile --from-workloads`: `python -m tests.benchmarks.workloads`.

Makes 10,000 Deployments of 3 replicas with a Service each, as a chart prints them. Every run is a
process of its own, from its start to its exit. The table shows the best time of all rounds, in
brackets the median. Fails where it takes more than 30 s of a processor.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.__main__ import PROXYRULES, machine, table
from tests.benchmarks.measure import Samples

COMPILED_WITHIN = 30.0
SERVICES, NODES = 10_000, 100

_APP = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-{number}
  namespace: team-{team}
spec:
  replicas: 3
  selector:
    matchLabels:
      app: app-{number}
  template:
    metadata:
      labels:
        app: app-{number}
    spec:
      containers:
      - name: app
        image: example/app
        ports:
        - name: http
          containerPort: 8080
---
apiVersion: v1
kind: Service
metadata:
  name: app-{number}
  namespace: team-{team}
spec:
  selector:
    app: app-{number}
  ports:
  - name: http
    port: 80
    targetPort: http
"""


def write_apps(path: Path, count: int) -> None:
    """Write Deployments and their Services, in 50 namespaces."""
    apps = (_APP.format(number=number, team=number % 50) for number in range(count))
    path.write_text("---\n".join(apps))


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.workloads", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each command (3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "apps.yaml")
        write_apps(path, SERVICES)
        common = ("--from-workloads", "--nodes", str(NODES), "--node", "worker-1", "-q")
        command = (str(PROXYRULES), "compile", str(path), *common, "-o", os.devnull)
        samples = Samples()
        for _ in range(options.rounds):
            samples.run(command)
    print(f"{machine()}; the best of {options.rounds} rounds (in brackets: the median)\n")  # noqa: T201
    row = [
        "`compile --from-workloads`",
        f"{samples.best:.2f} ({samples.typical:.2f})",
        f"{min(samples.cpu):.2f}",
    ]
    table((f"{SERVICES:,} Deployments of 3", "s", "processor s"), iter([row]))
    return int(min(samples.cpu) > COMPILED_WITHIN)


if __name__ == "__main__":
    sys.exit(main())
