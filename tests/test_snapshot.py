"""`proxyrules snapshot`: files that are kept in git, written, checked and listed."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from compiler.api import snapshots
from compiler.cli.snapshot.init import WORKFLOW
from compiler.manifests.source import Source, read_source
from compiler.snapshots.file import read_file
from compiler.snapshots.listing import LIST, LIST_HEAD
from compiler.snapshots.work import cores, done
from tests.processes import is_running, wait_until
from tests.repository import API, FILE, NODES, SERVICE, THIRD, WEB, Repository, make_repository
from tests.run import Runner

WEB_FILE = "apps/shop/web.yaml"
KINDS = FILE.replace("    nodes: all\n", "")


def written(shop: Repository) -> dict[str, str]:
    folder = shop.root / "rules"
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_update_and_check(shop: Repository, proxyrules: Runner) -> None:
    result = proxyrules("snapshot", "check")
    assert (result.code, result.err) == (1, "")
    assert result.out == (
        "rules/shop.worker-1.rules: missing\n"
        "rules/shop.worker-2.rules: missing\n"
        "rules/shop.worker-3.rules: missing\n"
        "3 of 3 files not up to date; proxyrules snapshot update writes them.\n"
    )
    assert not (shop.root / "rules").exists()
    result = proxyrules("snapshot", "update")
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "rules/shop.worker-1.rules: added\n"
        "rules/shop.worker-2.rules: added\n"
        "rules/shop.worker-3.rules: added\n"
        "rules/.snapshots: added\n"
        "3 written, 0 up to date.\n"
    )
    result = proxyrules("snapshot", "check")
    assert (result.code, result.out, result.err) == (0, "3 files are up to date.\n", "")
    assert written(shop)[LIST] == LIST_HEAD + "".join(
        f"shop.worker-{number}.rules: worker-{number}\n" for number in (1, 2, 3)
    )


def test_a_file_is_the_text_of_compile(shop: Repository, proxyrules: Runner) -> None:
    proxyrules("snapshot", "update")
    words = ("apps/shop/api.yaml", WEB_FILE, "cluster/nodes.yaml", "--node", "worker-2", "-q")
    assert written(shop)["shop.worker-2.rules"] == proxyrules("compile", *words).out


def test_update_writes_only_what_changed(shop: Repository, proxyrules: Runner) -> None:
    proxyrules("snapshot", "update")
    for path in (shop.root / "rules").iterdir():
        os.utime(path, (1, 1))
    shop.edit(WEB_FILE, "  type: NodePort\n", "  type: NodePort\n  internalTrafficPolicy: Local\n")
    shop.edit("apps/shop/web.yaml", "nodeName: worker-2", "nodeName: worker-1")
    shop.write("rules/shop.worker-1.rules", "*filter\n:KUBE-SERVICES - [0:0]\nCOMMIT\n")
    result = proxyrules("snapshot", "update")
    assert result.out == (
        "rules/shop.worker-1.rules: updated\n"
        "rules/shop.worker-2.rules: updated\n"
        "rules/shop.worker-3.rules: updated\n"
        "3 written, 0 up to date.\n"
    )
    assert (shop.root / "rules" / LIST).stat().st_mtime == 1
    (shop.root / "rules/shop.worker-2.rules").unlink()
    os.utime(shop.root / "rules/shop.worker-1.rules", (1, 1))
    assert proxyrules("snapshot", "update").out == (
        "rules/shop.worker-2.rules: added\n1 written, 2 up to date.\n"
    )
    assert (shop.root / "rules/shop.worker-1.rules").stat().st_mtime == 1
    mode = stat.S_IMODE((shop.root / "rules/shop.worker-1.rules").stat().st_mode)
    assert mode == 0o666 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_check_says_what_changes(
    shop: Repository, proxyrules: Runner, golden: SnapshotAssertion
) -> None:
    proxyrules("snapshot", "update")
    shop.edit(WEB_FILE, "  type: NodePort\n", "  type: NodePort\n  externalTrafficPolicy: Local\n")
    before = written(shop)
    result = proxyrules("snapshot", "check")
    assert (result.code, result.err) == (1, "")
    assert result.out == golden(name="snapshot-check.txt")
    assert written(shop) == before


def test_check_says_what_differs_in_text_only(shop: Repository, proxyrules: Runner) -> None:
    proxyrules("snapshot", "update")
    shop.edit(WEB_FILE, "name: http", "name: web")
    result = proxyrules("snapshot", "check")
    assert result.code == 1
    assert result.out == (
        "rules/shop.worker-1.rules: differs in text only\n"
        "rules/shop.worker-2.rules: differs in text only\n"
        "rules/shop.worker-3.rules: differs in text only\n"
        "\n"
        "shop/web:http is now shop/web:web: only the names of its chains change (all 3 nodes)\n"
        "\n"
        "3 of 3 files not up to date; proxyrules snapshot update writes them.\n"
    )


def test_check_is_no_wall_of_lines(shop: Repository, proxyrules: Runner) -> None:
    nodes = NODES + "".join(
        f"---\napiVersion: v1\nkind: Node\nmetadata:\n  name: worker-{number}\n"
        for number in range(4, 30)
    )
    shop.write("cluster/nodes.yaml", nodes)
    out = proxyrules("snapshot", "check").out.splitlines()
    assert out[8:] == [
        "... and 21 more: missing",
        "29 of 29 files not up to date; proxyrules snapshot update writes them.",
    ]
    assert len(proxyrules("snapshot", "check", "-v").out.splitlines()) == 30
    proxyrules("snapshot", "update")
    shop.edit(WEB_FILE, "port: 80\n", "port: 81\n")
    out = proxyrules("snapshot", "check").out.splitlines()
    assert len(out) < 30
    # what is the same on all nodes is there once
    assert sum(line == "shop/web:http (all 29 nodes)" for line in out) == 1


def test_equal_rules_are_kept_once(shop: Repository, proxyrules: Runner) -> None:
    shop.write("proxyrules.yaml", KINDS)
    proxyrules("snapshot", "update")
    assert set(written(shop)) == {LIST, "shop.worker-1.rules"}
    shop.edit(WEB_FILE, "  type: NodePort\n", "  type: NodePort\n  externalTrafficPolicy: Local\n")
    shop.edit(WEB_FILE, "nodeName: worker-2", "nodeName: worker-1")
    shop.edit("cluster/nodes.yaml", "worker-3", "worker-10")
    result = proxyrules("snapshot", "list")
    # worker-2 is before worker-10, so that it gives its name to both
    assert result.out == (
        "FILE                       FAMILY  NODES               STATE\n"
        "rules/shop.worker-1.rules  IPv4    worker-1            not up to date\n"
        "rules/shop.worker-2.rules  IPv4    worker-2,worker-10  missing\n"
    )


def test_nodes_that_get_files_of_their_own_are_compared(
    shop: Repository, proxyrules: Runner
) -> None:
    """What worker-3 loses is said, although its file is new: it had worker-1's rules."""
    shop.write("proxyrules.yaml", KINDS)
    proxyrules("snapshot", "update")
    assert shop.read(f"rules/{LIST}").endswith(
        "\nshop.worker-1.rules: worker-1, worker-2, worker-3\n"
    )
    shop.edit(WEB_FILE, "  type: NodePort\n", "  type: NodePort\n  externalTrafficPolicy: Local\n")
    assert proxyrules("snapshot", "check").out == (
        "rules/shop.worker-1.rules: traffic changes\n"
        "rules/shop.worker-2.rules: missing\n"
        "rules/shop.worker-3.rules: missing\n"
        "\n"
        "shop/web:http (all 3 nodes)\n"
        "    external traffic policy: Cluster → Local\n"
        "    traffic to node port 30080: served → dropped if it comes from outside the cluster"
        " (worker-3)\n"
        "  + local endpoint 10.244.1.10:8080 added: 100 % of new connections (worker-1)\n"
        "  + local endpoint 10.244.2.10:8080 added: 100 % of new connections (worker-2)\n"
        "\n"
        "3 of 3 files not up to date; proxyrules snapshot update writes them.\n"
    )
    proxyrules("snapshot", "update")
    shop.git("checkout", "--quiet", WEB_FILE)
    out = proxyrules("snapshot", "check").out
    assert "dropped if it comes from outside the cluster → served (worker-3)\n" in out


