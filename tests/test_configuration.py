"""kube-proxy's configuration wherever it is: a file, ConfigMaps, the flags of its Pod."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.cli.messages import option_name
from compiler.errors import InputError
from compiler.family import IPV4, IPV6
from compiler.manifests.source import Source
from compiler.proxy.configuration import ProxyConfig, read_config
from tests.cases import FIXTURES
from tests.run import Runner
from tests.test_control_plane_input import places

CONFIG = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
CHOICE = "give one, a ConfigMap that has one, or the Pod of kube-proxy"


def read(text: str, **flags: object) -> ProxyConfig:
    return read_config(Source("k", text.encode()), flags)


def refused(text: str, **flags: object) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(text, **flags)
    return [problem.text(option_name) for problem in caught.value.problems]


def config_map(name: str = "kube-proxy", **data: str) -> str:
    metadata = {"name": name, "namespace": "kube-system"}
    return json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}, indent=1
    )


def pod(*arguments: str, name: str = "kube-proxy-a", kind: str = "Pod", more: str = "") -> str:
    spec = f"containers: [{{name: kube-proxy, args: {json.dumps(arguments)}{more}}}]"
    if kind != "Pod":
        spec = f"template: {{spec: {{{spec}}}}}"
    metadata = f"{{name: {name}, namespace: kube-system}}"
    return f"apiVersion: v1\nkind: {kind}\nmetadata: {metadata}\nspec: {{nodeName: n1, {spec}}}\n"


@pytest.mark.parametrize("key", ["config.conf", "config", "anything.yaml"])
def test_any_key_of_a_config_map(key: str) -> None:
    data = {"kubeconfig.conf": "kind: Config", key: CONFIG + "clusterCIDR: 10.0.0.0/8\n"}
    assert read(config_map(**data)).cluster_cidrs == {IPV4: "10.0.0.0/8"}


def test_a_list_of_config_maps() -> None:
    """As `kubectl get configmap -n kube-system -o yaml` prints them."""
    maps = [config_map("coredns", Corefile=".:53 {\n"), config_map(config=CONFIG + "mode: ipvs\n")]
    text = json.dumps({"kind": "List", "apiVersion": "v1", "items": list(map(json.loads, maps))})
    assert refused(text) == [
        'k (config):3:7: KubeProxyConfiguration: mode: mode "ipvs" is not supported; '
        "use --proxy-mode iptables to see its iptables rules"
    ]
    assert read(text, proxy_mode="iptables").masquerade_bit == 14


def test_a_configuration_inside_a_list_is_located() -> None:
    text = "kind: List\nitems:\n" + textwrap.indent(CONFIG + "mode: ipvs\n", "  ").replace(
        "  ", "- ", 1
    )
    assert refused(text)[0].startswith("k:5:9: KubeProxyConfiguration: mode: mode ")


def test_scalars_inside_a_list_or_a_config_map_are_named_as_written() -> None:
    text = CONFIG + "hostnameOverride: 1e3\niptables: {masqueradeBit: 012}\n"
    name = 'KubeProxyConfiguration: hostnameOverride: expected a string, found the number 1e3; quote it: "1e3"'
    bit = (
        "KubeProxyConfiguration: iptables.masqueradeBit: ambiguous number 012: kubectl (YAML 1.1) "
        "reads it as octal, 10, and YAML 1.2 as 12; write 10 or 12"
    )
    in_list = "kind: List\nitems:\n-\n" + textwrap.indent(text, "  ")
    assert refused(in_list) == [f"k:6:21: {name}", f"k:7:29: {bit}"]
    in_map = config_map(**{"config.conf": text})
    assert refused(in_map) == [f"k (config.conf):3:19: {name}", f"k (config.conf):4:27: {bit}"]


def test_what_was_looked_at_is_named() -> None:
    text = config_map("coredns", Corefile=".:53", other="x") + "\n---\n" + config_map("empty")
    assert refused(text) == [
        "k: no KubeProxyConfiguration in ConfigMap kube-system/coredns (Corefile, other), "
        f"ConfigMap kube-system/empty (no keys); {CHOICE}"
    ]
    many = "---\n".join(f"kind: Secret\nmetadata: {{name: s{n}}}\n" for n in range(7))
    assert refused(many) == [
        "k: no KubeProxyConfiguration in Secret s0, Secret s1, Secret s2, Secret s3, Secret s4 "
        f"and 2 more; {CHOICE}"
    ]


def test_a_key_that_is_no_yaml_is_located_in_it() -> None:
    (problem,) = refused(config_map(config=CONFIG + "mode: [\n"))
    assert problem.startswith("k (config):4:1: not YAML: ")


def test_two_configurations() -> None:
    text = config_map(a=CONFIG) + "\n---\n" + config_map(b=CONFIG)
    message = "there is a second KubeProxyConfiguration; give only one of them"
    assert refused(text) == [f"k (b):1:1: KubeProxyConfiguration: {message}"]


def test_flags_of_a_pod() -> None:
    config = read(
        pod(
            "--v=2",
            "--cluster_cidr=10.0.0.0/8,fd00::/56",
            "--nodeport-addresses",
            "10.1.0.0/16,10.2.0.0/16",
            "--nodeport-addresses=10.3.0.0/16",
            "--masquerade-all",
            "--iptables-masquerade-bit=0x0d",
            "--iptables-localhost-nodeports=F",
            "--conntrack-tcp-be-liberal=true",
            "--feature-gates=AllAlpha=true, ServiceTrafficDistribution=0",
            "--hostname-override=Worker",
            "--bind-address=$(IP)",
            more=", env: [{name: IP, value: 172.18.0.2}]",
        )
    )
    assert config.cluster_cidrs == {IPV4: "10.0.0.0/8", IPV6: "fd00::/56"}
    assert config.node_port_addresses == ("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
    assert (config.masquerade_all, config.masquerade_bit) == (True, 13)
    assert (config.localhost_node_ports, config.tcp_be_liberal) == (False, True)
    assert config.feature_gates == {"AllAlpha": True, "ServiceTrafficDistribution": False}
    assert (config.hostname_override, config.bind_address) == ("worker", "172.18.0.2")
    assert config.warnings == ()


def test_flags_of_the_command_line_override_those_of_the_pod() -> None:
    text = pod("--cluster-cidr=10.0.0.0/8", "--masquerade-all")
    config = read(text, cluster_cidr="10.9.0.0/16")
    assert (config.cluster_cidrs, config.masquerade_all) == ({IPV4: "10.9.0.0/16"}, True)
    assert refused(text, cluster_cidr="x")[0].startswith("--cluster-cidr: ")


@pytest.mark.parametrize(
    ("command", "cidr"),
    [
        ('["/bin/sh", "-c", "exec kube-proxy --cluster-cidr=10.0.0.0/8 2>&1"]', "10.0.0.0/8"),
        ('["bash", "-c", "kube-proxy --cluster-cidr \'10.0.0.0/8\' | tee log"]', "10.0.0.0/8"),
        ('["/usr/local/bin/kube-proxy", "--cluster-cidr=10.0.0.0/8"]', "10.0.0.0/8"),
        ('["wrapper", "--cluster-cidr=x", "kube-proxy", "--v=1"]', None),
    ],
)
def test_command_lines(command: str, cidr: str | None) -> None:
    text = f"kind: Pod\nspec: {{containers: [{{name: a}}, {{name: b, command: {command}}}]}}\n"
    assert read(text).cluster_cidrs.get(IPV4) == cidr


def test_a_daemon_set_beside_its_configuration() -> None:
    """As kubeadm and EKS have it: the node's name is the node's own, and says nothing new."""
    name = "{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}"
    arguments = (
        "--config=/var/lib/kube-proxy/config.conf",
        "--hostname-override=$(NODE)",
        "--masquerade-all",
    )
    for kind, wanted in (("DaemonSet", None), ("Pod", "n1")):
        proxy = pod(*arguments, kind=kind, more=f", env: [{name}]")
        config = read(proxy + "---\n" + CONFIG + "clusterCIDR: 10.0.0.0/8\n")
        assert config.hostname_override == wanted
        assert config.cluster_cidrs == {IPV4: "10.0.0.0/8"}
        assert config.masquerade_all is False  # kube-proxy ignores flags beside --config
        assert refused(proxy) == [
            f"k:1:1: {kind} kube-system/kube-proxy-a: kube-proxy reads its configuration from "
            '"/var/lib/kube-proxy/config.conf"; add the ConfigMap that has it: '
            "kubectl get configmap -n kube-system -o yaml"
        ]


def test_flags_and_a_configuration_that_is_not_read() -> None:
    assert refused(pod("--masquerade-all") + "---\n" + CONFIG) == [
        "k:1:1: Pod kube-system/kube-proxy-a: this kube-proxy has no --config, so it does not read the "
        "KubeProxyConfiguration; give only one of them"
    ]


def test_pods_of_several_nodes() -> None:
    """They agree but for their nodes' names, or the answer depends on the node."""
    pods = [pod("--cluster-cidr=10.0.0.0/8", f"--hostname-override={n}", name=n) for n in "ab"]
    config = read("---\n".join(pods))
    assert (config.cluster_cidrs, config.hostname_override) == ({IPV4: "10.0.0.0/8"}, None)
    assert refused("---\n".join([*pods, pod("--v=2", name="c")])) == [
        "k: kube-proxy's --cluster-cidr is not the same everywhere: "
        'Pod kube-system/a has "10.0.0.0/8", Pod kube-system/b has "10.0.0.0/8"; give the Pod of one node'
    ]


