"""The command line: one file a command; the only place that prints or knows exit codes."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from compiler.errors import MAX_REPORTED, InputError

# name -> (module:attribute, short help). The help stands here so that `proxyrules --help` need not
# import a command to describe it.
COMMANDS = {
    "compile": ("compiler.cli.compile:compile_command", "Write the rules for one node."),
    "diff": ("compiler.cli.diff:diff_command", "Say what changes for traffic."),
    "verify": ("compiler.cli.verify:verify_command", "Check that a node holds its rules."),
    "delta": ("compiler.cli.delta:delta_command", "Write the text that turns rules into others."),
    "lab": ("compiler.cli.lab:lab", "Try rules on a real kernel, without a cluster."),
}

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run, so that start-up stays short."""

    table = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands in the order of a day's work rather than the alphabet's."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the named command."""
        if cmd_name not in self.table:
            return None
        module, attribute = self.table[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="proxyrules", message="proxyrules %(version)s")
def cli() -> None:
    """Compile Kubernetes Services into kube-proxy's iptables rules, and understand them."""


def main() -> NoReturn:
    """Run `proxyrules`: 0 done, 2 bad input or usage, 1 anything else."""
    try:
        code = cli.main(prog_name="proxyrules", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except InputError as error:
        click.echo(str(error), err=True)
        for warning in error.warnings[:MAX_REPORTED]:
            click.echo(f"warning: {warning}", err=True)
        code = EXIT_BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        click.echo("Aborted.", err=True)
        code = EXIT_FAILED
    except BrokenPipeError:
        # The reader has what it wanted (`| head`). Python would complain once more at exit, when
        # it flushes the closed pipe: give it somewhere to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_DONE
    except MemoryError:
        click.echo("proxyrules: out of memory", err=True)
        code = EXIT_FAILED
    except OSError as error:
        click.echo(f"proxyrules: {error}", err=True)
        code = EXIT_FAILED
    sys.exit(code or EXIT_DONE)


def run() -> NoReturn:
    """Run `proxyrules` as a process of its own.

    The process ends at once: Python would free a million objects one by one first.
    """
    code: str | int | None = EXIT_FAILED
    _open_what_is_closed()
    signal.signal(signal.SIGTERM, _end)
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else EXIT_FAILED)


def _open_what_is_closed() -> None:
    # Where a caller closed one of the standard streams, Python has None in its place.
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # stays open
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def _end(number: int, frame: FrameType | None) -> NoReturn:
    # As an exception, so that what is half written is taken away on the way out.
    del frame
    raise SystemExit(128 + number)
