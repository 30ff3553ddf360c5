"""Manifests that a branch changes and that no snapshot reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from compiler.manifests.source import SUFFIXES
from compiler.snapshots.file import SnapshotFile
from compiler.snapshots.git import Commit, Repository
from compiler.snapshots.starter import holds_services
from compiler.snapshots.tree import Tree


def unread(
    repository: Repository, base: Commit, head: Commit | None, tree: Tree, file: SnapshotFile
) -> Iterator[str]:
    """Say which changed files with Services, endpoints or workloads no snapshot reads.

    `tree` and `file` are those of the new side; `head` is None for the work tree. A command may
    read any file, so that nothing is said where a snapshot has one. Files that are removed are the
    base's, whose snapshots are compared.
    """
    if any(definition.command for definition in file.definitions):
        return
    read = {
        path
        for definition in file.definitions
        for pattern in (*definition.manifests, *definition.cluster)
        if pattern
        for path in tree.matching(pattern)
    }
    for path in repository.changed_since(base, head):
        parts = PurePosixPath(path).parts
        if path in read or not path.endswith(SUFFIXES) or parts[0] == file.directory:
            continue
        if any(part.startswith(".") for part in parts):
            continue
        text = repository.content(head, path)
        # what a template makes is in another file, if it is kept at all
        if text is not None and b"{{" not in text and holds_services(text):
            yield f"{path} changes, and no snapshot reads it"
