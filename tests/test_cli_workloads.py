"""`--from-workloads`, `--nodes` and `--cluster` on every command that reads manifests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.run import Result, Runner, run_process
from tests.test_control_plane import named, node, service
from tests.test_workloads import autoscaler, workload


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    objects = [workload(replicas=3), service(type="NodePort"), autoscaler(minReplicas=2)]
    objects[2]["spec"]["scaleTargetRef"]["name"] = "other"
    path = tmp_path / "shop.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return path


def with_input(text: str, *arguments: str | Path) -> Result:
    """Run the command with a text on standard input."""
    done = run_process(*arguments, stdin=text.encode())
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


MADE = ("--from-workloads", "--nodes", "3")


def test_compile(shop: Path, proxyrules: Runner) -> None:
    result = proxyrules("compile", shop, *MADE, "--node", "worker-1")
    assert result.code == 0
    assert result.out.count("--to-destination") == 3
    lines = result.err.splitlines()
    assert lines[0] == "control plane: Nodes worker-1 to worker-3 made"
    assert lines[1].startswith("control plane: Deployment default/web has 3 Pods: web-1 on worker-")
    quiet = proxyrules("compile", shop, *MADE, "--node", "worker-1", "-q")
    assert (quiet.out, quiet.err) == (result.out, "")


def test_printed_objects(shop: Path, proxyrules: Runner, tmp_path: Path) -> None:
    printed = proxyrules("compile", shop, "--print-objects", "--nodes", "3")
    assert printed.code == 0
    again = tmp_path / "printed.yaml"
    again.write_text(printed.out)
    first = proxyrules("compile", shop, *MADE, "--node", "worker-1")
    assert proxyrules("compile", again, "--node", "worker-1").out == first.out
    twice = proxyrules("compile", again, "--from-workloads", "--node", "worker-1")
    assert twice.out == first.out


def test_the_old_name_still_works_and_reports_the_new_one(shop: Path, proxyrules: Runner) -> None:
    result = proxyrules("compile", shop, "--from-pods", "--node", "n")
    assert result.out == proxyrules("compile", shop, "--from-workloads", "--node", "n").out
    assert result.err.splitlines()[0] == "--from-pods is now --from-workloads"
    assert "--from-pods" not in proxyrules("compile", "--help").out


@pytest.mark.parametrize("option", [("--nodes", "3"), ("--cluster", "shop.json")])
def test_what_has_no_effect_alone_is_rejected(
    option: tuple[str, str], shop: Path, proxyrules: Runner
) -> None:
    result = proxyrules("compile", shop, *option)
    assert result.code == 2
    assert f"{option[0]} is for --from-workloads" in result.err


def test_diff_against_rules_and_manifests(shop: Path, proxyrules: Runner, tmp_path: Path) -> None:
    old = tmp_path / "old.rules"
    node = ("--node", "worker-1")
    old.write_text(proxyrules("compile", shop, *MADE, *node).out)
    same = proxyrules("diff", old, shop, *MADE, *node)
    assert (same.code, same.err.splitlines()[0]) == (
        0,
        "control plane: Nodes worker-1 to worker-3 made",
    )
    scaled = tmp_path / "scaled.json"
    scaled.write_text(shop.read_text().replace('"replicas": 3', '"replicas": 4'))
    for before in (old, shop):
        result = proxyrules("diff", before, scaled, *MADE, *node)
        assert result.code == 1
        assert "default/web" in result.out
    piped = with_input(shop.read_text(), "diff", old, "-", *MADE, *node)
    assert piped.code == 0


def test_delta(shop: Path, proxyrules: Runner, tmp_path: Path) -> None:
    old = tmp_path / "old.rules"
    old.write_text(proxyrules("compile", shop, *MADE, "--node", "worker-1").out)
    result = proxyrules("delta", old, shop, *MADE, "--node", "worker-1")
    assert (result.code, result.out) == (0, "")


def test_verify(shop: Path, proxyrules: Runner, tmp_path: Path) -> None:
    rules = tmp_path / "node.save"
    made = (*MADE, "--node", "worker-1")
    rules.write_text(proxyrules("compile", shop, *made, "--standalone").out)
    assert proxyrules("verify", shop, *made, "--against", rules).code == 0


@pytest.mark.parametrize("sender", ["pod", "web-1", "default/web-2"])
def test_trace(sender: str, shop: Path, proxyrules: Runner) -> None:
    made = (*MADE, "--node", "worker-1")
    result = proxyrules("trace", shop, *made, "--from", sender, "--to", "web")
    assert result.code == 0
    assert result.out.count("33.33 %") == 3 or result.out.count(" %  ") == 3


def test_matrix_takes_names_or_a_number(shop: Path, proxyrules: Runner) -> None:
    result = proxyrules("matrix", shop, *MADE)
    assert result.code == 0
    assert "worker-1, worker-2, worker-3" in result.out
    one = proxyrules("matrix", shop, *MADE, "--node", "worker-2")
    assert "worker-1" not in one.out
    wrong = proxyrules("matrix", shop, "--from-workloads", "--nodes", "0")
    assert (wrong.code, wrong.out) == (2, "")
    assert "0 is not in the range" in wrong.err


def test_diff_of_matrices(shop: Path, proxyrules: Runner, tmp_path: Path) -> None:
    local = tmp_path / "local.json"
    text = shop.read_text().replace(
        '"type": "NodePort"', '"type": "NodePort", "externalTrafficPolicy": "Local"'
    )
    local.write_text(text)
    result = proxyrules("diff", shop, local, "--matrix", *MADE)
    assert result.code == 1
    assert "worker-3" in result.out
    assert proxyrules("diff", shop, shop, "--matrix", *MADE).code == 0


def test_who_names_the_manifests_lines(shop: Path, proxyrules: Runner, tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n  ports:\n  - port: 80\n"
    )
    result = proxyrules("who", "default/web", shop.with_name("web.yaml"), "--from-workloads", "-v")
    assert f"from {path}:7: Service default/web: spec.ports[0].port: 80" in result.out
    assert f"in {path}" in proxyrules("who", "9.9.9.9", path, "--from-workloads").out


def test_facts_of_a_cluster(shop: Path, proxyrules: Runner, tmp_path: Path) -> None:
    facts = tmp_path / "cluster"
    facts.mkdir()
    (facts / "services.json").write_text(json.dumps(service(clusterIP="10.43.7.7")))
    (facts / "nodes.json").write_text(json.dumps(node("real")))
    options = ("--from-workloads", "--node", "real")
    expected = proxyrules("compile", shop, *options, "--cluster", facts)
    assert "-d 10.43.7.7" in expected.out
    both = proxyrules(
        "compile", shop, *options, "--cluster", facts / "nodes.json",
        "--cluster", facts / "services.json",
    )  # fmt: skip
    assert both.out == expected.out
    real = json.dumps(service(clusterIP="10.43.7.7")) + json.dumps(node("real"))
    piped = with_input(real, "diff", shop, shop, *options, "--cluster", "-")
    assert (piped.code, piped.err.count("duplicate")) == (0, 0)
    twice = with_input(shop.read_text(), "compile", "-", *options, "--cluster", "-")
    assert (twice.code, twice.out) == (2, "")
    assert "named twice" in twice.err
    gone = proxyrules("compile", shop, *options, "--cluster", tmp_path / "none.yaml")
    assert (gone.code, gone.out) == (2, "")
    assert "can't be read" in gone.err


def test_a_decision_is_reported_where_additions_are_counted(
    proxyrules: Runner, tmp_path: Path
) -> None:
    path = tmp_path / "many.json"
    objects = [workload(replicas=9), autoscaler(minReplicas=2)]
    objects += [named(service(), f"s{number}") for number in range(5)]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    result = proxyrules("matrix", path, *MADE)
    assert result.err.splitlines() == [
        "control plane: Nodes worker-1 to worker-3 made",
        "control plane: Deployment default/web has the minReplicas of HorizontalPodAutoscaler "
        "default/web: 2, not its replicas: 9",
        "control plane: 11 additions to the manifests; compile --from-workloads lists them",
    ]


def test_a_chart_with_everything_in_it() -> None:
    """As helm template prints it: comments, empty documents, kinds of all sorts, no namespaces."""
    chart = """---
# Source: shop/templates/tests.yaml
---
# Source: shop/templates/account.yaml
apiVersion: v1
kind: ServiceAccount
metadata:
  name: shop
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: shop}
spec: {selector: {matchLabels: {app: shop}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data:
  nginx.conf: |
    server { listen 80; }
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  selector: &labels
    matchLabels: {app: shop}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: shop, ports: [{name: http, containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: http}]}
"""
    result = with_input(chart, "compile", "-", *MADE, "--node", "worker-1", "-q")
    assert (result.code, result.err) == (0, "")
    assert result.out.count("--to-destination") == 2


def test_what_became_pods_is_not_listed_as_skipped(shop: Path, proxyrules: Runner) -> None:
    with_kinds = proxyrules("compile", shop, *MADE, "--node", "worker-1", "-v")
    assert "skipped" not in with_kinds.err
    assert "skipped: 1 Deployment" in proxyrules("compile", shop, "-v").err
