"""`proxyrules collect`: the manifest's rights, and its scripts with a kubectl that records.

What runs on the nodes is tested on a kernel, in tests/kernel/test_collect.py.
"""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from compiler.api import Collection
from compiler.cli import collect
from compiler.collection import writing
from compiler.errors import InputError
from compiler.proxy.release import NEWEST, OLDEST
from tests.run import Runner, run_process

RELEASES = [f"1.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]


def objects(text: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(text))


def pod_spec(text: str) -> dict[str, Any]:
    _, daemonset = objects(text)
    spec: dict[str, Any] = daemonset["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("backend", writing.BACKENDS)
def test_the_manifest_fits_kubernetes_schema(release: str, backend: str) -> None:
    found = objects(Collection(backend=backend).manifest)
    assert [one["kind"] for one in found] == ["ConfigMap", "DaemonSet"]
    for one in found:
        # strict: a field that the schema does not have is an error
        kubernetes_validate.validate(one, release, strict=True)
        broken = {**one, "spezification": {}}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(broken, release, strict=True)


def test_rights_are_the_least() -> None:
    """All that the Pods may do, field by field: one more is a change that a reviewer must see."""
    spec = pod_spec(Collection().manifest)
    (container,) = spec.pop("containers")
    assert spec == {
        "hostNetwork": True,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "volumes": [{"name": "script", "configMap": {"name": "proxyrules-collect"}}],
    }
    assert container["securityContext"] == {
        "runAsUser": 0,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["volumeMounts"] == [
        {"name": "script", "mountPath": "/proxyrules", "readOnly": True}
    ]
    assert set(container) == {
        "name", "image", "command", "securityContext", "resources", "volumeMounts",
    }  # fmt: skip
    assert set(container["resources"]) == {"requests", "limits"}


@pytest.mark.parametrize(
    ("backend", "added"),
    [
        ("auto", ["NET_ADMIN", "NET_RAW"]),
        ("nft", ["NET_ADMIN"]),
        ("legacy", ["NET_ADMIN", "NET_RAW"]),
    ],
)
def test_only_legacy_tables_need_net_raw(backend: str, added: list[str]) -> None:
    text = Collection(backend=backend).manifest
    context = pod_spec(text)["containers"][0]["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": added}
    assert f"backend={backend}\n" in objects(text)[0]["data"]["node.sh"]


def test_the_script_of_the_config_map_is_that_of_the_node() -> None:
    collection = Collection(metrics_address="[::1]:10249")
    assert objects(collection.manifest)[0]["data"]["node.sh"] == collection.node_script
    assert "address='[::1]:10249'\n" in collection.node_script
    done = subprocess.run(
        ["sh", "-s"], input=collection.node_script, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "proxyrules: usage: node.sh rules|metrics\n")


def test_what_is_chosen_is_everywhere() -> None:
    image, namespace = "registry.example:5000/a/b:1@sha256:" + "0" * 64, "tools"
    collection = Collection(image=image, namespace=namespace)
    for one in objects(collection.manifest):
        assert one["metadata"]["namespace"] == namespace
    assert pod_spec(collection.manifest)["containers"][0]["image"] == image
    for script in (collection.script, collection.debug_script):
        assert f"namespace={namespace}\n" in script
        assert "kube-system" not in script
        assert "@" not in script.replace(image, "").replace('"$@"', "")
    assert f"image={image}\n" in collection.debug_script


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image", ""),
        ("image", "busybox; rm -rf /"),
        ("image", 'a"\n  privileged: true'),
        ("image", "$(id)"),
        ("namespace", "Kube-System"),
        ("namespace", "a'b"),
        ("namespace", "-"),
        ("backend", "both"),
        ("metrics_address", "127.0.0.1"),
        ("metrics_address", "127.0.0.1:10249/$(id)"),
        ("metrics_address", "`id`:1"),
        ("metrics_address", "127.0.0.1:0"),
        ("metrics_address", "127.0.0.1:65536"),
    ],
)
def test_values_that_are_none(name: str, value: str) -> None:
    with pytest.raises(InputError) as raised:
        Collection(**{name: value})
    (problem,) = raised.value.problems
    assert problem.argument == name


def test_the_command(proxyrules: Runner, tmp_path: Path) -> None:
    assert proxyrules("collect").out == Collection().manifest
    assert proxyrules("collect", "--script").out == Collection().script
    assert proxyrules("collect", "--debug", "--image", "a:1").out == (
        Collection(image="a:1").debug_script
    )
    assert (collect.IMAGE, collect.NAMESPACE, collect.METRICS, collect.BACKENDS) == (
        writing.DEFAULT_IMAGE,
        writing.DEFAULT_NAMESPACE,
        writing.DEFAULT_METRICS,
        writing.BACKENDS,
    )
    path = tmp_path / "collect.yaml"
    result = proxyrules("collect", "-o", path)
    assert (result.code, result.out) == (0, "")
    assert path.read_text() == Collection().manifest
    done = run_process("collect", "--script")
    assert (done.returncode, done.stdout.decode()) == (0, Collection().script)


def test_invalid_options(proxyrules: Runner) -> None:
    result = proxyrules("collect", "--image", "a b", "--metrics-address", "here")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f'--image: "a b" is not an image; use one like {writing.DEFAULT_IMAGE}\n'
        '--metrics-address: "here" is not an address with a port; use one like 127.0.0.1:10249\n'
    )
    result = proxyrules("collect", "--script", "--debug")
    assert result.code == 2
    assert result.err.endswith("Error: --script and --debug can't be combined\n")


