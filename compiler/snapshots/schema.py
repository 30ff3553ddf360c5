"""The JSON schema of `proxyrules.yaml`, and the check of a value against it.

Editors read the schema (docs/proxyrules.schema.json), and the reader checks with it too, so that
the two can't disagree. `check` knows the keywords that are used here and no others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from compiler.manifests.convert import describe, shorten
from compiler.proxy.release import NEWEST, OLDEST, Release
from compiler.yaml.plain import Path

FILE = "proxyrules.yaml"
DIRECTORY = "rules"
# Kubernetes supports 5,000 nodes.
MAX_NODES = 5000
ALL, KINDS = "all", "one of each kind"

# Python's $ also matches before a line break at the end.
_END = r"$(?!\n)"
_MINORS = "|".join(str(minor) for minor in range(OLDEST[1], NEWEST[1] + 1))
_VERSION = rf"^v?{OLDEST[0]}\.({_MINORS})(\.[0-9]{{1,4}}([-+][0-9A-Za-z.+-]{{1,100}})?)?{_END}"

# What the API server allows as the name of a Node; it becomes part of a file's name.
NODE_NAME = rf"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?{_END}"

Schema = Mapping[str, Any]


def _text(description: str, **keywords: object) -> dict[str, object]:
    return {"description": description, "type": "string", "minLength": 1, **keywords}


def _texts(description: str, **keywords: object) -> dict[str, object]:
    items = {"type": "string", "minLength": 1, **keywords}
    return {
        "description": description,
        "type": "array",
        "minItems": 1,
        "uniqueItems": True,
        "items": items,
    }


_WITH_WORKLOADS: Schema = {
    "required": ["fromWorkloads"],
    "properties": {"fromWorkloads": {"const": True}},
}

_SNAPSHOT: Schema = {
    "type": "object",
    "description": "One set of manifests, compiled for some nodes.",
    "required": ["name"],
    "anyOf": [{"required": ["manifests"]}, {"required": ["command"]}],
    "dependentSchemas": {"makeNodes": _WITH_WORKLOADS, "cluster": _WITH_WORKLOADS},
    "additionalProperties": False,
    "properties": {
        "name": _text(
            "The beginning of the names of its files: lower-case letters, digits, '-', '_', '.'.",
            maxLength=100,
            pattern=rf"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?{_END}",
        ),
        "manifests": _texts(
            "Files, folders and patterns (*, ?, [abc], ** for any folders), from the folder of "
            "this file."
        ),
        "command": {
            "description": "A command that prints manifests, as a string or a list of words. It "
            "is not run by a shell, and only with --allow-commands.",
            "oneOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "items": {"type": "string"}},
            ],
        },
        "config": _text(
            "A KubeProxyConfiguration, a ConfigMap with one, or kube-proxy's Pod or DaemonSet."
        ),
        "nodes": {
            "description": "Names of nodes, 'all', or 'one of each kind' (the default): of nodes "
            "with equal rules the first.",
            "oneOf": [
                {"type": "string", "enum": [ALL, KINDS]},
                _texts("Names of nodes.", maxLength=253, pattern=NODE_NAME),
            ],
        },
        "families": _texts(
            "The IP families; by default those that the Services have.", enum=["ipv4", "ipv6"]
        ),
        "kubeVersion": _text(
            f"Kubernetes {Release(OLDEST)} to {Release(NEWEST)}, as a string; the newest by "
            "default.",
            pattern=_VERSION,
        ),
        "fromWorkloads": {
            "description": "Whether to add what the control plane would: Pods of workloads, "
            "addresses and EndpointSlices.",
            "type": "boolean",
        },
        "makeNodes": {
            "description": "How many plain Nodes are made if there are none (fromWorkloads).",
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_NODES,
        },
        "cluster": _texts(
            "Files with Nodes of a real cluster, and Services for their cluster IPs and node "
            "ports (fromWorkloads)."
        ),
    },
}

_LINT: Schema = {
    "type": "object",
    "description": "The settings of lint, which checks the values itself.",
    "required": [],
    "additionalProperties": False,
    "properties": {
        "select": _texts("The rules to run: ids, their beginnings, or names."),
        "ignore": {**_texts("The rules not to run."), "minItems": 0},
        "fail-level": _text(
            "The severity from which on findings make it fail.",
            enum=["error", "warning", "info", "never"],
        ),
        "baseline": _text("The file of known findings."),
    },
}

SCHEMA: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": FILE,
    "description": "The snapshots of kube-proxy's rules that proxyrules keeps in this repository.",
    "type": "object",
    "required": [],
    "anyOf": [{"required": ["snapshots"]}, {"required": ["lint"]}],
    "additionalProperties": False,
    "properties": {
        "snapshots": {
            "description": "The snapshots.",
            "type": "array",
            "minItems": 1,
            "items": _SNAPSHOT,
        },
        "directory": _text(
            f"The folder of the files, from the folder of this file; by default {DIRECTORY}."
        ),
        "lint": _LINT,
    },
}

Report = Callable[[Path, str, str, bool], None]
"""Takes what is wrong: where, a message, a hint, and whether the key is meant and not the value."""

_TYPES: dict[str, type] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
}
_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "boolean": "true or false",
}


def check(value: object, schema: Schema, report: Report, path: Path = ()) -> bool:
    """Check a value, and report everything that is wrong with it; whether nothing is."""
    if "oneOf" in schema:
        return _check_one_of(value, schema["oneOf"], report, path)
    wanted = schema["type"]
    if isinstance(value, float) and wanted == "integer" and value.is_integer():
        value = int(value)
    if not _is_a(value, wanted):
        _wrong_type(value, (wanted,), report, path)
        return False
    if isinstance(value, dict):
        return _check_mapping(value, schema, report, path)
    if isinstance(value, list):
        return _check_list(value, schema, report, path)
    if isinstance(value, str):
        return _check_text(value, schema, report, path)
    return wanted != "integer" or _check_number(value, schema, report, path)


def _is_a(value: object, wanted: str) -> bool:
    # mappings are a class of their own where they were read from YAML; true is no number
    return isinstance(value, _TYPES[wanted]) and (wanted != "integer" or value is not bool(value))


def _check_number(value: object, schema: Schema, report: Report, path: Path) -> bool:
    low, high = schema["minimum"], schema["maximum"]
    if isinstance(value, int) and low <= value <= high:
        return True
    report(path, f"{value} is out of range", f"must be between {low} and {high}", False)
    return False


def _check_one_of(value: object, schemas: list[Schema], report: Report, path: Path) -> bool:
    """Check by the schema of the value's own type: no two have the same."""
    for schema in schemas:
        if _is_a(value, schema["type"]):
            return check(value, schema, report, path)
    _wrong_type(value, tuple(schema["type"] for schema in schemas), report, path)
    return False


