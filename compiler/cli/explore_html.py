"""The page of `explore`: one HTML file with its style, its program and its answers inside.

The answers are in blocks of compressed text that the page reads when it needs them, so that a page
of 10,000 Services opens as fast as one of ten.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compiler.analysis.explore.document import Document
from compiler.cli.explore_pack import pack

FOLDER = Path(__file__).parent / "explore_page"
# In the order in which they define what the next ones use.
SCRIPTS = (
    "vendor/dagre.min.js",
    "dom.js",
    "words.js",
    "address.js",
    "blocks.js",
    "lookup.js",
    "simulation.js",
    "link.js",
    "tooltip.js",
    "list.js",
    "filters.js",
    "graph_layout.js",
    "graph_marks.js",
    "graph_fold.js",
    "graph_shapes.js",
    "graph.js",
    "rules.js",
    "packet.js",
    "way.js",
    "timeline.js",
    "study_form.js",
    "study_result.js",
    "study.js",
    "service.js",
    "overview.js",
    "help.js",
    "app.js",
)
STYLES = tuple(
    f"style/{name}.css"
    for name in ("base", "panes", "service", "packet", "graph", "rules", "study", "media")
)
# A chosen service port costs reading its whole chunk; a larger one repeats less of what is alike.
_CHUNK_DETAILS, _CHUNK_CHARACTERS = 100, 1_500_000
# A block is written in pieces of as many bytes: a multiple of three, so that base64 joins them.
_PIECE = 3 * 2**16
_SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*\n?", re.MULTILINE)

JsonObject = Mapping[str, Any]


def assemble(document: Document) -> Iterator[str]:
    """Give the text of the page in pieces.

    Everything of the document is data to the page, never markup: it is compressed and encoded, but
    for the title, which is escaped. Raises ValueError where there are fewer or more details than
    the index has entries: the page would show one service port's rules under another's name.
    """
    style, script = _style(), _script()
    values = {
        "title": html.escape(str(document["head"]["title"])),
        "script-hash": _hash(script),
        "style-hash": _hash(style),
        "style": style,
    }
    page = (FOLDER / "page.html").read_text(encoding="utf-8")
    before, blocks_to_script, closing = (
        _filled(part, values) for part in re.split(r"\{\{(?:blocks|script)\}\}", page)
    )
    yield before
    made = _Chunks()
    for chunk in made.of(document["details"]):
        yield from _block(f"chunk-{chunk.number}", chunk.text)
    if made.count != len(document["index"]):
        raise ValueError(f"{made.count} details for an index of {len(document['index'])}")
    yield from _block("search-words", _json(made.search))
    index = {"head": document["head"], "index": document["index"], "starts": made.starts}
    yield from _block("index", _json(index))
    yield blocks_to_script
    yield script
    yield closing


def _filled(part: str, values: Mapping[str, str]) -> str:
    """Put values into a part of the page, all at once: a value is never looked at again."""
    return re.sub(r"\{\{([a-z-]+)\}\}", lambda found: values[found[1]], part)


@dataclass(frozen=True)
class _Chunk:
    number: int
    text: str


@dataclass
class _Chunks:
    """Details put together in chunks, and what they are found by.

    `starts` holds the place of each chunk's first detail, `search` the words of each detail that
    are not in the index.
    """

    starts: list[int] = field(default_factory=list)
    search: list[str] = field(default_factory=list)
    count: int = 0

    def of(self, details: Iterable[JsonObject]) -> Iterator[_Chunk]:
        """Give the chunks; one holds as many details as are quickly read."""
        some: list[JsonObject] = []
        length = 0
        for detail in details:
            size = len(_json(detail))
            if some and (len(some) == _CHUNK_DETAILS or length + size > _CHUNK_CHARACTERS):
                yield self._chunk(some)
                some, length = [], 0
            if not some:
                self.starts.append(self.count)
            some.append(detail)
            length += size
            self.count += 1
            self.search.append(_search_words(detail))
        if some:
            yield self._chunk(some)

    def _chunk(self, details: Sequence[JsonObject]) -> _Chunk:
        return _Chunk(len(self.starts) - 1, _json(pack(map(_without_texts, details))))


def _without_texts(detail: JsonObject) -> JsonObject:
    """Leave out the texts of rules, which the page puts together from their words again."""
    states = [
        {**state, "rules": [{**rule, "text": None} for rule in state["rules"]]}
        for state in detail["states"]
    ]
    return {**detail, "states": states}


def _search_words(detail: JsonObject) -> str:
    """Return addresses, ports and chains of a service port, by which people look for it."""
    words: dict[str, None] = {}
    for state in detail["states"]:
        for entry in state["entries"]:
            words |= dict.fromkeys((*entry["to"], f":{entry['port']}"))
        words |= dict.fromkeys(way["translatedTo"] for way in state["ways"])
        names = (chain["chain"] for chain in state["chains"])
        # a node's own chains (KUBE-FORWARD) find nothing in particular
        words |= dict.fromkeys(name for name in names if name.count("-") > 1)
    return " ".join(filter(None, words))


def _style() -> str:
    return "\n" + "".join((FOLDER / name).read_text(encoding="utf-8") for name in STYLES)


def _script() -> str:
    """Return the page's program: its files in one function, so that nothing of them is global."""
    licence = (FOLDER / "vendor" / "LICENSE").read_text(encoding="utf-8")
    texts = [f"const DAGRE_LICENCE = {json.dumps(licence)};"]
    texts += [_SOURCE_MAP.sub("", (FOLDER / name).read_text(encoding="utf-8")) for name in SCRIPTS]
    script = "\n(() => {\n" + "\n".join(texts) + "\n})();\n"
    if "</script" in script or "<!--" in script:
        raise AssertionError("a script that HTML would end or comment out")
    return script


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _block(name: str, text: str) -> Iterator[str]:
    """Write data as a script element that no browser runs: raw deflate, in base64."""
    packer = zlib.compressobj(level=9, wbits=-zlib.MAX_WBITS)
    packed = packer.compress(text.encode("utf-8", "replace")) + packer.flush()
    yield f'<script type="application/octet-stream" id="{name}">'
    for start in range(0, len(packed), _PIECE):
        yield base64.b64encode(packed[start : start + _PIECE]).decode()
    yield "</script>\n"