def test_bad_flags_are_located() -> None:
    text = pod(
        "--masquerade-all=yes",
        "--iptables-masquerade-bit=40",
        "--cluster-cidr=$(CIDR)",
        "--feature-gates=A",
        "--proxy-mode=nftables",
        more=", env: [{name: CIDR, valueFrom: {configMapKeyRef: {name: x}}}]",
    )
    subject = "Pod kube-system/kube-proxy-a: spec.containers[0].args"
    start = "kube-proxy does not start with it"
    assert refused(text) == [
        f'k:4:61: {subject}[0]: --masquerade-all: "yes" is neither true nor false; {start}',
        f"k:4:85: {subject}[1]: masqueradeBit 40 is out of range; must be between 0 and 31",
        f"k:4:117: {subject}[2]: --cluster-cidr is $(CIDR), whose value is not in the manifest; replace it with the value",
        f'k:4:143: {subject}[3]: --feature-gates: "A" has no value; {start}',
        f'k:4:164: {subject}[4]: mode "nftables" is not supported; use --proxy-mode iptables to see its iptables rules',
    ]


@pytest.mark.parametrize(
    ("cidr", "message"),
    [
        (
            "10.0.0.0/8, fd00::/56",
            '" fd00::/56" is not a CIDR; kube-proxy rejects spaces',
        ),
        (
            "10.0.0.0/8,",
            "an entry is empty; use one per family, like 10.244.0.0/16,fd00:10:244::/56",
        ),
        (
            " ",
            "an entry is empty; use one per family, like 10.244.0.0/16,fd00:10:244::/56",
        ),
    ],
)
def test_blanks_in_cluster_cidrs(cidr: str, message: str) -> None:
    """kube-proxy splits at commas and parses what is between them as it is."""
    assert refused(CONFIG + f"clusterCIDR: '{cidr}'\n") == [
        f"k:3:14: KubeProxyConfiguration: clusterCIDR: {message}"
    ]
    assert refused(CONFIG, cluster_cidr=cidr) == [f"--cluster-cidr: {message}"]


