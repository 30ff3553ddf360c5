"""`examples/gitops` from end to end: real git, real pre-commit, and Helm's output as a file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from syrupy.assertion import SnapshotAssertion

from tests.cases import ROOT
from tests.gitops import EXAMPLE, Repository, clone_example, git_environment

BIN = Path(sys.executable).parent


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return clone_example(tmp_path)


def run(repository: Repository, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository, with `proxyrules` and `pre-commit` on the PATH."""
    environment = git_environment(repository.path.parent)
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    return subprocess.run(
        command,
        cwd=repository.path,
        env={
            **environment,
            **kept,
            "PATH": f"{BIN}:{environment['PATH']}",
            # pre-commit installs a hook with what it needs
            "PYTHONPATH": "" if "try-repo" in command else str(ROOT),
            "PRE_COMMIT_HOME": str(repository.path.parent / "pre-commit"),
            "LANG": "C.UTF-8",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )


def proxyrules(repository: Repository, *arguments: str) -> tuple[int, str]:
    done = run(repository, sys.executable, "-m", "compiler", *arguments)
    return done.returncode, done.stdout


def scale(repository: Repository) -> None:
    """Change a value, and what Helm makes of it."""
    repository.edit("values/prod.yaml", "web:\n  replicas: 3", "web:\n  replicas: 4")
    repository.edit("rendered/prod.yaml", "replicas: 3", "replicas: 4")


def test_the_rules_are_up_to_date() -> None:
    assert proxyrules(Repository(EXAMPLE), "snapshot", "check") == (0, "3 files are up to date.\n")


def test_a_value_changes(repository: Repository, golden: SnapshotAssertion) -> None:
    repository.git("switch", "--quiet", "--create", "scale")
    scale(repository)
    code, output = proxyrules(repository, "snapshot", "check")
    assert code == 1
    assert "2 of 3 files not up to date" in output
    code, output = proxyrules(repository, "review", "main", "--format", "markdown")
    assert code == 0
    # the commit depends on every file of the example
    assert re.sub(r"[(][0-9a-f]{10}[)]", "(...)", output) == golden(name="gitops-review.md")
    assert proxyrules(repository, "snapshot", "update")[0] == 0
    assert proxyrules(repository, "snapshot", "check") == (0, "3 files are up to date.\n")
    repository.commit("Four Pods")
    log = run(repository, "git", "log", "-1", "-p", "--stat", "--", "rules").stdout
    assert "rules/prod.worker-1.rules" in log
    assert "staging" not in log


def test_what_helm_prints_is_compared_with_rules_from_standard_input(
    repository: Repository,
) -> None:
    """`helm template … | proxyrules diff --from-workloads old.rules -`."""
    options = "--node worker-1 --config cluster/kube-proxy.yaml --kube-version 1.34"
    helm = "cat cluster/nodes.yaml rendered/prod.yaml"
    proxyrules_diff = f"{sys.executable} -m compiler diff --from-workloads {options}"
    command = f"{helm} | {proxyrules_diff} rules/prod.worker-1.rules - 2>/dev/null"
    done = run(repository, "bash", "-c", command)
    assert (done.returncode, done.stdout) == (0, "No difference for traffic.\n")
    scale(repository)
    done = run(repository, "bash", "-c", command)
    assert done.returncode == 1
    assert "\n  + endpoint 10.244." in done.stdout


def test_the_hook_of_pre_commit(repository: Repository) -> None:
    """It writes the rules, so that the first commit fails and the second one has them."""
    path = repository.path / ".pre-commit-config.yaml"
    yaml = YAML(typ="safe")
    (hook,) = [
        one
        for one in yaml.load(ROOT / ".pre-commit-hooks.yaml")
        if one["id"] == yaml.load(path)["repos"][0]["hooks"][0]["id"]
    ]
    # the hook as it is, but in this interpreter's environment instead of one that pip fills
    entry = hook["entry"].replace("proxyrules", f"{sys.executable} -m compiler", 1)
    local = {"repo": "local", "hooks": [{**hook, "entry": entry, "language": "system"}]}
    with path.open("w") as file:
        yaml.dump({"repos": [local]}, file)
    repository.commit("A hook of this machine")
    assert run(repository, "pre-commit", "install").returncode == 0
    scale(repository)
    repository.git("add", "--all")
    first = run(repository, "git", "commit", "-m", "Four Pods")
    assert first.returncode == 1
    assert "files were modified by this hook" in first.stdout
    assert "rules/prod.worker-1.rules" in first.stdout
    repository.git("add", "--all")
    second = run(repository, "git", "commit", "-m", "Four Pods")
    assert second.returncode == 0, second.stdout
    assert proxyrules(repository, "snapshot", "check")[0] == 0
    assert repository.git("status", "--short") == ""


@pytest.mark.skipif(
    "PROXYRULES_FRESH_CLONE" not in os.environ,
    reason="installs packages: set PROXYRULES_FRESH_CLONE",
)
def test_the_hook_as_pre_commit_installs_it(repository: Repository) -> None:
    done = run(repository, "pre-commit", "try-repo", str(ROOT), "proxyrules-snapshot")
    assert done.returncode == 0, done.stdout
    assert "Passed" in done.stdout
    scale(repository)
    # pre-commit puts aside what is not staged
    repository.git("add", "--all")
    done = run(repository, "pre-commit", "try-repo", str(ROOT), "proxyrules-snapshot")
    assert done.returncode == 1, done.stdout
    assert "files were modified by this hook" in done.stdout


def test_the_workflow_is_as_the_schema_says() -> None:
    path = EXAMPLE / ".github" / "workflows" / "rules.yaml"
    assert passes("check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(path))


def test_the_hooks_and_their_use_are_as_pre_commit_reads_them() -> None:
    assert passes("pre-commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml"))
    assert passes("pre-commit", "validate-config", str(EXAMPLE / ".pre-commit-config.yaml"))


def passes(program: str, *arguments: str) -> bool:
    done = subprocess.run(
        [str(BIN / program), *arguments], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return True
