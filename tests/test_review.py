"""`proxyrules review`: what a branch changes for traffic, in every format; git's troubles."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from syrupy.assertion import SnapshotAssertion

from compiler.api import review
from compiler.cli.review_markdown import MAX_LENGTH, as_markdown, code, plain_text
from compiler.kube_rules.service_port import Key
from tests.repository import API, FILE, SERVICE, SLICE, THIRD, WEB, Repository, make_repository
from tests.run import Runner

WEB_FILE, API_FILE = "apps/shop/web.yaml", "apps/shop/api.yaml"
AFFINITY = "spec:\n  sessionAffinity: ClientIP\n  sessionAffinityConfig:\n    clientIP: {timeoutSeconds: 30}\n"
LOCAL = ("  type: NodePort\n", "  type: NodePort\n  externalTrafficPolicy: Local\n")


def affinity(shop: Repository) -> None:
    shop.write(WEB_FILE, WEB.replace("spec:\n", AFFINITY, 1))


def scale(shop: Repository) -> None:
    shop.write(WEB_FILE, WEB + THIRD)


def local(shop: Repository) -> None:
    shop.edit(WEB_FILE, *LOCAL)


def reorder(shop: Repository) -> None:
    """The same objects in another order, with their keys in another order."""
    service = SERVICE.replace(
        "  name: web\n  namespace: shop\n", "  namespace: shop\n  name: web\n"
    )
    head, _, endpoints = SLICE.partition("endpoints:\n")
    first, second = re.findall(r"  - addr.*\n.*\n", endpoints)
    shop.write(WEB_FILE, f"# Web\n{head}endpoints:\n{second}{first}---\n{service}")


def rename(shop: Repository) -> None:
    shop.edit(WEB_FILE, "name: http", "name: web")


def rename_with_affinity(shop: Repository) -> None:
    shop.edit(API_FILE, "name: http", "name: grpc")


def replace_service(shop: Repository) -> None:
    """One Service is removed, another one is new, and has no endpoints."""
    (shop.root / API_FILE).unlink()
    text = SERVICE.replace("web", "cart").replace("10.96.10.10", "10.96.10.30")
    shop.write("apps/shop/cart.yaml", text.replace("30080", "30090"))


def no_endpoints(shop: Repository) -> None:
    shop.write(WEB_FILE, SERVICE)


STORIES = {
    one.__name__.replace("_", "-"): one
    for one in (
        affinity,
        scale,
        local,
        reorder,
        rename,
        rename_with_affinity,
        replace_service,
        no_endpoints,
    )
}


@pytest.mark.parametrize("story", STORIES)
def test_comment(
    story: str, shop: Repository, proxyrules: Runner, golden: SnapshotAssertion
) -> None:
    """The comment on a pull request, for people who read no rules."""
    STORIES[story](shop)
    shop.git("checkout", "--quiet", "-b", "branch")
    shop.commit()
    result = proxyrules("review", "main", "HEAD", "--format", "markdown")
    assert (result.code, result.err) == (0, "")
    assert result.out == golden(name=f"review-{story}.md")


def test_text(shop: Repository, proxyrules: Runner) -> None:
    local(shop)
    result = proxyrules("review", "main", "--no-lint")
    assert result.out == (
        "main (069a40c723) → the work tree, with 1 uncommitted file\n"
        "\n"
        "shop/web:http (all 3 nodes)  apps/shop/web.yaml:13\n"
        "    external traffic policy: Cluster → Local\n"
        "    traffic to node port 30080: served → dropped if it comes from outside the cluster"
        " (worker-3)\n"
        "  + local endpoint 10.244.1.10:8080 added: 100 % of new connections (worker-1)\n"
        "  + local endpoint 10.244.2.10:8080 added: 100 % of new connections (worker-2)\n"
        "\n"
        "1 service port changes.\n"
    )
    assert (result.code, result.err) == (0, "")


def test_nodes_with_endpoints_of_their_own(shop: Repository, proxyrules: Runner) -> None:
    """Each node's endpoints are counted by themselves: here hints say who serves whom."""
    hints = "    hints: {{forZones: [{{name: {}}}]}}\n"
    slices = SLICE.replace("worker-1\n", "worker-1\n" + hints.format("a"))
    slices = slices.replace("worker-2\n", "worker-2\n" + hints.format("b")) + THIRD
    nodes = shop.read("cluster/nodes.yaml")
    for number, zone in ((1, "a"), (2, "b"), (3, "a")):
        label = f"  labels: {{topology.kubernetes.io/zone: {zone}}}\n"
        nodes = nodes.replace(f"  name: worker-{number}\n", f"  name: worker-{number}\n{label}")
    shop.write("cluster/nodes.yaml", nodes)
    shop.write(WEB_FILE, f"{SERVICE}  trafficDistribution: PreferClose\n---\n{slices}")
    shop.edit(WEB_FILE, THIRD, THIRD + hints.format("b"))
    shop.commit()
    shop.edit(WEB_FILE, THIRD + hints.format("b"), "")
    out = proxyrules("review", "main", "--format", "markdown").out
    assert "| endpoints: 2 → 1, share of each: 50 % → 100 % | worker-2 |" in out


