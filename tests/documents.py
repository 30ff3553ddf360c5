"""README.md, the other pages beside it and docs/, and the examples in them that the tests run.

In a block marked `console` a line `$ command` is run by bash in the checkout, and what follows is
its whole output, with standard error where a shell shows it. A line `...` stands for any lines. A
word after `console` says what a block needs: `console kernel` root and a network namespace of its
own, `console lab` a lab that all such blocks of a document share, `console repository` a git
repository with the files of `examples/shop`, which they share too. `console steps` and
`console make` are those of `docs/pull-requests.md`, which has a test of its own.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from tests.cases import ROOT

DOCS = ROOT / "docs"
# Beside the README, where GitHub looks for them.
BESIDE = tuple(ROOT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY"))
# The pages of lint's rules are written by a command and have tests of their own.
DOCUMENTS = (
    ROOT / "README.md",
    *BESIDE,
    *sorted(page for page in DOCS.rglob("*.md") if page.parent != DOCS / "lint"),
)
# What a login shell has on a system without proxyrules.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_BLOCK = re.compile(r"^```(?P<kind>[^\n]+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def name_of(document: Path) -> str:
    """Return the path of a document in the repository, as tests name it."""
    return str(document.relative_to(ROOT))


def blocks(document: Path, kind: str) -> list[str]:
    """Return the bodies of a document's blocks of a kind (`sh`, `console lab`)."""
    found = _BLOCK.finditer(document.read_text())
    return [match["body"] for match in found if match["kind"] == kind]


def commands(body: str) -> list[tuple[str, str]]:
    """Return each command of a console block with the output that is shown."""
    parts = re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def clean_environment(home: Path) -> dict[str, str]:
    """Return the environment of a user who has installed nothing."""
    return {"PATH": SYSTEM_PATH, "HOME": str(home), "LANG": "C.UTF-8"}


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment with `proxyrules` on the PATH."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, **variables}
