"""The pictures in docs/pictures, each drawn by a command: `python -m tests.pictures` writes them.

They are drawn without graphviz, so that they are the same on every machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cases import ROOT

FOLDER = ROOT / "docs" / "pictures"
STUDY = ("--cluster-cidr", "10.10.0.0/16", "--node", "myk8s-control-plane")
NODE = ("--node-address", "172.18.0.2")
GRAPHS: dict[str, tuple[str, ...]] = {
    "local-policy.svg": (
        "fixtures/local-policy-on-five-nodes/input.yaml",
        *("shop/web", "--node", "worker-2", "--cluster-cidr", "10.10.0.0/16"),
    ),
    "study-none.svg": ("fixtures/study-none/input.yaml", "--from-workloads", *STUDY),
    "study-clientip.svg": ("fixtures/study-clientip/input.yaml", "--from-workloads", *STUDY),
    "study-clientip-30s.svg": (
        *("fixtures/study-clientip-30s/input.yaml", "--from-workloads"),
        *STUDY,
    ),
    "chains-cluster-ip.svg": ("golden/seed-affinity-none.rules", "--chains"),
    "chains-node-port.svg": ("golden/nodeport-cluster.rules", "--chains", *NODE),
    "chains-local.svg": ("golden/nodeport-local.rules", "--chains", *NODE),
    "chains-source-ranges.svg": ("golden/loadbalancer-source-ranges.rules", "--chains", *NODE),
    "chains-affinity.svg": ("golden/seed-affinity-clientip.rules", "--chains"),
    "chains-no-endpoints.svg": ("golden/no-endpoints.rules", "--chains"),
}
PLOTS: dict[str, tuple[str, ...]] = {
    "study-clients.svg": (
        *("fixtures/study-none/input.yaml", *STUDY, "--clients", "90", "--every", "40s"),
        *("--for", "30m", "--at", "10m=affinity=ClientIP", "--at", "20m=timeout=30"),
    ),
    "sticky-450-clients.svg": (
        *("fixtures/sticky-shop/input.yaml", "--node", "worker-1"),
        *("--cluster-cidr", "10.10.0.0/16", "--clients", "450"),
    ),
}
COMMANDS: dict[str, tuple[str, ...]] = {
    name: ("graph", *arguments, "--format", "svg", "--output") for name, arguments in GRAPHS.items()
} | {name: ("sticky", *arguments, "--quiet", "--plot") for name, arguments in PLOTS.items()}


def draw(name: str) -> str:
    """Return a picture as its command draws it now."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        subprocess.run(
            [sys.executable, "-m", "compiler", *COMMANDS[name], path],
            cwd=ROOT,
            # An empty PATH has no graphviz; matplotlib keeps what it knows of fonts in HOME.
            env={"PATH": folder, "PYTHONPATH": str(ROOT), "HOME": os.environ.get("HOME", folder)},
            capture_output=True,
            check=True,
        )
        return path.read_text()


if __name__ == "__main__":
    for each in COMMANDS:
        (FOLDER / each).write_text(draw(each))
