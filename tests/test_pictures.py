"""docs/pictures holds what `python -m tests.pictures` draws, and nothing else that is drawn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documents import DOCUMENTS, name_of
from tests.pictures import COMMANDS, FOLDER, draw

# Drawn by hand, for the site itself.
OF_THE_SITE = {"favicon.svg"}


@pytest.mark.parametrize("name", COMMANDS)
def test_pictures_are_current(name: str) -> None:
    assert (FOLDER / name).read_text() == draw(name), "run python -m tests.pictures"


def test_every_picture_is_drawn_by_a_command_and_shown() -> None:
    shown = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"pictures/([\w-]+\.svg)", document.read_text())
    }
    assert {path.name for path in FOLDER.glob("*.svg")} - OF_THE_SITE == set(COMMANDS) == shown


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_picture_has_words(document: Path) -> None:
    """For readers who can't see it."""
    assert "![](" not in document.read_text()
