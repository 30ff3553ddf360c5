"""The first `proxyrules.yaml` of a repository, from what is in it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path, PurePosixPath

from compiler.control_plane.objects import plain_objects
from compiler.errors import InputError
from compiler.manifests.source import SUFFIXES, Source
from compiler.snapshots.schema import DIRECTORY, FILE

# No object that is looked for begins later in a file.
_LOOKED_AT = 1 << 20
# Snapshots of an example; files in a repository that are looked at.
_MOST_SNAPSHOTS, _MOST_FILES = 20, 20_000
_SKIPPED = frozenset(("node_modules", "vendor", "venv", "__pycache__", DIRECTORY))
_KIND = re.compile(rb"^\s*(?:- )?\"?kind\"?:\s*\"?([A-Za-z]+)", re.MULTILINE)
_API = re.compile(rb"^\s*(?:- )?\"?apiVersion\"?:", re.MULTILINE)
_NAME = re.compile(rb"^name:\s*[\"']?([A-Za-z0-9._-]+)", re.MULTILINE)
_KUSTOMIZATIONS = frozenset(("kustomization.yaml", "kustomization.yml", "Kustomization"))
_WORKLOADS = frozenset(
    (
        *("Pod", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"),
        *("ReplicationController", "Job"),
    )
)


@dataclass
class Found:
    """What is in a repository, by path from its root.

    `charts` are Helm charts with their names, `kustomizations` folders that no other one is made
    of. `manifests` are files with Services, or with workloads beside them, and the kinds in them;
    `services` are their Services.
    """

    charts: dict[str, str] = field(default_factory=dict)
    kustomizations: list[str] = field(default_factory=list)
    manifests: dict[str, frozenset[str]] = field(default_factory=dict)
    services: dict[str, frozenset[str]] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    nodes: list[str] = field(default_factory=list)
    config: str = ""
    has_nodes: bool = False
    complete: bool = True


def look_at(root: Path) -> Found:
    """Look for charts, kustomizations, manifests, Nodes and kube-proxy's configuration."""
    found = Found()
    bases: set[str] = set()
    for number, path in enumerate(_files(root)):
        if number >= _MOST_FILES:
            found.complete = False
            break
        _look_at_file(root, path, found, bases)
    found.kustomizations = [one for one in sorted(found.kustomizations) if one not in bases]
    inside = (*found.charts, *found.kustomizations, *bases)
    for path in [one for one in found.manifests if _is_below(one, inside)]:
        del found.manifests[path]
    return found


def _files(root: Path) -> Iterator[str]:
    for folder, names, files in os.walk(root):
        names[:] = sorted(n for n in names if n not in _SKIPPED and not n.startswith("."))
        for name in sorted(files):
            yield os.path.relpath(Path(folder, name), root)


def _look_at_file(root: Path, path: str, found: Found, bases: set[str]) -> None:
    name, folder = PurePosixPath(path).name, str(PurePosixPath(path).parent)
    if name != "Kustomization" and not name.endswith(SUFFIXES):
        return
    try:
        with (root / path).open("rb") as file:
            text = file.read(_LOOKED_AT)
    except OSError:
        return
    if name == "Chart.yaml":
        called = _NAME.search(text)
        found.charts[folder] = called[1].decode() if called else PurePosixPath(folder).name
    elif name in _KUSTOMIZATIONS:
        found.kustomizations.append(folder)
        bases.update(_bases(folder, text))
    elif path != FILE:
        _look_at_objects(path, text, found)


def holds_services(text: bytes) -> bool:
    """Say whether a text has Services, their endpoints, or workloads."""
    kinds = _kinds(text)
    return bool(_API.search(text)) and (
        not kinds.isdisjoint(("Service", "EndpointSlice", "Endpoints")) or bool(kinds & _WORKLOADS)
    )


def _kinds(text: bytes) -> frozenset[str]:
    return frozenset(kind.decode() for kind in _KIND.findall(text))