def _wrong_type(value: object, wanted: tuple[str, ...], report: Report, path: Path) -> None:
    hint = ""
    if value is None:
        hint = "give it a value, or remove the field"
    elif "string" in wanted and not isinstance(value, dict | list):
        hint = "quote it"
    elif "array" in wanted and isinstance(value, str):
        hint = f"write [{value}]" if value.isprintable() and len(value) < 40 else "write a list"
    names = " or ".join(_NAMES[one] for one in wanted)
    report(path, f"expected {names}, found {describe(value)}", hint, False)


def _check_mapping(value: dict[str, object], schema: Schema, report: Report, path: Path) -> bool:
    known = schema["properties"]
    valid = True
    for name, child in value.items():
        if name not in known:
            report((*path, name), "unknown field", _meant(name, known), True)
            valid = False
        else:
            valid = check(child, known[name], report, (*path, name)) and valid
    for name in schema["required"]:
        if name not in value:
            report(path, f"{name} is missing", "", False)
            valid = False
    alternatives = [name for one in schema.get("anyOf", ()) for name in one["required"]]
    if alternatives and not any(name in value for name in alternatives):
        report(path, f"{' or '.join(alternatives)} is missing", "", False)
        valid = False
    for name in schema.get("dependentSchemas", ()):
        if name in value and value.get("fromWorkloads") is not True:
            report((*path, name), "has no effect", "add fromWorkloads: true", True)
            valid = False
    return valid


def _meant(name: object, known: Mapping[str, object]) -> str:
    lower = {field.lower(): field for field in known}
    near = get_close_matches(str(name).lower(), lower, n=1)
    return f"did you mean {lower[near[0]]}?" if near else f"one of {', '.join(known)}"


def _check_list(value: list[object], schema: Schema, report: Report, path: Path) -> bool:
    if len(value) < schema.get("minItems", 0):
        report(path, "the list is empty", "", False)
        return False
    checks = [
        check(child, schema["items"], report, (*path, place)) for place, child in enumerate(value)
    ]
    valid = all(checks)
    for place in _repeated(value) if schema.get("uniqueItems") else ():
        report((*path, place), f"{shorten(str(value[place]))} is in the list twice", "", False)
        valid = False
    return valid


def _repeated(value: list[object]) -> Iterator[int]:
    for place, child in enumerate(value):
        if isinstance(child, str) and child in value[:place]:
            yield place


def _check_text(value: str, schema: Schema, report: Report, path: Path) -> bool:
    if len(value) < schema.get("minLength", 0):
        report(path, "an empty string", "", False)
    elif len(value) > schema.get("maxLength", len(value)):
        message = f"{shorten(value)} has {len(value)} characters"
        report(path, message, f"at most {schema['maxLength']}", False)
    elif "enum" in schema and value not in schema["enum"]:
        message = f"{shorten(value)} is not one of {', '.join(schema['enum'])}"
        near = get_close_matches(value.lower(), schema["enum"], n=1)
        report(path, message, f"did you mean {near[0]}?" if near else "", False)
    elif "pattern" in schema and not re.search(schema["pattern"], value):
        report(path, *_not_matching(value, schema), False)
    else:
        return True
    return False


def _not_matching(value: str, schema: Schema) -> tuple[str, str]:
    if schema["pattern"] == _VERSION:
        message = f"{shorten(value)} is not a supported Kubernetes version"
        return message, f"use {Release(OLDEST)} to {Release(NEWEST)}"
    if schema["pattern"] == NODE_NAME:
        return f"{shorten(value)} is not the name of a node", "use lower-case letters, digits, -, ."
    message = f"{shorten(value)} can't begin the name of a file"
    return message, "use lower-case letters, digits, -, _ and . inside"