def test_a_service_that_moves(shop: Repository, proxyrules: Runner) -> None:
    """To another namespace, with its addresses: packets are treated as before."""
    shop.edit(WEB_FILE, "namespace: shop", "namespace: store")
    assert proxyrules("review", "main").out.splitlines()[2:] == [
        "shop/web:http is now store/web:http: only the names of its chains change (all 3 nodes)",
        "",
        "No change for traffic; rules differ in text only (all 3 nodes).",
    ]


def test_a_node_port_that_another_service_gets(shop: Repository, proxyrules: Runner) -> None:
    """That is no renaming."""
    cart = WEB.replace("web", "cart").replace("10.96.10.10", "10.96.10.30")
    shop.write(WEB_FILE, cart.replace(".10]", ".30]"))
    out = proxyrules("review", "main").out
    assert "\n+ shop/cart:http (all 3 nodes)  apps/shop/web.yaml:12\n" in out
    assert "\n- shop/web:http (all 3 nodes)\n" in out


def test_a_policy_that_no_rule_shows(shop: Repository, proxyrules: Runner) -> None:
    """On worker-3 traffic is dropped: that its rules have no policy any more is not said."""
    shop.edit(WEB_FILE, "  type: NodePort\n", "  type: NodePort\n  internalTrafficPolicy: Local\n")
    assert proxyrules("review", "main").out.splitlines()[2:] == [
        "shop/web:http (all 3 nodes)  apps/shop/web.yaml:13",
        "    internal traffic policy: Cluster → Local (worker-1, worker-2)",
        "    traffic to 10.96.10.10:80: served → dropped (worker-3)",
        "  + local endpoint 10.244.1.10:8080 added: 100 % of new connections (worker-1)",
        "  + local endpoint 10.244.2.10:8080 added: 100 % of new connections (worker-2)",
        "",
        "1 service port changes.",
    ]


def test_endpoints_that_come_back(shop: Repository, proxyrules: Runner) -> None:
    shop.edit(API_FILE, "  name: api-abc\n", "  name: api-abc\n  annotations: {}\n")
    shop.write(API_FILE, API.partition("---")[0])
    shop.commit()
    shop.write(API_FILE, API)
    assert proxyrules("review", "main").out.splitlines()[2:] == [
        "shop/api:http (all 3 nodes)  apps/shop/api.yaml:12",
        "    traffic to 10.96.10.20:80: rejected → served",
        "  + endpoint 10.244.1.20:8080 added: 50 % of new connections",
        "  + endpoint 10.244.2.20:8080 added: 50 % of new connections",
        "",
        "1 service port changes.",
    ]


def test_exit_code(shop: Repository, proxyrules: Runner) -> None:
    assert proxyrules("review", "main", "--exit-code").code == 0
    reorder(shop)
    assert proxyrules("review", "main", "--exit-code").code == 0
    scale(shop)
    assert proxyrules("review", "main").code == 0
    assert proxyrules("review", "main", "--exit-code").code == 1


