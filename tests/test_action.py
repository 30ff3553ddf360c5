"""`action.yml`: its steps are run as GitHub's runner would run them, in the example repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.action_runner import Run, Runner, base_environment
from tests.cases import ROOT
from tests.github_server import TOKEN, Server, github_server
from tests.gitops import Repository, clone_example

ACTIONS = (ROOT / "action.yml", ROOT / "comment" / "action.yml")


@pytest.fixture
def server() -> Iterator[Server]:
    with github_server() as made:
        yield made


class Workflow:
    """A job on a pull request that changes the example repository."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server = folder, server
        self.repository: Repository = clone_example(folder)
        self.base = self.repository.git("rev-parse", "HEAD")
        self.event: dict[str, Any] = {
            "pull_request": {
                "number": 7,
                "base": {"sha": self.base},
                "head": {"repo": {"full_name": "shop/manifests"}},
            }
        }

    def change(self, old: str, new: str, *, update: bool = True) -> None:
        """Commit a change of prod's rendered manifests, and the rules with it."""
        self.repository.edit("rendered/prod.yaml", old, new)
        if update:
            command = [sys.executable, "-m", "compiler", "snapshot", "update"]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            subprocess.run(
                command, cwd=self.repository.path, env=environment, check=True, capture_output=True
            )
        self.repository.commit("A change")

    def run(self, action: Path = ROOT, **inputs: str) -> Run:
        """Run an action; the interpreter of this process stands for what is installed."""
        runner_folder = self.folder / "runner"
        shutil.rmtree(runner_folder, ignore_errors=True)
        runner_folder.mkdir()
        event = runner_folder / "event.json"
        event.write_text(json.dumps(self.event))
        environ = {
            **base_environment(self.folder),
            "GITHUB_API_URL": self.server.url,
            "GITHUB_REPOSITORY": "shop/manifests",
            "GITHUB_EVENT_PATH": str(event),
            "PYTHONPATH": str(ROOT),
        }
        github = {"token": TOKEN, "event": self.event}
        runner = Runner(runner_folder, self.repository.path, github, environ)
        return runner.run(action, **{"python": str(self.python()), **inputs})

    def python(self) -> Path:
        """Return a `python3` that makes an environment of what is installed here already."""
        path = self.folder / "python3"
        program = f'exec "{sys.executable}" "$@"'
        path.write_text(
            "#!/bin/sh\n"
            f'if [ "$1 $2" != "-m venv" ]; then {program}; fi\n'
            'mkdir -p "$3/bin"\n'
            f"printf '%s\\n' '#!/bin/sh' '[ \"$2\" = pip ] || {program}' > \"$3/bin/python\"\n"
            "printf '%s\\n' '#!/bin/sh' "
            f'\'exec "{sys.executable}" -m compiler "$@"\' > "$3/bin/proxyrules"\n'
            'chmod +x "$3/bin/python" "$3/bin/proxyrules"\n'
        )
        path.chmod(0o755)
        return path


@pytest.fixture
def workflow(tmp_path: Path, server: Server) -> Workflow:
    return Workflow(tmp_path, server)


