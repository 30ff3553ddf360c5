"""Bad Pods and Services under `--from-pods`: every problem at once, and never a crash."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.api import compile_rules, complete_manifests
from compiler.errors import InputError
from compiler.manifests.source import Source
from tests.run import Runner
from tests.test_control_plane import node, pod, service


def test_every_problem_at_once_with_its_place(proxyrules: Runner, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "apiVersion: v1\n"
        "kind: Pod\n"
        "metadata: {name: a_b, labels: {app: 1}}\n"
        "spec:\n"
        "  nodeName: Node\n"
        "  containers:\n"
        "  - ports: [{containerPort: 0}]\n"
        "status: {podIP: 10.0.0}\n"
        "---\n"
        "apiVersion: v1\n"
        "kind: Service\n"
        "metadata: {name: web}\n"
        "spec:\n"
        "  clusterIP: 10.0.0.300\n"
        "  selector: {app: 1}\n"
        "  trafficDistribution: Near\n"
        "  ports: [{port: 80, targetPort: Http}]\n"
    )
    result = proxyrules("compile", path, "--from-pods")
    assert result.code == 2
    assert result.out == ""
    places = [line.removeprefix(str(path)).split(": ")[:3] for line in result.err.splitlines()]
    assert places == [
        [":3:18", "Pod default/a_b", "metadata.name"],
        [":3:37", "Pod default/a_b", "metadata.labels.app"],
        [":5:13", "Pod default/a_b", "spec.nodeName"],
        [":7:29", "Pod default/a_b", "spec.containers[0].ports[0].containerPort"],
        [":8:17", "Pod default/a_b", "status.podIP"],
        [":14:14", "Service default/web", "spec.clusterIP"],
        [":15:19", "Service default/web", "spec.selector.app"],
        [":16:24", "Service default/web", "spec.trafficDistribution"],
        [":17:34", "Service default/web", "spec.ports[0].targetPort"],
    ]


def test_a_pod_twice_names_both_places(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    one = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
    path.write_text(f"{one}---\n{one}")
    with pytest.raises(InputError) as caught:
        complete_manifests([path])
    assert str(caught.value) == (
        f"{path}:7:18: Pod default/a: metadata.name: the same object twice; "
        f"first in {path}:3:18; each object once"
    )


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70000) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a value, with each of its keys."""
    found: list[tuple[Any, Any]] = []
    keys: Callable[[], Any] = lambda: (  # noqa: E731
        value.items() if isinstance(value, dict) else enumerate(value)
    )
    if isinstance(value, dict | list):
        for key, child in keys():
            found.append((value, key))
            found += places(child)
    return found


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_is_written_is_compiled_or_refused(data: st.DataObject) -> None:
    """Any value anywhere: an error with a message, or rules; never a crash, never another line."""
    objects = [
        pod("a", containers=[{"ports": [{"name": "http", "containerPort": 80}]}], nodeName="n"),
        service(ports=[{"port": 80, "targetPort": "http"}], type="NodePort"),
        node("n", podCIDRs=["10.30.7.0/24"]),
    ]
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(objects)))
        container[key] = data.draw(ANYTHING)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).encode()
    rules, refused = "", ""
    try:
        source = complete_manifests([Source("manifests", text)]).source
        rules = compile_rules([source], node="n").text
    except InputError as error:
        refused = str(error)
    assert rules or refused
    assert all(line[:1] in "*:-C" for line in rules.splitlines())
