"""The rules of `lint` as the tests see them: their examples as files, and their fixtures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from compiler.analysis.lint.documentation import documentation
from compiler.analysis.lint.registry import all_rules
from compiler.analysis.lint.rule import LintRule
from tests.cases import FIXTURES

RULES = list(all_rules().values())
LINT_FIXTURES = FIXTURES / "lint"
_CONFIGURATION = re.compile(r"^kind: KubeProxyConfiguration$", re.MULTILINE)


# Rules that report only where others ran.
SELECT = {"PR002": "PR002,PR101"}


def selection(rule: str) -> str:
    """Return what to select for a rule."""
    return SELECT.get(rule, rule)


def rule_id(rule: type[LintRule]) -> str:
    """Name a rule in pytest's output."""
    return rule.id


def example_arguments(rule: type[LintRule], section: str, folder: Path) -> list[str]:
    """Write an example of a rule's documentation to files, and return the arguments of `lint`."""
    arguments: list[str] = []
    for number, (kind, text) in enumerate(documentation(rule).blocks(section)):
        if kind == "arguments":
            arguments += text.split()
        elif kind == "rules":
            path = folder / f"node-{number}.rules"
            path.write_text(text)
            arguments.append(str(path))
        else:
            documents = text.split("---\n")
            for place, document in enumerate(documents):
                if _CONFIGURATION.search(document):
                    config = folder / f"kube-proxy-{number}-{place}.yaml"
                    config.write_text(document)
                    arguments += ["--config", str(config)]
            rest = [one for one in documents if not _CONFIGURATION.search(one)]
            if rest:
                path = folder / f"manifests-{number}.yaml"
                path.write_text("---\n".join(rest))
                arguments.append(str(path))
    return arguments


@dataclass(frozen=True)
class LintFixture:
    """A folder of `fixtures/lint`: input.yaml, perhaps kube-proxy.yaml, *.rules, args."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def arguments(self) -> list[str]:
        """The arguments, with paths relative to the folder: they are in the goldens."""
        files = [path.name for path in sorted(self.folder.glob("*.rules"))]
        if (self.folder / "input.yaml").exists():
            files.insert(0, "input.yaml")
        config = (
            ["--config", "kube-proxy.yaml"] if (self.folder / "kube-proxy.yaml").exists() else []
        )
        more = self.folder / "args"
        return [*files, *config, *(more.read_text().split() if more.exists() else [])]


FIXTURE_CASES = [LintFixture(folder) for folder in sorted(LINT_FIXTURES.iterdir())]
