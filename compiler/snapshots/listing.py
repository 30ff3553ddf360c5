"""`.snapshots`: which files of the folder `update` wrote, and the nodes that each is of.

Only what is listed there, and is still rules as `compile` writes them, is ever removed or replaced.
The nodes say what a node's rules were before it got a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from compiler.errors import InputError
from compiler.family import Family
from compiler.snapshots.expand import file_name
from compiler.snapshots.tree import Tree

LIST = ".snapshots"
LIST_HEAD = (
    "# The files that `proxyrules snapshot update` wrote here, each with the nodes that it is of.\n"
    "# It removes those whose snapshot is gone.\n"
)
_EVERY_NODE = "every node"

Listed = Mapping[str, tuple[str, ...]]
"""The nodes of each file, by its name; none stands for every node."""


def read_list(tree: Tree, directory: str) -> tuple[Listed, bool]:
    """Return what is listed, and whether that is unambiguous: a merge may have left two lines."""
    try:
        text = tree.read(f"{directory}/{LIST}").text.decode("utf-8", "replace")
    except InputError:
        return {}, True
    found: dict[str, tuple[str, ...]] = {}
    clear = True
    for line in text.splitlines():
        name, _, nodes = line.partition(":")
        if line.startswith("#") or not _is_file_name(name):
            continue
        names = tuple(nodes.replace(",", " ").split()) if nodes.strip() != _EVERY_NODE else ()
        clear = clear and found.setdefault(name, names) == names
    return found, clear


def list_text(files: Listed) -> str:
    """Return what the list should have."""
    lines = (f"{name}: {', '.join(files[name]) or _EVERY_NODE}\n" for name in sorted(files))
    return LIST_HEAD + "".join(lines)


def file_of(node: str, snapshot: str, family: Family, listed: Listed) -> str:
    """Return the file that has a node's rules; the node is empty for those of every node.

    Empty where none is listed.
    """
    for name, nodes in _files_of(snapshot, family, listed):
        if node in nodes or not nodes:
            return name
    return ""


def _files_of(
    snapshot: str, family: Family, listed: Listed
) -> Iterable[tuple[str, tuple[str, ...]]]:
    for name, nodes in listed.items():
        first = nodes[0] if nodes else ""
        if name == file_name(snapshot, first, family):
            yield name, nodes


def _is_file_name(name: str) -> bool:
    """Say whether a line is of a file that `update` may have written."""
    return name.endswith(".rules") and "/" not in name and not name.startswith(".")
