"""What the README shows comes out as shown.

In a block marked `console` a line `$ command` is run by bash in the checkout, and what follows is
its whole output, standard error last. A line `...` stands for any lines. Blocks marked
`console kernel` need root and run in a network namespace of their own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases import ROOT

README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```console( kernel)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _commands(kernel: bool) -> list[tuple[str, str]]:
    commands = []
    for marked, body in BLOCK.findall(README):
        if bool(marked) == kernel:
            for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                commands.append((command, output))
    return commands


def _matches(shown: str, output: str) -> bool:
    pattern = "".join(
        r"(?:.*\n)*" if line == "..." else re.escape(line) + r"\n" for line in shown.splitlines()
    )
    return re.fullmatch(pattern, output) is not None


def _environment() -> dict[str, str]:
    folder = Path(sys.executable).parent
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.mark.parametrize(("command", "shown"), _commands(kernel=False))
def test_command(command: str, shown: str) -> None:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env=_environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    output = done.stdout + done.stderr
    assert _matches(shown, output), output


def test_python_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    case = ROOT / "fixtures" / "nodeport-local"
    (tmp_path / "cluster.yaml").symlink_to(case / "input.yaml")
    (tmp_path / "kube-proxy.yaml").symlink_to(case / "kube-proxy.yaml")
    environment = {**_environment(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.startswith("*filter\n")


def test_the_two_commands_are_there() -> None:
    assert re.findall(r"^sh \.ci/\w+", README, re.MULTILINE) == ["sh .ci/setup", "sh .ci/test"]
