"""The help: what it shows first, that it fits, and that it does not wait for the compiler."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import click
import pytest

from compiler.cli import COMMANDS, cli
from compiler.cli.exit_codes import ExitCode
from compiler.cli.help import Command, Context, Section, WithExamples, option
from compiler.cli.options import DETECT_LOCAL_MODES
from compiler.proxy import configuration
from tests.run import Runner, run_process

MAIN = ["compile", "diff", "verify", "delta", "trace", "matrix", "graph", "who", "lint"]
LONG = [*MAIN, "lab up", "lab apply"]
# Every command with examples.
SNAPSHOTS = [*(f"snapshot {name}" for name in ("init", "update", "check", "list")), "review"]
SHOWN = [*LONG, "lab request", "lab rules", "lab affinity", "lab exec", *SNAPSHOTS]


def page(proxyrules: Runner, monkeypatch: pytest.MonkeyPatch, *words: str, width: int = 80) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    result = proxyrules(*words)
    assert (result.code, result.err) == (0, "")
    return result.out


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("command", [*LONG, *SNAPSHOTS, "snapshot", "git-diff"])
def test_fits(
    command: str, width: int, proxyrules: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = page(proxyrules, monkeypatch, *command.split(), "-h", width=width)
    assert max(map(len, shown.splitlines())) <= min(width, 80)
    assert "\N{NON-BREAKING HYPHEN}" not in shown
    assert not re.search(r"\w-$", shown, re.MULTILINE)


@pytest.mark.parametrize("command", LONG)
def test_sections(command: str, proxyrules: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples, then the command's own options, then those that all share."""
    shown = page(proxyrules, monkeypatch, *command.split(), "--help")
    assert re.findall(r"^(\S.*):$", shown, re.MULTILINE) == [
        "Examples",
        "Options",
        *(["Many nodes"] if command == "verify" else []),
        "What to compile",
        "The node",
        "kube-proxy's settings",
        "Output",
    ]
    assert shown.endswith("  -h, --help                  Show this message and exit.\n")


def loaded(command: str) -> WithExamples:
    """Return a command by its words (`lab up`)."""
    found: click.Command = cli
    for word in command.split():
        assert isinstance(found, click.Group)
        one = found.get_command(click.Context(found), word)
        assert one is not None
        found = one
    assert isinstance(found, WithExamples)
    return found


