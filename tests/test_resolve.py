"""What YAML means to kubectl: the reader against the answers of kubectl's own library.

`tests/go_yaml/answers.json` has what `tests/go_yaml/answers.go` printed: the JSON of unquoted
scalars and of documents, or `error`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from compiler.yaml import scalar
from compiler.yaml.composed import compose
from compiler.yaml.plain import SyntaxProblem
from compiler.yaml.resolve import octal, resolve

ANSWERS = json.loads(Path(__file__).with_name("go_yaml").joinpath("answers.json").read_text())
SCALARS: dict[str, str] = ANSWERS["scalars"]
DOCUMENTS: dict[str, str] = ANSWERS["documents"]
# Where the reader rejects what go-yaml reads: see the test below.
REJECTED = {"a: &a {x: 1}\nb:\n  x: 3\n  <<: *a\n", "1.5: a\n"}


def is_same(value: object, answer: str) -> bool:
    """Whether a value is that of the JSON: 80.0 is 80 there, but true is not 1."""
    if answer == "error":  # go-yaml reads an infinity or NaN, which JSON can't have
        return isinstance(value, float) and not math.isfinite(value)
    expected = json.loads(answer)
    if isinstance(value, float) and type(expected) in (int, float):
        return value == float(expected)
    return type(value) is type(expected) and value == expected


@pytest.mark.parametrize("text", SCALARS)
def test_an_unquoted_scalar_is_what_go_yaml_makes_of_it(text: str) -> None:
    assert is_same(resolve(text), SCALARS[text])


def test_the_fast_path_agrees_where_it_takes_a_scalar() -> None:
    taken = {text: scalar.to_json(text.encode()) for text in SCALARS}
    assert sum(json is not None for json in taken.values()) > 300
    for text, json_or_none in taken.items():
        if json_or_none is not None:
            assert is_same(json.loads(json_or_none), SCALARS[text]), text


def test_the_quick_look_at_strings_takes_nothing_else() -> None:
    quick = [text for text in SCALARS if scalar.is_plain_string(text.encode())]
    assert len(quick) > 50
    for text in quick:
        assert json.loads(SCALARS[text]) == text


@pytest.mark.parametrize("text", sorted(DOCUMENTS.keys() - REJECTED))
def test_a_document_is_what_go_yaml_makes_of_it(text: str) -> None:
    if DOCUMENTS[text] == "error":
        with pytest.raises(SyntaxProblem):
            [document.value for document in compose(text)]
    else:
        (document,) = compose(text)
        assert document.value == json.loads(DOCUMENTS[text])


def test_a_key_that_go_yaml_lets_a_later_merge_override_is_rejected() -> None:
    (document,) = compose("a: &a {x: 1}\nb:\n  x: 3\n  <<: *a\n")
    with pytest.raises(SyntaxProblem) as raised:
        _ = document.value
    problem = raised.value
    assert problem.message == (
        "ambiguous key x: by YAML's rule it overrides the same key of the mapping merged below it, "
        "with go-yaml v2 it does not"
    )
    assert (problem.hint, problem.line, problem.column) == ("write << first", 3, 3)


@pytest.mark.parametrize(
    ("text", "both"),
    [
        ("0120", (80, 120)),
        ("-0120", (-80, -120)),
        ("0_777", (511, 777)),
        ("0", None),
        ("00", None),
        ("007", None),
        ("08", None),
        ("0128", None),
        ("0o120", None),
        ("120", None),
        ("0x120", None),
    ],
)
def test_a_number_with_two_meanings(text: str, both: tuple[int, int] | None) -> None:
    assert octal(text) == both