def test_annotations_are_on_the_lines_of_service_ports(
    shop: Repository, proxyrules: Runner
) -> None:
    affinity(shop)
    shop.edit(API_FILE, "sessionAffinity: ClientIP", "sessionAffinity: None")
    (shop.root / "apps/shop/extra.yaml").write_text(SERVICE.replace("web", "new"))
    shop.edit("apps/shop/extra.yaml", "10.96.10.10", "10.96.10.11")
    shop.edit("apps/shop/extra.yaml", "30080", "30081")
    result = proxyrules("review", "main", "--format", "github")
    lines = dict(re.findall(r"title=(\S+) .*line=(\d+)", result.out))
    for name, file in (("web", WEB_FILE), ("api", API_FILE), ("new", "apps/shop/extra.yaml")):
        number = int(lines[f"shop/{name}%3Ahttp"])
        assert shop.read(file).splitlines()[number - 1] == "    - name: http", name
    assert (
        "::notice title=shop/web%3Ahttp changes for traffic,file=apps/shop/web.yaml," in result.out
    )
    assert "::session affinity: none → ClientIP, 30 s%0ANodes: all 3 nodes\n" in result.out
    assert result.out.endswith("\n3 service ports change.\n")


def test_losses_are_warnings_and_come_first(shop: Repository, proxyrules: Runner) -> None:
    affinity(shop)
    (shop.root / API_FILE).unlink()
    lines = proxyrules("review", "main", "--format", "github").out.splitlines()
    # The file is gone: there is no line to show it at.
    assert lines[0].startswith("::warning title=shop/api%3Ahttp is removed::")
    assert lines[1].startswith("::notice title=shop/web%3Ahttp changes")
    local(shop)
    assert (
        "::warning title=shop/web%3Ahttp" in proxyrules("review", "main", "--format", "github").out
    )


def test_gitlab(shop: Repository, proxyrules: Runner) -> None:
    affinity(shop)
    issues = json.loads(proxyrules("review", "main", "--no-lint", "--format", "gitlab").out)
    (issue,) = issues
    assert issue["description"] == (
        "shop/web:http changes for traffic: session affinity: none → ClientIP, 30 s; "
        "Nodes: all 3 nodes"
    )
    assert issue["location"] == {"path": WEB_FILE, "lines": {"begin": 15}}
    assert (issue["severity"], issue["check_name"]) == ("info", "proxyrules/traffic-change")
    before = issue["fingerprint"]
    shop.edit(WEB_FILE, "apiVersion: v1\n", "# moved by a line\napiVersion: v1\n")
    (issue,) = json.loads(proxyrules("review", "main", "--no-lint", "--format", "gitlab").out)
    assert (issue["location"]["lines"]["begin"], issue["fingerprint"]) == (16, before)
    shop.git("checkout", "--quiet", WEB_FILE)
    assert json.loads(proxyrules("review", "main", "--no-lint", "--format", "gitlab").out) == []


def test_json(shop: Repository, proxyrules: Runner) -> None:
    scale(shop)
    value = json.loads(proxyrules("review", "main", "--format", "json").out)
    assert (value["same"], value["head"], value["uncommittedFiles"]) == (False, None, 1)
    assert value["base"] == {"name": "main", "mergeBase": shop.git("rev-parse", "main").strip()}
    (port,) = value["servicePorts"]
    assert (port["name"], port["place"]["file"]) == ("shop/web:http", WEB_FILE)
    nodes = ["worker-1", "worker-2", "worker-3"]
    where = [{"snapshot": "shop", "family": "ipv4", "nodes": nodes}]
    assert {
        "what": "endpoint",
        "item": "10.244.2.11:8080",
        "before": None,
        "after": "33.3 %",
        "where": where,
    } in port["changes"]
    shop.git("checkout", "--quiet", WEB_FILE)
    assert json.loads(proxyrules("review", "main", "--format", "json").out)["same"] is True


