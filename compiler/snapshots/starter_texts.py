"""The texts that `snapshot init` writes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version

from compiler.snapshots.listing import LIST
from compiler.snapshots.schema import DIRECTORY
from compiler.snapshots.starter import EXAMPLE, Entry, Found

DRIVER = (
    ("diff.proxyrules.command", "proxyrules git-diff"),
    ("diff.proxyrules.textconv", "proxyrules git-diff --textconv"),
)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./* -]*[A-Za-z0-9_./*]")
# A check compares bytes: git must not change the ends of lines.
ATTRIBUTES = (
    f"{DIRECTORY}/*.rules -text diff=proxyrules linguist-generated",
    f"{DIRECTORY}/{LIST} -text merge=union linguist-generated",
)


def file_text(found: Found, entries: Sequence[Entry]) -> str:
    """Return `proxyrules.yaml`."""
    return "\n".join(_file_lines(found, entries)) + "\n"


def _file_lines(found: Found, entries: Sequence[Entry]) -> Iterator[str]:
    yield "# Snapshots of the rules that kube-proxy makes of the manifests in this repository."
    yield "#"
    yield "#   proxyrules snapshot update   writes them to rules/"
    yield "#   proxyrules snapshot check    exits with 1 if they are not up to date"
    yield "#   proxyrules review main       says what this branch changes for traffic"
    yield ""
    yield "snapshots:"
    if not entries:
        yield "  # No manifests were found; this is an example."
    for number, entry in enumerate(entries or [EXAMPLE]):
        yield from _entry_lines(entry, found, explained=number == 0)
    yield ""
    yield "# The folder of the files."
    yield f"directory: {DIRECTORY}"


def _entry_lines(entry: Entry, found: Found, *, explained: bool) -> Iterator[str]:
    def explain(text: str) -> Iterator[str]:
        if explained:
            yield f"    # {text}"

    yield f"  - name: {entry.name}"
    manifests = [*entry.manifests, *found.nodes]
    if entry.command:
        yield from explain("A command that prints manifests. It is run only with --allow-commands:")
        yield from explain("whoever can change this file chooses what is run.")
        yield f"    command: {_scalar(entry.command)}"
    if manifests:
        yield from explain("Files, folders and patterns; Nodes may be among them.")
        yield f"    manifests: [{', '.join(map(_scalar, manifests))}]"
    if entry.from_workloads:
        yield from explain("Add what the control plane would: Pods, addresses, EndpointSlices.")
        yield "    fromWorkloads: true"
    if found.config:
        yield from explain("kube-proxy's configuration.")
        yield f"    config: {_scalar(found.config)}"
    elif explained:
        yield "    # config: kube-proxy.yaml        # kube-proxy's configuration"
    if explained:
        yield "    # nodes: [worker-1, worker-2]    # or all; by default one of each kind"
        yield "    # families: [ipv4, ipv6]         # by default those that the Services have"
        yield '    # kubeVersion: "1.34"            # by default the newest'


def _scalar(text: str) -> str:
    """Write a string for YAML: as it is, if it can't mean anything else."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def workflow_text(*, commands: bool) -> str:
    """Return a workflow for GitHub; `commands` says whether a snapshot has a command."""
    allow = "        with:\n          allow-commands: true\n" if commands else ""
    return f"""\
# Checks the snapshots of proxyrules.yaml, and comments what a pull request changes for traffic.
name: proxyrules

# Not pull_request_target: this runs what the pull request says, so it must have no secrets.
on: pull_request

permissions:
  contents: read
  pull-requests: write # for the comment

jobs:
  rules:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with:
          fetch-depth: 0 # the review needs the merge base
      - uses: proxyrules/proxyrules@v{version("proxyrules")}
{allow}"""


def hook_text(*, commands: bool) -> str:
    """Return a configuration for pre-commit."""
    allow = " --allow-commands" if commands else ""
    return f"""\
repos:
  - repo: local
    hooks:
      - id: proxyrules-snapshot
        name: proxyrules snapshot update
        entry: proxyrules snapshot update{allow}
        language: system
        pass_filenames: false
"""
