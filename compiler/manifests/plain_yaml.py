"""YAML documents as plain values with positions, read by ruamel.yaml.

ruamel.yaml is the reference for what a YAML text means here, and slow: it reads about 130 kB a
second. So a text is cut into documents, and a long list as `kubectl get -o yaml` prints it into
items, and only the pieces that somebody asks about are read.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from compiler.manifests.plain import Path, PlainMap, Position, SyntaxProblem

# A document longer than this is cut into the items of its list, where it is one.
CUT_ABOVE = 256 * 1024
# The API server takes objects up to 3 MiB, so a line beyond that is no manifest. The limit keeps
# ruamel.yaml, which reads a character at a time, from minutes of work on a useless text.
MAX_LINE = 3 * 1024 * 1024
# Values that aliases (`*name`) may add to what is written, in all.
MAX_EXPANDED = 1_000_000

_DOCUMENT_START = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_STREAM_WORDS = re.compile(r"^(?:%|\.\.\.(?=[ \t\r\n]|\Z))", re.MULTILINE)
_ITEMS = re.compile(r"^items:[ \t]*\r?\n(?=- )", re.MULTILINE)
_ITEM_START = re.compile(r"^- ", re.MULTILINE)
_TOP_LEVEL_KEY = re.compile(r"^[A-Za-z]", re.MULTILINE)


@dataclass(frozen=True)
class Piece:
    """A part of a YAML text that stands for itself.

    `document` counts the stream's documents from 0; a piece with several begins there. `item` is
    None for a whole document (or for what is left of one whose items stand in pieces of their own),
    else the index in its `items`.
    """

    text: str
    first_line: int
    document: int
    item: int | None = None


def cut(text: str) -> list[Piece]:
    """Cut a YAML stream into documents, and long lists into items.

    A `---` at the start of a line always begins a document, even where a string is open, so the
    cut needs no parser. Directives (`%YAML`) and `...` belong to a document's ends, so a text with
    any of them stays whole, and its piece may hold several documents.
    """
    starts = [match.start() for match in _DOCUMENT_START.finditer(text)]
    if not starts or _STREAM_WORDS.search(text):
        return list(_cut_items(Piece(text, 1, 0)))
    if not _is_blank(text[: starts[0]]):
        starts.insert(0, 0)
    pieces: list[Piece] = []
    line = 1 + text.count("\n", 0, starts[0])
    for document, (begin, end) in enumerate(itertools.pairwise([*starts, len(text)])):
        part = text[begin:end]
        pieces.extend(_cut_items(Piece(part, line, document)))
        line += part.count("\n")
    return pieces


def _is_blank(part: str) -> bool:
    return all(not line.strip() or line.lstrip().startswith("#") for line in part.splitlines())


def _cut_items(piece: Piece) -> Iterator[Piece]:
    """Cut a list's items out, where `items:` stands at the left edge as kubectl writes it."""
    opening = _ITEMS.search(piece.text) if len(piece.text) > CUT_ABOVE else None
    if opening is None or "&" in piece.text:  # an anchor in one item may be used in another
        yield piece
        return
    closing = _TOP_LEVEL_KEY.search(piece.text, opening.end())
    end = closing.start() if closing else len(piece.text)
    starts = [m.start() for m in _ITEM_START.finditer(piece.text, opening.end(), end)]
    # The frame keeps its lines where they were: newlines stand in for the items.
    items_text = piece.text[opening.end() : end]
    frame = piece.text[: opening.end()] + "\n" * items_text.count("\n") + piece.text[end:]
    yield Piece(frame.replace("items:", "items: []", 1), piece.first_line, piece.document)
    line = piece.first_line + piece.text.count("\n", 0, opening.end())
    for index, (begin, until) in enumerate(zip(starts, [*starts[1:], end], strict=True)):
        part = piece.text[begin:until]
        yield Piece(part, line, piece.document, index)
        line += part.count("\n")


class YamlDocument:
    """One YAML document, composed by ruamel.yaml; `node` is its root, None where it is empty."""

    def __init__(self, node: Node | None, first_line: int) -> None:
        self._node = node
        self._first_line = first_line

    @cached_property
    def value(self) -> object:
        """The document's value. Raises `SyntaxProblem` for what has no place in a manifest."""
        return None if self._node is None else _Values(self._first_line).of(self._node)

    def locate(self, path: Path, *, key: bool = False) -> Position:
        """See `PlainDocument.locate`."""
        node = key_node = self._node
        for step in path:
            key_node, child = _child(node, step)
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


