"""YAML documents as plain values with positions, composed by ruamel.yaml.

ruamel.yaml is the reference for the structure of a text, `resolve` for its unquoted scalars. It is
slow, about 130 kB per second, so it reads only the chunks that `fast` can't: the places in the
others are found by `places`.
"""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.tag import Tag

from compiler.yaml.plain import (
    MAX_DEPTH,
    MAX_NUMBER,
    NO_VALUE,
    SHALLOWER,
    TOO_DEEP,
    Path,
    PlainMap,
    Position,
    SyntaxProblem,
)
from compiler.yaml.resolve import octal, resolve

# No object that people write is longer. The limit keeps ruamel.yaml, which reads a character at a
# time, from minutes of work on a useless text.
MAX_LINE = 3 * 1024 * 1024
# What ruamel.yaml reads at once: up to a minute's work, and more than any one object has.
MAX_TEXT = 2 * 1024 * 1024
# Values that aliases (`*name`) may add to what is written, in all.
MAX_EXPANDED = 1_000_000

_MERGE = "tag:yaml.org,2002:merge"
_TYPES: dict[str, tuple[type, ...]] = {
    "tag:yaml.org,2002:bool": (bool,),
    "tag:yaml.org,2002:int": (int,),
    "tag:yaml.org,2002:float": (float, int),
    "tag:yaml.org,2002:null": (type(None),),
}
_STRINGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp")


class _Resolver(VersionedResolver):
    """Marks unquoted scalars without a tag, whose meaning `resolve` decides."""

    UNQUOTED = Tag(suffix="unquoted")

    def resolve(self, kind: object, value: object, implicit: Any) -> Any:
        if kind is ScalarNode and implicit[0]:
            return self.UNQUOTED
        return super().resolve(kind, value, implicit)


class YamlDocument:
    """One YAML document, composed by ruamel.yaml; `node` is its root, None where it is empty."""

    def __init__(self, node: Node | None, first_line: int) -> None:
        self._node = node
        self._first_line = first_line

    @cached_property
    def value(self) -> object:
        """The document's value. Raises `SyntaxProblem` for what has no place in a manifest."""
        return None if self._node is None else _Values(self._first_line).of(self._node)

    def written(self, path: Path) -> str:
        """See `PlainDocument.written`."""
        node = self._node
        for step in path:
            _, node = _child(node, step)
        return node.value if isinstance(node, ScalarNode) else ""

    def octal(self, path: Path) -> tuple[int, int] | None:
        """See `PlainDocument.octal`."""
        node = self._node
        for step in path:
            _, node = _child(node, step)
        return octal(node.value) if isinstance(node, ScalarNode) and _is_unquoted(node) else None

    def locate(self, path: Path, *, key: bool = False, first: bool = False) -> Position:
        """See `PlainDocument.locate`."""
        node = key_node = self._node
        for number, step in enumerate(path, 1):
            key_node, child = _child(node, step, first=first and number == len(path))
            if child is None:
                break
            node = child
        else:
            if key and key_node is not None:
                node = key_node
        if node is None:
            return self._first_line, 1
        return _position(node, self._first_line)


def _position(node: Node, first_line: int) -> Position:
    return node.start_mark.line + first_line, node.start_mark.column + 1


def _child(
    node: Node | None, step: str | int, *, first: bool = False
) -> tuple[Node | None, Node | None]:
    """Find key node and value node of a step down: of a duplicate key the last, or the first."""
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    if isinstance(node, MappingNode):
        for key, value in node.value if first else reversed(node.value):
            if key.value == step:
                return key, value
    return None, None


def _is_unquoted(node: Node) -> bool:
    return node.tag == _Resolver.UNQUOTED


def _is_merge(key: Node) -> bool:
    return (key.value == "<<" and _is_unquoted(key)) or key.tag == _MERGE


