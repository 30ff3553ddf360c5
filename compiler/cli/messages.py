"""Problems and warnings in the words of the command line: options instead of arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.cli.output import report
from compiler.errors import MAX_REPORTED, Problem

# Up to this many additions of the control plane are listed, more are counted.
MAX_NOTES = 5

# What has another name on the command line than in Python, beyond dashes.
_OPTIONS = {"complete_manifests()": "--from-workloads", "node_addresses": "--node-address"}


def option_name(argument: str) -> str:
    """Return the option that gives an argument of the library: `--node` for `node`."""
    if argument in _ARGUMENTS:
        return argument.upper().removesuffix("S")
    return _OPTIONS.get(argument, "--" + argument.replace("_", "-"))


def warning_lines(warnings: Sequence[Problem]) -> Iterator[str]:
    """Return one line per warning; past `MAX_REPORTED` of them, how many more there are."""
    for warning in warnings[:MAX_REPORTED]:
        yield f"warning: {warning.text(option_name)}"
    if len(warnings) > MAX_REPORTED:
        yield f"... and {len(warnings) - MAX_REPORTED} more warnings"


# Arguments of commands that are no options: NAME, BASE, HEAD.
_ARGUMENTS = frozenset(("names", "base", "head"))


def report_notes(
    notes: Sequence[str],
    assumed: Sequence[str] = (),
    *,
    verbose: bool,
    how: str = "compile --from-workloads lists them",
) -> None:
    """Report what the control plane's part added: each, or where there is much, how much.

    What was `assumed`, some of the notes, is reported in any case.
    """
    shown = notes if verbose or len(notes) - len(assumed) <= MAX_NOTES else assumed
    for note in shown:
        report(f"control plane: {note}")
    if len(shown) < len(notes):
        report(f"control plane: {len(notes) - len(shown)} additions to the manifests; {how}")
