"""The reading of manifests: as kubectl reads them, the same at any size, nothing silently."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable

import pytest

from compiler.errors import InputError
from compiler.manifests import reader
from compiler.manifests.reader import Manifests, read_manifests
from compiler.manifests.source import Source
from compiler.manifests.text import OUTLINE
from tests.benchmarks.charts import chart

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
SLICE = (
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1}\n"
    "addressType: IPv4\n"
)
FILLER = "---\n" + SERVICE.replace("web", "filler%d") + "# " + "x" * 1000 + "\n"
# What counts as large here.
LARGE = 20_000
BIG = "".join(FILLER % n for n in range(20))
LINES = BIG.count("\n") + 1
assert len(BIG) > LARGE


@pytest.fixture(autouse=True)
def less_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LARGE", LARGE)


def read(*texts: str | bytes, check_all: bool = False) -> Manifests:
    sources = [Source("m", text.encode() if isinstance(text, str) else text) for text in texts]
    return read_manifests(sources, check_all=check_all)


def problems(*texts: str | bytes) -> list[str]:
    with pytest.raises(InputError) as raised:
        read(*texts)
    return [str(problem) for problem in raised.value.problems]


def below(text: str) -> str:
    """Return a text as the end of a large one."""
    return f"{BIG}---\n{text}"


def moved(message: str) -> str:
    """Return a message about a text as it is where that text is the end of a large one."""
    return re.sub(r"(?<=^m:)\d+|(?<=first at line )\d+", lambda n: str(int(n[0]) + LINES), message)


WRITTEN = {
    "a number as a name": (
        "metadata: {name: 1e3}\n",
        'metadata.name: expected a string, found the number 1e3; quote it: "1e3"',
    ),
    "an octal number as a name": (
        "metadata:\n  name: 0123\n",
        (
            "metadata.name: expected a string, found 0123, which kubectl reads as the number 83; "
            'quote it: "0123"'
        ),
    ),
    "true as a name": (
        "metadata:\n  name: True\n",
        'metadata.name: expected a string, found True; quote it: "True"',
    ),
    "no as a name": (
        "metadata:\n  name: no\n",
        'metadata.name: expected a string, found no, which kubectl reads as false; quote it: "no"',
    ),
    "a number with underscores as a name": (
        "metadata: {name: 1_000}\n",
        (
            "metadata.name: expected a string, found 1_000, which kubectl reads as "
            'the number 1000; quote it: "1_000"'
        ),
    ),
    "an octal port": (
        "metadata: {name: web}\nspec:\n  ports:\n  - port: 0120\n",
        (
            "spec.ports[0].port: ambiguous number 0120: kubectl (YAML 1.1) reads it as octal, 80, "
            "and YAML 1.2 as 120; write 80 or 120"
        ),
    ),
    "a word as a port": (
        "metadata: {name: web}\nspec:\n  ports:\n  - port: on\n",
        "spec.ports[0].port: expected a whole number, found on, which kubectl reads as true",
    ),
    "half a port": (
        "metadata: {name: web}\nspec:\n  ports:\n  - port: 80.5\n",
        "spec.ports[0].port: expected a whole number, found the number 80.5",
    ),
    "a quoted port": (
        'metadata: {name: web}\nspec:\n  ports:\n  - port: "80"\n',
        (
            'spec.ports[0].port: expected a whole number, found the string "80"; '
            "write it without quotes"
        ),
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_scalar_is_named_as_it_was_written(name: str) -> None:
    fields, wanted = WRITTEN[name]
    text = "apiVersion: v1\nkind: Service\n" + fields
    (message,) = problems(text)
    assert message.partition(": Service")[2].partition(": ")[2] == wanted
    assert problems(below(text)) == [moved(message)]


def test_json_is_named_as_it_was_written() -> None:
    text = '{"apiVersion": "v1", "kind": "Service", "metadata": {"name": 1e3}}'
    assert problems(text) == [
        'm:1:62: Service: metadata.name: expected a string, found the number 1e3; quote it: "1e3"'
    ]


def test_past_the_reported_problems_scalars_are_not_looked_up() -> None:
    """To look up how a scalar was written may take long; what is counted only needs no words."""
    text = "".join(
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: no\n" for _ in range(101)
    )
    *reported, last = problems(text)
    assert len(reported) == 100
    assert all(message.endswith('quote it: "no"') for message in reported)
    assert last.endswith("metadata.name: expected a string, found false; quote it")


@pytest.mark.parametrize("port", ["80.0", "8e1", "0x50", "0o120", "+80", "8_0", "0b1010000"])
@pytest.mark.parametrize("size", [str, below])
def test_a_port_is_taken_as_kubectl_takes_it(port: str, size: Callable[[str], str]) -> None:
    manifests = read(size(SERVICE + f"spec:\n  ports:\n  - port: {port}\n"))
    spec = manifests.services[-1].spec
    assert spec is not None
    assert [port.port for port in spec.ports or ()] == [80]


def test_json_numbers_are_taken_as_kubectl_takes_them() -> None:
    text = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"ports": [{"port": 80.0}]},
        }
    )
    assert '"port": 80.0' in text
    spec = read(text).services[0].spec
    assert spec is not None
    assert [port.port for port in spec.ports or ()] == [80]


@pytest.mark.parametrize("size", [str, below])
def test_a_condition_is_taken_as_kubectl_takes_it(size: Callable[[str], str]) -> None:
    text = SLICE + "endpoints:\n- addresses: [10.0.0.1]\n  conditions: {ready: yes, serving: Off}\n"
    endpoints = read(size(text)).endpoint_slices[0].endpoints or []
    conditions = endpoints[0].conditions
    assert conditions is not None
    assert (conditions.ready, conditions.serving) == (True, False)


# Remarks.

FOUND = {
    "duplicate key": (
        SERVICE + "spec:\n  type: ClusterIP\n  type: NodePort\n",
        "m:6:3: Service default/web: spec.type: duplicate key (first at line 5)",
    ),
    "old version": (
        "apiVersion: v1beta1\nkind: Service\nmetadata: {name: web}\n",
        'm:1:13: apiVersion: "v1beta1" is not supported; v1',
    ),
    "old version of a slice": (
        "apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\nmetadata: {name: web}\n",
        'm:1:13: apiVersion: "discovery.k8s.io/v1beta1" is not supported; discovery.k8s.io/v1',
    ),
    "no version": (
        "kind: Service\nmetadata: {name: web}\n",
        "m:1:1: apiVersion: missing; v1",
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_remarks_do_not_depend_on_size(name: str) -> None:
    text, message = FOUND[name]
    assert problems(text) == [message]
    assert problems(below(text)) == [moved(message)]


JSON_FOUND = {
    "old version": (
        {"apiVersion": "v1beta1", "kind": "Service", "metadata": {"name": "web"}},
        'm:1:16: apiVersion: "v1beta1" is not supported; v1',
    ),
    "no version": (
        {"kind": "EndpointSlice", "metadata": {"name": "web"}},
        "m:1:1: apiVersion: missing; discovery.k8s.io/v1",
    ),
}


@pytest.mark.parametrize("name", JSON_FOUND)
def test_remarks_in_json_do_not_depend_on_size(name: str) -> None:
    value, message = JSON_FOUND[name]
    assert problems(json.dumps(value)) == [message]
    assert problems(json.dumps(value) + " " * LARGE) == [message]


def test_a_list_of_old_versions_in_large_json() -> None:
    item = {"apiVersion": "v1beta1", "kind": "Service", "metadata": {"name": "web"}}
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [item]}) + " " * LARGE
    assert problems(text) == [
        'm:1:63: items[0].apiVersion: "v1beta1" is not supported; v1',
    ]


MISSPELT = SERVICE + "spec:\n  sessionAfinity: ClientIP\n"
WARNING = (
    "m:5:3: Service default/web: spec.sessionAfinity: no such field, so it has no effect; "
    "did you mean sessionAffinity?"
)


IN_FLOW = SERVICE + "spec: {clusterIP: 10.9.0.1, ports: [{port: 80, nodePrt: 30000}]}\n"
IN_FLOW_WARNING = (
    "m:4:48: Service default/web: spec.ports[0].nodePrt: no such field, so it has no effect; "
    "did you mean nodePort?"
)


@pytest.mark.parametrize(
    ("text", "warning"), [(MISSPELT, WARNING), (IN_FLOW, IN_FLOW_WARNING)], ids=["block", "flow"]
)
def test_misspelt_fields_are_found_at_any_size(text: str, warning: str) -> None:
    assert [*map(str, read(text).warnings)] == [warning]
    assert [*map(str, read(below(text)).warnings)] == [moved(warning)]
    assert read(below(SERVICE)).warnings == ()


def test_nothing_is_counted_twice_where_a_text_is_read_again() -> None:
    pod = "---\napiVersion: v1\nkind: Pod\n"
    manifests = read(below(pod + "---\n" + MISSPELT))
    assert manifests.skipped_kinds == Counter(Pod=1)
    assert len(manifests.services) == len(read(BIG).services) + 1
    bad = "apiVersion: v1\nkind: Service\nmetadata: {name: 1}\n---\n" + MISSPELT
    assert problems(below(bad)) == [
        moved(
            'm:3:18: Service: metadata.name: expected a string, found the number 1; quote it: "1"'
        )
    ]


def test_large_json_is_not_searched_for_misspelt_fields_and_duplicate_keys() -> None:
    text = '{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "name": "b"}}'
    message = "m:1:67: Service default/b: metadata.name: duplicate key (first at line 1)"
    assert problems(text) == [message]
    large = text + " " * LARGE
    assert [*map(str, read(large).warnings)] == [
        (
            "m: larger than 1 MiB, so misspelt fields and duplicate keys were not searched for; "
            "check_fields searches for them"
        )
    ]
    with pytest.raises(InputError) as raised:
        read(large, check_all=True)
    assert [*map(str, raised.value.problems)] == [message]


@pytest.mark.parametrize("more", ["", "---\n" + SERVICE + "spec:\n  type: X\n"])
def test_a_byte_that_is_not_utf8_is_reported_at_its_line(more: str) -> None:
    bad = b"---\n" + SERVICE.encode() + b"# caf\xe9\n" + more.encode()
    assert problems(bad) == ["m:5:6: not UTF-8: the byte 0xe9; save the file as UTF-8"]
    assert problems(BIG.encode() + bad) == [
        f"m:{LINES + 4}:6: not UTF-8: the byte 0xe9; save the file as UTF-8"
    ]


# What is skipped.


def test_kinds_that_are_not_compiled_are_counted_and_not_read() -> None:
    text = "apiVersion: apps/v1\nkind: Deployment\nspec: {a: [1\n---\n" + SERVICE
    manifests = read(text)
    assert manifests.skipped_kinds == Counter(Deployment=1)
    assert len(manifests.services) == 1


def test_with_every_kind_they_are_read() -> None:
    text = "apiVersion: v1\nkind: Pod\nspec:\n  a: 1\n  a: 1\n"
    assert read(text).skipped_kinds == Counter(Pod=1)
    with pytest.raises(InputError) as raised:
        read_manifests([Source("m", text.encode())], every_kind=True)
    assert [*map(str, raised.value.problems)] == ["m:5:3: spec.a: duplicate key (first at line 4)"]


def test_other_kinds_in_large_json_are_counted_and_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": 1}}
    whole = {"apiVersion": "v1", "kind": "List", "items": [pod, service, pod]}
    text = json.dumps(whole) + " " * LARGE
    with monkeypatch.context() as patch:
        patch.setattr("compiler.manifests.diagnostic_reader.read", None)
        manifests = read(text)
    assert manifests.skipped_kinds == Counter(Pod=2)
    assert [service.metadata for service in manifests.services] == [
        service.metadata for service in read(json.dumps(whole)).services
    ]
    knative = {**service, "apiVersion": "serving.knative.dev/v1"}
    text = json.dumps({**whole, "items": [knative, service]}) + " " * LARGE
    assert read(text).skipped_kinds == Counter({"Service.serving.knative.dev": 1})
    text = json.dumps({**whole, "items": [pod, {**service, "apiVersion": "v2"}]}) + " " * LARGE
    assert problems(text) == ['m:1:125: items[1].apiVersion: "v2" is not supported; v1']


SKIPPED = {
    "another kind": ("apiVersion: v1\nkind: Pod\nspec: {a: &x b}\n", "Pod"),
    "quoted": ('kind: "Pod"\napiVersion: "v1"\nspec: |\n  kind: Service\n', "Pod"),
    "without a version": ("# comment\nkind: Thing\nlist:\n- kind: Service\n", "Thing"),
    "another group": (
        "apiVersion: serving.knative.dev/v1\nkind: Service\nspec: {a: b}\n",
        "Service.serving.knative.dev",
    ),
    "items of a list": (
        "apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n  spec: [\nkind: List\n",
        "Pod",
    ),
    "a list of another kind": ("apiVersion: v1\nkind: PodList\nitems:\n- kind: Pod\n", "PodList"),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_what_is_skipped_is_counted(name: str) -> None:
    text, kind = SKIPPED[name]
    assert read(text).skipped_kinds == Counter({kind: 1})
    assert read(below(text)).skipped_kinds == Counter({kind: 1})


# What must not be skipped by its looks: the kind is in another notation, or there twice.
NOT_SKIPPED = {
    "a second kind": (
        "kind: Pod\nmetadata: {name: a}\nkind: Service\napiVersion: v1\n",
        "m:3:1: Service default/a: kind: duplicate key (first at line 1)",
    ),
    "a second kind, quoted": (
        'kind: Pod\nmetadata: {name: a}\n"kind": Service\napiVersion: v1\n',
        "m:3:1: Service default/a: kind: duplicate key (first at line 1)",
    ),
    "text that looks like a kind": (
        "metadata: {name: a}\napiVersion: v1\nspec: {type: 'x\nkind: Pod\n'}\nkind: Service\n",
        None,
    ),
    "a version that is no string": (
        "kind: Pod\napiVersion: 1\n",
        "m:2:13: apiVersion: expected a string, found the number 1",
    ),
    "a kind that is no string": (
        "kind: yes\n",
        "m:1:7: kind: expected a string, found true; such as Service or List",
    ),
    "an indented object": (
        "  kind: Pod\n  apiVersion: v1\n  a: 1\n  a: 2\n",
        "m:4:3: a: duplicate key (first at line 3)",
    ),
}


@pytest.mark.parametrize("name", NOT_SKIPPED)
def test_what_may_be_more_than_its_looks_is_read(name: str) -> None:
    text, message = NOT_SKIPPED[name]
    found = problems(text)
    if message is None:
        assert len(found) == 1
        assert found[0].startswith("m:3:14: Service default/a: spec.type: unsupported value")
    else:
        assert found == [message]


def test_a_chart_needs_no_slow_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """What people write in Services, and all of the Deployments beside them."""
    monkeypatch.setattr("compiler.yaml.composed.compose", None)
    monkeypatch.setattr(reader, "LARGE", 1)
    text = "".join(chart(20))
    manifests = read(text)
    assert len(manifests.services) == 20
    assert manifests.skipped_kinds == Counter(Deployment=20)
    monkeypatch.setattr(reader, "LARGE", LARGE)
    assert read(text).services == manifests.services


# Other formats.

OTHER = {
    "kubectl's table": (
        (
            "NAME         TYPE        CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE\n"
            "kubernetes   ClusterIP   10.96.0.1    <none>        443/TCP   3d\n"
        ),
        (
            "m:1:1: this is kubectl's table output, which leaves fields out; "
            "use the output of kubectl get -o yaml or -o json"
        ),
    ),
    "kubectl's table of all namespaces": (
        "NAMESPACE   NAME   TYPE        CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE   SELECTOR\n",
        (
            "m:1:1: this is kubectl's table output, which leaves fields out; "
            "use the output of kubectl get -o yaml or -o json"
        ),
    ),
    "a dump of rules": (
        "# Generated by iptables-save v1.8.9\n*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n",
        (
            "m:1:1: these are iptables rules, not manifests; to compile, use the output of kubectl "
            "get -o yaml or -o json; to compare rules, use diff or verify"
        ),
    ),
    "iptables -S": (
        "-P INPUT ACCEPT\n-N KUBE-SERVICES\n",
        (
            "m:1:1: these are iptables rules, not manifests; to compile, use the output of kubectl "
            "get -o yaml or -o json; to compare rules, use diff or verify"
        ),
    ),
    "nft": (
        "table ip kube-proxy {\n}\n",
        (
            "m:1:1: this is an nftables ruleset, not manifests; "
            "use the output of kubectl get -o yaml or -o json"
        ),
    ),
}


@pytest.mark.parametrize("name", OTHER)
def test_another_format_is_named(name: str) -> None:
    text, message = OTHER[name]
    assert problems(text) == [message]
    assert problems(text + "#" * LARGE) == [message]


SERVICE_IN_LOWER_CASE = "apiVersion: v1\nkind: service\nmetadata: {name: a}\n"
NOTED = {
    "a kind in lower case": (
        SERVICE_IN_LOWER_CASE,
        (
            'm:2:7: Service default/a: kind: there is no kind "service", so it is skipped; '
            "did you mean Service?"
        ),
    ),
    "Endpoints": (
        "kind: Endpoints\napiVersion: v1\nmetadata: {name: a}\n",
        (
            "m:1:1: Endpoints default/a: kube-proxy does not read Endpoints, and no EndpointSlice "
            "has these; add the EndpointSlices: kubectl get endpointslices -o yaml"
        ),
    ),
}


@pytest.mark.parametrize("name", NOTED)
def test_skipped_objects_that_may_be_mistakes_are_noted_at_any_size(name: str) -> None:
    text, warning = NOTED[name]
    kind = warning.split('"')[1] if '"' in warning else "Endpoints"
    for manifests, expected in ((read(text), warning), (read(below(text)), moved(warning))):
        assert [*map(str, manifests.warnings)] == [expected]
        assert manifests.skipped_kinds == Counter({kind: 1})


def test_endpoints_in_a_large_json_list_are_noted() -> None:
    items = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}},
        {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "a"}},
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    column = text.index(json.dumps(items[1])) + 1
    warning = NOTED["Endpoints"][1].replace("m:1:1:", f"m:1:{column}:")
    small, large = read(text), read(text + " " * LARGE)
    assert [*map(str, small.warnings)] == [warning]
    assert str(large.warnings[-1]) == warning
    assert small.skipped_kinds == large.skipped_kinds == Counter(Pod=1, Endpoints=1)


def test_pods_are_skipped_unread() -> None:
    """Nothing about them is noted, and many dumps are mostly Pods."""
    assert not OUTLINE.is_read(b"Pod")
    assert not OUTLINE.is_read(b"Deployment")
    assert OUTLINE.is_read(b"pod")
