"""A kernel test is skipped for what it needs itself, and never where none may be skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.netfilter.backend import Backend
from tests.cases import ROOT
from tests.conftest import REQUIRE_KERNEL
from tests.kernel.namespace import PROGRAMS

pytestmark = pytest.mark.kernel("unshare", *PROGRAMS[Backend.NFT])

CALLS_CONNTRACK = "tests/kernel/test_stale_udp.py::test_ipv6"
DOES_NOT = "tests/kernel/test_lab_life.py::test_down_twice_is_fine_and_says_so"


@pytest.fixture
def without_conntrack(tmp_path: Path) -> str:
    """A PATH with the commands of both tests but for conntrack."""
    for command in ("ip", "unshare", "true", "iptables-nft", "iptables-nft-restore"):
        found = shutil.which(command)
        assert found
        (tmp_path / command).symlink_to(found)
    (tmp_path / "ip6tables-nft").symlink_to("iptables-nft")
    return str(tmp_path)


def run(path: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    kept.pop(REQUIRE_KERNEL, None)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", CALLS_CONNTRACK, DOES_NOT],
        cwd=ROOT,
        env={**kept, "PATH": path, **variables},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_a_test_that_does_not_call_conntrack_runs_without_it(without_conntrack: str) -> None:
    done = run(without_conntrack)
    assert done.returncode == 0, done.stdout
    assert "kernel test: not installed: conntrack" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 passed, 1 skipped in ")


def test_where_none_may_be_skipped_nothing_runs(without_conntrack: str) -> None:
    done = run(without_conntrack, **{REQUIRE_KERNEL: "1"})
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "and can't run: not installed: conntrack" in done.stderr + done.stdout
    assert "passed" not in done.stdout