def test_own_options_of_verify(proxyrules: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = page(proxyrules, monkeypatch, "verify", "--help")
    fleet = ["--fleet", "--resume", "--jobs", "--scheduler", "--metrics", "--node-label"]
    for heading, names in {"Options": ["--against", "--live"], "Many nodes": fleet}.items():
        listed = shown.partition(f"\n{heading}:\n")[2].partition("\n\n")[0]
        assert re.findall(r"^  (-\S+)", listed, re.MULTILINE) == names


@pytest.mark.parametrize("command", SHOWN)
def test_examples_can_be_parsed(command: str) -> None:
    """Every example names options that there are, and arguments that fit."""
    examples = loaded(command).examples
    assert examples
    ours = [part for example in examples for part in example.split(" | ")]
    parsed = 0
    for part in ours:
        if f"{part} ".startswith(prefix := f"proxyrules {command} "):
            loaded(command).make_context(command, f"{part} ".removeprefix(prefix).split())
            parsed += 1
    assert parsed


def test_examples_of_the_lab_are_of_its_commands() -> None:
    for example in loaded("lab").examples:
        _, lab, command, *words = example.split()
        loaded(f"{lab} {command}").make_context(command, words)


@pytest.mark.parametrize("command", [*SHOWN, "lab"])
def test_examples_are_wrapped_to_be_pasted(
    command: str, proxyrules: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = page(proxyrules, monkeypatch, *command.split(), "--help", width=60)
    text = shown.partition("Examples:\n")[2].partition("\n\n")[0]
    assert max(map(len, text.splitlines())) <= 60
    joined = [" ".join(line.split()) for line in text.replace("\\\n", " ").splitlines()]
    assert joined == list(loaded(command).examples)


def test_examples_are_broken_after_the_pipe(
    proxyrules: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = page(proxyrules, monkeypatch, "lab", "up", "--help", width=70)
    assert "-o json | \\\n      proxyrules lab up -\n" in shown


def test_a_command_without_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command(cls=Command)
    @option("--flag", is_flag=True, help="A flag.")
    @option("--out", section=Section.OUTPUT, help="A file.")
    def some() -> None:
        """Do it."""

    @click.command(cls=Command)
    def none() -> None:
        """Do nothing."""

    assert some.get_help(Context(some)) == (
        "Usage:  [OPTIONS]\n\n  Do it.\n\n"
        "Options:\n  --flag      A flag.\n\n"
        "Output:\n  --out TEXT  A file.\n  --help      Show this message and exit."
    )
    assert none.get_help(Context(none)).endswith("Options:\n  --help  Show this message and exit.")


def test_commands_and_exit_codes(proxyrules: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = page(proxyrules, monkeypatch, "--help")
    width = max(map(len, COMMANDS)) + 2
    for name, (_, text) in COMMANDS.items():
        assert f"  {name:<{width}}{text}\n" in shown
    for code in ExitCode:
        assert f"  {code:<5}{code.meaning}\n" in shown


@pytest.mark.parametrize("command", [*MAIN, "review", "git-diff"])
def test_help_does_not_load_the_compiler(command: str) -> None:
    """What takes the time is imported by the commands, not by their options."""
    program = (
        "import sys; sys.argv = ['proxyrules', sys.argv[1], '--help']\n"
        "from compiler import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} &"
        " {'msgspec', 'jinja2', 'ruamel', 'multiprocessing'}),"
        " *sorted(name for name in sys.modules if name.startswith('compiler.')), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, command], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.startswith(f"Usage: proxyrules {command} ")
    loaded = set(done.stderr.split())
    assert not loaded & {"msgspec", "jinja2", "ruamel", "multiprocessing"}
    assert not {
        name for name in loaded if name.startswith(("compiler.netfilter", "compiler.compilation"))
    }


def test_modes_are_those_of_the_configuration() -> None:
    assert tuple(configuration.DETECT_LOCAL_MODES) == DETECT_LOCAL_MODES


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["comple"], 'no command "comple"; did you mean compile or collect?'),
        (
            ["zzz"],
            f'no command "zzz"; one of {", ".join(COMMANDS)}',
        ),
        (["compile", "x", "--kube-versoin", "1"], "'--kube-version'"),
    ],
)
def test_unknown_words_get_suggestions(words: list[str], message: str, proxyrules: Runner) -> None:
    result = proxyrules(*words)
    assert (result.code, result.out) == (2, "")
    assert message in result.err.splitlines()[-1]


def test_its_own_name(proxyrules: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """However Python was started, the command's name is its own."""
    assert proxyrules("diff", "-h").out.startswith("Usage: proxyrules diff [OPTIONS] OLD [NEW]\n")
    done = run_process("diff", "-h")
    assert done.stdout.startswith(b"Usage: proxyrules diff ")
    for name, shown in (("kubectl-proxyrules", "kubectl-proxyrules"), ("pytest", "proxyrules")):
        monkeypatch.setattr(sys, "argv", [f"/usr/bin/{name}", "--help"])
        from compiler.cli import _own_name

        assert _own_name() == shown


def test_version() -> None:
    done = run_process("--version")
    assert re.fullmatch(rb"proxyrules \d+\.\d+\S*\n", done.stdout)


def test_no_colour_in_help() -> None:
    environment = {**os.environ, "FORCE_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "compiler", "compile", "--help"],
        env=environment, capture_output=True, check=True,
    )  # fmt: skip
    assert b"\x1b" not in done.stdout