def test_new_findings_of_lint(shop: Repository, proxyrules: Runner) -> None:
    """Each format has them; what the base has too is not new, also where its line has moved."""
    shop.edit(WEB_FILE, "type: NodePort\n", "type: NodePort\n  externalTrafficPolicy: Local\n")
    words = "Service shop/web:http: node port 30080: dropped on 1 of 3 nodes"
    place = f"{WEB_FILE}:8"
    out = proxyrules("review", "main").out
    assert f"\nnew finding: {place}:26: warning PR201: {words}" in out
    assert "new finding" not in proxyrules("review", "main", "--no-lint").out
    markdown = proxyrules("review", "main", "--format", "markdown").out
    assert f"**New findings of lint**\n\n- {place}: warning PR201: {words}" in markdown
    annotations = proxyrules("review", "main", "--format", "github").out
    assert (
        f"::warning title=PR201 local-policy-drops,file={WEB_FILE},line=8,col=26,endColumn=31::"
        in annotations
    )
    value = json.loads(proxyrules("review", "main", "--format", "json").out)
    assert ("PR201", 8) in [(one["rule"], one["line"]) for one in value["newFindings"]]
    issues = json.loads(proxyrules("review", "main", "--format", "gitlab").out)
    assert "proxyrules/local-policy-drops" in [one["check_name"] for one in issues]
    shop.commit()
    shop.git("branch", "--force", "other")
    shop.edit(WEB_FILE, "apiVersion: v1\n", "# moved by a line\napiVersion: v1\n")
    assert "new finding" not in proxyrules("review", "other").out


def test_all_findings_of_a_snapshot_that_is_new(shop: Repository, proxyrules: Runner) -> None:
    local = WEB.replace("type: NodePort\n", "type: NodePort\n  externalTrafficPolicy: Local\n")
    shop.write("apps/new/web.yaml", local.replace("shop", "new"))
    file = FILE.replace("name: shop", "name: new").replace("apps/shop", "apps/new")
    shop.write("proxyrules.yaml", FILE + file.removeprefix("snapshots:\n"))
    out = proxyrules("review", "main").out
    assert "not compared: snapshot new is new" in out
    assert "new finding: apps/new/web.yaml:8:26: warning PR201" in out


def test_a_manifest_that_no_snapshot_reads(shop: Repository, proxyrules: Runner) -> None:
    """It changes what a cluster gets, and nothing was looked at."""
    shop.write("apps/other/web.yaml", WEB)
    shop.write("apps/other/values.yaml", "replicas: 3\n")
    shop.write("charts/web/templates/web.yaml", WEB.replace("shop", "{{ .Release.Namespace }}"))
    expected = "not compared: apps/other/web.yaml changes, and no snapshot reads it\n"
    same = "No change for traffic in what was compared.\n"
    result = proxyrules("review", "main", "--exit-code")
    assert result.code == 1
    assert result.out.partition("\n\n")[2] == expected + same
    shop.commit()
    assert proxyrules("review", "main~1", "HEAD").out.partition("\n\n")[2] == expected + same
    shop.edit("proxyrules.yaml", "cluster/nodes.yaml]", "cluster/nodes.yaml, apps/other]")
    assert "no snapshot reads" not in proxyrules("review", "main~1").out


def test_findings_of_lint_that_are_not_selected(shop: Repository, proxyrules: Runner) -> None:
    shop.edit("proxyrules.yaml", "snapshots:\n", "lint:\n  ignore: [PR2]\nsnapshots:\n")
    shop.commit()
    shop.git("branch", "--force", "other")
    shop.edit(WEB_FILE, "type: NodePort\n", "type: NodePort\n  externalTrafficPolicy: Local\n")
    assert "new finding" not in proxyrules("review", "other").out


def test_a_new_finding_alone_counts_for_the_exit_code(shop: Repository, proxyrules: Runner) -> None:
    """An annotation that gives no reason changes no rule."""
    shop.edit(
        WEB_FILE, "  name: web\n", "  name: web\n  annotations: {proxyrules.dev/ignore: PR1}\n"
    )
    result = proxyrules("review", "main", "--exit-code")
    assert result.code == 1
    assert "warning PR001" in result.out
    assert result.out.endswith("\nNo change for traffic.\n")
    assert proxyrules("review", "main", "--exit-code", "--no-lint").code == 0