def test_a_list_with_two_lines_for_a_file(shop: Repository, proxyrules: Runner) -> None:
    """As a union merge leaves it."""
    proxyrules("snapshot", "update")
    shop.write(f"rules/{LIST}", shop.read(f"rules/{LIST}") + "shop.worker-1.rules: worker-1, x\n")
    assert proxyrules("snapshot", "check").code == 1
    proxyrules("snapshot", "update")
    assert proxyrules("snapshot", "check").code == 0


def test_without_nodes_a_file_is_of_every_node(shop: Repository, proxyrules: Runner) -> None:
    shop.write("proxyrules.yaml", KINDS.replace(", cluster/nodes.yaml", ""))
    assert proxyrules("snapshot", "list").out == (
        "FILE              FAMILY  NODES       STATE\n"
        "rules/shop.rules  IPv4    every node  missing\n"
    )
    shop.edit(WEB_FILE, "  type: NodePort\n", "  type: NodePort\n  externalTrafficPolicy: Local\n")
    result = proxyrules("snapshot", "list")
    assert (result.code, result.err) == (
        2,
        "proxyrules.yaml:2:5: snapshot shop: nodes is required: the rules of Service "
        "shop/web:http depend on it (externalTrafficPolicy: Local); nodes: worker-1, worker-2\n",
    )


