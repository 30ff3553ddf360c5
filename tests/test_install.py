"""A wheel, installed into an empty environment, compiles."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from compiler.api import Collection
from tests.cases import FIXTURES, GOLDEN, ROOT


def test_wheel_compiles_a_fixture(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    subprocess.run([*build, "--outdir", tmp_path, ROOT], capture_output=True, check=True)
    (wheel,) = tmp_path.glob("proxyrules-*.whl")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = tmp_path / "venv" / "bin" / "pip"
    subprocess.run([pip, "install", "--quiet", wheel], capture_output=True, check=True)
    program = tmp_path / "venv" / "bin" / "proxyrules"
    collect = subprocess.run([program, "collect", "--debug"], capture_output=True, check=True)
    assert collect.stdout.decode() == Collection().debug_script
    case = FIXTURES / "seed-affinity-clientip"
    done = subprocess.run(
        [
            program,
            "compile",
            case / "input.yaml",
            "--config",
            case / "kube-proxy.yaml",
        ],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout == (GOLDEN / "seed-affinity-clientip.rules").read_text()
    assert done.stderr == ""
