"""The site of docs/: built without a warning, every page in its nav, nothing fetched."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from compiler.cli.commands_docs import commands_page
from compiler.cli.exit_codes import ExitCode
from tests.cases import FIXTURES, ROOT
from tests.documents import DOCS, blocks

CONFIGURATION = ROOT / "mkdocs.yml"


def entries(nav: list[Any]) -> Iterator[str]:
    """Give the pages of a nav, with those of its sections."""
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from [value] if isinstance(value, str) else entries(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `zensical build --strict` does in the checkout, but elsewhere."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(CONFIGURATION, folder)
    shutil.copytree(DOCS, folder / "docs")
    (folder / "compiler").symlink_to(ROOT / "compiler")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def test_every_page_is_in_the_nav_once() -> None:
    named = list(entries(YAML().load(CONFIGURATION)["nav"]))
    there = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
    assert sorted(named) == there, "add new pages of docs/ to the nav in mkdocs.yml"


def test_every_page_is_reached_from_the_first(site: Path) -> None:
    built = {page for page in pages(site) if page.name != "404.html"}
    assert len(built) == len(list(DOCS.rglob("*.md")))
    seen, waiting = set(), [site / "index.html"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        links = re.findall(r'href="?([^"#:> ]+)', page.read_text())
        waiting += built.intersection((page.parent / link).resolve() for link in links)
    assert seen == built


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    """Scripts, styles, fonts and pictures are the site's own; a link is no request."""
    loads = re.compile(r"<(?:script|img|iframe|source)\b[^>]*?\bsrc=\"?(https?:|//)[^\s>]*")
    styles = re.compile(
        r"<link\b(?=[^>]*rel=\"?(?:stylesheet|preconnect|preload))[^>]*(https?:|//)"
    )
    for page in pages(site):
        text = page.read_text()
        assert not loads.search(text), page
        assert not styles.search(text), page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:|//)|@import", sheet.read_text()), sheet


def test_blocks_are_blocks(site: Path) -> None:
    """A fence that the site's Markdown does not know would be a line of text."""
    for page in pages(site):
        assert "```" not in re.sub(r"<pre>.*?</pre>", "", page.read_text(), flags=re.DOTALL), page


def test_the_page_of_commands_is_current() -> None:
    command = "python -m compiler.cli.commands_docs docs/reference/commands.md"
    assert (DOCS / "reference" / "commands.md").read_text() == commands_page(), f"run {command}"


def test_the_page_of_exit_codes_has_them_all() -> None:
    page = (DOCS / "reference" / "exit-codes.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE)
    assert rows == [(str(code.value), code.meaning) for code in ExitCode]


def test_the_tutorial_shows_the_study_s_own_service() -> None:
    (shown,) = blocks(DOCS / "tutorial.md", "yaml")
    manifests = (FIXTURES / "study-none" / "input.yaml").read_text()
    assert shown in [document.lstrip("\n") for document in manifests.split("---")]