def test_families_have_files_of_their_own(shop: Repository, proxyrules: Runner) -> None:
    both = "clusterIP: 10.96.10.10\n  clusterIPs: [10.96.10.10, 'fd00::1']"
    dual = WEB.replace("clusterIP: 10.96.10.10", f"{both}\n  ipFamilies: [IPv4, IPv6]")
    shop.write(WEB_FILE, dual)
    shop.write("proxyrules.yaml", KINDS)
    assert "rules/shop.worker-1.ipv6.rules  IPv6" in proxyrules("snapshot", "list").out
    shop.write("proxyrules.yaml", KINDS + "    families: [ipv6]\n")
    result = proxyrules("snapshot", "list")
    assert result.out.splitlines()[1:] == [
        "rules/shop.worker-1.ipv6.rules  IPv6    worker-1,worker-2,worker-3  missing"
    ]
    assert result.err == "snapshot shop: its IPv4 service ports are left out (families)\n"


def test_from_workloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    pod = "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: web-0\n  namespace: shop\n"
    pod += "  labels: {app: web}\nspec:\n  containers: [{name: web}]\n"
    text = f"{KINDS}    fromWorkloads: true\n"
    files = {"proxyrules.yaml": text, WEB_FILE: SERVICE + pod, "cluster/nodes.yaml": NODES}
    shop = make_repository(tmp_path / "pods", monkeypatch, files)
    assert proxyrules("snapshot", "update").code == 0
    assert "shop/web:http -> 10.244." in written(shop)["shop.worker-1.rules"]


def test_names_choose_snapshots(shop: Repository, proxyrules: Runner) -> None:
    second = FILE.partition("\n")[2].replace("shop\n", "pay\n", 1)
    shop.write("proxyrules.yaml", FILE + second)
    assert proxyrules("snapshot", "update", "pay").out.endswith("3 written, 0 up to date.\n")
    assert set(written(shop)) == {LIST, *(f"pay.worker-{n}.rules" for n in (1, 2, 3))}
    assert proxyrules("snapshot", "check", "pay").code == 0
    assert proxyrules("snapshot", "check").code == 1
    proxyrules("snapshot", "update", "shop")
    assert proxyrules("snapshot", "check").code == 0
    result = proxyrules("snapshot", "check", "shpo", "zzz")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        'NAME: no snapshot "shpo"; did you mean shop?\n'
        'NAME: no snapshot "zzz"; snapshots: shop, pay\n'
    )


# What is removed, and what never is.