def test_the_base_is_the_merge_base(shop: Repository, proxyrules: Runner) -> None:
    """What main did meanwhile is not the branch's."""
    shop.git("checkout", "--quiet", "-b", "branch")
    affinity(shop)
    shop.commit()
    shop.git("checkout", "--quiet", "main")
    scale(shop)
    shop.commit("on main")
    shop.git("checkout", "--quiet", "branch")
    out = proxyrules("review", "main", "--no-lint").out
    assert out.startswith("main (merge base 069a40c723) → the work tree\n")
    assert "session affinity" in out
    assert "endpoint" not in out


def test_head_and_the_work_tree(shop: Repository, proxyrules: Runner) -> None:
    shop.git("checkout", "--quiet", "-b", "branch")
    affinity(shop)
    assert "session affinity" in proxyrules("review", "main").out
    result = proxyrules("review", "main", "HEAD")
    assert result.out.splitlines()[0].endswith(", without 1 uncommitted file")
    assert result.out.endswith("\nNo change for traffic.\n")
    shop.commit()
    assert "session affinity" in proxyrules("review", "main", "branch").out
    assert "uncommitted" not in proxyrules("review", "main", "branch").out


def test_a_folder_inside_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    """`proxyrules.yaml` may be below the root of a large repository."""
    files = {"clusters/prod/proxyrules.yaml": FILE.replace(", cluster/nodes.yaml", "")}
    files["clusters/prod/apps/shop/web.yaml"] = WEB
    files["clusters/prod/apps/shop/nodes.yaml"] = (
        "apiVersion: v1\nkind: Node\nmetadata:\n  name: a\n"
    )
    shop = make_repository(tmp_path / "mono", monkeypatch, files)
    shop.edit("clusters/prod/apps/shop/web.yaml", "port: 80\n", "port: 81\n")
    shop.write("elsewhere", "not of the folder")
    monkeypatch.chdir(shop.root / "clusters/prod/apps")
    out = proxyrules("review", "main").out
    assert out.splitlines()[0].endswith("→ the work tree, with 1 uncommitted file")
    assert "shop/web:http (a)  clusters/prod/apps/shop/web.yaml:12\n" in out


SYMLINKED = {
    "proxyrules.yaml": FILE,
    "cluster/nodes.yaml": "apiVersion: v1\nkind: Node\nmetadata: {name: a}\n",
}


def test_links_inside_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    shop = make_repository(tmp_path / "links", monkeypatch, {**SYMLINKED, "shared/web.yaml": WEB})
    (shop.root / "apps/shop").mkdir(parents=True)
    (shop.root / "apps/shop/web.yaml").symlink_to("../../shared/web.yaml")
    shop.commit()
    shop.edit("shared/web.yaml", "port: 80\n", "port: 81\n")
    assert "cluster IP: 10.96.10.10:80 → 10.96.10.10:81" in proxyrules("review", "main").out


def test_git_attributes_leave_nothing_out(shop: Repository, proxyrules: Runner) -> None:
    """`git archive` would leave out what has the attribute export-ignore."""
    shop.write(".gitattributes", "apps export-ignore\n")
    shop.commit()
    affinity(shop)
    assert "session affinity: none" in proxyrules("review", "main").out


def test_what_was_not_looked_at(shop: Repository, proxyrules: Runner) -> None:
    shop.write("proxyrules.yaml", FILE + FILE.partition("\n")[2].replace("shop\n", "gone\n", 1))
    shop.commit()
    shop.write("proxyrules.yaml", FILE + FILE.partition("\n")[2].replace("shop\n", "new\n", 1))
    result = proxyrules("review", "main", "--exit-code")
    assert "not compared: snapshot gone is gone: its Services were not compared\n" in result.out
    assert (
        "not compared: snapshot new is new: there is nothing to compare its Services with\n"
        in result.out
    )
    assert result.out.endswith("No change for traffic in what was compared.\n")
    assert result.code == 1
    assert not review("main").same
    markdown = proxyrules("review", "main", "--format", "markdown").out
    assert markdown.startswith("### No change for traffic in what was compared\n")
    assert "**Not compared**\n\n- snapshot gone is gone: " in markdown


