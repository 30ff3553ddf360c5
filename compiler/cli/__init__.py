"""The command line: one file per command; the only place that prints or knows exit codes."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from compiler.cli.exit_codes import ExitCode
from compiler.cli.help import CONTEXT, Context
from compiler.cli.output import discard_stdout, report, stdout_reader_is_gone, system_failure
from compiler.errors import InputError

NAMES = ("proxyrules", "kubectl-proxyrules")

# name -> (module:attribute, short help). The help is here so that `proxyrules --help` need not
# import a command to describe it.
COMMANDS = {
    "compile": ("compiler.cli.compile:compile_command", "Compile manifests into rules."),
    "diff": ("compiler.cli.diff:diff_command", "Report what changes for traffic."),
    "verify": ("compiler.cli.verify:verify_command", "Check that a node has the right rules."),
    "collect": ("compiler.cli.collect:collect_command", "Print a script that collects dumps."),
    "delta": (
        "compiler.cli.delta:delta_command",
        "Print the smallest update from one ruleset to another.",
    ),
    "trace": ("compiler.cli.trace:trace_command", "Follow a packet: where it goes, and why."),
    "matrix": ("compiler.cli.matrix:matrix_command", "Print where Services lead, by node."),
    "graph": ("compiler.cli.graph:graph_command", "Draw the way of a Service's traffic."),
    "explore": ("compiler.cli.explore:explore_command", "Write a page to explore Services."),
    "who": ("compiler.cli.who:who_command", "Report what a chain, rule or address means."),
    "sticky": (
        "compiler.cli.sticky:sticky_command",
        "Play what session affinity does with clients.",
    ),
    "lint": ("compiler.cli.lint:lint_command", "Find what will surprise in production."),
    "snapshot": ("compiler.cli.snapshot:snapshot", "Keep rules in git, and check them."),
    "review": ("compiler.cli.review:review_command", "Report what a branch changes for traffic."),
    "git-diff": ("compiler.cli.git_diff:git_diff_command", "Show changes in git diff."),
    "lab": ("compiler.cli.lab:lab", "Try rules on a real kernel, without a cluster."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run, so that start-up is short."""

    table = COMMANDS
    context_class = Context

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands in the order of use rather than of the alphabet."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the named command."""
        if cmd_name not in self.table:
            return None
        module, attribute = self.table[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is reported with those that are spelt like it."""
        name = args[0]
        if name in self.table or name.startswith("-"):
            return super().resolve_command(ctx, args)
        from difflib import get_close_matches

        close = get_close_matches(name, self.table)
        hint = f"did you mean {' or '.join(close)}?" if close else f"one of {', '.join(self.table)}"
        raise click.UsageError(f'no command "{name}"; {hint}', ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])


class _Root(LazyGroup):
    """`proxyrules` itself, whose help lists the exit codes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write what the exit codes mean."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), code.meaning) for code in ExitCode])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. A reader that has what it wanted (`| head`) is no failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            if not stdout_reader_is_gone():
                raise system_failure(error) from error  # click would end with 1
            discard_stdout()
            return ExitCode.DONE


@click.group(cls=_Root, context_settings=CONTEXT)
@click.version_option(package_name="proxyrules", message="proxyrules %(version)s")
def cli() -> None:
    """Compile Kubernetes Services into kube-proxy's iptables rules, and analyse such rules."""


def main() -> NoReturn:
    """Run `proxyrules` and exit with an `ExitCode`, or with what the command asked for."""
    code = ExitCode.FAILED
    try:
        # A command may return its result, which then lives until the process ends.
        result = cli.main(prog_name=_own_name(), standalone_mode=False)
        sys.stdout.flush()
        sys.exit(result if isinstance(result, int) else ExitCode.DONE)
    except click.ClickException as error:
        error.show()
        if isinstance(error, click.UsageError) or error.exit_code == ExitCode.BAD_INPUT:
            code = ExitCode.BAD_INPUT
    except InputError as error:
        from compiler.cli.messages import option_name, warning_lines

        for line in (error.text(option_name), *warning_lines(error.warnings)):
            report(line)
        code = ExitCode.BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        report("Aborted.")
        code = ExitCode.INTERRUPTED
    except MemoryError:
        report("proxyrules: out of memory")
    except OSError as error:
        system_failure(error).show()
    except Exception:  # noqa: BLE001  # Python would exit with 1, which here means "different"
        import traceback

        traceback.print_exc()
        report("proxyrules: internal error; please report it with the lines above")
    sys.exit(code)


def _own_name() -> str:
    """Return the name that the command was called by; `python -m compiler` is `proxyrules` too."""
    name = Path(sys.argv[0]).name
    return name if name in NAMES else NAMES[0]


def run() -> NoReturn:
    """Run `proxyrules` as a process of its own.

    The process ends at once: Python would free a million objects one by one first.
    """
    _open_closed_streams()
    signal.signal(signal.SIGTERM, _end)
    try:
        main()
    except SystemExit as ended:
        # Not after the handler, which would free the command's result with the exception.
        _leave(ended.code)
    finally:
        _leave(ExitCode.FAILED)


def _leave(code: str | int | None) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # reported where it was written
            stream.flush()
    os._exit(code if isinstance(code, int) else ExitCode.FAILED)


def _open_closed_streams() -> None:
    """Give the standard streams that the caller closed something to refer to, as gnulib's stdopen.

    Otherwise the next file that is opened takes the number of one, and output goes into it. Reading
    from such an input and writing to such an output still fail; messages have nowhere to go.
    """
    if sys.stdin is None:
        os.open(os.devnull, os.O_WRONLY)
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # stays open


def _end(number: int, frame: FrameType | None) -> NoReturn:
    # As an exception, so that what is half written is removed on the way out.
    del frame
    raise SystemExit(128 + number)