# Stands for kubectl: three nodes, of which the last has no Pod, and on worker-2 metrics fail. It
# notes its arguments, and the object that it was given.
KUBECTL = r"""#!/bin/sh
printf '%s\n' "$*" >>"$RECORD"
case "$*" in
*apply*) cat "${3}" >"$RECORD.manifest" ;;
*"get nodes"*) printf 'worker-1\nworker-2\nworker-3\n' ;;
*"get pods"*) printf 'pod-a worker-1\npod-b worker-2\n' ;;
*"debug node/worker-3"*) echo 'nodes "worker-3" is forbidden' >&2; exit 1 ;;
*"debug node/"*)
    node=${4#node/}
    echo "Creating debugging pod pod-$node with container debugger on node $node."
    ;;
*exec*pod-b*metrics | *exec*pod-worker-2*metrics) echo half; exit 1 ;;
*exec*metrics) echo "m 1" ;;
*exec*rules) case "$*" in *" -i "*) cat >"$RECORD.stdin" ;; esac; echo "rules of $*" ;;
esac
"""


@pytest.fixture
def kubectl(tmp_path: Path) -> dict[str, str]:
    """Return an environment with the recording kubectl first in its PATH."""
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(KUBECTL)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    record = str(tmp_path / "record")
    return {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "RECORD": record}


def run_script(
    script: str, folder: Path, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-s", str(folder), *arguments],
        input=script,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_collecting_by_a_daemonset(tmp_path: Path, kubectl: dict[str, str]) -> None:
    folder = tmp_path / "dumps"
    done = run_script(Collection().script, folder, kubectl)
    assert (done.returncode, done.stdout) == (1, "")
    # What failed is named, and leaves no half file behind.
    assert sorted(path.name for path in folder.iterdir()) == [
        "worker-1.metrics", "worker-1.save", "worker-2.save",
    ]  # fmt: skip
    assert done.stderr.splitlines()[-4:] == [
        "worker-2: no metrics",
        "worker-2: incomplete",
        "worker-3: incomplete",
        f"{folder}: 1 of 3 nodes complete",
    ]
    assert (folder / "worker-1.save").read_text() == (
        "rules of -n kube-system exec pod-a -c collect -- sh /proxyrules/node.sh rules\n"
    )
    record = Path(kubectl["RECORD"])
    calls = record.read_text().splitlines()
    assert calls[0].startswith("apply -f ")
    assert Path(f"{record}.manifest").read_text() == Collection().manifest
    # In the end, failed or not, nothing is left in the cluster.
    assert calls[-1] == (
        "-n kube-system delete daemonset,configmap proxyrules-collect "
        "--ignore-not-found --wait=false"
    )
    # A second run must not mix its dumps with those of the first.
    again = run_script(Collection().script, folder, kubectl)
    assert (again.returncode, again.stderr) == (2, f"{folder}: not empty; name a new folder\n")
    assert record.read_text().splitlines() == calls


def test_collecting_by_kubectl_debug(tmp_path: Path, kubectl: dict[str, str]) -> None:
    folder = tmp_path / "dumps"
    done = run_script(Collection().debug_script, folder, kubectl)
    assert done.returncode == 1
    assert sorted(path.name for path in folder.iterdir()) == [
        "worker-1.metrics", "worker-1.save", "worker-2.save",
    ]  # fmt: skip
    assert 'worker-3: no Pod: nodes "worker-3" is forbidden\n' in done.stderr
    assert done.stderr.endswith(f"{folder}: 1 of 3 nodes complete\n")
    record = Path(kubectl["RECORD"])
    calls = record.read_text().splitlines()
    image = writing.DEFAULT_IMAGE
    assert calls[1] == (
        f"-n kube-system debug node/worker-1 --profile=netadmin --image={image} "
        "--attach=false -- sleep 600"
    )
    assert Path(f"{record}.stdin").read_text() == Collection().node_script
    for pod in ("pod-worker-1", "pod-worker-2"):
        deleted = f"-n kube-system delete pod {pod} --ignore-not-found --wait=false"
        assert calls.count(deleted) == 1


def test_one_node_by_kubectl_debug(tmp_path: Path, kubectl: dict[str, str]) -> None:
    folder = tmp_path / "dumps"
    done = run_script(Collection().debug_script, folder, kubectl, "worker-1")
    assert (done.returncode, done.stderr) == (0, f"{folder}: 1 of 1 nodes complete\n")
    assert sorted(path.name for path in folder.iterdir()) == ["worker-1.metrics", "worker-1.save"]


@pytest.mark.parametrize("name", ["script", "debug_script"])
def test_scripts_without_a_folder(name: str, kubectl: dict[str, str]) -> None:
    script = getattr(Collection(), name)
    done = subprocess.run(
        ["sh", "-s"], input=script, env=kubectl, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "usage: sh FILE DIR\n")
    assert not Path(kubectl["RECORD"]).exists()


def test_an_interrupted_collection_cleans_up(tmp_path: Path, kubectl: dict[str, str]) -> None:
    """The Pods must not outlive a script that was ended."""
    program = Path(kubectl["PATH"].partition(":")[0]) / "kubectl"
    program.write_text(
        KUBECTL.replace(
            '*apply*) cat "${3}"', '*rollout*) kill -TERM "$PPID" ;;\n*apply*) cat "${3}"'
        )
    )
    done = run_script(Collection().script, tmp_path / "dumps", kubectl)
    assert done.returncode == 143
    assert "delete daemonset,configmap proxyrules-collect" in Path(kubectl["RECORD"]).read_text()
    assert list((tmp_path / "dumps").iterdir()) == []
