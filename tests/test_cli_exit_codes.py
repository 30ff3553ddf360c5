"""0 same, 1 different or findings, 2 bad input or usage, 3 anything else, for every command."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases import FIXTURES, GOLDEN
from tests.run import Runner

ONE = FIXTURES / "seed-affinity-none" / "input.yaml"
OTHER = FIXTURES / "seed-affinity-clientip" / "input.yaml"
RULES = GOLDEN / "seed-affinity-none.rules"
CIDR = ("--cluster-cidr", "10.10.0.0/16")
COMMAND = f"{sys.executable} -m compiler"
NO_SPACE = "can't be written: no space left on device"


def shell(line: str) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    return done.returncode, done.stderr


def test_same_and_different(proxyrules: Runner) -> None:
    assert proxyrules("diff", ONE, RULES, *CIDR).code == 0
    assert proxyrules("diff", ONE, OTHER, *CIDR).code == 1
    assert proxyrules("verify", ONE, "--against", RULES, *CIDR).code == 0
    assert proxyrules("verify", OTHER, "--against", RULES, *CIDR).code == 1
    assert proxyrules("delta", ONE, OTHER, *CIDR).code == 0
    assert proxyrules("compile", ONE, *CIDR).code == 0


@pytest.mark.parametrize("command", ["compile", "diff", "verify", "delta"])
def test_bad_input_and_usage(command: str, proxyrules: Runner) -> None:
    arguments = {"verify": ["nothing", "--against", "nothing"], "compile": ["nothing"]}
    result = proxyrules(command, *arguments.get(command, ["nothing", "nothing"]))
    assert (result.code, result.out) == (2, "")
    assert "nothing: can't be read: no such file or directory" in result.err
    assert proxyrules(command, "--no-such-option").code == 2


@pytest.mark.parametrize("question", ["diff OLD BAD", "delta OLD BAD", "verify OLD --against BAD"])
def test_a_command_inside_a_rule(question: str, proxyrules: Runner, tmp_path: Path) -> None:
    """`-D` behind a match is no word of a rule: iptables itself would delete that rule."""
    bad = tmp_path / "dump"
    line = '-A KUBE-FORWARD -m comment -D --comment "x" -j ACCEPT'
    bad.write_text(f"*filter\n:KUBE-FORWARD - [0:0]\n{line}\nCOMMIT\n")
    sides = {"OLD": RULES, "BAD": bad}
    result = proxyrules(*(sides.get(word, word) for word in question.split()))
    message = f"{bad}:3:28: unknown option -D here\n"
    assert (result.code, result.out, result.err) == (2, "", message)


@pytest.mark.parametrize(
    "words",
    [
        f"compile {ONE} --cluster-cidr 10.10.0.0/16",
        f"diff {RULES} {RULES}",
        f"verify {RULES} --against {RULES}",
        f"delta {ONE} {OTHER}",
        "--help",
        "compile --help",
    ],
)
def test_a_full_disk_behind_standard_output(words: str) -> None:
    assert shell(f"{COMMAND} {words} >/dev/full") == (3, f"<stdout>: {NO_SPACE}\n")


def test_a_full_disk(proxyrules: Runner) -> None:
    result = proxyrules("diff", ONE, ONE, *CIDR, "-o", "/dev/full")
    assert (result.code, result.err) == (3, f"/dev/full: {NO_SPACE}\n")


def test_a_closed_standard_output() -> None:
    message = "<stdout>: can't be written: bad file descriptor\n"
    assert shell(f"{COMMAND} diff {RULES} {RULES} >&-") == (3, message)
    assert shell(f"{COMMAND} --help >&-") == (3, message)


def test_a_closed_pipe_hides_no_difference(tmp_path: Path) -> None:
    """`verify | head` under pipefail: the reader has enough, the answer stays what it is."""
    line = "%s | (exec <&-); exit ${PIPESTATUS[0]}"
    assert shell(line % f"{COMMAND} diff {ONE} {OTHER}") == (1, "")
    assert shell(line % f"{COMMAND} diff {RULES} {RULES}") == (0, "")
    assert shell(line % f"{COMMAND} compile --help") == (0, "")


def test_a_closed_pipe_behind_standard_error_hides_no_difference(tmp_path: Path) -> None:
    unknown = tmp_path / "dump"
    unknown.write_text("*nat\n:X - [0:0]\n-A X -m u32 --u32 1\nCOMMIT\n")
    line = f"{COMMAND} diff {unknown} {RULES} 2>&1 >/dev/null | (exec <&-); exit ${{PIPESTATUS[0]}}"
    assert shell(line) == (1, "")


def test_another_broken_pipe_is_a_failure(
    proxyrules: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr("compiler.analysis.diff.diff_rules", fail)
    result = proxyrules("diff", RULES, RULES)
    assert (result.code, result.err) == (3, "proxyrules: broken pipe\n")


def test_a_closed_standard_input() -> None:
    message = "<stdin>: is closed; redirect a file to it\n"
    assert shell(f"{COMMAND} diff - {RULES} <&-") == (2, message)


def test_what_nobody_foresaw(proxyrules: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python ends with 1 after a traceback, which CI would read as a difference."""

    def fail(*_: object) -> None:
        message = "no one thought of this"
        raise RuntimeError(message)

    monkeypatch.setattr("compiler.analysis.diff.diff_rules", fail)
    result = proxyrules("diff", RULES, RULES)
    assert (result.code, result.out) == (3, "")
    assert result.err.startswith("Traceback (most recent call last):\n")
    assert result.err.endswith(
        "RuntimeError: no one thought of this\n"
        "proxyrules: internal error; please report it with the lines above\n"
    )


def test_out_of_memory(proxyrules: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("compiler.analysis.diff.diff_rules", fail)
    result = proxyrules("diff", RULES, RULES)
    assert (result.code, result.err) == (3, "proxyrules: out of memory\n")


def test_output_over_an_input(proxyrules: Runner, tmp_path: Path) -> None:
    side = tmp_path / "side.rules"
    side.write_text(RULES.read_text())
    questions: list[list[str | Path]] = [
        ["diff", side, RULES],
        ["delta", RULES, side],
        ["verify", RULES, "--against", side],
    ]
    for words in questions:
        result = proxyrules(*words, "-o", side)
        message = f"{side}: is also an input; choose another output file\n"
        assert (result.code, result.err) == (2, message)
    assert side.read_text() == RULES.read_text()


def test_problems_of_both_sides_are_reported(proxyrules: Runner, tmp_path: Path) -> None:
    missing = [tmp_path / "one", tmp_path / "two"]
    hint = "name a file, a folder or `-` for standard input"
    expected = "".join(
        f"{path}: can't be read: no such file or directory; {hint}\n" for path in missing
    )
    for words in (["diff"], ["delta"]):
        assert proxyrules(*words, *missing).err == expected
    assert proxyrules("verify", missing[0], "--against", missing[1]).err == expected
    bad = [tmp_path / "bad", tmp_path / "worse"]
    for path in bad:
        path.write_text("*nat\n:X - [0:0]\n-A X --dport 80\nCOMMIT\n")
    err = proxyrules("diff", *bad).err
    assert [line.split(": ")[0] for line in err.splitlines()] == [f"{path}:3:6" for path in bad]
    assert len(proxyrules("diff", bad[0], bad[0]).err.splitlines()) == 1
