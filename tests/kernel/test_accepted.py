"""Every text that the compiler has to write is accepted by the kernel, in both backends."""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain

import pytest
from _pytest.mark.structures import ParameterSet

from tests.cases import ALL_CASES, Case, case_id
from tests.kernel.box import BACKENDS
from tests.kernel.namespace import PROGRAMS, Namespace

pytestmark = pytest.mark.kernel(*chain(*PROGRAMS.values()))


def with_its_marks(case: Case) -> Case | ParameterSet:
    """Mark a case that counts with nfacct as one that calls it."""
    counts = "--nfacct" in case.options
    return pytest.param(case, marks=pytest.mark.kernel("nfacct")) if counts else case


@pytest.mark.parametrize("case", [with_its_marks(case) for case in ALL_CASES], ids=case_id)
def test_case_is_accepted(case: Case, namespace: Namespace) -> None:
    """One namespace does for both: their tables know nothing of one another."""
    text = case.expected
    for counter in sorted(set(re.findall(r"--nfacct-name (\S+)", text))):
        namespace.run(["nfacct", "add", counter])
    stem = "ip6tables" if case.family == "ipv6" else "iptables"
    for backend in BACKENDS:
        namespace.run([f"{stem}-{backend}-restore"], text=text)
        assert rules_by_chain(namespace.run([f"{stem}-{backend}-save"]).stdout) == (
            rules_by_chain(text)
        ), backend


def rules_by_chain(text: str) -> dict[str, Counter[str]]:
    """Count the rules of every chain of every table: none may get lost."""
    found = {}
    for table in re.split(r"^\*", text, flags=re.MULTILINE)[1:]:
        name, _, body = table.partition("\n")
        counts = Counter(re.findall(r"^-A (\S+)", body, flags=re.MULTILINE))
        if counts:
            found[name] = counts
    return found
