"""The script that installs what tests call, against an apt-get that only notes it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cases import ROOT
from tests.kernel.namespace import NEEDED_COMMANDS

SCRIPT = ROOT / ".ci" / "test-tools"
# What other tests call.
OTHERS = ("git", "make", "chromium")


def install(
    folder: Path, present: set[str], *, user: int = 0, apt: str = 'echo "$@" >>"$LOG"'
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run the script where only some commands are there; return what apt-get was called with."""
    log = folder / "log"
    scripts = {"id": f"echo {user}", "apt-get": apt, **dict.fromkeys(present, "exit 0")}
    for name, body in scripts.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    shell = shutil.which("sh")
    assert shell
    done = subprocess.run(
        [shell, SCRIPT],
        env={"PATH": str(folder), "LOG": str(log)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return done, log.read_text().splitlines() if log.exists() else []


def test_what_is_missing_is_installed(tmp_path: Path) -> None:
    done, calls = install(tmp_path, {*NEEDED_COMMANDS, *OTHERS} - {"conntrack", "ip"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert calls == [
        "update -qq",
        "install -y -qq --no-install-recommends iproute2 conntrack",
    ]


def test_nothing_is_installed_where_nothing_is_missing(tmp_path: Path) -> None:
    """So the script knows every command that a kernel test calls."""
    done, calls = install(tmp_path, {*NEEDED_COMMANDS, *OTHERS})
    assert (done.returncode, calls) == (0, [])


@pytest.mark.parametrize("command", NEEDED_COMMANDS)
def test_every_command_is_looked_for(tmp_path: Path, command: str) -> None:
    _, calls = install(tmp_path, {*NEEDED_COMMANDS, *OTHERS} - {command})
    assert len(calls) == 2


def test_nobody_but_root_installs(tmp_path: Path) -> None:
    done, calls = install(tmp_path, set(), user=1000)
    assert (done.returncode, done.stderr, calls) == (0, "", [])


def test_an_install_that_fails_is_reported_and_the_tests_go_on(tmp_path: Path) -> None:
    done, _ = install(
        tmp_path, {*NEEDED_COMMANDS, *OTHERS} - {"nft"}, apt="echo no network >&2; exit 100"
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "no network\ntest-tools: could not install nftables\n"
