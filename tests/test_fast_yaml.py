from __future__ import annotations

import json
import random
import string
import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tests.benchmarks.generate import Shape, objects
from tests.benchmarks.kubectl_yaml import yaml_lines
from tests.yaml_differential import (
    SCRAPS,
    SEEDS,
    chunks,
    compose,
    difference,
    in_child,
    mutate,
    reference,
    typed,
)


@pytest.fixture(autouse=True)
def quiet_ruamel() -> Iterator[None]:
    """What ruamel.yaml warns about (an anchor used twice, a float that 1.1 lacks) is no matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def taken(text: str) -> list[Any]:
    """Read a text that has to be taken whole."""
    documents = []
    for chunk in chunks(text.encode()):
        assert chunk.json is not None, chunk
        documents.append(json.loads(chunk.json))
    assert difference(text.encode()) is None
    return documents


def is_handed_over(text: str) -> bool:
    return all(chunk.json is None for chunk in chunks(text.encode()))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("a", "a"),
        ("yes", True),
        ("Off", False),
        ("y", True),
        ("yEs", "yEs"),
        ("1.5", 1.5),
        ("-0.25", -0.25),
        ("=", "="),
        ("<<", "<<"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("true", True),
        ("TRUE", True),
        ("False", False),
        ("tRue", "tRue"),
        ("null", None),
        ("~", None),
        ("", None),
        ("80", 80),
        ("-1", -1),
        ("0", 0),
        ('"8080"', "8080"),
        ("'it''s'", "it's"),
        ('"a\\tb\\"c\\\\d\\/"', 'a\tb"c\\d/'),
        ("10.0.0.1", "10.0.0.1"),
        ("fd00::1", "fd00::1"),
        ("12:30:45", "12:30:45"),
        ("1.2.3", "1.2.3"),
        ("27935e07-8a", "27935e07-8a"),
        ("08bf1fa6fb49433264eaaa5e3376f6e2", "08bf1fa6fb49433264eaaa5e3376f6e2"),
        ("2024-01-01x", "2024-01-01x"),
        ("a b  c", "a b  c"),
        ("a#b", "a#b"),
        ("a # b", "a"),
        ("a:b", "a:b"),
        ("--flag=\"x y\" 'z' \\d", "--flag=\"x y\" 'z' \\d"),
        ("{}", {}),
        ("[]", []),
        ("[a]", ["a"]),
        ('["sh", \'-c\', -c , "a\\tb"] # comment', ["sh", "-c", "-c", "a\tb"]),
        ("[1, yes, ~, 1.5, 10.0.0.1, a b]", [1, True, None, 1.5, "10.0.0.1", "a b"]),
        ("{name: http, port: 80}", {"name": "http", "port": 80}),
        ("{a: [{b: {}}, []], 'c d': x}", {"a": [{"b": {}}, []], "c d": "x"}),
        ('{"a":"b","c":["d"]}', {"a": "b", "c": ["d"]}),
        ("Grüße an 😀", "Grüße an 😀"),
        ("folded\n  here", "folded here"),
        ('"folded\n  here"', "folded here"),
        ("'fol''ded\n  here'", "fol'ded here"),
        ("|\n  x\n   y\n\n  z\n\n", "x\n y\n\nz\n"),
        ('|-\n  {"x": "\\n"}', '{"x": "\\n"}'),
        (">\n  a\n  b\n\n  c\n\n\n  d\n\n", "a b\nc\n\nd\n"),
        (">-\n  a b\n  c", "a b c"),
    ],
)
def test_a_value_is_taken_as_go_yaml_reads_it(written: str, value: object) -> None:
    (document,) = taken(f"key: {written}\nother: 1\n")
    assert typed(document) == typed({"key": value, "other": 1})


@pytest.mark.parametrize(
    "written",
    [
        *"0o14 0x1F 012 08 1_000 +1 .5 1. 1e3 -.inf .NaN -0 00.5 1_0.5".split(),  # noqa: SIM905
        *"9223372036854775807000 &a *a !!str !t @ ` % ? - ,".split(),  # noqa: SIM905
        *r"""{a} {a:1} "\x41" "\u00e9" "\ud83d" >+ |+ |2 "a 'a "a"b 'a'b""".split(),  # noqa: SIM905
        *("[a,]", "[a", "[a]b", "[a]#b", "[a b: c]", "{a: 1, a: 2}", "{a: 0120}", "{yes: 1}"),
        *("[a #b]", "{a b}", "[a, [b}", "[&a b]", '["\\x41"]', "[a:b]", ">\n  a\n   b\n"),
        *("[" * 17 + "a" + "]" * 17, "{a: b c: d}", "[|]", "{? a : b}"),
        *("a\tb", "a\x07", "\x7f", "a\x85b", "\ufeffa", "a\u2028b", "a\xa0b", "a b:", "'a' b"),
    ],
)
def test_a_value_in_another_notation_is_handed_over(written: str) -> None:
    assert is_handed_over(f"key: {written}\n")
    assert is_handed_over(f"- {written}\n")


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2\n",
        "a:\n  b: 1\n  c: 2\n  b: 3\n",
        "'a': 1\na: 2\n",
        "- a: 1\n  a: 2\n",
        "<<: {a: 1}\n",
        "%YAML 1.1\n---\na: yes\n",
        "a: 1\n...\n---\nb: 1\n",
        "--- {a: 1}\n",
        "---\n--- # comment\na: 1\n",
        "\ta: 1\n",
        "a:\n\tb: 1\n",
        "a: 1\rb: 2\n",
        "a: |\n x\r\r\r\n y\n",
        "%YAML 1.11\n---\na: 1\n",
        "a:\n  b: 1\n c: 2\n",
        "a: 1\n- b\n",
        "- b\na: 1\n",
        "a: 1\n  b: 2\n",
        "1: a\n",
        "yes: a\n",
        "N: a\n",
        "null: a\n",
        "a b: c\n",
        "? a\n: b\n",
        "a: |\n  x",  # no line break at the end, which a literal block would keep
        "a: |\n\n  x\n",
        "a: |\n    x\n  y\n",
        "a: 'x\nb: y'\n",
        "just text\n",
        "- - - " * 100 + "a\n",
    ],
)
def test_a_document_that_is_not_plain_block_style_is_handed_over(text: str) -> None:
    assert is_handed_over(text)
    assert difference(text.encode()) is None