def test_files_of_a_snapshot_that_is_gone(shop: Repository, proxyrules: Runner) -> None:
    proxyrules("snapshot", "update")
    shop.write("proxyrules.yaml", FILE.replace("nodes: all", "nodes: [worker-1]"))
    result = proxyrules("snapshot", "check")
    assert (result.code, result.out) == (
        1,
        "rules/shop.worker-2.rules: its snapshot is gone\n"
        "rules/shop.worker-3.rules: its snapshot is gone\n"
        "2 of 3 files not up to date; proxyrules snapshot update writes them.\n",
    )
    # not where only some snapshots are asked for
    assert proxyrules("snapshot", "update", "shop").out == "0 written, 1 up to date.\n"
    assert proxyrules("snapshot", "update").out == (
        "rules/shop.worker-2.rules: removed, its snapshot is gone\n"
        "rules/shop.worker-3.rules: removed, its snapshot is gone\n"
        "rules/.snapshots: updated\n"
        "0 written, 2 removed, 1 up to date.\n"
    )
    assert set(written(shop)) == {LIST, "shop.worker-1.rules"}
    assert proxyrules("snapshot", "check").code == 0


def test_what_update_did_not_write_is_left_alone(shop: Repository, proxyrules: Runner) -> None:
    proxyrules("snapshot", "update")
    own = written(shop)["shop.worker-1.rules"]
    shop.write("rules/mine.rules", own)
    shop.write("rules/README.md", "Ours")
    # it is in the list, and is something else by now
    shop.write("rules/shop.worker-3.rules", "# Generated by iptables-save\n*filter\nCOMMIT\n")
    shop.write("proxyrules.yaml", FILE.replace("nodes: all", "nodes: [worker-1]"))
    shop.write(f"rules/{LIST}", shop.read(f"rules/{LIST}") + "../escape.rules: a\nREADME.md: a\n")
    shop.write("escape.rules", own)
    result = proxyrules("snapshot", "update")
    assert result.code == 0
    assert "rules/shop.worker-2.rules: removed, its snapshot is gone\n" in result.out
    assert set(written(shop)) == {
        *(LIST, "README.md", "mine.rules", "shop.worker-1.rules", "shop.worker-3.rules"),
    }
    assert (shop.root / "escape.rules").exists()
    assert result.err == (
        "rules/shop.worker-3.rules: its snapshot is gone, but it is not as update wrote it; "
        "remove it by hand\n"
        "rules/mine.rules: of no snapshot, and not written by snapshot update; left alone\n"
    )


def test_a_file_in_the_way(shop: Repository, proxyrules: Runner) -> None:
    shop.write("rules/shop.worker-1.rules", "notes of mine\n")
    result = proxyrules("snapshot", "update")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "rules/shop.worker-1.rules: is in the way: proxyrules snapshot update did not write it; "
        "move it elsewhere\n"
    )
    assert list(written(shop)) == ["shop.worker-1.rules"]
    # what compile wrote by hand may be replaced: it is what update would write
    shop.write("rules/shop.worker-1.rules", "*filter\n:KUBE-SERVICES - [0:0]\nCOMMIT\n")
    assert proxyrules("snapshot", "update").code == 0


def test_a_file_with_conflicts(shop: Repository, proxyrules: Runner) -> None:
    proxyrules("snapshot", "update")
    shop.edit(
        "rules/shop.worker-1.rules", "*nat\n", "<<<<<<< ours\n*nat\n=======\n>>>>>>> theirs\n"
    )
    result = proxyrules("snapshot", "check")
    assert result.out.startswith("rules/shop.worker-1.rules: not readable as rules\n")
    assert proxyrules("snapshot", "update").out == (
        "rules/shop.worker-1.rules: updated\n1 written, 2 up to date.\n"
    )


def test_the_list_may_be_merged_in_any_order(shop: Repository, proxyrules: Runner) -> None:
    proxyrules("snapshot", "update")
    lines = shop.read(f"rules/{LIST}").splitlines()
    shop.write(f"rules/{LIST}", "\n".join([*reversed(lines), lines[-1]]))
    assert proxyrules("snapshot", "check").code == 0
    (shop.root / "rules" / LIST).unlink()
    result = proxyrules("snapshot", "check")
    assert (result.code, result.out) == (
        1,
        f"rules/{LIST}: does not list these files\n"
        "The list of files is not up to date; proxyrules snapshot update writes it.\n",
    )
    proxyrules("snapshot", "update")
    assert proxyrules("snapshot", "check").code == 0


