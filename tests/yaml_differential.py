"""Compares `compiler.yaml.fast` with a reference on any bytes.

The reference is ruamel.yaml for the structure of a stream, and go-yaml v2 for the meaning of its
unquoted scalars, as kubectl reads them: `compiler.yaml.resolve`, which `tests/test_resolve.py`
compares with what go-yaml itself answered.

Used by the tests, and by itself as a fuzzer: `python -m tests.yaml_differential --seconds 300`
mutates streams at random for that long in a child process, whose death by a signal it reports.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.tag import Tag

from compiler.manifests.text import WHOLE
from compiler.yaml import fast
from compiler.yaml.fast import Chunk
from compiler.yaml.resolve import resolve

# What ruamel.yaml raises for a stream that it can't read; all but the first come from its insides
# (an int without digits, an escape past Unicode, `%YAML 1.3`).
REJECTIONS = (
    YAMLError, ValueError, RecursionError, OverflowError, TypeError, KeyError, AssertionError,
)  # fmt: skip


class _Resolver(VersionedResolver):
    """Leaves unquoted scalars to `resolve`, but for merge keys."""

    def resolve(self, kind: object, value: Any, implicit: Any) -> Any:
        if kind is ScalarNode and implicit[0] and value != "<<":
            return Tag(suffix="unquoted")
        return super().resolve(kind, value, implicit)


class _Constructor(SafeConstructor):
    """Makes of unquoted scalars what go-yaml does; keys become strings as in its JSON."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        made = super().construct_mapping(node, deep)
        return {key_of(key): value for key, value in made.items()}


def _unquoted(constructor: Any, node: Any) -> object:
    return resolve(node.value)


_Constructor.add_constructor("unquoted", _unquoted)
# A value that looks like a merge key is a string.
_Constructor.add_constructor("tag:yaml.org,2002:merge", lambda _, node: node.value)


def key_of(key: object) -> object:
    """Return a key as JSON has it."""
    if isinstance(key, bool):
        return str(key).lower()
    return str(key) if isinstance(key, int) else key


def loader() -> YAML:
    """Return the reference."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver = _Resolver
    yaml.Constructor = _Constructor
    return yaml


def reference(stream: bytes) -> list[Any]:
    """Read a whole stream with the reference."""
    return list(loader().load_all(stream))


def chunks(stream: bytes) -> list[Chunk]:
    """Cut a stream, skipping nothing."""
    return list(fast.chunks(stream, WHOLE))


def typed(value: object) -> object:
    """Return a value in a form in which equal means the same objects: 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return ("dict", [(typed(key), typed(item)) for key, item in value.items()])
    if isinstance(value, list):
        return ("list", [typed(item) for item in value])
    return (type(value).__name__, repr(value))


def difference(stream: bytes) -> str | None:
    """Return in what the chunks of a stream differ from what the reference reads, or None.

    Chunks without JSON are read by the reference, each by itself.
    """
    cut = chunks(stream)
    try:
        expected = reference(stream)
    except REJECTIONS as error:
        if any(chunk.json is None for chunk in cut):
            return None
        return f"taken, but ruamel.yaml rejects it: {error!r}"
    try:
        found = assemble(cut)
    except REJECTIONS as error:
        # Quoted text that goes on at the left margin with a dash: YAML forbids it, ruamel.yaml
        # doesn't mind. That is rejected, but not read as something else.
        if any(chunk.item is not None and chunk.json is None for chunk in cut):
            return None
        return f"a chunk can't be read by itself: {error!r}"
    try:
        return None if typed(found) == typed(expected) else f"{found!r} is not {expected!r}"
    except RecursionError:  # an alias inside the value that it names: ruamel.yaml has read both
        return None


def assemble(cut: Sequence[Chunk]) -> list[Any]:
    """Put chunks together to documents."""
    documents: list[Any] = []
    for chunk in cut:
        if chunk.item is None:
            read = [json.loads(chunk.json)] if chunk.json else reference(chunk.text)
            documents.extend(read)
        else:
            item = json.loads(chunk.json) if chunk.json else reference(chunk.text)[0][0]
            if chunk.item == 0:
                documents[-1]["items"] = []
            documents[-1]["items"].append(item)
    return documents