def _child(node: Node | None, step: str | int) -> tuple[Node | None, Node | None]:
    """Find the key node and value node for a step down; the last, where a key is there twice."""
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    if isinstance(node, MappingNode):
        for key, value in reversed(node.value):
            if key.value == step:
                return key, value
    return None, None


def _is_merge(key: Node) -> bool:
    return key.tag == "tag:yaml.org,2002:merge"


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
        if not isinstance(value, str):
            raise self._problem(
                node, f"the key {node.value} is not a string", f'quote it: "{node.value}"'
            )
        return value

    def _merged(self, node: Node) -> PlainMap:
        """Apply merge keys (`<<: *base`): a mapping's own keys win, then the earlier base."""
        pairs: dict[str, object] = {}
        own = [(self._key(k), self.of(v)) for k, v in node.value if not _is_merge(k)]
        for key, child in node.value:
            if not _is_merge(key):
                continue
            for base in child.value if isinstance(child, SequenceNode) else [child]:
                mapping = self.of(base)
                if not isinstance(mapping, dict):
                    raise self._problem(base, "a merge of something else than a mapping", "")
                for name, value in mapping.items():
                    pairs.setdefault(name, value)
        merged = PlainMap(own)
        for name, value in pairs.items():
            merged.setdefault(name, value)
        return merged

    def _scalar(self, node: ScalarNode) -> object:
        try:
            return self._constructor.construct_object(node)
        except (ConstructorError, ValueError, OverflowError) as error:
            reason = getattr(error, "problem", None) or str(error)
            raise self._problem(node, f"a value that YAML can't take: {reason}", "") from error

    def _problem(self, node: Node, wrong: str, right: str) -> SyntaxProblem:
        return SyntaxProblem(wrong, right, *_position(node, self._first_line))


def compose(piece: Piece) -> list[YamlDocument]:
    """Compose a piece's documents (one; more only where a text could not be cut).

    An item's piece gives the item. Raises `SyntaxProblem`.
    """
    _refuse_long_lines(piece)
    try:
        nodes = [_trimmed(node, piece) for node in _composer().compose_all(piece.text)]
    except MarkedYAMLError as error:
        raise _syntax_problem(error, piece) from error
    except ReaderError as error:
        line = piece.text.count("\n", 0, error.position) + piece.first_line
        column = error.position - piece.text.rfind("\n", 0, error.position)
        code = error.character if isinstance(error.character, int) else ord(error.character)
        wrong = f"the character U+{code:04X} is not allowed in YAML"
        raise SyntaxProblem(wrong, 'write it as "\\u…" in double quotes', line, column) from error
    except RecursionError as error:
        raise SyntaxProblem("nested too deep", "fewer levels", piece.first_line, 1) from error
    except (YAMLError, ValueError) as error:
        raise SyntaxProblem(f"not YAML: {error}", "", piece.first_line, 1) from error
    return [YamlDocument(node, piece.first_line) for node in nodes]


def _composer() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = True  # they are found, all of them and with their places, later
    return yaml


def _trimmed(node: Node | None, piece: Piece) -> Node | None:
    if piece.item is not None and isinstance(node, SequenceNode) and len(node.value) == 1:
        child: Node = node.value[0]
        return child
    return node


def _refuse_long_lines(piece: Piece) -> None:
    if len(piece.text) <= MAX_LINE:
        return
    for number, line in enumerate(piece.text.split("\n")):
        if len(line) > MAX_LINE:
            raise SyntaxProblem(
                f"a line of {len(line)} characters",
                f"at most {MAX_LINE}: no Kubernetes object is longer",
                piece.first_line + number,
                1,
            )


def _syntax_problem(error: MarkedYAMLError, piece: Piece) -> SyntaxProblem:
    mark = error.problem_mark or error.context_mark
    if error.context_mark and "end of stream" in (error.problem or ""):
        mark = error.context_mark  # where it was opened says more than where the text ends
    line, column = (mark.line + piece.first_line, mark.column + 1) if mark else (1, 1)
    problem = error.problem or error.context or "syntax error"
    context = f" ({error.context})" if error.context and error.problem else ""
    right = ""
    if r"'\t'" in problem or "tab" in problem.lower():
        problem, context, right = "a tab in the indentation", "", "YAML is indented with spaces"
    return SyntaxProblem(f"not YAML: {problem}{context}", right, line, column)
