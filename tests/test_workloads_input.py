"""Wrong workloads, autoscalers and Endpoints: every problem at once, with its place."""

from __future__ import annotations

import json
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
from tests.test_control_plane_input import ANYTHING, places
from tests.test_mirroring import endpoints
from tests.test_workloads import affinity, autoscaler, expression, tainted, workload

TEMPLATE = "  template: {metadata: {labels: {app: web}}}\n"


def manifest(kind: str, spec: str, name: str = "web", version: str = "apps/v1") -> str:
    return f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{spec}"


WRONG = {
    "replicas below zero": (
        manifest("Deployment", "  replicas: -1\n  selector: {matchLabels: {app: web}}\n" + TEMPLATE),
        ["5:13: Deployment default/web: spec.replicas: -1 is negative; must be 0 or more"],
    ),
    "replicas that are no number": (
        manifest("StatefulSet", "  replicas: three\n  ordinals: {start: 1.5}\n  selector: {matchLabels: {app: web}}\n" + TEMPLATE),
        ['5:13: StatefulSet default/web: spec.replicas: expected a whole number, found the string "three"',
         "6:21: StatefulSet default/web: spec.ordinals.start: expected a whole number, found the number 1.5"],
    ),
    "more Pods than a cluster has": (
        manifest("ReplicaSet", "  replicas: 1000000\n  selector: {matchLabels: {app: web}}\n" + TEMPLATE),
        ["5:13: ReplicaSet default/web: spec.replicas: 1000000 is too large; at most 150000"],
    ),
    "a job's numbers": (
        manifest("Job", "  parallelism: -1\n  completions: x\n" + TEMPLATE, version="batch/v1"),
        ["5:16: Job default/web: spec.parallelism: -1 is negative; must be 0 or more",
         '6:16: Job default/web: spec.completions: expected a whole number, found the string "x"'],
    ),
    "a selector of other Pods": (
        manifest("Deployment", "  selector: {matchLabels: {app: wbe, tier: a}}\n" + TEMPLATE),
        ['5:33: Deployment default/web: spec.selector.matchLabels.app: "wbe" doesn\'t match the template, which has app: web; a selector must match spec.template.metadata.labels',
         '5:44: Deployment default/web: spec.selector.matchLabels.tier: "a" doesn\'t match the template, which has no such label; a selector must match spec.template.metadata.labels'],
    ),
    "a selector's expressions": (
        manifest("Deployment", "  selector:\n    matchExpressions:\n    - {key: app, operator: In, values: [a, b]}\n" + TEMPLATE),
        ["7:7: Deployment default/web: spec.selector.matchExpressions[0]: the labels of the template don't match; a selector must match spec.template.metadata.labels"],
    ),
    "a selector's operator": (
        manifest("Deployment", "  selector:\n    matchExpressions:\n    - {key: app, operator: Is, values: [a]}\n" + TEMPLATE),
        ['7:28: Deployment default/web: spec.selector.matchExpressions[0].operator: unsupported value "Is"; supported values: In, NotIn, Exists, DoesNotExist'],
    ),
    "no selector": (
        manifest("DaemonSet", TEMPLATE) + "---\n" + manifest("Deployment", "  selector: {}\n" + TEMPLATE),
        ["5:3: DaemonSet default/web: spec.selector: missing; it must select the Pods",
         "11:13: Deployment default/web: spec.selector: is empty; it must select the Pods"],
    ),
    "no template": (
        manifest("Deployment", "  replicas: 1\n") + "---\n" + manifest("Job", "  template: [a]\n", version="batch/v1"),
        ["5:3: Deployment default/web: spec.template: missing; the Pods are made from it",
         "11:13: Job default/web: spec.template: expected a mapping, found a list"],
    ),
    "a replication controller's selector": (
        manifest("ReplicationController", "  selector: {app: a}\n" + TEMPLATE, version="v1"),
        ['5:19: ReplicationController default/web: spec.selector.app: "a" doesn\'t match the template, which has app: web; a selector must match spec.template.metadata.labels'],
    ),
    "a template's Pods": (
        manifest("Deployment", "  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web, tier: 1}}\n    spec:\n      hostNetwork: 1\n      nodeSelector: {a: yes}\n      tolerations: [{operator: Is}]\n      containers: [{ports: [{containerPort: 0}]}]\n"),
        ["7:41: Deployment default/web: spec.template.metadata.labels.tier: expected a string; put the value in quotes",
         "9:20: Deployment default/web: spec.template.spec.hostNetwork: expected true or false, found the number 1",
         "10:25: Deployment default/web: spec.template.spec.nodeSelector.a: expected a string; put the value in quotes",
         '11:32: Deployment default/web: spec.template.spec.tolerations[0].operator: unsupported value "Is"; supported values: Equal, Exists',
         "12:45: Deployment default/web: spec.template.spec.containers[0].ports[0].containerPort: invalid port 0; must be between 1 and 65535"],
    ),
    "an old version": (
        manifest("Deployment", TEMPLATE, version="apps/v1beta2"),
        ['1:13: Deployment default/web: apiVersion: "apps/v1beta2" is not supported; apps/v1'],
    ),
    "the same twice": (
        "---\n".join([manifest("Deployment", "  selector: {matchLabels: {app: web}}\n" + TEMPLATE)] * 2),
        ["10:18: Deployment default/web: metadata.name: duplicate object, first at m:3:18; an object can appear only once"],
    ),
    "a name": (
        manifest("Deployment", "  selector: {matchLabels: {app: web}}\n" + TEMPLATE, "Web"),
        ['3:18: Deployment default/Web: metadata.name: invalid name "Web"; must be at most 253 of a-z, 0-9, - and ., with a letter or digit at both ends'],
    ),
    "an autoscaler": (
        manifest("HorizontalPodAutoscaler", "  minReplicas: -2\n  scaleTargetRef: {kind: Deployment}\n", version="autoscaling/v2"),
        ["5:16: HorizontalPodAutoscaler default/web: spec.minReplicas: -2 is negative; must be 0 or more",
         "6:19: HorizontalPodAutoscaler default/web: spec.scaleTargetRef.name: missing; it names what is scaled"],
    ),
    "endpoints": (
        "apiVersion: v1\nkind: Endpoints\nmetadata: {name: db}\nsubsets:\n- addresses: [{ip: 10.0.0}]\n  ports: [{port: 0}, {port: x, protocol: tcp}]\n",
        ['5:20: Endpoints default/db: subsets[0].addresses[0].ip: "10.0.0" is not an IP address; use one like 192.168.0.2',
         "6:18: Endpoints default/db: subsets[0].ports[0].port: invalid port 0; must be between 1 and 65535",
         '6:29: Endpoints default/db: subsets[0].ports[1].port: expected a port number, found the string "x"',
         '6:42: Endpoints default/db: subsets[0].ports[1].protocol: unsupported value "tcp"; supported values: TCP, UDP, SCTP'],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_has_its_place(text: str, expected: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        complete_manifests([Source("m", text.encode())])
    assert [str(one).removeprefix("m:") for one in caught.value.problems] == expected


def test_large_texts_have_places_too() -> None:
    """The fast reader's documents and items of lists."""
    text = "".join(WRONG["replicas below zero"][0])
    padding = "".join(f"# {'x' * 100}\n" for _ in range(25_000))
    with pytest.raises(InputError) as caught:
        complete_manifests([Source("m", (padding + text).encode())])
    assert str(caught.value).startswith("m:25005:13: Deployment default/web: spec.replicas: -1")
    indented = "".join(f"  {line}\n" for line in text.splitlines())
    listed = f"apiVersion: v1\nkind: List\nitems:\n- {indented[2:]}"
    with pytest.raises(InputError) as caught:
        complete_manifests([Source("m", listed.encode())])
    assert str(caught.value).startswith("m:8:15: Deployment default/web: spec.replicas: -1")


def test_all_problems_of_all_files_at_once(proxyrules: Runner, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(WRONG["replicas below zero"][0])
    (tmp_path / "b.yaml").write_text(manifest("Service", "  ports: [{port: 0}]\n", version="v1"))
    result = proxyrules("compile", tmp_path, "--from-workloads")
    assert (result.code, result.out) == (2, "")
    assert result.err.splitlines() == [
        f"{tmp_path}/a.yaml:5:13: Deployment default/web: spec.replicas: -1 is negative; must be 0 or more",
        f"{tmp_path}/b.yaml:5:18: Service default/web: spec.ports[0].port: invalid port 0; must be between 1 and 65535",
    ]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_is_written_is_compiled_or_rejected(data: st.DataObject) -> None:
    objects = [
        workload(
            replicas=2,
            pod={"nodeSelector": {"a": "b"}, "tolerations": [{"key": "x"}]}
            | affinity(expression("In", "1")),
        ),
        workload("DaemonSet", "agent", pod={"hostNetwork": True}),
        workload("Job", "job", parallelism=2, completions=1),
        workload("StatefulSet", "db", ordinals={"start": 1}),
        autoscaler(minReplicas=1),
        pod("a", containers=[{"ports": [{"name": "http", "containerPort": 80}]}]),
        service(ports=[{"port": 80, "targetPort": "http"}], type="NodePort"),
        {**service(selector=None), "metadata": {"name": "old"}},
        endpoints("old", {"addresses": [{"ip": "10.9.9.9"}], "ports": [{"port": 80}]}),
        tainted("n", {"key": "x", "effect": "NoSchedule"}, podCIDRs=["10.30.7.0/24"]),
        node("m", labels={"a": "b", "size": "1"}),
    ]
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(objects)))
        container[key] = data.draw(ANYTHING)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).encode()
    rules, rejected = "", ""
    try:
        rules = compile_rules(complete_manifests([Source("m", text)]).manifests, node="n").text
    except InputError as error:
        rejected = str(error)
        assert "<control plane>" not in rejected
    assert rules or rejected


def test_numbers_of_nodes() -> None:
    for number, message in ((-1, "-1 Nodes can't be made"), (9999, "9999 Nodes can't be made")):
        with pytest.raises(InputError) as caught:
            complete_manifests([Source("m", json.dumps(service()).encode())], nodes=number)
        assert str(caught.value) == f"nodes: {message}; use 1 to 5000"


Object = dict[str, Any]
