"""A file of packets and what is expected of them (`flows.yaml`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.analysis.expectations import ExpectationError, Expected, read_expected
from compiler.analysis.packet_request import PROTOCOLS, STATES, PacketRequest
from compiler.errors import InputError, Problem
from compiler.kube_rules.destinations import VIAS
from compiler.manifests.convert import describe, shorten
from compiler.manifests.source import Source
from compiler.manifests.text import decode
from compiler.yaml.composed import compose
from compiler.yaml.plain import Path, PlainDocument, SyntaxProblem, duplicate_keys, field_path

_TEXTS = ("name", "from", "to", "via", "protocol", "state", "interface")
_FIELDS = (*_TEXTS, "outcome", "masquerade")
_ONE_OF: dict[str, tuple[str, ...]] = {"via": VIAS, "protocol": PROTOCOLS, "state": STATES}


@dataclass(frozen=True, slots=True)
class Flow:
    """One packet of a file and what is expected of it; `line` is where its entry begins."""

    name: str
    request: PacketRequest
    expected: tuple[Expected, ...]
    masqueraded: bool | None
    line: int
    index: int


@dataclass(frozen=True)
class FlowFile:
    """The flows of one file."""

    name: str
    flows: tuple[Flow, ...]
    document: PlainDocument

    def problem(self, flow: Flow, field: str, message: str, hint: str) -> Problem:
        """Return a problem with a field of a flow."""
        line, column = self.document.locate(("flows", flow.index, field))
        return Problem(self.name, message, hint, line, column, flow.name, field)


def read_flows(source: Source) -> FlowFile:
    """Read a file of flows. Raises InputError with every problem, each with its place."""
    try:
        documents = list(compose(decode(source.text)))
    except SyntaxProblem as problem:
        raise InputError(
            Problem(source.name, problem.message, problem.hint, problem.line, problem.column)
        ) from None
    if len(documents) != 1:
        message = "is empty" if not documents else "has several documents"
        raise InputError(Problem(source.name, message, "give one list of flows"))
    reader = _Reader(source.name, documents[0])
    flows = tuple(reader.flows())
    if reader.problems:
        raise InputError(reader.problems)
    return FlowFile(source.name, flows, documents[0])


class _Reader:
    def __init__(self, name: str, document: PlainDocument) -> None:
        self.name, self.document = name, document
        self.problems: list[Problem] = []

    def flows(self) -> Iterator[Flow]:
        value = self.document.value
        for path in duplicate_keys(value):
            self.wrong(path, f"duplicate key {shorten(str(path[-1]))}", "", key=True)
        if not isinstance(value, dict) or not isinstance(value.get("flows"), list):
            self.wrong((), "has no list of flows", "begin with the key flows")
            return
        for name in value:
            if name != "flows":
                self.wrong((name,), f"unknown field {shorten(name)}", "only flows", key=True)
        seen: dict[str, int] = {}
        for index, entry in enumerate(value["flows"]):
            if not isinstance(entry, dict):
                self.wrong(("flows", index), f"expected a flow, found {describe(entry)}", "")
                continue
            flow = self._flow(index, entry)
            if flow.name in seen:
                hint = f"first at line {seen[flow.name]}"
                self.wrong(("flows", index, "name"), f"duplicate name {shorten(flow.name)}", hint)
            seen.setdefault(flow.name, flow.line)
            yield flow
        if not value["flows"]:
            self.wrong(("flows",), "has no flows", "add one")

    def wrong(self, path: Path, message: str, hint: str, *, key: bool = False) -> None:
        line, column = self.document.locate(path, key=key)
        field = field_path(path)
        self.problems.append(Problem(self.name, message, hint, line, column, "", field))

    def _flow(self, index: int, entry: dict[str, object]) -> Flow:
        base: Path = ("flows", index)
        texts = {name: self._text(base, entry, name) for name in _TEXTS}
        for name in entry:
            if name not in _FIELDS:
                hint = f"one of {', '.join(_FIELDS)}"
                self.wrong((*base, name), f"unknown field {shorten(name)}", hint, key=True)
        for name, known in _ONE_OF.items():
            if texts[name] and texts[name] not in known and texts[name].upper() not in known:
                hint = f"one of {', '.join(known)}"
                self.wrong((*base, name), f"unknown {name} {shorten(texts[name])}", hint)
        if not texts["to"] and "to" not in entry:
            self.wrong(base, "has no destination", "add the field to: ADDRESS:PORT or a Service")
        masquerade = entry.get("masquerade")
        if masquerade is not None and not isinstance(masquerade, bool):
            message = f"expected true or false, found {describe(masquerade)}"
            self.wrong((*base, "masquerade"), message, "")
        expected = tuple(self._expected(base, entry.get("outcome")))
        if not expected and masquerade is None and "outcome" not in entry:
            self.wrong(base, "expects nothing", "add the field outcome or masquerade")
        return Flow(
            texts["name"] or f"{texts['from'] or 'pod'} to {texts['to']}",
            PacketRequest(
                sender=texts["from"],
                to=texts["to"],
                via=next((via for via in VIAS if via == texts["via"]), None),
                protocol=texts["protocol"],
                state=(texts["state"] or "NEW").upper(),
                in_interface=texts["interface"],
            ),
            expected,
            masquerade if isinstance(masquerade, bool) else None,
            self.document.locate(base)[0],
            index,
        )

    def _text(self, base: Path, entry: dict[str, object], name: str) -> str:
        value = entry.get(name)
        if value is None:
            return ""
        if isinstance(value, bool | int | float):
            return self.document.written((*base, name))
        if not isinstance(value, str):
            self.wrong((*base, name), f"expected a string, found {describe(value)}", "")
            return ""
        return value

    def _expected(self, base: Path, value: object) -> Iterator[Expected]:
        if value is None:
            return
        path: Path = (*base, "outcome")
        if isinstance(value, dict):
            entries = [(f"{name}={share}", (*path, name)) for name, share in value.items()]
        elif isinstance(value, list):
            entries = [(str(one), (*path, place)) for place, one in enumerate(value)]
        else:
            entries = [(str(value), path)]
        if not entries:
            self.wrong(path, "expects nothing", "name an endpoint, ACCEPT, REJECT or DROP")
        for text, place in entries:
            try:
                yield read_expected(text)
            except ExpectationError as error:
                self.wrong(place, error.message, error.hint)
