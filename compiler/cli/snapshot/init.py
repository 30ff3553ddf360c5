"""`proxyrules snapshot init`: the first `proxyrules.yaml`, and what git and CI need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from compiler.cli.help import Command
from compiler.cli.output import write_failure, write_output
from compiler.errors import InputError, Problem

if TYPE_CHECKING:
    from compiler.snapshots.starter import Entry, Found

WORKFLOW = ".github/workflows/proxyrules.yml"
HOOKS = ".pre-commit-config.yaml"
ATTRIBUTES_FILE = ".gitattributes"


@click.command("init", cls=Command, examples=["proxyrules snapshot init"])
def init() -> None:
    """Write a proxyrules.yaml for this repository, and what git and CI need for it.

    The folder is searched for Helm charts, kustomizations, manifests, Nodes and kube-proxy's
    configuration. Written are proxyrules.yaml, a workflow for GitHub and a hook for pre-commit, if
    they are not there; .gitattributes gets two lines, and git's configuration the diff driver. No
    file is overwritten.
    """
    from compiler.snapshots.schema import FILE
    from compiler.snapshots.starter import entries, look_at
    from compiler.snapshots.starter_texts import file_text, hook_text, workflow_text

    if Path(FILE).exists():
        raise InputError(Problem(FILE, "exists already", "edit it, or remove it first"))
    found = look_at(Path())
    chosen = entries(found)
    commands = any(entry.command for entry in chosen)
    lines = [_write(FILE, file_text(found, chosen))]
    lines += _snapshot_lines(found, chosen)
    lines.append(_write(WORKFLOW, workflow_text(commands=commands)))
    lines.append(_write(HOOKS, hook_text(commands=commands)))
    lines += _git()
    allow = " --allow-commands" if commands else ""
    lines.append(f"Next: read {FILE}, then run proxyrules snapshot update{allow}.")
    write_output((f"{line}\n" for line in lines), None)


def _snapshot_lines(found: Found, chosen: list[Entry]) -> Iterator[str]:
    for entry in chosen:
        what = entry.command or ", ".join(entry.manifests)
        yield f"  snapshot {entry.name}: {what}"
    if not chosen:
        yield "  no manifests with Services were found, so it has an example"
    if not found.complete:
        yield "  the folder has too many files: not all were looked at"
    if chosen and not found.has_nodes:
        yield "  no Nodes were found: files have the rules that are the same on every node"


def _write(path: str, text: str) -> str:
    """Write a file if it is not there; returns what was done."""
    target = Path(path)
    if target.exists() or target.is_symlink():
        return f"{path}: exists, left as it is"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failure(path, error) from error
    write_output([text], path)
    return f"{path}: written"


def _git() -> Iterator[str]:
    """Set up git: attributes, and the diff driver in the repository's own configuration."""
    from compiler.snapshots.git import GitError, Repository
    from compiler.snapshots.starter_texts import ATTRIBUTES, DRIVER

    target = Path(ATTRIBUTES_FILE)
    text = target.read_text("utf-8", "surrogateescape") if target.is_file() else ""
    missing = [line for line in ATTRIBUTES if line not in text.splitlines()]
    if missing:
        end = "" if not text or text.endswith("\n") else "\n"
        write_output([text, end, *(f"{line}\n" for line in missing)], ATTRIBUTES_FILE)
        lines = "2 lines" if len(missing) == 2 else "1 line"
        yield f"{ATTRIBUTES_FILE}: {lines} added" if text else f"{ATTRIBUTES_FILE}: written"
    try:
        repository = Repository.of(Path())
        for name, value in DRIVER:
            if repository.configured(name) is None:
                repository.configure(name, value)
                yield f"git config {name}: set to {value}, in this clone"
    except (InputError, GitError):
        yield "no git repository here: its diff driver was not set"
