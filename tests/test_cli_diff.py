from __future__ import annotations

import json
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.cases import ALL_CASES, FIXTURES, GOLDEN, ROOT, node_text
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
    assert result.err.startswith(
        f"{bad}:3:6: unknown option --dport here; -p tcp or -m must come first"
    )
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


@pytest.mark.parametrize("foreign", ["-m set --match-set bad src -j NFQUEUE", "-j NFQUEUE"])
def test_what_rules_can_not_show_may_differ(
    proxyrules: Runner, tmp_path: Path, foreign: str
) -> None:
    """A program decides about packets before kube-proxy's rules see them: that may change all."""
    text = node_text((GOLDEN / "seed-affinity-none.rules").read_text())
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text(text)
    jump = "-A PREROUTING -m comment"
    assert text.count(jump) == 1
    new.write_text(text.replace(jump, f"-A PREROUTING {foreign}\n{jump}"))
    for sides in ((old, new), (new, old)):
        result = proxyrules("diff", *sides)
        assert result.code == 1
        first, last = result.out.splitlines()
        assert first.startswith("may differ: ")
        assert "-j NFQUEUE" in first
        assert last == "1 possible difference."
        answer = json.loads(proxyrules("diff", *sides, "--format", "json").out)
        assert [f"may differ: {reason}" for reason in answer["mayDiffer"]] == [first]
    assert proxyrules("diff", new, new).code == 0


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


HEADER = "# Generated by iptables-save v{} on Tue Apr  2 08:12:40 2024\n"
LEFT_OUT = (
    "information: KUBE-POSTROUTING of {}: --random-fully is missing: "
    "iptables 1.4.21 does not know it, so kube-proxy leaves it out"
)


def without_random_fully(folder: Path, version: str, *, change: tuple[str, str] = ("", "")) -> Path:
    """Write rules as a node has them whose iptables is of this version, or did not say."""
    text = (GOLDEN / "loadbalancer.rules").read_text()
    assert text.count(" --random-fully") == 1
    assert change[0] in text
    dump = folder / "dump"
    header = HEADER.format(version) if version else ""
    dump.write_text(header + text.replace(" --random-fully", "").replace(*change))
    return dump


@pytest.mark.parametrize("format_", ["text", "markdown", "json"])
def test_random_fully_that_an_old_iptables_lacks(
    proxyrules: Runner, tmp_path: Path, format_: str
) -> None:
    dump = without_random_fully(tmp_path, "1.4.21")
    for sides, name in (
        ((dump, GOLDEN / "loadbalancer.rules"), "OLD"),
        ((GOLDEN / "loadbalancer.rules", dump), "NEW"),
    ):
        result = proxyrules("diff", *sides, "--format", format_)
        line = LEFT_OUT.format(name)
        words = line.removeprefix("information: ")
        assert (result.code, result.err) == (0, "")
        if format_ == "json":
            found = json.loads(result.out)
            assert (found["same"], found["information"]) == (True, [words])
        elif format_ == "markdown":
            assert f"\nInformation: `{words}`\n" in result.out
        else:
            assert result.out.splitlines() == [line, "No difference for traffic."]


@pytest.mark.parametrize("version", ["1.6.2", "1.8.9", ""])
def test_random_fully_that_the_iptables_knows(
    proxyrules: Runner, tmp_path: Path, version: str
) -> None:
    dump = without_random_fully(tmp_path, version)
    result = proxyrules("diff", GOLDEN / "loadbalancer.rules", dump)
    assert result.code == 1
    assert "information" not in result.out
    assert "--random-fully" in result.out


def test_random_fully_that_only_the_old_iptables_has(proxyrules: Runner, tmp_path: Path) -> None:
    """The header of the side that has the option explains nothing."""
    newer = without_random_fully(tmp_path, "")
    older = tmp_path / "older"
    older.write_text(HEADER.format("1.4.21") + (GOLDEN / "loadbalancer.rules").read_text())
    assert proxyrules("diff", older, newer).code == 1


def test_random_fully_beside_another_difference(proxyrules: Runner, tmp_path: Path) -> None:
    line = LEFT_OUT.format("NEW")
    dump = without_random_fully(tmp_path, "1.4.21", change=("--dport 30080", "--dport 30081"))
    result = proxyrules("diff", GOLDEN / "loadbalancer.rules", dump)
    assert result.code == 1
    assert line in result.out.splitlines()
    assert result.out.count("--random-fully") == 1
    # in the same rule: then the option is not all that differs
    change = ("-j MASQUERADE", "-p tcp -j MASQUERADE")
    dump = without_random_fully(tmp_path, "1.4.21", change=change)
    result = proxyrules("diff", GOLDEN / "loadbalancer.rules", dump)
    assert result.code == 1
    assert line not in result.out


def test_random_fully_of_other_programs(proxyrules: Runner, tmp_path: Path) -> None:
    """Only kube-proxy is known to leave it out."""
    sides = []
    for name, option in (("old", " --random-fully"), ("new", "")):
        path = tmp_path / name
        path.write_text(
            HEADER.format("1.4.21")
            + f"*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -j MASQUERADE{option}\nCOMMIT\n"
        )
        sides.append(path)
    result = proxyrules("diff", *sides)
    assert result.code == 1
    assert "information" not in result.out
