"""`proxyrules git-diff`: what `git diff` runs to show the change of a file of rules.

Source: https://git-scm.com/docs/git (GIT_EXTERNAL_DIFF), which has the arguments.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from compiler.cli.collector import paused_collector
from compiler.cli.colour import Paint, paint_for_stdout, shown
from compiler.cli.help import Command
from compiler.cli.options import flag
from compiler.cli.output import write_output

# path old-file old-hex old-mode new-file new-hex new-mode, and of a renamed file its new path and
# what git says about it
_ARGUMENTS = (7, 8, 9)
_LISTED = 10
_MISSING = "/dev/null"


@click.command(
    "git-diff",
    cls=Command,
    examples=[
        "git config diff.proxyrules.command 'proxyrules git-diff'",
        "git config diff.proxyrules.textconv 'proxyrules git-diff --textconv'",
    ],
)
@click.argument("arguments", metavar="PATH OLD-FILE ...", nargs=-1, required=True)
@flag("--textconv", text="Print what one file of rules does, for git log to compare.")
@paused_collector()
def git_diff_command(arguments: tuple[str, ...], textconv: bool) -> None:
    """Show what changes for traffic in a file of rules: the diff driver for git.

    git calls it for the files that .gitattributes gives the attribute diff=proxyrules, once the
    configuration names it (see the examples; snapshot init sets both). git diff uses the first one.
    git log and git show compare the lines of the second one, or use the first with --ext-diff.
    """
    if textconv:
        if len(arguments) != 1:
            raise click.UsageError("--textconv takes one file")
        write_output(_in_words(arguments[0]), None)
        return
    if len(arguments) == 1:  # as git calls it for a file with conflicts
        write_output([f"* Unmerged path {shown(arguments[0])}\n"], None)
        return
    if len(arguments) not in _ARGUMENTS:
        raise click.UsageError("git calls this command with 7 arguments or more; see git help git")
    path, old, new = arguments[0], arguments[1], arguments[4]
    renamed = arguments[7] if len(arguments) > 7 else path
    lines = _lines(path, renamed, old, new, paint_for_stdout())
    write_output((f"{line}\n" for line in lines), None)


def _lines(path: str, renamed: str, old: str, new: str, paint: Paint) -> Iterator[str]:
    head = f"{path} → {renamed}" if renamed != path else path
    yield paint(shown(f"diff of rules: {head}"), "bold")
    texts = [_read(one) for one in (old, new)]
    if texts[0] is None or texts[1] is None:
        yield from _one_side("new file" if texts[0] is None else "deleted file", path, texts)
        return
    yield from _changes(path, texts[0], texts[1], paint)


def _read(path: str) -> str | None:
    if path == _MISSING:
        return None
    return Path(path).read_bytes().decode("utf-8", "surrogateescape")


def _one_side(what: str, path: str, texts: list[str | None]) -> Iterator[str]:
    """Say which service ports a file has that only one side has."""
    from compiler.errors import InputError
    from compiler.kube_rules.node_rules import NodeRules
    from compiler.snapshots.changes import rules_of

    text = next((one for one in texts if one is not None), "")
    try:
        keys = [str(key) for key in NodeRules(rules_of(text, path)).keys]
    except InputError as error:
        yield f"{what}, not readable as rules: {shown(str(error.problems[0]))}"
        return
    more = f", and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
    listed = f": {', '.join(keys[:_LISTED])}{more}" if keys else ""
    ports = "service port" if len(keys) == 1 else "service ports"
    yield shown(f"{what} with the rules of {len(keys)} {ports}{listed}")


def _changes(path: str, old: str, new: str, paint: Paint) -> Iterator[str]:
    from compiler.cli.changes_text import change_lines, summary_line
    from compiler.errors import InputError
    from compiler.snapshots.changes import between

    try:
        changes = between(old, new, path)
    except InputError as error:
        yield f"not readable as rules, so the lines are compared: {shown(str(error.problems[0]))}"
        yield from _unified(path, old, new)
        return
    yield from change_lines(changes, paint)
    yield summary_line(changes)


def _in_words(path: str) -> Iterator[str]:
    """Write what rules do, a line for each property; a text that is not rules as it is."""
    from compiler.analysis.diff_words import port_changes
    from compiler.errors import InputError
    from compiler.kube_rules.node_rules import NodeRules
    from compiler.snapshots.changes import rules_of

    text = _read(path) or ""
    try:
        rules = NodeRules(rules_of(text, path))
    except InputError:
        yield text
        return
    for key in rules.keys:
        yield f"{shown(str(key))}\n"
        for change in port_changes(None, rules.service_port(key)):
            yield shown(f"  {change.what} {change.item}".rstrip() + f": {change.after}") + "\n"
    yield "the whole node\n"
    for (table, chain), some in rules.node.items():
        for rule in some:
            yield shown(f"  {table} {chain}: {rule.effect}") + "\n"


def _unified(path: str, old: str, new: str) -> Iterator[str]:
    from difflib import unified_diff

    sides = (old.splitlines(), new.splitlines())
    lines = unified_diff(*sides, f"a/{path}", f"b/{path}", lineterm="")
    yield from map(shown, lines)
