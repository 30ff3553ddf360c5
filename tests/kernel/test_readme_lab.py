"""Examples in README.md and docs/ that need a kernel print what is shown, but for chance, time."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from compiler.lab import lifecycle
from compiler.netfilter.backend import Backend
from tests.cases import ROOT
from tests.documents import DOCUMENTS, blocks, commands, environment, name_of
from tests.kernel.namespace import PROGRAMS, Namespace

pytestmark = pytest.mark.kernel


def bodies(needs: str) -> list[str]:
    return [body for document in DOCUMENTS for body in blocks(document, f"console {needs}")]


# Rows of bars and of timelines, and what is said of how rare it is.
PICTURES = (
    (r"^(webpod\d) +\d+ +(\d+\.\d)(  .*)?$", r"\1 N \2"),
    (r"^webpod\d  [█·]+$", "ROW"),
    (
        r"^(as expected|unusual, and more requests would tell|not chance): chance[^$]*?freedom\)$",
        "COMPARED",
    ),
)


def masked(text: str) -> list[str]:
    """Mask what may differ: which pod it was, how many of several, ports and seconds."""
    for pattern, stands_for in PICTURES:
        text = re.sub(pattern, stands_for, text, flags=re.MULTILINE)
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
    done = subprocess.run(
        [*before, "bash", "-c", command],
        cwd=ROOT,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return done.stdout


@pytest.mark.kernel("conntrack", "iptables-nft")
@pytest.mark.parametrize(
    "document", [one for one in DOCUMENTS if blocks(one, "console lab")], ids=name_of
)
def test_the_study_as_a_walk_through(document: Path) -> None:
    name = f"readme-{uuid4().hex[:8]}"
    shown_commands = [one for body in blocks(document, "console lab") for one in commands(body)]
    try:
        for command, shown in shown_commands:
            output = run(command, PROXYRULES_LAB=name).replace(f"lab {name}", "lab default")
            assert masked(output) == masked(shown), (command, output)
    finally:
        lifecycle.down(name)


@pytest.mark.kernel(*PROGRAMS[Backend.NFT])
@pytest.mark.parametrize("body", bodies("kernel"))
def test_a_bare_machine(body: str, namespace: Namespace) -> None:
    for command, shown in commands(body):
        output = run(command, "ip", "netns", "exec", namespace.name)
        assert output == shown, command
