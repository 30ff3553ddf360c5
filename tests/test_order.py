"""The order, the packaging and the syntax of manifests make no difference to the text."""

from __future__ import annotations

import io
import json
import random
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from compiler.api import compile_rules, complete_manifests
from compiler.cli.options import CompileOptions
from compiler.manifests.source import Source
from tests.cases import ALL_CASES, Case, case_id

SHUFFLED = [case for case in ALL_CASES if not case.name.startswith(("large-", "upstream-"))]


@cache
def objects_of(case: Case) -> list[dict[str, Any]]:
    """The case's objects, bare items made whole."""
    objects = []
    text = case.manifest.read_text()
    is_json = case.manifest.suffix == ".json"
    for document in [json.loads(text)] if is_json else YAML(typ="safe", pure=True).load_all(text):
        for item in (document or {}).get("items", [document] if document else []):
            kind = document["kind"].removesuffix("List")
            version = document["apiVersion"]
            objects.append({"kind": kind, "apiVersion": version, **item})
    return objects


def compile_case(case: Case, sources: list[Source]) -> str:
    options = case.options
    if "--from-workloads" in options:
        sources = [complete_manifests(sources, config=case.config).source]
    return compile_rules(
        sources,
        config=case.config,
        node=options[options.index("--node") + 1] if "--node" in options else None,
        kube_version=options[options.index("--kube-version") + 1],
        ip_family=case.family,
        nfacct="--nfacct" in options,
        random_fully="--no-random-fully" not in options,
    ).text


def as_yaml(documents: list[Any]) -> bytes:
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump_all(documents, stream)
    return stream.getvalue().encode()


def as_list(objects: list[Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": objects}


def as_sources(objects: list[Any], shape: random.Random) -> list[Source]:
    """Write objects as several files, each in one of the ways that people and kubectl do it."""
    sources: list[Source] = []
    while objects:
        size = shape.randint(1, len(objects))
        some, objects = objects[:size], objects[size:]
        way = shape.choice(["yaml", "json", "yaml list", "json list", "pretty"])
        if way == "yaml":
            text = as_yaml(some)
        elif way == "yaml list":
            text = as_yaml([as_list(some)])
        elif way == "json":
            text = "\n".join(map(json.dumps, some)).encode()
        else:
            text = json.dumps(as_list(some), indent=4 if way == "pretty" else None).encode()
        sources.append(Source(f"file-{len(sources)}", text))
    return sources


@pytest.mark.parametrize("case", SHUFFLED, ids=case_id)
def test_shuffled_and_split(case: Case) -> None:
    shape = random.Random(case.name)
    objects = list(objects_of(case))
    shape.shuffle(objects)
    assert compile_case(case, as_sources(objects, shape)) == case.expected


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_any_order_and_shape(data: st.DataObject, seed: int) -> None:
    case = data.draw(st.sampled_from(SHUFFLED))
    objects = data.draw(st.permutations(objects_of(case)))
    assert compile_case(case, as_sources(list(objects), random.Random(seed))) == case.expected


def test_endpoints_order_makes_no_difference() -> None:
    case = next(case for case in SHUFFLED if case.name == "nodeport-cluster")
    objects = json.loads(json.dumps(objects_of(case)))
    for item in objects:
        if "endpoints" in item:
            item["endpoints"].reverse()
    assert compile_case(case, as_sources(objects, random.Random(1))) == case.expected


def test_the_large_json_path_gives_the_same() -> None:
    """Above the size where msgspec alone reads, the same objects come out."""
    case = next(case for case in SHUFFLED if case.name == "random-00001")
    items = [*objects_of(case), {"kind": "Pad", "apiVersion": "v1", "metadata": {"name": "pad"}}]
    small = json.dumps(as_list(items[:-1])).encode()
    padded = small.replace(
        b'{"apiVersion"', b'{"padding": "' + b"x" * 1_100_000 + b'", "apiVersion"', 1
    )
    assert compile_case(case, [Source("padded", padded)]) == case.expected
    items[-1]["padding"] = "x" * 1_100_000
    with_other_kind = json.dumps(as_list(items)).encode()
    assert compile_case(case, [Source("other", with_other_kind)]) == case.expected


def test_options_object_compiles_the_same() -> None:
    case = SHUFFLED[0]
    options = CompileOptions(
        config=str(case.config),
        node=case.options[1],
        kube_version=case.options[3],
        ip_family=case.family,
    )
    assert options.compile([str(case.manifest)]).text == case.expected
