"""Problems and warnings in the words of the command line: options instead of arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.errors import MAX_REPORTED, Problem

# What has another name on the command line than in Python, beyond dashes.
_OPTIONS = {"complete_manifests()": "--from-pods", "node_addresses": "--node-address"}


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
