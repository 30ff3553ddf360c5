"""Plain values to typed objects, gathering every problem instead of stopping at the first.

msgspec decodes the same types a hundred times faster; this is for input that it rejects, and for
the misspelt fields that it ignores.

A scalar means what it means to kubectl, which turns YAML into JSON first (YAML 1.1, see
`compiler.yaml.resolve`): `yes` is true, and a whole number may be written `80.0` or `8e1`. Where
the reading of YAML 1.2 gives another number, `0120`, neither is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from typing import Protocol, TypeVar

import msgspec
from msgspec import inspect

from compiler.manifests import schema
from compiler.yaml.plain import MAX_NUMBER, Path

Report = Callable[[Path, str, str], None]
"""Takes what was found: where, a message, a hint."""


class Scalars(Protocol):
    """How scalars were written; see `PlainDocument`."""

    def written(self, path: Path) -> str:
        """Return the text of the scalar at `path`; empty where it is unknown."""

    def octal(self, path: Path) -> tuple[int, int] | None:
        """Return both values of an ambiguous number."""


class _Unknown:
    def written(self, path: Path) -> str:
        del path
        return ""

    def octal(self, path: Path) -> tuple[int, int] | None:
        del path
        return None


_UNKNOWN = _Unknown()

T = TypeVar("T", bound=msgspec.Struct)

# Fields that the API has and the rules don't depend on: near misses of the ones that matter, which
# must not be taken for misspellings of them.
OTHER_FIELDS: dict[type[msgspec.Struct], frozenset[str]] = {
    schema.ObjectMeta: frozenset(
        {"generateName", "generation", "managedFields", "ownerReferences"}
    ),
    schema.ServiceSpec: frozenset(
        {
            "externalName",
            "ipFamilyPolicy",
            "loadBalancerClass",
            "loadBalancerIP",
            "publishNotReadyAddresses",
            "selector",
            "topologyKeys",
            "trafficDistribution",
        }
    ),
    schema.ServicePort: frozenset({"appProtocol", "targetPort"}),
    schema.ServiceStatus: frozenset({"conditions"}),
    schema.LoadBalancerIngress: frozenset({"hostname", "ports"}),
    schema.Endpoint: frozenset({"deprecatedTopology", "hostname", "targetRef", "zone"}),
    schema.EndpointPort: frozenset({"appProtocol"}),
    schema.NodeSpec: frozenset({"configSource", "externalID", "podCIDR", "providerID", "taints"}),
    schema.NodeStatus: frozenset(
        {"allocatable", "capacity", "conditions", "daemonEndpoints", "images", "nodeInfo", "phase"}
    ),
}
# Labels and annotations are everybody's: a near miss there is no misspelling.
FREE_MAPS = (schema.Labels, schema.Annotations)

# What every version of YAML, and JSON, reads as the same number.
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")

_KIND_NAMES = {
    str: "a string",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
}


def convert(
    value: object,
    cls: type[T],
    report: Report,
    misspelt: Report,
    path: Path = (),
    *,
    scalars: Scalars | None = None,
) -> T:
    """Make a `cls` from a plain value.

    A value of the wrong type goes to `report` and counts as absent; a field that the API doesn't
    have and that looks like one that matters goes to `misspelt`. `scalars` knows how they were
    written.
    """
    if not isinstance(value, dict):
        report(path, f"expected a mapping, found {describe(value)}", "")
        return cls()
    kind, fields = _fields(cls)
    if cls not in FREE_MAPS:
        for name, meant in _misspellings(value, cls, {kind, "apiVersion", *fields}):
            message = "no such field, so it has no effect"
            misspelt((*path, name), message, f"did you mean {meant}?")
    made: dict[str, object] = {}
    for name, (attribute, type_) in fields.items():
        child = value.get(name)
        if child is not None:
            made[attribute] = _convert(
                child, type_, report, misspelt, (*path, name), scalars or _UNKNOWN
            )
    return cls(**made)


def describe(value: object) -> str:
    """Name a plain value and its type, for a message."""
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return _KIND_NAMES[dict if isinstance(value, dict) else list]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the string {shorten(value)}"
    if isinstance(value, int | float):
        return f"the number {value}"
    return f"the {type(value).__name__} {value}"


def shorten(value: str) -> str:
    """Quote a string for a message: control characters escaped, at most 60 characters of it."""
    return ascii(value if len(value) <= 60 else value[:57] + "...").replace("'", '"')


def _misspellings(
    names: Iterable[str], cls: type[msgspec.Struct], known: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Find the names that look like a known field, each with that field."""
    unknown = set(names).difference(known, OTHER_FIELDS.get(cls, ()))
    if not unknown:
        return
    import difflib

    lower = {field.lower(): field for field in known}
    for name in sorted(unknown):
        if near := difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.85):
            yield name, lower[near[0]]


