"""The walk-through in the README prints what it shows, but for what chance and time decide."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from compiler.lab import lifecycle
from compiler.netfilter.backend import Backend
from tests.cases import ROOT
from tests.kernel.namespace import PROGRAMS, Namespace

pytestmark = pytest.mark.kernel


TEXT = (ROOT / "README.md").read_text()


def commands(kind: str) -> list[tuple[str, str]]:
    """Return each command of the blocks of a kind, with the output that is shown."""
    blocks = re.findall(rf"^```console {kind}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    found = []
    for block in blocks:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def masked(text: str) -> list[str]:
    """Mask what may differ: which pod it was, how many of several, ports and seconds."""
    if len(re.findall(r"^ *\d+  webpod", text, re.MULTILINE)) > 1:
        text = re.sub(r"^ *\d+  (?=webpod)", "N  ", text, flags=re.MULTILINE)
        return sorted(text.splitlines())
    for pattern, stands_for in (
        (r"webpod[123]\b(?!   )", "webpodN"),
        (r"10\.10\.([123])\.[23](?=:80 \()", "POD"),
        (r"src=10\.10\.([123])\.[23] ", "src=POD "),
        (r"\b\d+ s$", "N s"),
        (r"\b(sport|dport)=\d{5}\b", r"\1=N"),
        (r"\d+ TIME_WAIT", "N TIME_WAIT"),
    ):
        text = re.sub(pattern, stands_for, text, flags=re.MULTILINE)
    return [line.rstrip() for line in text.splitlines()]


def run(command: str, *before: str, **variables: str) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [*before, "bash", "-c", command],
        cwd=ROOT,
        env={**os.environ, "PATH": path, **variables},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.kernel("conntrack", "iptables-nft")
def test_the_study_as_a_walk_through() -> None:
    name = f"readme-{uuid4().hex[:8]}"
    shown_commands = commands("lab")
    assert len(shown_commands) > 10
    try:
        for command, shown in shown_commands:
            output = run(command, PROXYRULES_LAB=name).replace(f"lab {name}", "lab default")
            assert masked(output) == masked(shown), (command, output)
    finally:
        lifecycle.down(name)


@pytest.mark.kernel(*PROGRAMS[Backend.NFT])
def test_a_bare_machine(namespace: Namespace) -> None:
    shown_commands = commands("kernel")
    assert shown_commands
    for command, shown in shown_commands:
        output = run(command, "ip", "netns", "exec", namespace.name)
        assert output == shown, command