def _look_at_objects(path: str, text: bytes, found: Found) -> None:
    kinds = _kinds(text)
    found.has_nodes = found.has_nodes or "Node" in kinds
    if "KubeProxyConfiguration" in kinds and not found.config:
        found.config = path
    elif not kinds or not _API.search(text):
        found.others.add(path)
    elif holds_services(text):
        found.manifests[path] = kinds
        found.services[path] = _services(path, text)
    elif "Node" in kinds:
        found.nodes.append(path)


def _services(path: str, text: bytes) -> frozenset[str]:
    """Return the Services of a text, none of one that can't be read."""
    try:
        objects = plain_objects([Source(path, text)])
    except InputError:
        return frozenset()
    return frozenset(one.subject for one in objects if one.kind == "Service")


def _bases(folder: str, text: bytes) -> Iterator[str]:
    """Give the folders that a kustomization is made of."""
    for entry in re.findall(rb"^\s*-\s+[\"']?([./\w-]+)[\"']?\s*$", text, re.MULTILINE):
        yield os.path.normpath(f"{folder}/{entry.decode()}")


def _is_below(path: str, folders: Sequence[str]) -> bool:
    return any(folder == "." or path.startswith(f"{folder}/") for folder in folders)


@dataclass(frozen=True)
class Entry:
    """A snapshot of the example."""

    name: str
    manifests: tuple[str, ...] = ()
    command: str = ""
    from_workloads: bool = False


def entries(found: Found) -> list[Entry]:
    """Return a snapshot per chart, kustomization and folder with manifests.

    Files of one folder that have the same Service get a snapshot each.
    """
    some: list[Entry] = []
    for folder, chart in found.charts.items():
        command = f"helm template {shlex.quote(chart)} {shlex.quote(folder)}"
        some.append(Entry(chart, command=command, from_workloads=True))
    some += [
        Entry(
            _last(folder), command=f"kubectl kustomize {shlex.quote(folder)}", from_workloads=True
        )
        for folder in found.kustomizations
    ]
    folders: dict[str, list[str]] = {}
    for path in found.manifests:
        folders.setdefault(str(PurePosixPath(path).parent), []).append(path)
    for folder, paths in sorted(folders.items()):
        services = [one for path in paths for one in found.services[path]]
        if len(services) > len(set(services)):  # a file for each environment, say
            stems = ((PurePosixPath(path).stem, path) for path in paths)
            some += [_entry(stem, (escape(path),), [path], found) for stem, path in stems]
        elif any("Service" in found.manifests[path] for path in paths):
            some.append(_entry(_last(folder), _patterns(folder, paths, found), paths, found))
    return _named_apart(some[:_MOST_SNAPSHOTS])


def _entry(name: str, patterns: tuple[str, ...], paths: Sequence[str], found: Found) -> Entry:
    workloads = not any("EndpointSlice" in found.manifests[path] for path in paths)
    return Entry(name, patterns, from_workloads=workloads)


def _last(folder: str) -> str:
    return PurePosixPath(folder).name or "cluster"


def _patterns(folder: str, paths: Sequence[str], found: Found) -> tuple[str, ...]:
    """Return a pattern for all of a folder's files, or their paths if others are beside them."""
    beside = {
        str(PurePosixPath(path).parent) for path in (*found.others, found.config, *found.nodes)
    }
    suffixes = sorted({PurePosixPath(path).suffix for path in paths})
    if folder in beside or folder == ".":
        return tuple(escape(path) for path in sorted(paths))
    prefix = "" if folder == "." else f"{escape(folder)}/"
    return tuple(f"{prefix}*{suffix}" for suffix in suffixes)


def _named_apart(some: Sequence[Entry]) -> list[Entry]:
    """Give every snapshot a name of its own that files can begin with."""
    taken: set[str] = set()
    done = []
    for entry in some:
        base = re.sub(r"[^a-z0-9._-]+", "-", entry.name.lower()).strip("-._") or "cluster"
        name, number = base, 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        taken.add(name)
        done.append(Entry(name, entry.manifests, entry.command, entry.from_workloads))
    return done


EXAMPLE = Entry("shop", ("apps/shop/*.yaml",), from_workloads=True)
