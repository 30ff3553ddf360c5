from __future__ import annotations

import json
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.cases import ALL_CASES, FIXTURES, GOLDEN, ROOT
from tests.run import Runner, run_process

CONFIG = ("--config", "fixtures/loadbalancer/kube-proxy.yaml", "--node", "worker-1")
OLD = "fixtures/nodeport-affinity-local/input.yaml"
NEW = "fixtures/loadbalancer-source-ranges/input.yaml"


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    ("format_", "ending"),
    [("text", "txt"), ("json", "json"), ("markdown", "md"), ("unified", "diff")],
)
def test_formats(proxyrules: Runner, golden: SnapshotAssertion, format_: str, ending: str) -> None:
    result = proxyrules("diff", OLD, NEW, *CONFIG, "--format", format_)
    assert (result.code, result.err) == (1, "")
    assert result.out == golden(name=f"diff.{ending}")


def test_verbose_shows_rules(proxyrules: Runner, golden: SnapshotAssertion) -> None:
    old, new = (
        FIXTURES / name / "input.yaml" for name in ("seed-affinity-none", "seed-affinity-clientip")
    )
    result = proxyrules("diff", old, new, "-v", "--cluster-cidr", "10.10.0.0/16")
    assert result.code == 1
    assert result.out == golden(name="diff-verbose.txt")


def test_many_kinds_of_change(proxyrules: Runner, golden: SnapshotAssertion) -> None:
    """Two mixed cases: services that come and go, and changes of the whole node."""
    cases = {case.name: case for case in ALL_CASES}
    sides = [cases[name].folder / "expected.rules" for name in ("random-00003", "random-00030")]
    result = proxyrules("diff", *sides)
    assert result.out == golden(name="diff-many.txt")


def test_manifests_and_rules_are_the_same(proxyrules: Runner) -> None:
    case = next(case for case in ALL_CASES if case.name == "loadbalancer")
    options = ["--config", str(case.config), *case.options]
    result = proxyrules("diff", case.manifest, GOLDEN / "loadbalancer.rules", *options)
    assert (result.code, result.out) == (0, "No difference for traffic.\n")
    result = proxyrules("diff", GOLDEN / "loadbalancer.rules", FIXTURES / "loadbalancer", *options)
    assert result.code == 0


def test_versions(proxyrules: Runner) -> None:
    arguments = ("fixtures/node-hints/input.yaml", "--node", "worker-1")
    result = proxyrules("diff", *arguments, "--from-version", "1.30", "--to-version", "1.34")
    assert result.code == 1
    assert result.out.splitlines() == [
        "default/web:http",
        "  - endpoint 10.10.2.10:8080  33.3 %",
        "  - endpoint 10.10.2.2:8080   33.3 %",
        "    endpoint 10.10.1.2:8080   33.3 % → 100 %",
        "1 service port changed.",
    ]
    result = proxyrules("diff", *arguments, "--from-version", "1.34", "--to-version", "1.35")
    assert (result.code, result.out) == (0, "No difference for traffic.\n")


def test_usage(proxyrules: Runner, tmp_path: Path) -> None:
    assert proxyrules("diff", OLD).code == 2
    rules = GOLDEN / "loadbalancer.rules"
    result = proxyrules("diff", rules, rules, "--from-version", "1.30")
    assert result.code == 2
    assert result.err.endswith(f"Error: --from-version is for manifests, but {rules} is rules\n")
    six = GOLDEN / "dual-stack-ipv6.rules"
    result = proxyrules("diff", rules, six)
    assert (result.code, result.err) == (
        2,
        (
            f"{six}: has only IPv6 rules, but {rules} has IPv4 ones; "
            "give both sides in one IP family\n"
        ),
    )
    bad = tmp_path / "bad"
    bad.write_text("*nat\n:X - [0:0]\n-A X --dport 80\nCOMMIT\n")
    result = proxyrules("diff", rules, bad)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"{bad}:3:6: --dport is no option")
    result = proxyrules("diff", rules, tmp_path / "nothing")
    assert result.code == 2
    assert "can't be read" in result.err


def test_unknown_words_are_reported(proxyrules: Runner, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    dump.write_text("*nat\n:X - [0:0]\n-A X -m u32 --u32 1\nCOMMIT\n")
    result = proxyrules("diff", dump, dump)
    assert result.code == 0
    assert f"{dump}: unknown, so compared as text: -m u32\n" in result.err
    assert f"{dump}:3: -m u32 (once)" in proxyrules("diff", dump, dump, "-v").err


def test_log_of_kube_proxy(proxyrules: Runner, tmp_path: Path) -> None:
    text = (GOLDEN / "loadbalancer.rules").read_text()
    log = tmp_path / "kube-proxy.log"
    head = 'I1123 09:00:00.000000       1 proxier.go:1500] "Restoring iptables" rules='
    log.write_text(head + json.dumps(text) + "\n")
    assert proxyrules("diff", log, GOLDEN / "loadbalancer.rules").code == 0


def test_standard_input() -> None:
    text = (GOLDEN / "loadbalancer.rules").read_bytes()
    done = run_process("diff", "-", str(GOLDEN / "loadbalancer.rules"), stdin=text, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, b"No difference for traffic.\n")


def test_no_colour_in_a_pipe_or_under_no_color(
    proxyrules: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b" not in proxyrules("diff", OLD, NEW, *CONFIG).out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m" in proxyrules("diff", OLD, NEW, *CONFIG).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in proxyrules("diff", OLD, NEW, *CONFIG).out


def test_control_characters_do_not_reach_the_terminal(proxyrules: Runner, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    dump.write_text(
        "*nat\n:KUBE-SERVICES - [0:0]\n"
        '-A KUBE-SERVICES -m comment --comment "\x1b[31m" -j X\nCOMMIT\n'
    )
    empty = tmp_path / "empty"
    empty.write_text("*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n")
    for format_ in ("text", "markdown"):
        assert "\x1b" not in proxyrules("diff", empty, dump, "-v", "--format", format_).out
