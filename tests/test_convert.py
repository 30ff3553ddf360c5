"""Conversion of plain values to objects, compared with msgspec's."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.manifests.convert import convert
from compiler.manifests.schema import EndpointSlice, Node, Service
from compiler.yaml.plain import Path
from tests.test_injection import LEAVES, manifests

KINDS: dict[str, type[msgspec.Struct]] = {
    "service": Service,
    "slice": EndpointSlice,
    "node": Node,
}
odd = st.sampled_from([None, 1, 1.5, True, "x", "1", [], {}, [None], [1], {"a": 1}, [{"a": None}]])


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(LEAVES), st.integers(0, 4), odd), max_size=3))
def test_agrees_with_msgspec(changes: list[tuple[tuple[str | int, ...], int, Any]]) -> None:
    objects: Any = manifests()
    for path, cut, value in changes:
        *parents, last = path[: max(2, len(path) - cut)]
        with suppress(TypeError, KeyError, IndexError):  # an earlier change took the place away
            place = objects
            for step in parents:
                place = place[step]
            if isinstance(place, dict) is isinstance(last, str):
                place[last] = deepcopy(value)  # the samples are shared
    for name, cls in KINDS.items():
        assert_agreement(objects[name], cls)


def assert_agreement(value: Any, cls: type[msgspec.Struct]) -> None:
    value.pop("kind", None)  # the reader has looked at it before
    found: list[tuple[Path, str, str]] = []
    made: msgspec.Struct = convert(
        value, cls, lambda *message: found.append(message), lambda *_: None
    )
    rejected = ""
    try:
        assert msgspec.convert(value, cls) == made
    except msgspec.ValidationError as error:
        rejected = str(error)
    assert bool(found) == bool(rejected), (found, rejected)