# Bits of YAML that mean something, or look as if they did.
SCRAPS = (
    b"- ", b"---", b"...", b"%YAML 1.1", b"%YAML 1.2\n---\n",
    b"%YAML 1.11", b"\r\r\n", b"? ", b":", b": ", b"#", b" #",
    b"# c", b"&a", b"&a ", b"*a", b"!!str ", b"!t ", b"<<: *a", b"<<", b"{", b"}", b"[", b"]",
    b"{}", b"[]", b",", b"'", b"''", b'"', b"\\", b"\\n", b"\\x41", b"|", b"|-", b"|+", b"|2",
    b">", b">-", b"| # c", b"~", b"null", b"Null", b"NULL", b"true", b"True", b"TRUE", b"tRue",
    b"False", b"yes", b"on", b"off", b"No", b"y", b"0", b"00", b"012", b"08", b"0o14", b"0x1F",
    b"0b1", b"0b", b"0o", b"0x", b"1_000", b"_1", b"+1", b"-1", b"-0", b".5", b"1.", b"1e3",
    b"1e+3", b"1.5", b"-.inf", b".NaN", b".inf", b".", b"..", b"12:30:45", b"1:2", b"2024-01-01",
    b"2024-01-01T00:00:00Z", b"2024-1-1 1:00:00", b"2024-01-01x", b"=", b"@", b"`", b"a", b"b",
    b"key", b"a: b", b"a: b: c", b"- - a", b"- a: b", b"a:", b" ", b"  ", b"    ", b"kind: List",
    b"items:", b"items:\n- ", b"apiVersion: v1", b"9223372036854775807", b"99999999999999999999",
    b'"8080"', b"'it''s'", b'"a\\"b"', b'"\\ud83d"', b'"\\/"', b"a#b", b"a #b", b"a:b", b"::1",
    b"fd00::1", b"10.0.0.1", b"1.2.3", b"6e4", b"3e", b"-", b"--", b"-a", b"--a", b"?a", b":a",
    b"ab  cd", b"ab\n  cd", b'"ab\n  cd"', b'"ab \\\n  cd"', b"'ab\n\n  cd'", b"'ab\n- cd'",
    b'"a" b', b"'a' # c", b"<", b"<a", b"\t", b"\r", b"\r\n", b"\n\n", b"\x00", b"\x07", b"\x7f",
    b"\xc2\x85", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\xff", b"\xc3\xa4", b"\xf0\x9f\x98\x80",
    b"\xc2\xa0", b"\xed\xa0\x80", b"\n", b"\n  ", b"\n- ", b"\n---\n", b"\n--- a\n", b"\n    ",
    b"\n...\n", b"\n# c\n", b"\n  - ", b"'a': ", b'"a": ', b'"a b": ', b"null: ", b"1: ", b"a b: ",
    b"\n  # c\n", b"\n \n", b"$", b"%", b"!", b"0X1f", b"0b1", b"-0b11", b"1_e3", b"0.50", b"80.0",
    b"[a, 'b', \"c\"]", b"{a: b, \"c\": [d, {e: f}]}", b"[ ]", b"{ }", b"[a,]", b"[a b, -c]",
    b"{a: b, a: c}", b"{yes: no}", b"[1, 0120, 1.5, ~]", b">\n  ab\n  cd\n\n  ef\n",
    b">-\n    a\n    b\n",
    b">\n  a\n   b\n  c\n", b">+\n  a\n\n", b"yes: ", b"on: ", b"[a #b]", b"['']", b"[-, a]",
    b"[a]b",
)  # fmt: skip


