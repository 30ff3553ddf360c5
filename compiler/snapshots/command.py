"""Commands of snapshots: their words, and how they are run.

No shell is involved: a string is cut into words as a shell would cut it, and what only a shell
could do (a pipe, a variable, a pattern) is reported rather than passed on as a word.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from compiler.manifests.convert import shorten

TIMEOUT_SECONDS = 120
# What a shell would act on, where it is not quoted.
_OPERATORS = frozenset("|&;<>()$`*?[~\n#")
# Characters of standard error that a message repeats.
_REPEATED = 300


class CommandError(Exception):
    """A command can't be run, or failed: `message` says how, `hint` what helps."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def words_of(command: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return a command's words; a list has them already. Raises `CommandError`."""
    if not isinstance(command, str):
        words = command
    else:
        if operator := _operator(command):
            message = f"{shorten(operator)} is for a shell, and none runs the command"
            hint = "quote it, or write [sh, -c, '...']"
            raise CommandError(message, hint)
        try:
            words = tuple(shlex.split(command))
        except ValueError as error:
            raise CommandError(f"can't be cut into words: {str(error).lower()}") from error
    if not words or not words[0].strip():
        raise CommandError("the command has no words")
    if any("\0" in word for word in words):
        raise CommandError("a word has a NUL character")
    return words


def _operator(command: str) -> str:
    """Return the first unquoted character that means something to a shell alone; empty if none."""
    quote = ""
    characters = iter(command.strip())
    before = " "
    for character in characters:
        if character == "\\" and quote != "'":
            next(characters, "")
        elif quote:
            if character == quote:
                quote = ""
            elif quote == '"' and character in "$`":
                return character
        elif character in "'\"":
            quote = character
        elif character in _OPERATORS and (character not in "~#" or before.isspace()):
            return character
        before = character
    return ""


def run(words: tuple[str, ...], folder: Path, timeout: float = TIMEOUT_SECONDS) -> bytes:
    """Run a command in a folder and return what it printed. Raises `CommandError`.

    Standard input is empty. A command that does not end in time is killed, with the processes that
    it started.
    """
    process = None
    try:
        with _deferred_signals():
            process = subprocess.Popen(  # noqa: S603  # the user allowed it, and no shell reads it
                words,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        out, err = process.communicate(timeout=timeout)
    except FileNotFoundError as error:
        raise CommandError(f"{shorten(words[0])} is not installed") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CommandError(f"{shorten(words[0])} can't be run: {reason}") from error
    except BaseException as error:
        if process is not None:
            _kill(process)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise CommandError(f"{shorten(words[0])} did not end within {timeout:g} s") from error
    if process.returncode:
        raise CommandError(f"{shorten(words[0])} {_ending(process.returncode)}{_last_words(err)}")
    if not out.strip():
        raise CommandError(f"{shorten(words[0])} printed nothing{_last_words(err)}")
    return out


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command with the processes that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


@contextmanager
def _deferred_signals() -> Iterator[None]:
    """Let what Ctrl-C and SIGTERM raise wait until the end.

    Raised while a process is being started, it would leave one that nobody knows of.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread alone
        return
    caught: list[int] = []
    kinds = (signal.SIGINT, signal.SIGTERM)
    handlers = {kind: found for kind in kinds if callable(found := signal.getsignal(kind))}
    for kind in handlers:
        signal.signal(kind, lambda number, _: caught.append(number))
    try:
        yield
    finally:
        for kind, handler in handlers.items():
            signal.signal(kind, handler)
        for number in caught:
            signal.raise_signal(number)


def _ending(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _last_words(err: bytes) -> str:
    """Return the last line that a command printed to standard error, as the end of a sentence."""
    lines = [line.strip() for line in err.decode("utf-8", "replace").splitlines() if line.strip()]
    if not lines:
        return ""
    text = lines[-1][:_REPEATED]
    return ": " + "".join(char if char.isprintable() else " " for char in text)