def test_no_file_on_the_base(shop: Repository, proxyrules: Runner) -> None:
    shop.git("rm", "--quiet", "--cached", "proxyrules.yaml")
    shop.git("commit", "--quiet", "-m", "without")
    result = proxyrules("review", "main")
    assert (
        "not compared: main:proxyrules.yaml is not there, so no snapshot could be compared\n"
        in result.out
    )
    assert result.out.endswith("No change for traffic in what was compared.\n")


def test_the_base_is_broken(shop: Repository, proxyrules: Runner) -> None:
    shop.edit(WEB_FILE, "port: 80\n", "port: 80000\n")
    shop.commit()
    shop.git("checkout", "--quiet", "-b", "fix")
    shop.edit(WEB_FILE, "port: 80000\n", "port: 80\n")
    result = proxyrules("review", "main", "--exit-code")
    assert (
        "not compared: snapshot shop could not be compiled on the base: "
        "main:apps/shop/web.yaml:13:13: Service shop/web: spec.ports[0].port: " in result.out
    )
    assert (result.code, result.err) == (1, "")


def test_the_branch_is_broken(shop: Repository, proxyrules: Runner) -> None:
    """What can be compared is; the problems are on standard error, and the exit code is 2."""
    shop.write("proxyrules.yaml", f"{FILE}  - name: api\n    manifests: [{API_FILE}]\n")
    shop.commit()
    shop.edit(WEB_FILE, "port: 80\n", "port: 80000\n")
    shop.edit(API_FILE, "ClientIP", "None")
    result = proxyrules("review", "main")
    assert result.code == 2
    assert result.err.startswith(f"{WEB_FILE}:13:13: Service shop/web: spec.ports[0].port: ")
    assert "not compared: snapshot shop could not be compiled\n" in result.out
    assert "session affinity: ClientIP, 10800 s → none\n" in result.out


def test_nodes_and_families_that_come_and_go(shop: Repository, proxyrules: Runner) -> None:
    shop.edit("cluster/nodes.yaml", "worker-3", "worker-4")
    result = proxyrules("review", "main", "--exit-code")
    assert "not compared: snapshot shop: node worker-3 is gone, so that" in result.out
    assert "not compared: snapshot shop: node worker-4 is new, so that" in result.out
    assert result.code == 1
    shop.git("checkout", "--quiet", ".")
    shop.write("proxyrules.yaml", FILE + "    families: [ipv4, ipv6]\n")
    result = proxyrules("review", "main")
    assert (
        "not compared: snapshot shop: its IPv6 rules are new, with nothing to compare them with\n"
        in result.out
    )


def test_both_families(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner) -> None:
    """What both change is there once, what one of them changes with its name."""
    addresses = "clusterIP: 10.96.10.10\n  clusterIPs: [10.96.10.10, 'fd00::1']"
    service = SERVICE.replace("clusterIP: 10.96.10.10", f"{addresses}\n  ipFamilies: [IPv4, IPv6]")
    six = SLICE.replace("web-abc", "web-six").replace("IPv4", "IPv6")
    six = six.replace("10.244.1.10", "fd00::10").replace("10.244.2.10", "fd00::20")
    text = f"{service}---\n{SLICE}---\n{six}"
    files = {"proxyrules.yaml": FILE.replace(", cluster/nodes.yaml", "").replace("all", "[a, b]")}
    shop = make_repository(tmp_path / "dual", monkeypatch, {**files, WEB_FILE: text})
    gone = "  - addresses: [fd00::20]\n    nodeName: worker-2\n"
    assert gone in text
    shop.write(WEB_FILE, text.replace("spec:\n", AFFINITY, 1).replace(gone, ""))
    assert proxyrules("review", "main", "--no-lint").out.splitlines()[2:-2] == [
        "shop/web:http (both nodes)  apps/shop/web.yaml:17",
        "    session affinity: none → ClientIP, 30 s",
        "  - endpoint [fd00::20]:8080 removed: was 50 % of new connections (both nodes, IPv6)",
        "    endpoint [fd00::10]:8080: 50 % → 100 % of new connections (both nodes, IPv6)",
    ]
    assert (
        "| session affinity: none → ClientIP, 30 s<br>endpoints: 2 → 1, share of each: 50 % → 100 % "
        "(both nodes, IPv6) | both nodes |"
        in proxyrules("review", "main", "--format", "markdown").out
    )


