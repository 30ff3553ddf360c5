"""Places found by indentation, compared with those that ruamel.yaml gives."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Iterator

import pytest

from compiler.manifests.text import OUTLINE, WHOLE
from compiler.yaml import composed, fast, places
from compiler.yaml.places import Places
from compiler.yaml.plain import Path
from tests.yaml_differential import SEEDS, compose, mutate

TEXT = """\
---
# a comment
a:   1  # another
"b c":
  # one more
  - x: "é"   # ü
    w:
    - - 2.5
      - {k: [true, ~], "l": m}
  - |
    z: 1
  - 'two
    lines'

"d":
"""


@pytest.fixture(autouse=True)
def quiet_ruamel() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def paths(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Yield the path of every value, and of what is not there, each with its value."""
    if value is None and not path:
        return
    yield path, value
    if value is not None:
        yield (*path, "none"), ""
        yield (*path, 99), ""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from paths(child, (*path, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from paths(child, (*path, index))


def difference(stream: bytes) -> str | None:
    """Return where the places in a stream's chunks differ from ruamel.yaml's, or None."""
    cut = list(fast.chunks(stream, WHOLE))
    alone = list(fast.chunks(stream, WHOLE, with_json=False))
    if [chunk[:2] for chunk in cut] != [chunk[:2] for chunk in alone]:
        return "cut in another way without JSON"
    for chunk in cut:
        if chunk.json is None:
            continue
        is_item = chunk.item is not None
        (wanted,) = composed.compose(chunk.text.decode(), chunk.line, is_item=is_item)
        found = Places(chunk.text, chunk.line, is_item=is_item)
        for path, value in paths(json.loads(chunk.json)):
            for key in (False, True):
                # Where nothing is written ruamel.yaml names the place of what comes next.
                if value is None and not key:
                    continue
                places_of = found.locate(path, key=key), wanted.locate(path, key=key)
                if places_of[0] != places_of[1]:
                    return f"{path}, {key=}: {places_of[0]} is not {places_of[1]}"
            is_scalar = isinstance(value, bool | int | float)
            if is_scalar and found.written(path) != wanted.written(path):
                return f"{path}: {found.written(path)} is not {wanted.written(path)}"
    return None


@pytest.mark.parametrize("text", [TEXT, *(seed.decode() for seed in SEEDS)])
def test_places_are_those_of_ruamel(text: str) -> None:
    assert difference(text.encode()) is None


def test_places_in_plain_words() -> None:
    (chunk,) = fast.chunks(TEXT.encode(), WHOLE)
    assert chunk.json is not None
    found = Places(TEXT.encode(), 11)
    assert found.locate(("a",)) == (13, 6)
    assert found.locate(("b c", 0, "w", 0, 1, "k", 0)) == (19, 14)
    assert found.locate(("b c", 0, "w", 0, 1, "l"), key=True) == (19, 24)
    assert found.locate(("d",), key=True) == (25, 1)
    assert found.locate(("b c", 1, "z")) == (20, 5)
    assert found.written(("b c", 0, "w", 0, 0)) == "2.5"
    assert found.written(("b c", 0, "w", 0, 1, "k", 0)) == "true"
    assert found.written(("e",)) == ""


@pytest.mark.parametrize("seed", range(300))
def test_places_in_any_lines_are_those_of_ruamel(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(5):
        assert difference(compose(source)) is None
        assert difference(mutate(source.choice(SEEDS), source)) is None


def test_a_long_flow_collection_is_found_at_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"a: 1\nb:  [c, d]\n"
    assert Places(text, 1).locate(("b", 1)) == (2, 9)
    monkeypatch.setattr(places, "MAX_FLOW", 5)
    assert Places(text, 1).locate(("b", 1)) == (2, 5)
    assert Places(text, 1).written(("b", 1)) == ""


def test_a_skipped_object_is_cut_off_in_the_same_way() -> None:
    text = b"kind: Secret\n---\n# nothing\n---\nkind: Node\n"
    cut = [list(fast.chunks(text, OUTLINE, with_json=one)) for one in (True, False)]
    assert [[chunk.line for chunk in one] for one in cut] == [[1, 2, 4], [1, 2, 4]]