class _Values:
    """Turns nodes into plain values; an alias's value is made once and shared."""

    def __init__(self, first_line: int) -> None:
        self._first_line = first_line
        self._constructor = _composer().constructor
        self._made: dict[Node, object] = {}
        self._sizes: dict[Node, int] = {}
        self._open: set[Node] = set()

    def of(self, node: Node) -> object:
        if node in self._made:
            return self._made[node]
        if node in self._open:
            raise self._problem(node, "an alias inside the value that it names", "a finite value")
        if len(self._open) >= MAX_DEPTH:
            raise self._problem(node, TOO_DEEP, SHALLOWER)
        self._open.add(node)
        value = self._made[node] = self._make(node)
        self._open.discard(node)
        return value

    def _make(self, node: Node) -> object:
        if isinstance(node, ScalarNode):
            self._sizes[node] = 1
            return self._scalar(node)
        value: object
        if isinstance(node, SequenceNode):
            value = [self.of(child) for child in node.value]
            self._count(node, node.value)
        else:
            value = PlainMap([(self._key(key), self.of(child)) for key, child in node.value])
            if any(_is_merge(key) for key, _ in node.value):
                value = self._merged(node)
            self._count(node, [child for _, child in node.value])
        return value

    def _count(self, node: Node, children: list[Node]) -> None:
        self._sizes[node] = 1 + sum(self._sizes[child] for child in children)
        if self._sizes[node] > MAX_EXPANDED and self._sizes[node] > 2 * len(self._made):
            raise self._problem(
                node, f"its aliases expand to more than {MAX_EXPANDED} values", "fewer aliases"
            )

    def _key(self, node: Node) -> str:
        if not isinstance(node, ScalarNode):
            raise self._problem(node, "a mapping or list used as a key", "a string as the key")
        if _is_merge(node):
            return "<<"
        value = self._scalar(node)
        if isinstance(value, bool):
            return str(value).lower()  # as JSON has it: `on: a` has the key "true"
        if isinstance(value, int):
            return str(value)
        if not isinstance(value, str):
            raise self._problem(
                node, f"the key {node.value} is not a string", f'quote it: "{node.value}"'
            )
        return value

    def _merged(self, node: Node) -> PlainMap:
        """Apply merge keys (`<<: *base`).

        A mapping's own keys override the base's, an earlier base overrides a later one. But
        go-yaml v2 lets a base override what is written above the merge key, against YAML's rule:
        where that matters there is no value to agree on.
        """
        own = [(self._key(k), self.of(v)) for k, v in node.value if not _is_merge(k)]
        merged = PlainMap(own)
        above: dict[str, Node] = {}
        for key, child in node.value:
            if not _is_merge(key):
                above[self._key(key)] = key
                continue
            for base in child.value if isinstance(child, SequenceNode) else [child]:
                mapping = self.of(base)
                if not isinstance(mapping, dict):
                    raise self._problem(base, "<< merges something other than a mapping", "")
                for name, value in mapping.items():
                    if name in above and merged[name] != value:
                        raise self._problem(above[name], *_two_merges(name))
                    merged.setdefault(name, value)
        return merged

    def _scalar(self, node: ScalarNode) -> object:
        value = self._constructed(node)
        # As of JSON: no whole number of the API is larger, and a float is none.
        return float(value) if type(value) is int and abs(value) >= MAX_NUMBER else value

    def _constructed(self, node: ScalarNode) -> object:
        if _is_unquoted(node):
            return resolve(node.value)
        tag = str(node.tag)
        if tag in _STRINGS:
            return node.value
        if types := _TYPES.get(tag):
            value = resolve(node.value)
            if type(value) not in types:
                raise self._problem(node, NO_VALUE, "quote it if it is a string")
            return value
        try:
            return self._constructor.construct_object(node)
        except ConstructorError as error:
            message = f"invalid YAML value: {error.problem}"
            raise self._problem(node, message, "") from error
        except (ValueError, OverflowError, LookupError) as error:
            raise self._problem(node, NO_VALUE, "quote it if it is a string") from error

    def _problem(self, node: Node, message: str, hint: str) -> SyntaxProblem:
        return SyntaxProblem(message, hint, *_position(node, self._first_line))


def _two_merges(name: str) -> tuple[str, str]:
    message = (
        f"ambiguous key {name}: by YAML's rule it overrides the same key of the mapping merged "
        "below it, with go-yaml v2 it does not"
    )
    return message, "write << first"


def compose(text: str, first_line: int = 1, *, is_item: bool = False) -> list[YamlDocument]:
    """Compose a text's documents; its first line is that number of a larger text.

    With `is_item` the text is a list of one item, and the item is given. Raises `SyntaxProblem`.
    """
    _reject_what_takes_too_long(text, first_line)
    try:
        with warnings.catch_warnings():
            # An anchor that is used anew is fine with YAML, and none of a user's business.
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            nodes = list(_composer().compose_all(text))
    except MarkedYAMLError as error:
        raise _syntax_problem(error, first_line) from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + first_line
        column = error.position - text.rfind("\n", 0, error.position)
        code = error.character if isinstance(error.character, int) else ord(error.character)
        message = f"the character U+{code:04X} is not allowed in YAML"
        raise SyntaxProblem(message, 'write it as "\\u…" in double quotes', line, column) from error
    except RecursionError as error:
        raise SyntaxProblem(TOO_DEEP, SHALLOWER, first_line, 1) from error
    # The last two come of a version in `%YAML` that ruamel.yaml doesn't know.
    except (YAMLError, ValueError, AssertionError, LookupError) as error:
        raise SyntaxProblem(f"not YAML: {error}", "", first_line, 1) from error
    if is_item:
        nodes = [_only_item(node) for node in nodes]
    return [YamlDocument(node, first_line) for node in nodes]


def _composer() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver = _Resolver
    yaml.allow_duplicate_keys = True  # they are found, all of them and with their places, later
    return yaml


def _only_item(node: Node | None) -> Node | None:
    if isinstance(node, SequenceNode) and len(node.value) == 1:
        child: Node = node.value[0]
        return child
    return node


def _reject_what_takes_too_long(text: str, first_line: int) -> None:
    if len(text) <= MAX_LINE:
        return
    for number, line in enumerate(text.split("\n")):
        if len(line) > MAX_LINE:
            message = f"a line of {len(line)} characters"
            hint = f"at most {MAX_LINE}"
            raise SyntaxProblem(message, hint, first_line + number, 1)
    if len(text) > MAX_TEXT:
        message = f"{len(text) // 2**20} MiB of YAML that only the slow reader supports"
        raise SyntaxProblem(message, "use JSON, or YAML in block style", first_line, 1)


def _syntax_problem(error: MarkedYAMLError, first_line: int) -> SyntaxProblem:
    mark = error.problem_mark or error.context_mark
    if error.context_mark and "end of stream" in (error.problem or ""):
        mark = error.context_mark  # where it was opened helps more than where the text ends
    line, column = (mark.line + first_line, mark.column + 1) if mark else (1, 1)
    problem = error.problem or error.context or "syntax error"
    context = f" ({error.context})" if error.context and error.problem else ""
    hint = ""
    if r"'\t'" in problem:
        problem, context, hint = "a tab in the indentation", "", "YAML is indented with spaces"
    return SyntaxProblem(f"not YAML: {problem}{context}", hint, line, column)