def test_bytes_that_are_no_text_are_handed_over() -> None:
    for stream in (b"a: \xff\n", b"\xff\xfea\x00", b"a: \xed\xa0\x80\n", b"a: \x00\n", b"\x00" * 9):
        assert [chunk.json for chunk in chunks(stream)] == [None]


def test_structure_is_read_by_indentation() -> None:
    text = """# a comment
    # indented
a:
- b
-   c   # behind a value
- d:
  - e
  f: g

- - h
  - i: j
k:
    - l
m:
s:
  o:
    p:
q: r
"""
    assert taken(text) == [
        {
            "a": ["b", "c", {"d": ["e"], "f": "g"}, ["h", {"i": "j"}]],
            "k": ["l"],
            "m": None,
            "s": {"o": {"p": None}},
            "q": "r",
        }
    ]


def test_documents_and_their_lines() -> None:
    cut = chunks(b"# nothing\n---\na: 1\n---\n# nothing either\n---\nb: 2\nc: 3\n---\n")
    assert [(chunk.line, chunk.json) for chunk in cut] == [
        (2, b'{"a":1}'),
        (4, b"null"),
        (6, b'{"b":2,"c":3}'),
        (9, b"null"),
    ]
    assert cut[2].text == b"---\nb: 2\nc: 3\n"
    assert chunks(b"# nothing\n\n") == []


def test_windows_line_breaks_are_line_breaks() -> None:
    assert taken("a:\r\n  - b\r\nc: |\r\n  x\r\n  y\r\n") == [{"a": ["b"], "c": "x\ny\n"}]


LIST = """apiVersion: v1
items:
- a: 1
  b:
  - c
# between
- d: &e {e: 1}
- f: 3
kind: List
metadata:
  resourceVersion: ""
"""


def test_a_list_is_cut_into_items_and_only_the_odd_one_handed_over() -> None:
    cut = chunks(LIST.encode())
    shell = b'{"apiVersion":"v1","items":null,"kind":"List","metadata":{"resourceVersion":""}}'
    assert [(chunk.item, chunk.line, chunk.json) for chunk in cut] == [
        (None, 1, shell),
        (0, 3, b'{"a":1,"b":["c"]}'),
        (1, 7, None),
        (2, 8, b'{"f":3}'),
    ]
    assert cut[2].text == b"- d: &e {e: 1}\n"
    assert difference(LIST.encode()) is None


@pytest.mark.parametrize(
    "text",
    [
        LIST.replace("kind: List", "kind: Other"),
        LIST.replace("kind: List", "kind: [List]"),
        LIST.replace("a: 1", "a: &x 1").replace("f: 3", "f: *x"),
        LIST.replace("metadata:", "items:"),
    ],
)
def test_what_is_no_list_or_has_aliases_stays_whole(text: str) -> None:
    assert [chunk.item for chunk in chunks(text.encode())] == [None]
    assert difference(text.encode()) is None


