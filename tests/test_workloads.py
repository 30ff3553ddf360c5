"""Workloads to Pods, as their controllers make them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from compiler.api import compile_rules, complete_manifests
from compiler.control_plane.complete import Completed
from compiler.manifests.source import Source
from tests.test_control_plane import named, node, of_kind, pod, service, the_slice

Object = dict[str, Any]
VERSIONS = {"ReplicationController": "v1", "Job": "batch/v1"}


def workload(
    kind: str = "Deployment",
    name: str = "web",
    app: str = "",
    *,
    pod: Object | None = None,
    **spec: Any,
) -> Object:
    labels = {"app": app or name}
    selector: Object = labels if kind == "ReplicationController" else {"matchLabels": labels}
    whole: Object = {"template": {"metadata": {"labels": labels}, "spec": pod or {}}}
    if kind != "Job":
        whole["selector"] = selector
    return {
        "apiVersion": VERSIONS.get(kind, "apps/v1"),
        "kind": kind,
        "metadata": {"name": name},
        "spec": whole | spec,
    }


def autoscaler(name: str = "web", kind: str = "Deployment", **spec: Any) -> Object:
    target = {"apiVersion": "apps/v1", "kind": kind, "name": name}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {"scaleTargetRef": target, "maxReplicas": 9} | spec,
    }


def completed(*objects: Object, **arguments: Any) -> Completed:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).encode()
    return complete_manifests([Source("manifests", text)], **arguments)


def names(result: Completed) -> list[str]:
    return [one["metadata"]["name"] for one in of_kind(result, "Pod")]


def places(result: Completed) -> dict[str, str]:
    return {
        one["metadata"]["name"]: one["spec"].get("nodeName", "") for one in of_kind(result, "Pod")
    }


def warnings(result: Completed) -> list[str]:
    return [str(one).partition(": ")[2] for one in result.warnings]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (workload(), ["web-1"]),
        (workload(replicas=3), ["web-1", "web-2", "web-3"]),
        (workload(replicas=0), []),
        (workload(replicas=None), ["web-1"]),
        (workload("ReplicaSet", replicas=2), ["web-1", "web-2"]),
        (workload("ReplicationController", replicas=2), ["web-1", "web-2"]),
        (workload("StatefulSet", replicas=2), ["web-0", "web-1"]),
        (workload("StatefulSet", replicas=2, ordinals={"start": 5}), ["web-5", "web-6"]),
        (workload("Job"), ["web-1"]),
        (workload("Job", parallelism=3), ["web-1", "web-2", "web-3"]),
        (workload("Job", parallelism=3, completions=2), ["web-1", "web-2"]),
        (workload("Job", completions=5), ["web-1"]),
        (workload("Job", parallelism=0), []),
        (workload("Job", parallelism=2, suspend=True), []),
        (workload("DaemonSet"), ["web-n1", "web-n2"]),
    ],
)
def test_number_and_names(made: Object, expected: list[str]) -> None:
    assert names(completed(made, node("n1"), node("n2"))) == expected


def test_its_pods_are_endpoints_of_the_service_that_selects_them() -> None:
    ports = [{"name": "http", "containerPort": 8080}]
    proxy = {"restartPolicy": "Always", "ports": [{"name": "metrics", "containerPort": 15020}]}
    once = {"ports": [{"name": "never", "containerPort": 1}]}
    pod = {"containers": [{"ports": ports}], "initContainers": [proxy, once]}
    wanted = [
        {"name": "a", "port": 80, "targetPort": "http"},
        {"name": "b", "port": 81, "targetPort": "metrics"},
        {"name": "c", "port": 82, "targetPort": "never"},
    ]
    result = completed(workload(replicas=3, pod=pod), service(ports=wanted), nodes=2)
    found = the_slice(result)
    assert [(one["name"], one["port"]) for one in found["ports"]] == [("a", 8080), ("b", 15020)]
    assert [one["targetRef"]["name"] for one in found["endpoints"]] == ["web-1", "web-2", "web-3"]
    assert all(one["conditions"]["ready"] for one in found["endpoints"])
    assert {one["nodeName"] for one in found["endpoints"]} == {"worker-1", "worker-2"}
    text = compile_rules(result.manifests, node="worker-1").text
    assert text.count("--to-destination") == 6
    assert warnings(result) == [
        "Service default/web: spec.ports[2].targetPort: no container of the selected Pods has a "
        'TCP port "never", so this port has no endpoints; '
        "their ports are http (TCP), metrics (TCP)"
    ]


@pytest.mark.parametrize(
    ("made", "label", "value"),
    [
        (workload("StatefulSet"), "statefulset.kubernetes.io/pod-name", "web-0"),
        (workload("StatefulSet"), "apps.kubernetes.io/pod-index", "0"),
        (workload("Job"), "batch.kubernetes.io/job-name", "web"),
        (workload("Job"), "job-name", "web"),
        (workload("Job", completionMode="Indexed"),
         "batch.kubernetes.io/job-completion-index", "0"),
    ],
)  # fmt: skip
def test_labels_that_controllers_add_can_be_selected(made: Object, label: str, value: str) -> None:
    result = completed(made, service(selector={label: value}))
    assert len(the_slice(result)["endpoints"]) == 1


@pytest.mark.parametrize("replicas", [1, 3, 4, 7, 12])
@pytest.mark.parametrize("nodes", [1, 3, 5])
def test_pods_are_spread_evenly(replicas: int, nodes: int) -> None:
    result = completed(workload(replicas=replicas), nodes=nodes)
    counts = Counter(places(result).values())
    each = [counts[f"worker-{number + 1}"] for number in range(nodes)]
    assert sum(each) == replicas
    assert max(each) - min(each) <= 1


def test_workloads_begin_with_different_nodes() -> None:
    many = [workload(name=f"app-{number}") for number in range(60)]
    counts = Counter(places(completed(*many, nodes=3)).values())
    assert min(counts.values()) > 10


def tainted(name: str, *taints: Object, labels: Object | None = None, **spec: Any) -> Object:
    return node(name, labels=labels, taints=list(taints), **spec)


GPU = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
AFFINITY = ("nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")


def affinity(*terms: Object) -> Object:
    found: Any = list(terms)
    for step in reversed(AFFINITY):
        found = {step: found}
    return {"affinity": found}


def expression(operator: str, *values: str, key: str = "size") -> Object:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


CLUSTER = [
    node("small", labels={"size": "1", "disk": "ssd"}),
    node("large", labels={"size": "9"}),
    tainted("gpu", GPU),
    tainted("off", unschedulable=True),
    tainted("soft", {"key": "x", "effect": "PreferNoSchedule"}),
    tainted("cp", labels={"node-role.kubernetes.io/control-plane": ""}),
]


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ({}, {"small", "large", "soft"}),
        ({"nodeName": "cp"}, {"cp"}),
        ({"nodeName": "elsewhere"}, {"elsewhere"}),
        ({"nodeSelector": {"disk": "ssd"}}, {"small"}),
        ({"nodeSelector": {"node-role.kubernetes.io/control-plane": ""}}, {"cp"}),
        ({"tolerations": [{"key": "gpu", "operator": "Exists"}]}, {"small", "large", "soft", "gpu"}),
        ({"tolerations": [{"key": "gpu", "value": "yes"}]}, {"small", "large", "soft", "gpu"}),
        ({"tolerations": [{"key": "gpu", "value": "no"}]}, {"small", "large", "soft"}),
        ({"tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}]},
         {"small", "large", "soft"}),
        ({"tolerations": [{"operator": "Exists"}]}, {"small", "large", "soft", "gpu", "off"}),
        (affinity(expression("In", "1", "2")), {"small"}),
        (affinity(expression("NotIn", "1")), {"large", "soft"}),
        (affinity(expression("Exists")), {"small", "large"}),
        (affinity(expression("DoesNotExist")), {"soft"}),
        (affinity(expression("Gt", "5")), {"large"}),
        (affinity(expression("Lt", "5")), {"small"}),
        (affinity(expression("In", "1"), expression("In", "9")), {"small", "large"}),
        (affinity({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["soft"]}]}),
         {"soft"}),
        (affinity({}, expression("In", "9")), {"large"}),
        ({"nodeSelector": {"disk": "ssd"}, **affinity(expression("Exists"))}, {"small"}),
    ],
)  # fmt: skip
def test_nodes_that_fit(pod: Object, expected: set[str]) -> None:
    result = completed(*CLUSTER, workload(replicas=12, pod=pod))
    assert set(places(result).values()) == expected
    assert warnings(result) == []


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ({}, {"small", "large", "off", "soft", "cp"}),
        ({"nodeSelector": {"size": "9"}}, {"large"}),
        ({"nodeName": "cp"}, {"cp"}),
        ({"tolerations": [{"operator": "Exists"}]}, {"small", "large", "gpu", "off", "soft", "cp"}),
    ],
)
def test_nodes_of_a_daemon_set(pod: Object, expected: set[str]) -> None:
    result = completed(*CLUSTER, workload("DaemonSet", pod=pod))
    assert places(result) == {f"web-{name}": name for name in expected}


def test_a_daemon_set_tolerates_what_is_wrong_with_a_node() -> None:
    def sick(key: str) -> Object:
        return tainted("n", {"key": f"node.kubernetes.io/{key}", "effect": "NoSchedule"})

    for_all = completed(sick("memory-pressure"), workload("DaemonSet"))
    assert places(for_all) == {"web-n": "n"}
    assert places(completed(sick("network-unavailable"), workload("DaemonSet"))) == {}
    on_host = completed(
        sick("network-unavailable"), workload("DaemonSet", pod={"hostNetwork": True})
    )
    assert places(on_host) == {"web-n": "n"}


@pytest.mark.parametrize(
    ("pod", "warning"),
    [
        ({"nodeSelector": {"disk": "nvme"}},
         "spec.template.spec.nodeSelector: no Node has disk=nvme"),
        (affinity(expression("In", "7")), f"spec.template.spec.affinity.{'.'.join(AFFINITY[:2])}: no Node matches"),
        ({"nodeSelector": {"only": "gpu"}},
         "spec.template.spec.tolerations: no Node is left without a taint that is not tolerated (gpu=yes:NoSchedule)"),
    ],
)  # fmt: skip
def test_pods_that_fit_nowhere_are_no_endpoints_and_that_is_reported(
    pod: Object, warning: str
) -> None:
    nodes = [node("n", labels={"size": "1"}), tainted("g", GPU, labels={"only": "gpu"})]
    result = completed(*nodes, workload(replicas=2, pod=pod), service())
    assert the_slice(result)["endpoints"] == []
    assert [one["status"]["phase"] for one in of_kind(result, "Pod")] == ["Pending"] * 2
    assert warnings(result) == [
        f"Deployment default/web: {warning}, so its 2 Pods stay pending, without endpoints; "
        "add Nodes on which it fits"
    ]


def test_a_bare_pod_that_fits_nowhere_is_no_endpoint() -> None:
    result = completed(node("n"), pod("a", nodeSelector={"disk": "ssd"}), service())
    assert the_slice(result)["endpoints"] == []
    assert warnings(result) == [
        "Pod default/a: spec.nodeSelector: no Node has disk=ssd, so the Pod stays pending, without "
        "endpoints; add Nodes on which it fits"
    ]


def test_without_nodes_pods_have_addresses_all_the_same() -> None:
    result = completed(workload(replicas=2, pod={"nodeSelector": {"disk": "ssd"}}), service())
    assert len(the_slice(result)["endpoints"]) == 2
    assert warnings(result) == []


def test_what_needs_nodes_says_so() -> None:
    agent = workload("DaemonSet", "agent")
    host = workload(pod={"hostNetwork": True})
    result = completed(agent, host, service(), named(service(selector={"app": "agent"}), "agent"))
    assert [len(one["endpoints"]) for one in of_kind(result, "EndpointSlice")] == [0, 0]
    assert warnings(result) == [
        "DaemonSet default/agent: kind: has a Pod per Node, and there are no Nodes, so it has no "
        "endpoints; add the cluster's Nodes",
        "Deployment default/web: spec.template.spec.hostNetwork: the address of its Node is not "
        "known, so it has no endpoints; add the Node, with its addresses",
    ]


def test_host_network_has_the_nodes_address() -> None:
    made = workload("DaemonSet", pod={"hostNetwork": True})
    result = completed(made, service(), nodes=2)
    assert [one["addresses"] for one in the_slice(result)["endpoints"]] == [
        ["172.18.0.2"],
        ["172.18.0.3"],
    ]


def test_plain_nodes_are_made_only_where_there_are_none() -> None:
    result = completed(workload("DaemonSet"), nodes=2)
    assert [one["metadata"]["name"] for one in of_kind(result, "Node")] == ["worker-1", "worker-2"]
    assert "Nodes worker-1 to worker-2 made" in result.assumed
    result = completed(workload("DaemonSet"), node("mine"), nodes=2)
    assert [one["metadata"]["name"] for one in of_kind(result, "Node")] == ["mine"]
    assert "no Nodes are made, since there are 1 already" in result.assumed
    selector = {"nodeSelector": {"kubernetes.io/os": "linux"}}
    assert names(completed(workload(pod=selector), nodes=1)) == ["web-1"]


@pytest.mark.parametrize(
    ("scaled", "least", "count", "note"),
    [
        (workload(replicas=5), {"minReplicas": 2}, 2, "2, not its replicas: 5"),
        (workload(), {"minReplicas": 2}, 2, "2"),
        (workload(replicas=5), {}, 1, "1, not its replicas: 5"),
        (workload("StatefulSet"), {"minReplicas": 3}, 3, "3"),
    ],
)
def test_an_autoscaler_decides_the_number(
    scaled: Object, least: Object, count: int, note: str
) -> None:
    kind = scaled["kind"]
    result = completed(autoscaler(kind=kind, **least), scaled)
    assert len(names(result)) == count
    assert result.assumed == (
        f"{kind} default/web has the minReplicas of HorizontalPodAutoscaler default/web: {note}",
    )


def test_an_autoscaler_leaves_what_is_scaled_to_zero() -> None:
    assert names(completed(autoscaler(minReplicas=2), workload(replicas=0))) == []


def test_other_vendors_kinds_of_the_same_name_are_left_alone() -> None:
    kruise = workload("StatefulSet", replicas=3) | {"apiVersion": "apps.kruise.io/v1beta1"}
    assert names(completed(kruise)) == []


def owned(found: Object, kind: str, name: str, **labels: str) -> Object:
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": True}
    metadata = found["metadata"] | {"ownerReferences": [owner]}
    metadata["labels"] = metadata.get("labels", {}) | labels
    return found | {"metadata": metadata}


def test_a_dump_with_its_pods_gets_no_more() -> None:
    """As kubectl get deployments,replicasets,pods prints them, all or some of them."""
    deployment = workload(replicas=2)
    of_it = owned(workload("ReplicaSet", "web-5d4f", "web", replicas=2), "Deployment", "web")
    old = owned(workload("ReplicaSet", "web-77aa", "web", replicas=0), "Deployment", "web")
    pods = [
        owned(pod(f"web-5d4f-{one}"), "ReplicaSet", "web-5d4f", **{"pod-template-hash": "5d4f"})
        for one in ("x", "y")
    ]
    given = ["web-5d4f-x", "web-5d4f-y"]
    assert names(completed(deployment, of_it, old, *pods)) == given
    assert names(completed(deployment, *pods)) == given
    assert names(completed(deployment, of_it, old)) == ["web-5d4f-1", "web-5d4f-2"]
    agent = owned(pod("agent-x"), "DaemonSet", "agent")
    assert names(completed(workload("DaemonSet", "agent"), agent, nodes=2)) == ["agent-x"]


def test_what_is_printed_is_completed_to_the_same() -> None:
    kinds = [workload(kind, kind.lower(), replicas=2) for kind in ("Deployment", "StatefulSet")]
    first = completed(*kinds, workload("DaemonSet", "agent"), service(), nodes=2)
    again = completed(*first.objects)
    assert again.objects == first.objects


def test_pods_without_owner_are_adopted_by_name_or_labels() -> None:
    """Not by a Deployment, whose ReplicaSet asks for a hash of the template too."""
    mine = pod("mine")
    assert names(completed(mine, workload("ReplicaSet", replicas=2))) == ["mine", "web-1"]
    assert names(completed(mine, workload("ReplicationController"))) == ["mine"]
    assert names(completed(mine, workload(replicas=2))) == ["mine", "web-1", "web-2"]
    assert names(completed(pod("web-0"), workload("StatefulSet", replicas=2))) == ["web-0", "web-1"]


def test_names_that_are_taken_get_letters() -> None:
    result = completed(
        workload(replicas=2), workload("StatefulSet", replicas=2), pod("web-2"), service()
    )
    found = names(result)
    assert len(set(found)) == 5
    assert found[0] == "web-2"
    assert found[3:] == ["web-0", "web-1"]
    assert all(name.startswith(f"web-{1 + at}-") for at, name in enumerate(found[1:3]))
    assert len(the_slice(result)["endpoints"]) == 5


def test_a_long_name_is_cut_and_stays_its_own() -> None:
    long = "a" * 50 + "." + "b" * 30
    one, two = names(completed(workload(name=long, app="x"), workload(name=f"{long}c", app="x")))
    assert one.startswith("a" * 49 + "-")
    assert one.endswith("-1")
    assert len(one) == 57
    assert two == names(completed(workload(name=f"{long}c", app="x")))[0] != one
    far = "n" * 250
    (agent,) = names(completed(workload("DaemonSet"), node(far)))
    assert agent.startswith("web-nnn")
    assert len(agent) == 240


def test_given_pods_are_not_counted_as_none() -> None:
    result = completed(pod("web-0"), workload("StatefulSet"), pod("x"), workload("ReplicaSet"))
    assert not any("0 Pods" in note for note in result.notes)
    assert "Job default/web has 0 Pods" in completed(workload("Job", suspend=True)).notes


@pytest.mark.parametrize(
    ("others", "hint"),
    [
        ([], ""),
        ([workload(app="db", name="db")], ""),
        ([{**workload(), "kind": "Rollout", "apiVersion": "argoproj.io/v1alpha1"}],
         "; Rollout default/web has them, but Pods are not made for this kind; add its Pods"),
        ([{**workload(), "metadata": {"name": "web", "namespace": "shop"}}],
         "; there are some in the namespace shop"),
    ],
)  # fmt: skip
def test_a_service_that_selects_nothing_is_reported(others: list[Object], hint: str) -> None:
    result = completed(*others, service())
    assert warnings(result) == [
        "Service default/web: spec.selector: no Pod in the namespace default (by default) has "
        f"these labels, so it has no endpoints{hint}"
    ]


def test_a_workload_scaled_to_zero_is_no_mistake() -> None:
    result = completed(workload(replicas=0), service())
    assert warnings(result) == []
    assert "Deployment default/web has 0 Pods" in result.notes


def test_two_workloads_behind_one_service() -> None:
    result = completed(workload(replicas=2), workload(name="canary", app="web"), service())
    assert [one["targetRef"]["name"] for one in the_slice(result)["endpoints"]] == [
        "canary-1", "web-1", "web-2",
    ]  # fmt: skip


def test_an_external_name_has_no_slices() -> None:
    result = completed(workload(), service(type="ExternalName", externalName="example.com"))
    assert of_kind(result, "EndpointSlice") == []


def test_dual_stack_nodes_and_services() -> None:
    nodes = node("n", podCIDRs=["10.30.7.0/24", "fd00:7::/64"])
    result = completed(nodes, workload(), service(ipFamilyPolicy="PreferDualStack"))
    four, six = of_kind(result, "EndpointSlice")
    assert four["endpoints"][0]["addresses"][0].startswith("10.30.7.")
    assert six["endpoints"][0]["addresses"][0].startswith("fd00:7::")
    (web,) = of_kind(result, "Service")
    assert web["spec"]["ipFamilies"] == ["IPv4", "IPv6"]


@pytest.mark.parametrize(
    ("objects", "families"),
    [
        ([service()], ["IPv4"]),
        ([service(), named(service(ipFamilies=["IPv6"]), "b")], ["IPv4"]),
        ([named(service(ipFamilies=["IPv6"]), "b"), service()], ["IPv4"]),
        ([service(), named(service(clusterIP="fd00::7"), "b")], ["IPv4"]),
        ([service(), node("n", podCIDRs=["fd00:7::/64"])], ["IPv6"]),
        ([service(), node("n", podCIDRs=["fd00:7::/64", "10.7.0.0/24"])], ["IPv6"]),
        ([service(), pod("a", status={"podIP": "fd00::9"})], ["IPv6"]),
    ],
)
def test_a_service_asks_for_a_family_for_itself_alone(
    objects: list[Object], families: list[str]
) -> None:
    """Only facts of the cluster decide the family of the Services that name none."""
    found = {
        one["metadata"]["name"]: one["spec"] for one in of_kind(completed(*objects), "Service")
    }
    assert found["web"]["ipFamilies"] == families


def test_the_flag_leaves_workloads_out() -> None:
    assert names(completed(workload(), workloads=False)) == []


def test_kinds_with_a_mistake_are_reported() -> None:
    old = workload() | {"apiVersion": "extensions/v1beta1"}
    wrong = workload(name="b") | {"kind": "deployment"}
    assert warnings(completed(old, wrong)) == [
        'Deployment.extensions default/web: apiVersion: "extensions/v1beta1" has no kind Deployment, '
        "so it is skipped; did you mean apps/v1?",
        'deployment default/b: kind: there is no kind "deployment", so it is skipped; '
        "did you mean Deployment?",
    ]


def test_notes_of_many_pods_are_short() -> None:
    result = completed(workload(replicas=8), node("n"))
    (note,) = result.notes
    assert note.startswith("Deployment default/web has 8 Pods: web-1 on n with 10.244.")
    assert note.endswith(", 3 more")


def test_a_local_policy_without_nodes_is_reported() -> None:
    local = service(type="NodePort", externalTrafficPolicy="Local")
    assert warnings(completed(workload(), local)) == [
        "Service default/web: spec.externalTrafficPolicy: is Local, but on which Nodes the Pods run "
        "is not known, so none is local; add the cluster's Nodes"
    ]
    assert warnings(completed(workload(), local, nodes=1)) == []