def test_links_are_not_written_through(
    shop: Repository, proxyrules: Runner, tmp_path: Path
) -> None:
    proxyrules("snapshot", "update")
    target = tmp_path / "elsewhere"
    target.write_text("*filter\n:KUBE-SERVICES - [0:0]\nCOMMIT\n")
    (shop.root / "rules/shop.worker-1.rules").unlink()
    (shop.root / "rules/shop.worker-1.rules").symlink_to(target)
    result = proxyrules("snapshot", "update")
    assert (result.code, result.err) == (
        2,
        "rules/shop.worker-1.rules: is a symbolic link; remove it\n",
    )
    assert target.read_text().startswith("*filter\n:KUBE-SERVICES")


# Bad input.


def test_everything_wrong_at_once(shop: Repository, proxyrules: Runner) -> None:
    """Of the file, of what it names, and of what is compiled."""
    text = f"""\
snapshots:
  - name: shop
    manifests: [apps/shop/*.yaml, nothing/*.yaml, cluster/nodes.yaml]
    config: kube-proxy.yaml
    nodes: [worker-1, worker-9]
  - name: pay
    manifests: [apps/shop/*.yaml, cluster/nodes.yaml]
    nodes: [worker-1, worker-9]
    family: [ipv4]
  - name: cart
    manifests: [apps/shop/*.yaml, cluster/nodes.yaml]
    nodes: [worker-1, worker-9]
  - name: last
    manifests: [{WEB_FILE}]
    nodes: all
  - name: chart
    command: helm template charts/x
  - name: broken
    manifests: [broken.yaml]
"""
    shop.write("proxyrules.yaml", text)
    shop.write("broken.yaml", SERVICE.replace("port: 80\n", "port: 80000\n"))
    for command in ("check", "update", "list"):
        result = proxyrules("snapshot", command)
        assert (result.code, result.out) == (2, "")
        assert result.err.splitlines() == [
            'proxyrules.yaml:3:35: snapshot shop: manifests[1]: "nothing/*.yaml" matches no file',
            'proxyrules.yaml:4:13: snapshot shop: config: "kube-proxy.yaml": can\'t be read: no such file or directory',
            "proxyrules.yaml:9:5: snapshots[1].family: unknown field; did you mean families?",
            'proxyrules.yaml:12:23: snapshot cart: nodes[1]: no Node "worker-9" in the manifests; nodes: worker-1, worker-2, worker-3',
            "proxyrules.yaml:15:12: snapshot last: nodes: there is no Node in the manifests; add Nodes, or write their names",
            "proxyrules.yaml:17:14: snapshot chart: command: commands are not run unless --allow-commands is given; whoever can change proxyrules.yaml chooses what is run",
            "broken.yaml:13:13: Service shop/web: spec.ports[0].port: invalid port 80000; must be between 1 and 65535",
        ]  # fmt: skip
    assert not (shop.root / "rules").exists()


def test_two_snapshots_with_one_file(shop: Repository, proxyrules: Runner) -> None:
    first = "  - name: shop\n    manifests: [apps/shop/*.yaml]\n    nodes: [eu.a]\n"
    shop.write(
        "proxyrules.yaml",
        f"snapshots:\n{first}{first.replace('shop', 'shop.eu', 1).replace('eu.a', 'a')}",
    )
    result = proxyrules("snapshot", "update")
    assert (result.code, result.err) == (
        2,
        "proxyrules.yaml:5:11: snapshot shop.eu: name: its file shop.eu.a.rules is also a file of "
        "snapshot shop; rename one\n",
    )


def test_a_file_where_the_folder_should_be(shop: Repository, proxyrules: Runner) -> None:
    shop.write("rules", "a file")
    result = proxyrules("snapshot", "update")
    assert (result.code, result.out) == (2, "")
    assert result.err == "rules: is not a folder; choose another directory\n"
    assert shop.read("rules") == "a file"


def test_a_folder_that_nothing_can_be_written_to(shop: Repository, proxyrules: Runner) -> None:
    (shop.root / "rules").mkdir(mode=0o500)
    if os.access(shop.root / "rules", os.W_OK):  # root may write anywhere
        (shop.root / "rules").rmdir()
        (shop.root / "rules").symlink_to("/proc/self/fdinfo")
    result = proxyrules("snapshot", "update")
    assert (result.code, result.out) == (2, "")