def are_misspelt(paths: Iterable[tuple[str, ...]], kinds: Iterable[type[msgspec.Struct]]) -> bool:
    """Whether a field that looks like one that matters is at one of these paths of one of `kinds`.

    A path has keys alone, without the indexes of lists.
    """
    kinds = tuple(kinds)
    return any(_is_misspelt(path, kind) for path in paths for kind in kinds)


def _is_misspelt(path: tuple[str, ...], kind: type[msgspec.Struct]) -> bool:
    cls = kind
    for name in path[:-1]:
        if name not in _fields(cls)[1]:
            return False
        type_ = _fields(cls)[1][name][1]
        if isinstance(type_, inspect.ListType):
            type_ = type_.item_type
        if not isinstance(type_, inspect.StructType):
            return False
        cls = type_.cls
    tag, fields = _fields(cls)
    known = {tag, "apiVersion", *fields}
    return cls not in FREE_MAPS and any(_misspellings(path[-1:], cls, known))


@cache
def _fields(cls: type[msgspec.Struct]) -> tuple[str, dict[str, tuple[str, inspect.Type]]]:
    info = inspect.type_info(cls)
    if not isinstance(info, inspect.StructType):
        raise TypeError(cls)
    fields = {f.encode_name: (f.name, _without_null(f.type)) for f in info.fields}
    return info.tag_field or "kind", fields


def _without_null(type_: inspect.Type) -> inspect.Type:
    if isinstance(type_, inspect.UnionType):
        (type_,) = (t for t in type_.types if not isinstance(t, inspect.NoneType))
    return type_


def _convert(
    value: object,
    type_: inspect.Type,
    report: Report,
    misspelt: Report,
    path: Path,
    scalars: Scalars,
) -> object | None:
    if isinstance(type_, inspect.StructType):
        return convert(value, type_.cls, report, misspelt, path, scalars=scalars)
    if isinstance(type_, inspect.ListType):
        if not isinstance(value, list):
            report(path, f"expected a list, found {describe(value)}", "")
            return None
        item_type = type_.item_type
        # What can't be taken keeps its place, so that the index of what follows stays true.
        return [
            _convert(v, item_type, report, misspelt, (*path, i), scalars) or ""
            for i, v in enumerate(value)
        ]
    if isinstance(type_, inspect.DictType):
        if not isinstance(value, dict):
            report(path, f"expected a mapping, found {describe(value)}", "")
            return None
        return {
            name: _convert(child, type_.value_type, report, misspelt, (*path, name), scalars)
            for name, child in value.items()
        }
    return _convert_scalar(value, type_, report, path, scalars)


def _convert_scalar(
    value: object, type_: inspect.Type, report: Report, path: Path, scalars: Scalars
) -> object | None:
    expected = {inspect.StrType: str, inspect.IntType: int, inspect.BoolType: bool}[type(type_)]
    if expected is int and type(value) is float and value.is_integer() and abs(value) < MAX_NUMBER:
        return int(value)
    if type(value) is expected:
        if expected is int and (both := scalars.octal(path)):
            octal, decimal = both
            report(
                path,
                f"ambiguous number {scalars.written(path)}: kubectl (YAML 1.1) reads it as octal, "
                f"{octal}, and YAML 1.2 as {decimal}",
                f"write {octal} or {decimal}",
            )
            return None
        return value
    written = "" if isinstance(value, str) else scalars.written(path)
    hint = ""
    if expected is str and isinstance(value, bool | int | float):
        hint = f'quote it: "{written}"' if written else "quote it"
    if expected is int and isinstance(value, str) and value.isdecimal():
        hint = "write it without quotes"
    report(path, f"expected {_KIND_NAMES[expected]}, found {_described(value, written)}", hint)
    return None


def _described(value: object, written: str) -> str:
    """Name a scalar by its own text, and by its value where that may come as a surprise."""
    if isinstance(value, bool):
        plain = written.lower() in {"true", "false"}
    elif isinstance(value, int | float):
        plain = _DECIMAL.fullmatch(written) is not None
        if plain:
            return f"the number {written}"
    else:
        return describe(value)
    if not written or plain:
        return written or describe(value)
    return f"{written}, which kubectl reads as {describe(value)}"
