"""What a rule of `lint` is, and what it yields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal

from compiler.manifests.remark import subject_of
from compiler.manifests.schema import Manifest
from compiler.manifests.workloads import Workload
from compiler.yaml.plain import Path

if TYPE_CHECKING:
    from compiler.analysis.lint.context import Context
    from compiler.analysis.lint.dump import NodeDump

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""From the worst: what breaks traffic, what will surprise, what is worth knowing."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object of the manifests: `("spec", "ports", 0, "port")`.

    A field that is not written is reported at the nearest one that contains it.
    """

    object: Manifest | Workload
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of kube-proxy, by its flag in Python's spelling (`configuration.PATHS`).

    With `overridden` it is the value of the file, where a flag of the command overrides it.
    """

    name: str
    overridden: bool = False


@dataclass(frozen=True, slots=True)
class DumpLine:
    """A line of a node's dump, counted from 1; 0 for the dump as a whole."""

    dump: NodeDump
    line: int = 0


Need = Literal["services", "workloads", "config", "dumps", "clients", "upgrade"]

NEEDS: Mapping[Need, str] = MappingProxyType(
    {
        "services": "Services",
        "workloads": "Pods or workloads",
        "config": "kube-proxy's configuration",
        "dumps": "dumps of nodes",
        "clients": "the number of clients",
        "upgrade": "a newer release",
    }
)
"""Kinds of input, in words."""


At = Field | Setting | DumpLine
"""Where a finding is."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a field of the manifests: its new value, or None to remove it."""

    at: Field
    value: str | int | bool | None


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One thing that a rule reports.

    `subject` is the object or service port that it is about (`Service default/web`), empty for the
    whole cluster or node. `at` is None where no input has the thing in question. `fix` is there
    only where it is certain to be what the user wants.
    """

    rule: type[LintRule]
    message: str
    hint: str
    subject: str
    at: At | None
    severity: Severity
    fix: tuple[Edit, ...] = ()


class LintRule(ABC):
    """A rule; the docstring of a subclass is its documentation (see the package's).

    `needs` is what it looks at: it runs where any of that was given, and is reported as not checked
    otherwise.
    """

    id: ClassVar[str]
    name: ClassVar[str]
    severity: ClassVar[Severity]
    needs: ClassVar[tuple[Need, ...]] = ("services",)

    @abstractmethod
    def check(self, context: Context) -> Iterator[LintFinding]:
        """Yield what is to be reported."""

    def finding(
        self,
        message: str,
        hint: str = "",
        *,
        at: At | None = None,
        subject: str = "",
        severity: Severity | None = None,
        fix: tuple[Edit, ...] = (),
    ) -> LintFinding:
        """Make a finding of this rule; the subject is the object of `at` unless named."""
        if not subject and isinstance(at, Field):
            subject = _subject(at.object)
        return LintFinding(type(self), message, hint, subject, at, severity or self.severity, fix)


def _subject(one: Manifest | Workload) -> str:
    return one.subject if isinstance(one, Workload) else subject_of(one)