def test_standard_output_that_is_closed(shop: Repository) -> None:
    command = f"{sys.executable} -m compiler snapshot check -v | head -1; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert ended.stdout == b"rules/shop.worker-1.rules: missing\n"
    assert ended.stderr == b""


# Commands.

SCRIPT = "cat apps/shop/web.yaml; touch ran"


@pytest.fixture
def chart(shop: Repository) -> Repository:
    """A snapshot whose manifests a command prints."""
    text = f"snapshots:\n  - name: shop\n    command: sh -c '{SCRIPT}'\n"
    shop.write("proxyrules.yaml", text)
    shop.commit("chart")
    return shop


def test_commands_are_run_only_where_they_are_allowed(
    chart: Repository, proxyrules: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in ("update", "check", "list"):
        assert proxyrules("snapshot", command).code == 2
    for value in ("0", "false", ""):
        monkeypatch.setenv("PROXYRULES_ALLOW_COMMANDS", value)
        assert proxyrules("snapshot", "update").code == 2
    monkeypatch.delenv("PROXYRULES_ALLOW_COMMANDS")
    proxyrules("review", "main")
    assert not (chart.root / "ran").exists()
    monkeypatch.setenv("PROXYRULES_ALLOW_COMMANDS", "1")
    assert proxyrules("snapshot", "update").code == 0
    assert (chart.root / "ran").exists()
    monkeypatch.delenv("PROXYRULES_ALLOW_COMMANDS")
    assert proxyrules("snapshot", "check", "--allow-commands").code == 0
    monkeypatch.setenv("PROXYRULES_ALLOW_COMMANDS", "shop")
    result = proxyrules("snapshot", "check")
    assert result.code == 2
    assert "'shop' is not a valid boolean" in result.err or "boolean" in result.err


def test_a_command_fails(chart: Repository, proxyrules: Runner) -> None:
    chart.edit("proxyrules.yaml", SCRIPT, "echo no chart >&2; exit 4")
    result = proxyrules("snapshot", "update", "--allow-commands")
    assert (result.code, result.err) == (
        2,
        'proxyrules.yaml:3:14: snapshot shop: command: "sh" ended with exit code 4: no chart\n',
    )


def test_review_runs_commands_on_both_sides(chart: Repository, proxyrules: Runner) -> None:
    """On the base in a folder with its files, not in the work tree."""
    chart.write(WEB_FILE, WEB + THIRD)
    result = proxyrules("review", "main", "--allow-commands")
    assert (result.code, result.err) == (0, "")
    assert "  + endpoint 10.244.2.11:8080 added: 33.3 % of new connections\n" in result.out
    # the place is the command's
    assert "shop/web:http (every node)  proxyrules.yaml:3\n" in result.out


def test_review_without_commands_compares_the_kept_files(
    chart: Repository, proxyrules: Runner
) -> None:
    """What a pull request from a fork gets; it says that these may be out of date."""
    assert (
        "not compared: snapshot shop: its command was not run (--allow-commands), and both sides "
        "do not have its files\n" in proxyrules("review", "main").out
    )
    proxyrules("snapshot", "update", "--allow-commands")
    chart.commit("rules")
    chart.write(WEB_FILE, WEB + THIRD)
    proxyrules("snapshot", "update", "--allow-commands")
    (chart.root / "ran").unlink()
    result = proxyrules("review", "main", "--exit-code")
    assert "  + endpoint 10.244.2.11:8080 added: 33.3 % of new connections\n" in result.out
    assert (
        "not compared: snapshot shop: its command was not run (--allow-commands); the files in "
        "rules were compared, which may be out of date; lint did not look at it\n" in result.out
    )
    assert result.code == 1
    assert not (chart.root / "ran").exists()


# Formats, progress, Python.


def test_json(shop: Repository, proxyrules: Runner) -> None:
    proxyrules("snapshot", "update")
    assert json.loads(proxyrules("snapshot", "check", "--format", "json").out) == {
        "upToDate": True,
        "files": [
            {
                "path": f"rules/shop.worker-{number}.rules",
                "state": "current",
                "snapshot": "shop",
                "family": "ipv4",
                "nodes": [f"worker-{number}"],
            }
            for number in (1, 2, 3)
        ],
        "listUpToDate": True,
        "leftAlone": [],
        "notes": [],
        "changes": {
            "same": True,
            "servicePorts": [],
            "node": [],
            "mayDiffer": [],
            "notCompared": [],
            "textOnly": [],
            "renamed": [],
        },
    }
    shop.write(WEB_FILE, WEB + THIRD)
    value = json.loads(proxyrules("snapshot", "check", "--format", "json").out)
    assert {file["state"] for file in value["files"]} == {"changed"}
    assert value["changes"]["servicePorts"][0]["name"] == "shop/web:http"


def test_python(shop: Repository) -> None:
    found = snapshots(shop.root / "apps")
    assert not found.current
    assert [file.state.name for file in found.files] == ["MISSING"] * 3
    assert (found.files[0].text or "").startswith("*filter\n")
    assert (found.root, found.directory) == (shop.root, "rules")


def many(shop: Repository, number: int) -> None:
    entries = FILE.partition("\n")[2].replace("shop\n", "shop-{}\n", 1)
    shop.write("proxyrules.yaml", "snapshots:\n" + "".join(map(entries.format, range(number))))


def test_progress_on_a_terminal(shop: Repository) -> None:
    many(shop, 12)
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "compiler", "snapshot", "update", "-q"]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=terminal, check=True)
    shown = os.read(controller, 100_000).decode()
    os.close(terminal)
    os.close(controller)
    assert "Compiling" in shown
    assert "100%" in shown
    assert ended.stdout == b""


