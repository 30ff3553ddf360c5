"""Plain values to typed objects, gathering every problem instead of stopping at the first.

msgspec decodes the same types a hundred times faster and is asked first; this is for input that it
refuses, and for the misspelt fields that it passes over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TypeVar

import msgspec
from msgspec import inspect

from compiler.manifests import schema
from compiler.yaml.plain import Path

Told = Callable[[Path, str, str], None]
"""Takes what was found: where, what is wrong, what would be right."""

T = TypeVar("T", bound=msgspec.Struct)

# Fields that the API has and the rules don't depend on: near misses of the ones that matter, which
# must not be taken for misspellings of them.
OTHER_FIELDS: dict[type[msgspec.Struct], frozenset[str]] = {
    schema.ObjectMeta: frozenset(
        {"generateName", "generation", "managedFields", "ownerReferences"}
    ),
    schema.ServiceSpec: frozenset(
        {
            "allocateLoadBalancerNodePorts",
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

_KIND_NAMES = {
    str: "a string",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
}


def convert(value: object, cls: type[T], report: Told, misspelt: Told, path: Path = ()) -> T:
    """Make a `cls` from a plain value.

    What can't be taken is told to `wrong` and counts as absent; a field that the API doesn't have
    and that looks like one that matters is told to `misspelt`.
    """
    if not isinstance(value, dict):
        report(path, f"expected a mapping, found {describe(value)}", "")
        return cls()
    kind, fields = _fields(cls)
    if cls not in FREE_MAPS:
        _tell_misspellings(value, cls, {kind, "apiVersion", *fields}, misspelt, path)
    made: dict[str, object] = {}
    for name, (attribute, type_) in fields.items():
        child = value.get(name)
        if child is not None:
            made[attribute] = _convert(child, type_, report, misspelt, (*path, name))
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


def _tell_misspellings(
    value: dict[str, object],
    cls: type[msgspec.Struct],
    known: Iterable[str],
    misspelt: Told,
    path: Path,
) -> None:
    unknown = value.keys() - set(known) - OTHER_FIELDS.get(cls, frozenset())
    if not unknown:
        return
    import difflib

    lower = {field.lower(): field for field in known}
    for name in sorted(unknown):
        if near := difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.85):
            hint = f"did you mean {lower[near[0]]}?"
            misspelt((*path, name), "no such field, so it has no effect", hint)


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
    value: object, type_: inspect.Type, report: Told, misspelt: Told, path: Path
) -> object | None:
    if isinstance(type_, inspect.StructType):
        return convert(value, type_.cls, report, misspelt, path)
    if isinstance(type_, inspect.ListType):
        if not isinstance(value, list):
            report(path, f"expected a list, found {describe(value)}", "")
            return None
        item_type = type_.item_type
        # What can't be taken keeps its place, so that the index of what follows stays true.
        return [
            _convert(v, item_type, report, misspelt, (*path, i)) or "" for i, v in enumerate(value)
        ]
    if isinstance(type_, inspect.DictType):
        if not isinstance(value, dict):
            report(path, f"expected a mapping, found {describe(value)}", "")
            return None
        return {
            name: _convert(child, type_.value_type, report, misspelt, (*path, name))
            for name, child in value.items()
        }
    return _convert_scalar(value, type_, report, path)


def _convert_scalar(value: object, type_: inspect.Type, report: Told, path: Path) -> object | None:
    expected = {inspect.StrType: str, inspect.IntType: int, inspect.BoolType: bool}[type(type_)]
    if type(value) is expected:
        return value
    hint = f'quote it: "{value}"' if expected is str and isinstance(value, int | float) else ""
    if expected is int and isinstance(value, str) and value.isdecimal():
        hint = "write it without quotes"
    report(path, f"expected {_KIND_NAMES[expected]}, found {describe(value)}", hint)
    return None