def test_blanks_in_node_port_addresses() -> None:
    assert refused(CONFIG + "nodePortAddresses: [10.0.0.0/8, ' primary', '']\n") == [
        'k:3:20: KubeProxyConfiguration: nodePortAddresses: " primary" is not a CIDR; kube-proxy rejects spaces',
        "k:3:20: KubeProxyConfiguration: nodePortAddresses: an entry is empty; use one like 192.168.0.0/16, or primary",
    ]


@pytest.mark.parametrize(
    ("entries", "version", "message"),
    [
        (["primary", "10.0.0.0/8"], "1.36", "primary"),
        (["10.0.0.0/8", "primary"], "1.31", "primary"),
        (["primary"], "1.30", "primary"),
        (["all"], "1.36", "all"),
        (["primary", "10.0.0.0/8"], "1.37", ""),
        (["primary"], "1.31", ""),
    ],
)
def test_words_beside_cidrs_where_the_release_has_them(
    entries: list[str], version: str, message: str, proxyrules: Runner
) -> None:
    case = FIXTURES / "nodeport-cluster" / "input.yaml"
    options = ["--node", "worker-1", "--kube-version", version]
    result = proxyrules("compile", case, *options, "--nodeport-addresses", ",".join(entries))
    assert (result.code == 2, message in result.err) == (bool(message), True)