def test_all_that_kubectl_prints_is_taken() -> None:
    items = list(objects(Shape(60, 120, affinity=0.5, node_ports=0.5)))
    annotations = {
        "long": "words and more words " * 20 + "end",
        "quoted": "it's: " + "so many words " * 20 + "end",
        "several": "one\n  two\n\nthree\n",
        "json": '{"a": ["b"]}',
        "number": "1",
        "date": "2024-01-01",
        "unicode": "Grüße",
        "empty": "",
        "none": None,
    }
    items[0]["metadata"]["annotations"] = annotations
    text = "apiVersion: v1\nitems:\n" + "".join(yaml_lines(items)) + "kind: List\nmetadata: {}\n"
    shell, *rest = chunks(text.encode())
    assert shell.json == b'{"apiVersion":"v1","items":null,"kind":"List","metadata":{}}'
    assert [json.loads(chunk.json or b'"handed over"') for chunk in rest] == items


def test_kubectl_yaml_is_what_ruamel_reads_back() -> None:
    items = list(objects(Shape(3, 2)))
    assert reference("".join(yaml_lines(items)).encode()) == [items]


def test_many_shapes_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compiler.yaml.lines.MAX_LEARNT", 20)
    text = "".join(f"---\nkey{n}: 1\nother{n}:\n- a\n" for n in range(100))
    assert len(taken(text)) == 100


def test_a_mapping_of_very_many_keys_is_handed_over() -> None:
    assert is_handed_over("".join(f"key{n}: 1\n" for n in range(5000)))


def test_useless_text_is_handed_over_in_no_time() -> None:
    for stream in (
        b"0" * 3_000_000,
        b"\x00" * 3_000_000,
        b"a: " + b" " * 3_000_000 + b"\x00",
        b"a: 2024-01-01 " + b" " * 3_000_000 + b": b",
        b'a: "' + b"\\n" * 1_500_000,
        b"a: '" + b"'' " * 1_000_000,
        b"a: b" + b" c" * 1_500_000 + b": d",
        b"- " * 1_500_000,
        b"[" * 3_000_000,
        b"".join(b" " * depth + b"a:\n" for depth in range(2000)),
    ):
        assert all(chunk.json is None for chunk in chunks(stream)), stream[:20]


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.dates()
    | st.text()
    | st.text(string.printable)
    | st.from_regex(r"[-+]?[0-9_.:eoxTZ-]{1,12}", fullmatch=True)
    | st.sampled_from([scrap.decode(errors="ignore") for scrap in SCRAPS])
)
keys = st.text(string.ascii_letters + "-./_ ", min_size=1, max_size=8) | st.text(max_size=4)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    value=values,
    indent=st.sampled_from([(2, 2, 0), (2, 4, 2), (4, 4, 0), (4, 6, 4)]),
    width=st.sampled_from([20, 80, 4096]),
    is_flow=st.sampled_from([False, False, None, True]),
    line_break=st.sampled_from(["\n", "\r\n"]),
)
def test_yaml_written_by_ruamel_is_read_the_same(
    value: object, indent: tuple[int, int, int], width: int, is_flow: bool | None, line_break: str
) -> None:
    yaml = YAML(typ="safe", pure=True)
    yaml.indent(mapping=indent[0], sequence=indent[1], offset=indent[2])
    yaml.width = width
    yaml.default_flow_style = is_flow
    yaml.allow_unicode = width != 20
    out = BytesIO()
    yaml.dump(value, out)
    assert difference(out.getvalue().replace(b"\n", line_break.encode())) is None


text_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(value=st.dictionaries(keys, text_values, min_size=1, max_size=5))
def test_yaml_written_as_kubectl_writes_it_is_read_the_same(value: dict[str, Any]) -> None:
    assert difference("".join(yaml_lines(value)).encode()) is None


@settings(deadline=None, max_examples=600)
@given(seed=st.integers(0, 2**32))
def test_any_lines_are_read_the_same_or_handed_over(seed: int) -> None:
    source = random.Random(seed)
    for stream in (compose(source), mutate(source.choice(SEEDS), source)):
        assert difference(stream) is None, stream


@settings(deadline=None, max_examples=300)
@given(stream=st.binary(max_size=60))
def test_any_bytes_are_read_the_same_or_handed_over(stream: bytes) -> None:
    assert difference(stream) is None


def _read_noise() -> None:
    source = random.Random(20)
    for _ in range(3000):
        chunks(source.randbytes(source.randint(0, 400)))
        chunks(mutate(mutate(LIST.encode(), source), source))


def test_no_bytes_crash_it() -> None:
    assert in_child(_read_noise) == 0


def test_a_long_list_is_learnt_once() -> None:
    text = "a:\n" + "".join(f"- b: {n}\n  c:\n  - d: x{n}\n    e: 1\n" for n in range(6000))
    (document,) = (json.loads(chunk.json or b"null") for chunk in chunks(text.encode()))
    assert document == {"a": [{"b": n, "c": [{"d": f"x{n}", "e": 1}]} for n in range(6000)]}