def test_changes_are_said_once_for_several_snapshots(shop: Repository, proxyrules: Runner) -> None:
    second = FILE.partition("\n")[2].replace("shop\n", "old\n", 1) + '    kubeVersion: "1.30"\n'
    shop.write("proxyrules.yaml", FILE + second)
    shop.commit()
    affinity(shop)
    out = proxyrules("review", "main").out
    assert "shop/web:http (old: all 3 nodes; shop: all 3 nodes)  apps" in out
    assert out.count("session affinity") == 1


def test_a_long_comment_is_cut(shop: Repository) -> None:
    """Past 65,000 characters it folds, then counts, and says where the rest is."""
    affinity(shop)
    found = review("main")
    (port,) = found.changes.ports
    name = "shop/service-with-a-rather-long-name"
    many = tuple(replace(port, key=Key(f"{name}-{number}:http", "tcp")) for number in range(300))
    found = replace(found, changes=replace(found.changes, ports=many))
    whole = as_markdown(found, "main", None, limit=10**7)
    assert whole.count("<details>") == whole.count("</details>") == 300
    assert "cut" not in whole
    text = as_markdown(found, "main", None)
    assert len(text) <= MAX_LENGTH < len(whole)
    shown = text.count("<details>")
    assert 0 < shown < 300
    assert (
        f"This comment is cut: {shown} of 300 service ports have their details. "
        "For all of them: run `proxyrules review main`." in text
    )
    for limit in (700, 2_000, 10_000, 30_000):
        text = as_markdown(found, "main", "https://example.org/run/1", limit)
        assert len(text) <= limit
        listed = text.count("\n| `shop/")
        assert f"{300 - listed} are not listed ({300 - listed} changed)" in text
        assert "[the whole review](https://example.org/run/1)" in text


def test_nothing_in_a_comment_is_markup(shop: Repository, proxyrules: Runner) -> None:
    name = "a|b`c<b>@someone*_x_"
    shop.write("proxyrules.yaml", FILE + f"  - name: second\n    manifests: ['{name}/*.yaml']\n")
    shop.write(f"{name}/web.yaml", API)
    shop.commit()
    shop.write(f"{name}/web.yaml", API.replace("port: 80\n", "port: 80000\n"))
    shop.commit()
    shop.git("checkout", "--quiet", "-b", "branch")
    shop.write(f"{name}/web.yaml", API)
    out = proxyrules("review", "main", "--format", "markdown").out
    assert "a\\|b\\`c\\<b\\>@\N{ZERO WIDTH SPACE}someone\\*\\_x\\_" in out


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1))
def test_text_is_shown_as_it_is(text: str) -> None:
    """Whatever a name or a value has in it, a reader of Markdown sees the text itself."""
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    rows = f"| a | b |\n|---|---|\n| {plain_text(text)} | {code(text)} |\n"
    cells = [one for one in reader.parse(rows) if one.type == "inline"][2:]
    shown, value = ([*cell.children] if cell.children else [] for cell in cells)
    clear = "".join(one.content for one in shown)
    assert {one.type for one in shown} <= {"text", "text_special"}
    assert clear.replace("\N{ZERO WIDTH SPACE}", "") == text.replace("\N{ZERO WIDTH SPACE}", "")
    assert not re.search(r"@\w", clear)
    assert [one.type for one in value] == ["code_inline"]
    assert value[0].content.strip() == text.replace("`", "'").strip()


