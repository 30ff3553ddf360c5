"""`docs/pull-requests.md`: its commands are run in order, its files held to their schemas."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.cases import ROOT
from tests.documents import blocks, commands
from tests.gitops import EXAMPLE, Repository, git_environment

PAGE = ROOT / "docs" / "pull-requests.md"
BIN = Path(sys.executable).parent
SCHEMAS = {"workflow": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}


def shell(repository: Repository, script: str, **variables: str) -> str:
    """Run a script in the repository as a user would, and return what a shell shows."""
    environment = git_environment(repository.path.parent)
    wrapper = repository.path.parent / "bin" / "proxyrules"
    wrapper.parent.mkdir(exist_ok=True)
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m compiler "$@"\n')
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=repository.path,
        env={
            **environment,
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
            "GIT_PAGER": "cat",
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return done.stdout


def started(folder: Path, example: Path) -> Repository:
    """Copy an example, and commit it."""
    path = folder / "repository"
    shutil.copytree(example, path)
    repository = Repository(path)
    repository.git("init", "--quiet")
    repository.commit("The manifests")
    return repository


def masked(text: str) -> str:
    """Mask the commit, which depends on every file of the example and on the version."""
    return re.sub(r"\([0-9a-f]{10}\)", "(COMMIT)", text)


def test_the_commands_in_their_order(tmp_path: Path) -> None:
    repository = started(tmp_path, ROOT / "examples" / "first")
    for body in blocks(PAGE, "console steps"):
        for command, shown in commands(body):
            assert masked(shell(repository, command)) == masked(shown), command
    comment = shell(repository, "proxyrules review main --format markdown")
    head = [line.removeprefix("> ") for line in PAGE.read_text().splitlines() if line[:3] == "> |"]
    assert head
    assert "\n".join(head) in comment


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make(tmp_path: Path) -> None:
    repository = started(tmp_path, EXAMPLE)
    for body in blocks(PAGE, "console make"):
        for command, shown in commands(body):
            assert shell(repository, command) == shown


@pytest.mark.parametrize(
    ("kind", "text"),
    [(kind, text) for kind in SCHEMAS for text in blocks(PAGE, f"yaml {kind}")],
)
def test_the_files_are_as_their_schemas_say(kind: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    done = subprocess.run(
        [str(BIN / "check-jsonschema"), "--builtin-schema", SCHEMAS[kind], str(path)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_actions_that_are_used_are_there_with_their_inputs() -> None:
    """A workflow that names an input which the action does not have would only warn."""
    yaml = YAML(typ="safe")
    texts = [*blocks(PAGE, "yaml workflow"), *EXAMPLE.glob(".github/workflows/*")]
    used = 0
    for text in texts:
        for job in yaml.load(text)["jobs"].values():
            for step in job["steps"]:
                if not step.get("uses", "").startswith("proxyrules/proxyrules"):
                    continue
                folder = step["uses"].partition("@")[0].removeprefix("proxyrules/proxyrules")
                action = yaml.load(ROOT / folder.strip("/") / "action.yml")
                assert step.get("with", {}).keys() <= action["inputs"].keys()
                used += 1
    assert used == 3


def test_the_inputs_of_the_page_are_those_of_the_action() -> None:
    inputs = YAML(typ="safe").load(ROOT / "action.yml")["inputs"]
    table = PAGE.read_text().partition("| input |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert rows == [f"`{name}`" for name in inputs]


def test_the_script_for_gitlab(tmp_path: Path) -> None:
    repository = started(tmp_path, EXAMPLE)
    base = repository.git("rev-parse", "HEAD")
    repository.edit("rendered/prod.yaml", "replicas: 3", "replicas: 4")
    shell(repository, "proxyrules snapshot update")
    repository.commit("Four Pods")
    (job,) = blocks(PAGE, "yaml gitlab")
    script = YAML(typ="safe").load(job)["proxyrules"]["script"]
    output = shell(repository, "set -e\n" + "\n".join(script), CI_MERGE_REQUEST_DIFF_BASE_SHA=base)
    assert output.endswith("3 files are up to date.\n")
    assert "shop/web:http" in output
    found = YAML(typ="safe").load(repository.path / "review.json")
    assert [one["location"]["path"] for one in found] == ["rendered/prod.yaml"]


def test_the_hook() -> None:
    (text,) = blocks(PAGE, "yaml pre-commit")
    assert text == (EXAMPLE / ".pre-commit-config.yaml").read_text()
