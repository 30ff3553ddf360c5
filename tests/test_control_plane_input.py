"""Bad Pods and Services under `--from-workloads`: every problem at once, and never a crash."""

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
    result = proxyrules("compile", path, "--from-workloads")
    assert result.code == 2
    assert result.out == ""
    lines = [line.removeprefix(f"{path}:") for line in result.err.splitlines()]
    label = "must be at most 253 of a-z, 0-9, - and ., with a letter or digit at both ends"
    assert lines == [
        f'3:18: Pod default/a_b: metadata.name: invalid name "a_b"; {label}',
        "3:37: Pod default/a_b: metadata.labels.app: expected a string; put the value in quotes",
        f'5:13: Pod default/a_b: spec.nodeName: invalid node name "Node"; {label}',
        "7:29: Pod default/a_b: spec.containers[0].ports[0].containerPort: invalid port 0; "
        "must be between 1 and 65535",
        '8:17: Pod default/a_b: status.podIP: "10.0.0" is not an IP address; '
        "use one like 10.244.1.2",
        '14:14: Service default/web: spec.clusterIP: "10.0.0.300" is not an IP address; '
        "use one like 10.96.0.10",
        "15:19: Service default/web: spec.selector.app: expected a string; put the value in quotes",
        '16:24: Service default/web: spec.trafficDistribution: unsupported value "Near"; '
        "supported values: PreferClose, PreferSameZone, PreferSameNode",
        '17:34: Service default/web: spec.ports[0].targetPort: invalid target port "Http"; '
        "must be between 1 and 65535, or the name of a container's port",
    ]


def test_wrong_types_name_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "types.yaml"
    path.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: B}\n"
        "spec:\n  nodeName: 1e3\n  hostNetwork: 1\n  containers: [{ports: [{containerPort: http}]}]\n"
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: [a]}\n"
    )
    with pytest.raises(InputError) as caught:
        complete_manifests([path])
    assert str(caught.value).replace(f"{path}:", "").splitlines() == [
        '3:32: Pod B/a: metadata.namespace: invalid namespace "B"; '
        "must be at most 63 of a-z, 0-9 and -, with a letter or digit at both ends",
        "5:13: Pod B/a: spec.nodeName: expected a string; put the value in quotes",
        "6:16: Pod B/a: spec.hostNetwork: expected true or false, found the number 1",
        "7:41: Pod B/a: spec.containers[0].ports[0].containerPort: expected a port number, "
        'found the string "http"',
        "12:18: Service default/web: spec.selector: expected a mapping, found a list",
    ]


def test_a_pod_twice_names_both_places(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    one = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
    path.write_text(f"{one}---\n{one}")
    with pytest.raises(InputError) as caught:
        complete_manifests([path])
    assert str(caught.value) == (
        f"{path}:7:18: Pod default/a: metadata.name: duplicate object, "
        f"first at {path}:3:18; an object can appear only once"
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
