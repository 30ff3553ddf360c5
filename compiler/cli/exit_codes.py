"""Exit codes, the same for every command, as `diff` and `kubectl diff` have them."""

from __future__ import annotations

from enum import IntEnum

import click

from compiler.errors import Problem


class ExitCode(IntEnum):
    """How a command ended; `meaning` is the line that `proxyrules --help` prints for it."""

    DONE = 0
    DIFFERENT = 1
    BAD_INPUT = 2
    FAILED = 3
    # What shells report for a process that signal 2, Ctrl-C's, ended: 128 + 2.
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """What the code says, in one line."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "done; no difference, no errors found",
    ExitCode.DIFFERENT: "a difference, an error, rules that --check rejects, --expect not met",
    ExitCode.BAD_INPUT: "invalid input or usage; nothing is written",
    ExitCode.FAILED: "anything else that failed",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C)",
}


class Failure(click.ClickException):
    """Something other than the input is at fault: a full disk, a program that is not installed.

    Printed in the form of a `Problem`, like an `InputError`.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, name: str, message: str, hint: str = "") -> None:
        """Name the path or program that failed, what is wrong, and what helps."""
        super().__init__(str(Problem(name, message, hint)))

    def show(self, file: object = None) -> None:  # noqa: ARG002  # click's signature
        """Print the message to standard error, without click's `Error:`."""
        click.echo(self.message, err=True)