# What is wrong with git, each with a message of its own.


def test_a_revision_that_is_not_there(shop: Repository, proxyrules: Runner) -> None:
    result = proxyrules("review", "mian")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        'BASE: no revision "mian" in this repository; git fetch origin mian may bring it\n'
    )
    assert proxyrules("review", "main", "nothing").err.startswith('HEAD: no revision "nothing" in')
    assert proxyrules("review", "").err.startswith('BASE: no revision "" in')
    shop.git("update-ref", "refs/remotes/origin/develop", "HEAD")
    assert proxyrules("review", "develop").err.endswith("; did you mean origin/develop?\n")


def test_a_shallow_clone(shop: Repository, proxyrules: Runner, tmp_path: Path) -> None:
    shop.git("checkout", "--quiet", "-b", "branch")
    for number in range(3):
        shop.commit(f"{number}")
    shop.git("checkout", "--quiet", "main")
    shop.commit("meanwhile")
    clone = tmp_path / "clone"
    url = f"file://{shop.root}"
    shop.git("clone", "--quiet", "--depth", "1", "--branch", "branch", url, str(clone))
    os.chdir(clone)
    result = proxyrules("review", "origin/main")
    hint = (
        "fetch all of it: fetch-depth: 0 for actions/checkout, GIT_DEPTH: 0 for GitLab, "
        "git fetch --unshallow elsewhere\n"
    )
    assert (result.code, result.err) == (
        2,
        'BASE: no revision "origin/main" in this repository, which is a shallow clone; ' + hint,
    )
    Repository(clone).git("fetch", "--quiet", "--depth", "1", "origin", "main")
    result = proxyrules("review", "FETCH_HEAD")
    assert (result.code, result.err) == (
        2,
        "BASE: the merge base of FETCH_HEAD and HEAD is not in this shallow clone; " + hint,
    )
    Repository(clone).git("fetch", "--quiet", "--unshallow", "origin", "main:main", "branch")
    assert proxyrules("review", "main").code == 0


def test_histories_that_never_met(shop: Repository, proxyrules: Runner) -> None:
    shop.git("checkout", "--quiet", "--orphan", "other")
    shop.commit("another beginning")
    result = proxyrules("review", "main")
    assert (result.code, result.err) == (
        2,
        "BASE: main and HEAD have no commit in common; choose another revision\n",
    )


def test_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    result = proxyrules("review", "main")
    assert (result.code, result.err) == (
        2,
        "proxyrules.yaml: not found in this folder or one above it; "
        "proxyrules snapshot init writes one\n",
    )
    (tmp_path / "proxyrules.yaml").write_text(FILE)
    result = proxyrules("review", "main")
    assert (result.code, result.err) == (
        2,
        f"{tmp_path}: not in a git repository; run it where the manifests are kept\n",
    )


def test_no_git(shop: Repository, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = proxyrules("review", "main")
    assert (result.code, result.out, result.err) == (
        3,
        "",
        "git: git is not installed; install it: files of revisions are read by it\n",
    )


def test_a_repository_of_somebody_else(shop: Repository, proxyrules: Runner) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    shutil.chown(shop.root, 12345, 12345)
    shutil.chown(shop.root / ".git", 12345, 12345)
    result = proxyrules("review", "main")
    assert result.code == 2
    assert "the repository belongs to another user, so git does not read it; " in result.err


def test_nothing_is_left_behind(shop: Repository, proxyrules: Runner, tmp_path: Path) -> None:
    """Neither in the repository nor in the folder for temporary files."""
    scale(shop)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    before = subprocess.run(
        ["git", "status", "--porcelain"], capture_output=True, check=True, cwd=shop.root
    ).stdout
    files = sorted(shop.root.rglob("*"))
    env = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-m", "compiler", "review", "main"],
        env=env,
        capture_output=True,
        check=True,
    )
    assert b"endpoint" in done.stdout
    assert list(temporary.iterdir()) == []
    assert sorted(shop.root.rglob("*")) == files
    assert shop.git("status", "--porcelain").encode() == before
