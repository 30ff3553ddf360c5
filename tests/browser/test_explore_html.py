"""The file that `assemble` writes, without a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from compiler.cli.explore_html import FOLDER, SCRIPTS, STYLES, assemble
from tests.browser.documents import head, many, small
from tests.browser.vendored import VENDOR, recorded_sums

LINES, FUNCTION_LINES = 400, 40
OWN_SCRIPTS = [name for name in SCRIPTS if not name.startswith("vendor/")]


def block(page: str, name: str) -> Any:
    found = re.search(rf'<script type="application/octet-stream" id="{name}">([^<]*)<', page)
    assert found
    return json.loads(zlib.decompress(base64.b64decode(found[1]), wbits=-zlib.MAX_WBITS))


def details_in(page: str, number: int) -> list[Any]:
    """Return the details of a chunk, as the page unpacks them."""
    leaves, shapes, structure = block(page, f"chunk-{number}")

    def value(one: Any) -> Any:
        if isinstance(one, int):
            return leaves[one]
        if one and isinstance(one[0], int) and one[0] < 0:
            keys = shapes[-1 - one[0]]
            return dict(zip(keys, map(value, one[1:]), strict=True))
        return [value(each) for each in one]

    return [value(one) for one in structure]


def policy(page: str) -> dict[str, str]:
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert found
    pairs = (part.strip().partition(" ") for part in found[1].split(";"))
    return {name: value for name, _, value in pairs}


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy_allows_this_script_and_this_style_and_nothing_else() -> None:
    page = "".join(assemble(small()))
    script = page[page.rindex("<script>") + len("<script>") : page.rindex("</script>")]
    style = page[page.index("<style>") + len("<style>") : page.index("</style>")]
    assert policy(page) == {
        "default-src": "'none'",
        "script-src": digest(script),
        "style-src": digest(style),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_the_page_holds_the_document() -> None:
    document = small()
    page = "".join(assemble(document))
    index = block(page, "index")
    assert index["head"] == document["head"]
    assert index["index"] == document["index"]
    for found, given in zip(details_in(page, 0), document["details"], strict=True):
        for state in found["states"]:
            # the page joins the words of a rule
            for rule in state["rules"]:
                rule["text"] = " ".join(words for words, _ in rule["words"])
        assert found == given
    words = block(page, "search-words")
    assert words[1].split()[:2] == ["10.96.0.11", ":80"]
    assert "KUBE-SEP-00000" in words[1].split()


def test_a_chunk_holds_a_hundred_details_at_most() -> None:
    page = "".join(assemble(many(250, 1)))
    starts = block(page, "index")["starts"]
    chunks = [details_in(page, number) for number in range(len(starts))]
    assert [len(chunk) for chunk in chunks] == [100, 100, 50]
    assert starts == [0, 100, 200]
    assert chunks[2][49]["name"] == "team-9/service-249:http"


def test_details_are_read_as_the_page_is_written() -> None:
    """So that 10,000 service ports are never in memory at once."""
    document = many(300, 1)
    read, made = [], document["details"]

    def details() -> Any:
        for detail in made:
            read.append(detail["name"])
            yield detail

    document["details"] = details()
    for piece in assemble(document):
        if 'id="chunk-0"' in piece:
            break
    # the 101st says that the chunk is full
    assert len(read) <= 101


@pytest.mark.parametrize("missing", [1, -1])
def test_details_and_index_must_match(missing: int) -> None:
    document = small()
    index = list(document["index"])
    document["index"] = index[:-1] if missing < 0 else [*index, index[0]]
    with pytest.raises(ValueError, match=f"3 details for an index of {3 + missing}"):
        list(assemble(document))


@pytest.mark.parametrize("title", ["</title><script>alert(1)</script>", "{{script}} {{blocks}}"])
def test_a_title_is_text(title: str) -> None:
    page = "".join(assemble(small(**head(title=title))))
    assert "<script>alert" not in page
    assert page.count("<script>") == 1
    assert block(page, "index")["head"]["title"] == title


def test_a_thousand_services_are_less_than_5_mb() -> None:
    assert sum(map(len, assemble(many(1000, 10)))) < 5_000_000


def test_vendored_files_are_as_published() -> None:
    """Without network: as they were when `tests.browser.vendored` compared them with npm."""
    sums = recorded_sums()
    assert set(sums) == {"dagre.min.js", "LICENSE"}
    found = {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for name in sums}
    assert found == sums


def test_the_lock_has_the_version_that_the_read_me_names() -> None:
    lock = json.loads((VENDOR / "package-lock.json").read_text())["packages"]
    wanted = json.loads((VENDOR / "package.json").read_text())["dependencies"]
    read_me = (VENDOR / "README.md").read_text()
    shown = (FOLDER / "help.js").read_text()
    for name, version in wanted.items():
        assert lock[f"node_modules/{name}"]["version"] == version
        assert f"`{name}` {version}" in read_me
        assert f"dagre {version}" in shown


def test_every_file_of_the_page_is_in_it() -> None:
    assert {path.name for path in FOLDER.glob("*.js")} == set(OWN_SCRIPTS)
    assert {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.css")} == set(STYLES)


def functions_of(lines: list[str]) -> Iterator[tuple[str, int]]:
    """Give the functions and methods of a script, as prettier lays it out, and their lines."""
    in_class = False
    for at, line in enumerate(lines):
        in_class = line.startswith("class ") or (in_class and line != "}")
        function = r"(async )?function "
        method = r"  (?! |if |for |while |switch )[a-z ]*\w+\(.*$"
        if not re.match(f"{function}|{method}" if in_class else function, line):
            continue
        indent = line[: len(line) - len(line.lstrip())]
        end = next(place for place in range(at, len(lines)) if lines[place] == f"{indent}}}")
        yield line.strip(), end - at + 1


def test_functions_of_a_script_are_found() -> None:
    text = "function one() {\n  two();\n}\nclass Three {\n  async four(\n  ) {\n  }\n}"
    lines = text.split("\n")
    assert list(functions_of(lines)) == [("function one() {", 3), ("async four(", 3)]


@pytest.mark.parametrize("name", OWN_SCRIPTS)
def test_scripts_are_short(name: str) -> None:
    lines = (FOLDER / name).read_text().splitlines()
    assert len(lines) <= LINES
    assert [line for line in lines if len(line) > 100] == []
    assert [found for found in functions_of(lines) if found[1] > FUNCTION_LINES] == []


@pytest.mark.parametrize("name", OWN_SCRIPTS)
def test_scripts_never_read_markup(name: str) -> None:
    text = (FOLDER / name).read_text()
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "fetch(",
    ):
        assert word not in text


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_javascript(name: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not here; browsers read the script in other tests")
    done = subprocess.run(
        [node, "--check", FOLDER / name], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