def test_no_progress_in_a_pipe(shop: Repository) -> None:
    many(shop, 12)
    command = [sys.executable, "-m", "compiler", "snapshot", "update", "-q"]
    ended = subprocess.run(command, capture_output=True, check=True)
    assert (ended.stdout, ended.stderr) == (b"", b"")
    assert len(written(shop)) == 37


def _halved(number: int) -> float:
    return 100 / number


@pytest.mark.parametrize("workers", [1, 2])
def test_work_is_done_in_order(workers: int) -> None:
    """Also in several processes, whose errors are raised here."""
    steps: list[int] = []
    found = done(_halved, range(1, 50), workers=workers, progress=steps.append)
    assert found == [100 / number for number in range(1, 50)]
    assert steps == [1] * 49
    with pytest.raises(ZeroDivisionError):
        done(_halved, range(10), workers=workers)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_goes_on_after_an_interrupt(
    shop: Repository, tmp_path: Path, ending: signal.Signals
) -> None:
    """Neither the processes that compile nor the commands that they run."""
    pids = tmp_path / "pids"
    script = f"echo $$ $PPID >> {pids}; exec sleep 100"
    entry = f'  - name: shop-{{}}\n    command: [sh, -c, "{script}"]\n'
    shop.write("proxyrules.yaml", "snapshots:\n" + "".join(map(entry.format, range(8))))
    command = [sys.executable, "-m", "compiler", "snapshot", "update", "--allow-commands"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until(lambda: pids.exists() and pids.read_text().count("\n") >= min(2, cores()))
        process.send_signal(ending)
        _, err = process.communicate(timeout=20)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(ending, -9)
    assert err.strip() == (b"Aborted." if ending == signal.SIGINT else b"")
    started = set(map(int, pids.read_text().split())) - {process.pid}
    commands = {int(line.split()[0]) for line in pids.read_text().splitlines()}
    if ending == signal.SIGKILL:  # what they run is not theirs to end any more
        for pid in commands:
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_running, started)))


# init.