def test_unknown_gates_are_a_warning() -> None:
    """Kubernetes has two hundred gates, and any release adds and removes some."""
    config = read(
        CONFIG + "featureGates: {Nonsense: true, AllBeta: true, TopologyAwareHints: true}\n"
    )
    assert list(map(str, config.warnings)) == [
        'k:3:15: KubeProxyConfiguration: featureGates: unknown feature gate "Nonsense", so it changes no rules; '
        "kube-proxy does not start with a gate that its release does not have"
    ]


def test_proxy_mode(tmp_path: Path, proxyrules: Runner) -> None:
    """The rules that a cluster in another mode would have in this one."""
    case = FIXTURES / "detect-node-cidr"
    config = tmp_path / "k.yaml"
    config.write_text(
        (case / "kube-proxy.yaml").read_text().replace("mode: iptables", "mode: nftables")
    )
    arguments: list[str | Path] = [
        case / "input.yaml",
        *(case / "args").read_text().split(),
        "--config",
    ]
    assert proxyrules("compile", *arguments, config).code == 2
    result = proxyrules("compile", *arguments, config, "--proxy-mode", "iptables")
    assert result.out == proxyrules("compile", *arguments, case / "kube-proxy.yaml").out
    assert proxyrules("compile", *arguments, config, "--proxy-mode", "ipvs").err == (
        '--proxy-mode: mode "ipvs" is not supported; must be iptables\n'
    )


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 99) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_whatever_is_written_is_read_or_rejected(data: st.DataObject) -> None:
    """Any value anywhere: an error with a message, or a configuration; never a crash."""
    name = {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    arguments = ["--hostname-override=$(NODE)", "--cluster-cidr", "10.0.0.0/8", "--masquerade-all"]
    container = {"name": "kube-proxy", "command": ["kube-proxy"], "args": arguments, "env": [name]}
    objects: list[Any] = [
        {
            "kind": "Pod",
            "metadata": {"name": "a"},
            "spec": {"nodeName": "n", "containers": [container]},
        },
        {"kind": "DaemonSet", "spec": {"template": {"spec": {"containers": [container]}}}},
        {
            "kind": "ConfigMap",
            "metadata": {"name": "b"},
            "data": {"config": CONFIG, "x": "[" + CONFIG},
        },
    ]
    whole = {"kind": "List", "items": [json.loads(json.dumps(data.draw(st.sampled_from(objects))))]}
    for _ in range(data.draw(st.integers(1, 3))):
        parent, key = data.draw(st.sampled_from(places(whole)))
        parent[key] = data.draw(ANYTHING)
    rejected = None
    try:
        read(json.dumps(whole))
    except InputError as error:
        rejected = str(error)
    assert rejected != ""
