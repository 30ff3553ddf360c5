"""The cases that the tests share: a folder each, with manifests, configuration and arguments."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from compiler.family import Family
from compiler.kube_rules.chains import JUMPS
from compiler.netfilter.ruleset import BUILTIN_CHAINS

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures"
GOLDEN = ROOT / "golden"
CONFORMANCE = Path(__file__).parent / "conformance" / "cases"


@dataclass(frozen=True)
class Case:
    """One compile: `proxyrules compile` with `arguments`."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def manifest(self) -> Path:
        (manifest,) = self.folder.glob("input.*")
        return manifest

    @property
    def config(self) -> Path:
        return self.folder / "kube-proxy.yaml"

    @property
    def options(self) -> list[str]:
        """The arguments but for the manifest and the configuration."""
        return (self.folder / "args").read_text().split()

    @property
    def arguments(self) -> list[str]:
        return [str(self.manifest), "--config", str(self.config), *self.options]

    @property
    def family(self) -> str:
        return self.options[self.options.index("--ip-family") + 1]

    @property
    def ip_family(self) -> Family:
        return Family(self.family)

    @property
    def expected(self) -> str:
        """The real kube-proxy's text; for a fixture, its golden."""
        if self.folder.parent == FIXTURES:
            return (GOLDEN / f"{self.name}.rules").read_text()
        return (self.folder / "expected.rules").read_text()

    @property
    def flows(self) -> list[dict[str, object]]:
        """The packets that kube-proxy's own tests send through the rules, where there are any."""
        path = self.folder / "flows.json"
        flows: list[dict[str, object]] = json.loads(path.read_text()) if path.exists() else []
        return flows


def _cases(parent: Path) -> list[Case]:
    return [Case(folder) for folder in sorted(parent.iterdir()) if (folder / "args").exists()]


FIXTURE_CASES = _cases(FIXTURES)
CONFORMANCE_CASES = _cases(CONFORMANCE)
ALL_CASES = FIXTURE_CASES + CONFORMANCE_CASES


def case_id(case: Case) -> str:
    """Name a case in pytest's output."""
    return case.name


def node_text(text: str) -> str:
    """Add the built-in chains and the jumps that kube-proxy maintains to its restore text."""
    lines = []
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line == "COMMIT":
            # each is inserted at the top, so that the last one comes first
            jumps = [jump for jump in JUMPS if jump.table == table and f"\n:{jump.target} " in text]
            lines += [str(jump) for jump in reversed(jumps)]
        lines.append(line)
        if line.startswith("*"):
            lines += [f":{chain} ACCEPT [0:0]" for chain in BUILTIN_CHAINS[table]]
    return "\n".join(lines) + "\n"