def test_init_of_a_repository_with_manifests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner, golden: SnapshotAssertion
) -> None:
    files = {
        WEB_FILE: WEB,
        "apps/pay/pay.yaml": SERVICE.replace("web", "pay"),
        "apps/pay/values.yaml": "replicas: 3\n",
        "cluster/nodes.yaml": NODES,
        "cluster/kube-proxy.yaml": "apiVersion: kubeproxy.config.k8s.io/v1alpha1\n"
        "kind: KubeProxyConfiguration\nclusterCIDR: 10.244.0.0/16\n",
        "charts/cart/Chart.yaml": "apiVersion: v2\nname: cart\n",
        "charts/cart/templates/service.yaml": SERVICE,
        "overlays/base/kustomization.yaml": "resources:\n- service.yaml\n",
        "overlays/base/service.yaml": SERVICE,
        "overlays/prod/kustomization.yaml": "resources:\n- ../base\n",
        ".github/workflows/proxyrules.yml": "ours\n",
        ".gitattributes": "*.png binary",
    }
    shop = make_repository(tmp_path / "init", monkeypatch, files)
    result = proxyrules("snapshot", "init")
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "proxyrules.yaml: written\n"
        "  snapshot cart: helm template cart charts/cart\n"
        "  snapshot prod: kubectl kustomize overlays/prod\n"
        "  snapshot pay: apps/pay/pay.yaml\n"
        "  snapshot shop: apps/shop/*.yaml\n"
        ".github/workflows/proxyrules.yml: exists, left as it is\n"
        ".pre-commit-config.yaml: written\n"
        ".gitattributes: 2 lines added\n"
        "git config diff.proxyrules.command: set to proxyrules git-diff, in this clone\n"
        "git config diff.proxyrules.textconv: set to proxyrules git-diff --textconv, in this clone\n"
        "Next: read proxyrules.yaml, then run proxyrules snapshot update --allow-commands.\n"
    )
    assert shop.read("proxyrules.yaml") == golden(name="snapshot-init.yaml")
    assert shop.read(WORKFLOW) == "ours\n"
    assert shop.read(".gitattributes").splitlines() == [
        "*.png binary",
        "rules/*.rules -text diff=proxyrules linguist-generated",
        "rules/.snapshots -text merge=union linguist-generated",
    ]
    assert shop.git("config", "diff.proxyrules.command") == "proxyrules git-diff\n"
    found = read_file(read_source("proxyrules.yaml"))
    assert found.problems == ()
    result = proxyrules("snapshot", "init")
    assert (result.code, result.err) == (
        2,
        "proxyrules.yaml: exists already; edit it, or remove it first\n",
    )


def test_what_init_writes_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner, golden: SnapshotAssertion
) -> None:
    files = {WEB_FILE: WEB, "apps/shop/it's [odd].yaml": SERVICE.replace("web", "odd")}
    files["apps/shop/it's [odd].yaml"] = (
        SERVICE.replace("web", "odd").replace("10.10", "10.11").replace("30080", "30081")
    )
    files["apps/shop/values.yaml"] = "replicas: 3\n"
    shop = make_repository(tmp_path / "init", monkeypatch, files)
    out = proxyrules("snapshot", "init").out
    assert "  no Nodes were found: files have the rules that are the same on every node\n" in out
    assert shop.read(WORKFLOW) == golden(name="snapshot-workflow.yml")
    assert proxyrules("snapshot", "update").code == 0
    assert set(written(shop)) == {LIST, "shop.rules"}
    assert "shop/odd:http" in shop.read("rules/shop.rules")


def test_init_of_a_file_for_each_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    """They hold the same Services, so that one snapshot could not have them all."""
    files = {"rendered/prod.yaml": WEB + THIRD, "rendered/staging.yaml": WEB, "other/api.yaml": API}
    shop = make_repository(tmp_path / "init", monkeypatch, files)
    out = proxyrules("snapshot", "init").out
    for line in (
        "prod: rendered/prod.yaml",
        "staging: rendered/staging.yaml",
        "other: other/*.yaml",
    ):
        assert f"  snapshot {line}\n" in out
    assert proxyrules("snapshot", "update").code == 0
    assert set(written(shop)) == {LIST, "other.rules", "prod.rules", "staging.rules"}


def test_init_of_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    result = proxyrules("snapshot", "init")
    assert (result.code, result.err) == (0, "")
    assert "  no manifests with Services were found, so it has an example\n" in result.out
    assert "no git repository here: its diff driver was not set\n" in result.out
    text = (tmp_path / "proxyrules.yaml").read_bytes()
    assert read_file(Source("proxyrules.yaml", text)).problems == ()
