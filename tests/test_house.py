"""House rules on sizes, which `docs/development.md` has for readers."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.cases import ROOT

MODULES = sorted((ROOT / "compiler").rglob("*.py"))
MODULE_LINES, FUNCTION_LINES = 400, 40


def functions(text: str) -> Iterator[tuple[str, int]]:
    """Give each function's name and its lines, but for those of its docstring."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node) is not None
            yield node.name, lines_of(node) - (lines_of(node.body[0]) if documented else 0)


def lines_of(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


DOCSTRING = '        """Doc.\n\n        More.\n        """\n'


@pytest.mark.parametrize("docstring", ["", DOCSTRING])
def test_lines_of_a_function_are_counted(docstring: str) -> None:
    text = f"class One:\n    def two(\n        self,\n    ):\n{docstring}" + "        pass\n" * 38
    assert list(functions(text)) == [("two", 41)]


def test_no_module_is_long() -> None:
    lines = {str(path): path.read_text().count("\n") for path in MODULES}
    assert len(lines) > 100
    assert {path: count for path, count in lines.items() if count > MODULE_LINES} == {}


def test_no_function_is_long() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name} has {count} lines"
        for path in MODULES
        for name, count in functions(path.read_text())
        if count > FUNCTION_LINES
    ]
    assert found == []