def mutate(stream: bytes, source: random.Random) -> bytes:
    """Change a stream in up to four places: scraps put in or over, bytes cut, lines doubled."""
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(stream) + 1)
        how = source.randrange(6)
        if how == 0:
            stream = stream[:at] + source.choice(SCRAPS) + stream[at:]
        elif how == 1:
            scrap = source.choice(SCRAPS)
            stream = stream[:at] + scrap + stream[at + len(scrap) :]
        elif how == 2:
            stream = stream[:at] + stream[at + source.randint(1, 4) :]
        elif how == 3:
            stream = stream[:at] + bytes([source.randrange(256)]) + stream[at + 1 :]
        else:
            lines = stream.split(b"\n")
            one, other = source.randrange(len(lines)), source.randrange(len(lines))
            if how == 4:
                lines.insert(other, lines[one])
            else:
                lines[one] = b" " * source.randrange(5) + lines[one].lstrip(b" ")
            stream = b"\n".join(lines)
    return stream


def compose(source: random.Random) -> bytes:
    """Make up to eight lines of keys, dashes and values, which now and then fit together."""
    lines = []
    column = 0
    for _ in range(source.randint(1, 8)):
        column = max(0, source.choice((column, column, column, column + 2, column - 2, 1)))
        line = b" " * column
        for _ in range(source.choice((0, 0, 0, 1, 1, 2))):
            line += b"- "
            column += 2 * source.randrange(2)
        if source.random() < 0.7:
            line += source.choice((b"a:", b"b:", b"c:", b"d:", b"e:", b"items:", b"kind:", b"'f':"))
            line += b" " * source.choice((1, 1, 1, 0, 2))
        if source.random() < 0.7:
            line += source.choice(SCRAPS)
        lines.append(line)
    return b"\n".join(lines) + b"\n" * source.choice((1, 1, 1, 0))


SEEDS = tuple(
    text.encode()
    for text in (
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\nspec:\n  ports:\n  - port: 80\n",
        "apiVersion: v1\nitems:\n- a: b\n  c:\n  - d\n- e: f\nkind: List\nmetadata:\n  g: ''\n",
        "a: |\n  x\n   y\n\n  z\nb: |-\n  x\nc: long\n  folded\nd: 'x\n  folded'\ne: \"f\n  g\"\n",
        "---\na: 1\n---\n# nothing\n---\n- b: true\n  c: null\n  d: ~\n-   - e\n- f\n",
        '# comment\na:\n    - b # comment\n    - c: {}\n      d: []\ne:\nf: "8080"\n',
        # The same heads again and again: the way of lines that were learnt.
        "- a: x\n- a: y\n- a: 1\n- a: '2'\n- a: true\n- a: 10.0.0.1\n- a: \"z\"\n- a: null\n",
        "a:\n- x\n- y\n- 1\n- '2'\n- ~\n- z\nb: |\n  x\n    \n  y\n \nc: d\n",
        "items:\n- &a {b: c}\n- *a\nkind: List\n",
        "a: [b, 'c', {d: e, f: 1}]\ng: {h: [], i: {}, 'j': k}\nl: >-\n  m\n  s\n\n  o\n",
        "p: 2024-01-01\nq: no\nr: 0120\ns: 1e3\nt: 80.0\nu: [yes, 1.5, ~]\n",
    )
)


def _fuzz(seconds: float, seed: int) -> None:
    warnings.simplefilter("ignore")
    source = random.Random(seed)
    end = time.monotonic() + seconds
    tried = taken = 0
    while time.monotonic() < end:
        is_composed = source.random() < 0.5
        stream = compose(source) if is_composed else mutate(source.choice(SEEDS), source)
        tried += 1
        taken += all(chunk.json is not None for chunk in chunks(stream))
        if found := difference(stream):
            print(f"{stream!r}\n  {found}", flush=True)  # noqa: T201
            sys.exit(1)
    print(f"{tried} streams, {taken} taken whole, no difference")  # noqa: T201


def in_child(work: Callable[..., None], *arguments: Any) -> int:
    """Do something in a process of its own; return its exit code, negative for a signal."""
    child = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    child.start()
    child.join()
    return child.exitcode or 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    options = parser.parse_args()
    sys.exit(abs(in_child(_fuzz, options.seconds, options.seed)))