@pytest.mark.parametrize("path", ACTIONS, ids=lambda path: path.parent.name)
def test_the_actions_are_as_the_schema_says(path: Path) -> None:
    done = subprocess.run(
        ["check-jsonschema", "--builtin-schema", "vendor.github-actions", str(path)],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_change_is_reviewed_in_one_comment(workflow: Workflow, server: Server) -> None:
    workflow.change("sessionAffinity: None", "sessionAffinity: ClientIP")
    for _ in range(2):
        run = workflow.run()
        assert run.failed == "", run.log
    (comment,) = server.comments
    assert "`shop/web:http`" in comment["body"]
    assert "session affinity" in comment["body"]
    assert run.outputs["stale"] == "false"
    assert run.outputs["changed"] == "true"
    assert run.outputs["comment-url"] == comment["html_url"]
    report = Path(run.outputs["report"]).read_text()
    assert comment["body"].endswith(report)
    assert report in run.summary
    assert "file=rendered/prod.yaml,line=" in run.log


def test_a_change_of_order_has_no_comment(workflow: Workflow, server: Server) -> None:
    workflow.change(
        "  type: NodePort\n  selector:\n    app: web\n",
        "  selector: {app: web}\n  type: NodePort\n",
    )
    run = workflow.run()
    assert run.failed == "", run.log
    assert run.outputs["changed"] == "false"
    assert run.outputs["comment-url"] == ""
    assert not server.comments
    assert "No change for traffic" in run.summary


def test_a_change_that_is_taken_back_updates_the_comment(
    workflow: Workflow, server: Server
) -> None:
    workflow.change("sessionAffinity: None", "sessionAffinity: ClientIP")
    workflow.run()
    workflow.change("sessionAffinity: ClientIP", "sessionAffinity: None")
    workflow.run()
    (comment,) = server.comments
    assert "No change for traffic" in comment["body"]


def test_a_snapshot_that_is_not_up_to_date_fails_the_job_after_the_comment(
    workflow: Workflow, server: Server
) -> None:
    workflow.change("replicas: 3", "replicas: 4", update=False)
    run = workflow.run()
    assert run.failed == "Fail where that is asked for"
    assert run.outputs["stale"] == "true"
    assert "::error title=proxyrules::snapshots are not up to date" in run.log
    assert len(server.comments) == 1
    assert workflow.run(fail_on_stale="false").failed == ""


def test_a_change_fails_the_job_where_that_is_asked_for(workflow: Workflow) -> None:
    workflow.change("replicas: 3", "replicas: 4")
    assert workflow.run(comment="false").failed == ""
    assert workflow.run(comment="false", fail_on_change="true").failed != ""


def test_a_fork_gets_the_summary_and_no_comment(workflow: Workflow, server: Server) -> None:
    workflow.event["pull_request"]["head"]["repo"]["full_name"] = "mallory/manifests"
    server.refuse = ("POST", "PATCH")
    workflow.change("replicas: 3", "replicas: 4")
    run = workflow.run()
    assert run.failed == "", run.log
    assert "::notice title=proxyrules::a pull request from a fork" in run.log
    assert "shop/web:http" in run.summary


def test_the_second_workflow_comments_what_the_first_one_found(
    workflow: Workflow, server: Server
) -> None:
    """The first has a token that can only read; the second runs nothing of the pull request."""
    workflow.change("replicas: 3", "replicas: 4")
    first = workflow.run(comment="false")
    report = workflow.folder / "report.md"
    report.write_text(Path(first.outputs["report"]).read_text())
    head = {"user": {"login": "mallory"}, "ref": "patch-1", "sha": "abc"}
    server.pulls = [{"number": 7, "head": head}]
    workflow.event = {
        "workflow_run": {
            "head_repository": {"owner": {"login": "mallory"}},
            "head_branch": "patch-1",
            "head_sha": "abc",
        }
    }
    second = workflow.run(ROOT / "comment", report=str(report), changed=first.outputs["changed"])
    assert second.failed == "", second.log
    assert second.outputs["comment-url"] == server.comments[0]["html_url"]


def test_a_command_is_not_run_unless_that_is_allowed(workflow: Workflow) -> None:
    """A pull request can write the file, and so the command."""
    workflow.repository.edit(
        "proxyrules.yaml",
        "    manifests: [rendered/prod.yaml, cluster/nodes.yaml]\n",
        "    manifests: [cluster/nodes.yaml]\n    command: cat rendered/prod.yaml\n",
    )
    workflow.repository.commit("A command")
    run = workflow.run(comment="false")
    assert run.failed == "Check the snapshots"
    assert "--allow-commands" in run.log
    assert workflow.run(comment="false", allow_commands="true").failed == ""


def test_a_push_to_a_new_branch_has_nothing_to_compare_with(workflow: Workflow) -> None:
    workflow.event = {"before": "0" * 40}
    run = workflow.run()
    assert run.failed == "", run.log
    assert run.outputs["changed"] == ""
    assert "nothing to compare with" in run.log


@pytest.mark.skipif(
    "PROXYRULES_FRESH_CLONE" not in os.environ,
    reason="installs packages: set PROXYRULES_FRESH_CLONE",
)
def test_the_action_installs_itself(workflow: Workflow, server: Server) -> None:
    workflow.change("replicas: 3", "replicas: 4")
    run = workflow.run(python=sys.executable)
    assert run.failed == "", run.log
    assert len(server.comments) == 1
