"""Positions: what is found at a line and column is what the path leads to."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from compiler.yaml import composed, plain
from compiler.yaml.plain import (
    JsonDocument,
    Path,
    PlainDocument,
    SyntaxProblem,
    duplicate_keys,
    json_documents,
)

keys = st.text('abc"\\\n\té', max_size=4)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.text('ab"\\{}[],:\n', max_size=6),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=12,
)


def paths_in(value: object, path: Path = ()) -> list[tuple[Path, object]]:
    found: list[tuple[Path, object]] = [(path, value)]
    children: Any = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for step, child in children:
        found += paths_in(child, (*path, step))
    return found


def rest_at(text: str, document: PlainDocument, path: Path, *, key: bool = False) -> str:
    line, column = document.locate(path, key=key)
    return "\n".join([text.split("\n")[line - 1][column - 1 :], *text.split("\n")[line:]])


@given(value=values, indent=st.sampled_from([None, 0, 3]), before=st.sampled_from(["", "7\n", " "]))
def test_json_positions(value: object, indent: int | None, before: str) -> None:
    text = before + json.dumps(value, indent=indent, ensure_ascii=False)
    document = list(json_documents(text))[-1]
    assert document.value == value
    for path, wanted in paths_in(value):
        rest = rest_at(text, document, path)
        assert json.JSONDecoder().raw_decode(rest)[0] == wanted
        if path and isinstance(path[-1], str):
            key_rest = rest_at(text, document, path, key=True)
            assert json.JSONDecoder().raw_decode(key_rest)[0] == path[-1]


def test_json_path_that_leads_too_far_ends_at_the_nearest() -> None:
    document = JsonDocument('{"a": {"b": 1}}')
    assert document.locate(("a", "x", "y")) == (1, 7)
    assert document.locate(("a", "b", 0)) == (1, 13)


def is_readable(text: str) -> bool:
    """Tell whether ruamel.yaml reads what it wrote: not so for `{'': :"}`."""
    try:
        YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return False
    return True


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 10**19 - 1, -(10**18) - 1])
def test_json_numbers_of_64_bits_are_exact(number: int) -> None:
    assert JsonDocument(f'{{"a": {number}}}').value == {"a": number}


@settings(deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1), values, min_size=1, max_size=3))
def test_yaml_positions(value: dict[str, object]) -> None:
    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(value, stream)
    text = stream.getvalue()
    assume(is_readable(text))
    (document,) = composed.compose(text)
    assert document.value == value
    for path, wanted in paths_in(value):
        if isinstance(wanted, bool | int) or wanted is None:
            rest = rest_at(text, document, path).split("\n")[0].rstrip(",]} ")
            assert YAML(typ="safe", pure=True).load(rest.split(",")[0].rstrip("]}")) == wanted


def test_the_key_of_a_duplicate_is_the_last_one() -> None:
    text = "a: 1\nb:\n  c: 1\n  c: 2\n"
    (document,) = composed.compose(text)
    assert list(duplicate_keys(document.value)) == [("b", "c")]
    assert document.locate(("b", "c"), key=True) == (4, 3)


def test_an_item_by_itself_keeps_its_lines() -> None:
    (item,) = composed.compose("- kind: Service\n  name: s\n", 2104, is_item=True)
    assert item.value == {"kind": "Service", "name": "s"}
    assert item.locate(("name",)) == (2105, 9)


def test_merge_keys() -> None:
    text = "b: &b {x: 1, v: 1}\nc: &c {v: 2, z: 2}\nd:\n  <<: [*b, *c]\n  x: 3\n"
    (document,) = composed.compose(text)
    assert document.value == YAML(typ="safe", pure=True).load(text)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        for document in composed.compose(text):
            paths_in(document.value)
    except SyntaxProblem as problem:
        lines = max(1, len(text.splitlines()) + 1)
        assert (1 <= problem.line <= lines, problem.column >= 1) == (True, True)  # noqa: PT017


def test_a_place_in_json_is_looked_up_without_what_follows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Service may come with a million ports, and the place of each was looked up."""
    text = json.dumps({"a": {"b": [*range(1000)], "c": 1}, "d": 2})
    document = JsonDocument(text)
    skipped: list[int] = []

    class Skipper(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> Any:
            skipped.append(idx)
            return super().raw_decode(s, idx)

    monkeypatch.setattr(plain, "_SKIPPER", Skipper())
    assert document.locate(("a", "b")) == (1, text.index("[") + 1)
    assert skipped == []
    assert document.locate(("a", "b", 2)) == (1, text.index("2,") + 1)
    assert len(skipped) == 2
    assert document.locate(("a", "b", 1)) == (1, text.index("1,") + 1)
    assert len(skipped) == 2
    assert document.locate(("a", "e")) == (1, text.index('{"b"') + 1)
    assert document.locate(("a", "e", "f")) == (1, text.index('{"b"') + 1)


def test_the_last_of_several_json_keys_counts() -> None:
    text = '{"a": {"b": 1}, "c": 0, "a": {"b": 2, "b": 3}}'
    document = JsonDocument(text)
    assert document.locate(("a", "b")) == (1, text.index("3") + 1)
    assert document.written(("a", "b")) == "3"
    assert document.locate(("a", "b"), first=True) == (1, text.index("2,") + 1)
    assert document.locate(("a",), key=True, first=True) == (1, 2)
    assert document.locate(("a",), key=True) == (1, text.rindex('"a"') + 1)
    assert document.written(("a", "b", "d")) == ""
