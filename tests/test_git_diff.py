"""`proxyrules git-diff`: what git shows of a file of rules."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.repository import THIRD, WEB, Repository
from tests.run import Runner

WEB_FILE = "apps/shop/web.yaml"
CHANGE = """\
diff of rules: rules/shop.worker-1.rules
shop/web:http
    endpoint 10.244.1.10:8080: 50 % → 33.3 % of new connections
    endpoint 10.244.2.10:8080: 50 % → 33.3 % of new connections
  + endpoint 10.244.2.11:8080 added: 33.3 % of new connections
1 service port changes.
"""


@pytest.fixture
def kept(
    shop: Repository, proxyrules: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Repository:
    """A repository that `init` set up, with one file of rules; `proxyrules` is on the PATH."""
    text = shop.read("proxyrules.yaml").replace("    nodes: all\n", "    nodes: [worker-1]\n")
    (shop.root / "proxyrules.yaml").unlink()
    assert proxyrules("snapshot", "init").code == 0
    shop.write("proxyrules.yaml", text)
    assert proxyrules("snapshot", "update").code == 0
    shop.commit("rules")
    program = tmp_path / "bin" / "proxyrules"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m compiler "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return shop


def scaled(shop: Repository, proxyrules: Runner) -> None:
    shop.write(WEB_FILE, WEB + THIRD)
    assert proxyrules("snapshot", "update").code == 0


def test_git_shows_the_change_for_traffic(kept: Repository, proxyrules: Runner) -> None:
    scaled(kept, proxyrules)
    assert kept.git("diff", "rules") == CHANGE
    # other files as ever
    assert f"+++ b/{WEB_FILE}\n" in kept.git("diff")
    kept.commit("scaled")
    assert kept.git("log", "-p", "--ext-diff", "-1", "--format=%s", "--", "rules") == (
        f"scaled\n\n{CHANGE}"
    )
    assert kept.git("show", "--ext-diff", "--format=", "HEAD", "--", "rules") == CHANGE


def test_git_log_compares_what_rules_do(kept: Repository, proxyrules: Runner) -> None:
    """Without --ext-diff: rules that only have other names are no lines."""
    scaled(kept, proxyrules)
    kept.commit("scaled")
    shown = kept.git("log", "-p", "-1", "--format=%s", "--", "rules/*.rules").splitlines()
    assert [line for line in shown if line[:3] in {"-  ", "+  "}] == [
        "-  endpoint 10.244.1.10:8080: 50 %",
        "-  endpoint 10.244.2.10:8080: 50 %",
        "+  endpoint 10.244.1.10:8080: 33.3 %",
        "+  endpoint 10.244.2.10:8080: 33.3 %",
        "+  endpoint 10.244.2.11:8080: 33.3 %",
    ]
    assert any(line.startswith("@@ ") and line.endswith(" shop/web:http") for line in shown)


def test_what_rules_do(kept: Repository, proxyrules: Runner) -> None:
    result = proxyrules("git-diff", "--textconv", "rules/shop.worker-1.rules")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(
        "shop/api:http\n"
        "  cluster IP: 10.96.10.20:80\n"
        "  internal traffic policy: Cluster\n"
        "  session affinity: ClientIP, 10800 s\n"
        "  endpoint 10.244.1.20:8080: 50 %\n"
    )
    assert "\nthe whole node\n  nat KUBE-SERVICES: " in result.out
    assert "  filter KUBE-FORWARD: -m conntrack --ctstate INVALID -j DROP\n" in result.out
    kept.write("rules/mine.rules", "no rules\n")
    assert proxyrules("git-diff", "--textconv", "rules/mine.rules").out == "no rules\n"
    assert proxyrules("git-diff", "--textconv", "a", "b").code == 2


def test_text_alone(kept: Repository, proxyrules: Runner) -> None:
    kept.edit(WEB_FILE, "name: http", "name: web")
    assert proxyrules("snapshot", "update").code == 0
    assert kept.git("diff", "rules") == (
        "diff of rules: rules/shop.worker-1.rules\n"
        "shop/web:http is now shop/web:web: only the names of its chains change\n"
        "No change for traffic; rules differ in text only.\n"
    )


def test_new_and_deleted_files(kept: Repository, proxyrules: Runner) -> None:
    kept.edit("proxyrules.yaml", "[worker-1]", "[worker-2]")
    assert proxyrules("snapshot", "update").code == 0
    kept.git("add", "-A")
    both = "rules of 2 service ports: shop/api:http, shop/web:http\n"
    assert kept.git("diff", "--cached", "--no-renames", "--", "rules/*.rules") == (
        f"diff of rules: rules/shop.worker-1.rules\ndeleted file with the {both}"
        f"diff of rules: rules/shop.worker-2.rules\nnew file with the {both}"
    )
    assert kept.git("diff", "--cached", "-M", "--", "rules/*.rules") == (
        "diff of rules: rules/shop.worker-1.rules → rules/shop.worker-2.rules\n"
        "No change for traffic.\n"
    )


def test_a_mode_that_changes(kept: Repository) -> None:
    (kept.root / "rules/shop.worker-1.rules").chmod(0o755)
    assert kept.git("diff") == (
        "diff of rules: rules/shop.worker-1.rules\nNo change for traffic.\n"
    )


def test_what_is_no_rules(kept: Repository) -> None:
    kept.edit("rules/shop.worker-1.rules", "*nat\n", "<<<<<<< ours\n*nat\n\x1b[31m")
    shown = kept.git("diff").splitlines()
    why = "rules/shop.worker-1.rules:13:1: not a line of restore text; expected *TABLE, :CHAIN or "
    assert shown[:4] == [
        "diff of rules: rules/shop.worker-1.rules",
        f"not readable as rules, so the lines are compared: {why}a command",
        "--- a/rules/shop.worker-1.rules",
        "+++ b/rules/shop.worker-1.rules",
    ]
    assert "+<<<<<<< ours" in shown
    assert not any("\x1b" in line for line in shown)
    kept.commit("broken")
    kept.git("rm", "--quiet", "rules/shop.worker-1.rules")
    assert (
        kept.git("diff", "--cached")
        .splitlines()[-1]
        .startswith("deleted file, not readable as rules: ")
    )


def test_a_merge_with_conflicts(kept: Repository, proxyrules: Runner) -> None:
    kept.git("checkout", "--quiet", "-b", "branch")
    scaled(kept, proxyrules)
    kept.commit("scaled")
    kept.git("checkout", "--quiet", "main")
    kept.edit(WEB_FILE, "10.244.2.10", "10.244.2.12")
    assert proxyrules("snapshot", "update").code == 0
    kept.commit("moved")
    with pytest.raises(AssertionError):
        kept.git("merge", "branch")
    assert "* Unmerged path rules/shop.worker-1.rules\n" in kept.git("diff", "--cached", "rules")


@pytest.mark.parametrize("words", [("a", "b"), ("a",) * 10])
def test_called_by_hand(words: tuple[str, ...], proxyrules: Runner) -> None:
    result = proxyrules("git-diff", *words)
    assert (result.code, result.out) == (2, "")
    assert "git calls this command with 7 arguments or more; see git help git" in result.err
