"""`--node` may be left out exactly where it makes no difference to the text."""

from __future__ import annotations

import re

import pytest

from compiler.api import Compilation, compile_rules
from compiler.errors import InputError
from compiler.manifests.reader import read_manifests
from compiler.manifests.source import read_source
from tests.cases import ALL_CASES, Case, case_id

NODE = re.compile(r'kind"?: "?Node\b')
WITH_NODES = [
    case
    for case in ALL_CASES
    if not case.name.startswith(("large-", "upstream-"))
    and NODE.search(case.manifest.read_text())
    and "hostnameoverride" not in case.config.read_text().replace("-", "").lower()
]


def compile_on(case: Case, node: str | None, family: str) -> Compilation:
    options = case.options
    return compile_rules(
        [case.manifest],
        config=case.config,
        node=node,
        kube_version=options[options.index("--kube-version") + 1],
        ip_family=family,
        nfacct="--nfacct" in options,
        random_fully="--no-random-fully" not in options,
    )


def nodes_of(case: Case) -> list[str]:
    nodes = read_manifests([read_source(case.manifest)]).nodes
    return [node.metadata.name for node in nodes if node.metadata and node.metadata.name]


@pytest.mark.parametrize("case", WITH_NODES, ids=case_id)
def test_node_is_asked_for_where_it_matters(case: Case) -> None:
    family = case.family
    texts = {compile_on(case, node, family).text for node in nodes_of(case)}
    try:
        without = compile_on(case, None, family).text
    except InputError as error:
        without = ""
        asked = {problem.argument for problem in error.problems}
    else:
        asked = set()
    assert asked == ({"node"} if len(texts) > 1 else set())
    assert without == "" or texts == {without}
