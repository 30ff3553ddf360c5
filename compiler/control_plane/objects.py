"""Objects of any kind as plain values, for what needs more of them than the rules do.

`reader` decodes the fields that decide the rules. The control plane's work needs Pods, selectors
and target ports as well, and prints whole objects back: it reads the same texts here, after
`reader` has found nothing wrong with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from compiler.errors import InputError, Problem
from compiler.manifests.convert import describe
from compiler.manifests.diagnostic_reader import chunk_documents
from compiler.manifests.source import Source
from compiler.manifests.text import WHOLE, decode, group_of, is_json
from compiler.yaml import fast
from compiler.yaml.plain import Path, PlainDocument, SyntaxProblem, field_path, json_documents

# The API groups of the kinds that are looked at. Other groups have kinds of the same names:
# Knative's Service, Longhorn's Node, OpenKruise's StatefulSet.
_GROUPS = {
    "Service": "",
    "Pod": "",
    "Node": "",
    "Endpoints": "",
    "EndpointSlice": "discovery.k8s.io",
    "Deployment": "apps",
    "ReplicaSet": "apps",
    "StatefulSet": "apps",
    "DaemonSet": "apps",
    "ReplicationController": "",
    "Job": "batch",
    "HorizontalPodAutoscaler": "autoscaling",
}


def kind_of(value: object) -> str:
    """Return a plain object's kind, with the API group if it is not the one expected.

    `Service` is the core group's, `Service.serving.knative.dev` is Knative's; empty for none.
    """
    kind = text_at(value, "kind")
    group = group_of(text_at(value, "apiVersion"))
    return kind if _GROUPS.get(kind, group) == group else f"{kind}.{group or 'core'}"


@dataclass(frozen=True)
class PlainObject:
    """An object as it was written, and where.

    An object that was made, such as a workload's Pod, is `within` the one that it was made from, at
    a path there: problems are reported with that. `number` is which of several it is.
    """

    file: str
    document: PlainDocument
    base: Path
    value: dict[str, object]
    within: tuple[PlainObject, Path] | None = None
    number: int = 0

    @cached_property
    def kind(self) -> str:
        """Its kind, as `kind_of` tells kinds of one name apart."""
        return kind_of(self.value)

    @cached_property
    def name(self) -> str:
        """`metadata.name`."""
        return text_at(self.value, "metadata", "name")

    @cached_property
    def namespace(self) -> str:
        """`metadata.namespace`, which is `default` unless written."""
        return text_at(self.value, "metadata", "namespace") or "default"

    @cached_property
    def subject(self) -> str:
        """What messages call it, such as `Pod default/web-1`."""
        if self.kind == "Node":
            return f"Node {self.name}"
        return f"{self.kind} {self.namespace}/{self.name}"

    def problem(self, path: Path, message: str, hint: str = "") -> Problem:
        """Return a problem with the value at `path`, with its line and column."""
        if self.within is not None:
            origin, place = self.within
            return origin.problem((*place, *path), message, hint)
        line, column = self.document.locate((*self.base, *path))
        return Problem(self.file, message, hint, line, column, self.subject, field_path(path))

    def wrong_type(self, path: Path, expected: str, value: object) -> Problem:
        """Return a problem with a value of another type than the expected one."""
        if expected == "a string" and not isinstance(value, dict | list | None):
            # The value is not named: 1e3 was read as 1000.0, and only the text has the former.
            return self.problem(path, "expected a string", "put the value in quotes")
        return self.problem(path, f"expected {expected}, found {describe(value)}")


def at(value: object, *path: str) -> object:
    """Return the value at a path of mappings, None where it leads nowhere."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def text_at(value: object, *path: str) -> str:
    """Return the string at a path, empty where there is none."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def list_at(value: object, *path: str) -> list[object]:
    """Return the list at a path, empty where there is none."""
    found = at(value, *path)
    return found if isinstance(found, list) else []


def map_at(value: object, *path: str) -> dict[str, object]:
    """Return the mapping at a path, empty where there is none."""
    found = at(value, *path)
    return found if isinstance(found, dict) else {}


def plain_objects(sources: Sequence[Source]) -> list[PlainObject]:
    """Read every object of every source, those inside lists one by one, in reading order.

    Raises InputError where a text is neither YAML nor JSON.
    """
    found: list[PlainObject] = []
    problems: list[Problem] = []
    for source in sources:
        try:
            found += _objects_of(source)
        except SyntaxProblem as problem:
            where = (problem.line, problem.column)
            problems.append(Problem(source.name, problem.message, problem.hint, *where))
    if problems:
        raise InputError(problems)
    return found


def _objects_of(source: Source) -> Iterator[PlainObject]:
    for document in _documents(decode(source.text)):
        yield from _walk(source.name, document, (), document.value, "", "")


def _documents(text: str) -> Iterator[PlainDocument]:
    if is_json(text):
        yield from json_documents(text)
    else:
        for chunk in fast.chunks(text.encode(), WHOLE):
            yield from chunk_documents(chunk)


def _walk(
    file: str, document: PlainDocument, base: Path, value: object, kind: str, version: str
) -> Iterator[PlainObject]:
    """Find the objects in a value; items of a typed list may leave kind and version out."""
    if not isinstance(value, dict):
        return
    own = text_at(value, "kind") or kind
    own_version = text_at(value, "apiVersion") or version
    if own.endswith("List") and isinstance(value.get("items"), list):
        bare = own.removesuffix("List")
        for index, item in enumerate(list_at(value, "items")):
            where = (*base, "items", index)
            yield from _walk(file, document, where, item, bare, own_version if bare else "")
    elif own and own != "List":  # one whose items were cut off, to be read by themselves
        named = {"apiVersion": own_version, "kind": own, **value}
        yield PlainObject(file, document, base, named)
