"""Examples in README.md and docs/ print what is shown, in a shell with only the system on its PATH.

`tests/documents.py` says how examples are written.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from compiler.api import compile_rules
from tests.cases import CONFORMANCE, CONFORMANCE_CASES, FIXTURES, GOLDEN, ROOT, Case, node_text
from tests.documents import (
    DOCUMENTS,
    blocks,
    clean_environment,
    commands,
    environment,
    name_of,
)
from tests.repository import make_repository

README = ROOT / "README.md"
STAMP = ROOT / ".venv" / "setup-stamp"
KINDS = {
    *("console", "console kernel", "console lab", "console repository"),
    *("console steps", "console make", "sh", "python", "text", "mermaid", "toml", "yaml"),
    # held to their schemas by tests/test_pull_requests_page.py
    *("yaml gitlab", "yaml pre-commit", "yaml workflow"),
}
SETUP, TESTS, ACTIVATE = blocks(README, "sh")[:3]
SHOWN = [
    pytest.param(command, output, id=f"{name_of(document)}-{number}")
    for document in DOCUMENTS
    for number, (command, output) in enumerate(
        one for body in blocks(document, "console") for one in commands(body)
    )
]

# All commands for a shell: each `sh` block, and each command of a `console` block of any kind.
SCRIPTS = [
    pytest.param(script, id=f"{name_of(document)}-{number}")
    for document in DOCUMENTS
    for number, script in enumerate(
        [
            *blocks(document, "sh"),
            *(
                command
                for kind in sorted(KINDS)
                if kind.startswith("console")
                for body in blocks(document, kind)
                for command, _ in commands(body)
            ),
        ]
    )
]
# Set where packages may be downloaded (.ci/run).
FRESH_CLONE = "PROXYRULES_FRESH_CLONE"
INDEX = re.compile(r"HOME\Z|PIP_|SSL_|REQUESTS_|https?_proxy|no_proxy", re.IGNORECASE)


def _matches(shown: str, output: str) -> bool:
    pattern = "".join(
        r"(?:.*\n)*" if line == "..." else re.escape(line) + r"\n" for line in shown.splitlines()
    )
    return re.fullmatch(pattern, output) is not None


def _run(
    script: str, variables: dict[str, str], folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_the_commands_of_the_start_are_there() -> None:
    assert SETUP.startswith("sh .ci/setup && .venv/bin/proxyrules compile ")
    assert TESTS == "sh .ci/test\n"
    assert ACTIVATE == ". .venv/bin/activate\n"


def _is_set_up() -> bool:
    """Say whether `.ci/setup` would leave the .venv as it is; it must not be remade under us."""
    made_of = "cat pyproject.toml .ci/constraints.txt .ci/setup | cksum"
    return STAMP.exists() and STAMP.read_text() == f"dev {_run(made_of, environment()).stdout}"


@pytest.mark.skipif(not _is_set_up(), reason="needs the .venv that `sh .ci/test` makes")
def test_start(tmp_path: Path) -> None:
    clean = clean_environment(tmp_path)
    assert _run("proxyrules --version", clean).returncode == 127
    # The .venv of this checkout is complete, so that the setup ends at once, without the network.
    done = _run(SETUP, clean)
    assert done.returncode == 0
    assert done.stdout == (GOLDEN / "seed-affinity-clientip.rules").read_text()
    assert _run(f"{ACTIVATE}proxyrules --version", clean).stdout.startswith("proxyrules")


@pytest.mark.skipif(FRESH_CLONE not in os.environ, reason=f"installs packages: set {FRESH_CLONE}")
def test_start_in_a_fresh_clone(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    if (ROOT / ".git").exists():
        trusted = ("-c", "safe.directory=*")
        subprocess.run(["git", *trusted, "clone", "--quiet", ROOT, clone], check=True)
    else:
        made = shutil.ignore_patterns(".venv*", ".*_cache", "__pycache__")
        shutil.copytree(ROOT, clone, ignore=made)
    # Where packages come from is the machine's matter.
    index = {name: value for name, value in os.environ.items() if INDEX.match(name)}
    done = subprocess.run(
        ["sh", "-c", SETUP],
        cwd=clone,
        env=clean_environment(tmp_path) | index,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (GOLDEN / "seed-affinity-clientip.rules").read_text()


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_shell_block_is_valid(script: str) -> None:
    """Also those that are not run, because they need a cluster or a node."""
    done = subprocess.run(
        ["sh", "-n"], input=script, capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), script


@pytest.mark.parametrize(("command", "shown"), SHOWN)
def test_command(command: str, shown: str, tmp_path: Path) -> None:
    if STAMP.exists():
        done = _run(ACTIVATE + command, clean_environment(tmp_path))
    else:
        done = _run(command, environment())
    assert _matches(shown, done.stdout), done.stdout


@pytest.mark.parametrize(
    "document",
    [one for one in DOCUMENTS if blocks(one, "console repository")],
    ids=name_of,
)
def test_commands_in_a_repository(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = ROOT / "examples" / "shop"
    files = {
        str(path.relative_to(shop)): path.read_text() for path in shop.rglob("*") if path.is_file()
    }
    repository = make_repository(tmp_path / "shop", monkeypatch, files)
    for body in blocks(document, "console repository"):
        for command, shown in commands(body):
            done = _run(command, environment(), repository.root)
            assert _matches(shown, done.stdout), f"{command}\n{done.stdout}"


def test_no_block_is_of_an_unknown_kind() -> None:
    kinds = {
        kind
        for document in DOCUMENTS
        for kind in re.findall(r"^```([^\n]+)$", document.read_text(), re.MULTILINE)
    }
    assert kinds <= KINDS


@pytest.mark.parametrize("number", range(7))
def test_python_example(number: int, tmp_path: Path) -> None:
    document = ROOT / "docs" / "python.md"
    code = blocks(document, "python")[number]
    case = FIXTURES / ("local-policy-on-five-nodes" if "metrics" in code else "nodeport-local")
    (tmp_path / "metrics").symlink_to(FIXTURES / "metrics")
    (tmp_path / "cluster.yaml").symlink_to(case / "input.yaml")
    (tmp_path / "kube-proxy.yaml").symlink_to(case / "kube-proxy.yaml")
    _write_dumps(case, tmp_path / "dumps")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    rules = (GOLDEN / "nodeport-local.rules").read_text()
    assert done.stdout == [f"{rules}\n", *blocks(document, "text")][number]


def _write_dumps(case: Path, folder: Path) -> None:
    """Write the dumps of both nodes, one of which lacks a jump."""
    folder.mkdir()
    for node in ("worker-1", "worker-2"):
        rules = compile_rules(case / "input.yaml", config=case / "kube-proxy.yaml", node=node)
        lines = node_text(rules.text).splitlines(keepends=True)
        missing = "-A PREROUTING" if node == "worker-2" else "no line"
        text = "".join(line for line in lines if not line.startswith(missing))
        (folder / f"{node}.save").write_text(text)


def _anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    for link in links:
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


def test_the_readme_takes_two_minutes() -> None:
    assert README.read_text().count("\n") <= 150


def test_files_that_are_named_are_there() -> None:
    names = re.compile(r"`((?:compiler|tests|templates|golden|fixtures)/[\w./-]+)`")
    for document in DOCUMENTS:
        for name in names.findall(document.read_text()):
            assert (ROOT / name).exists(), f"{name_of(document)}: {name}"


def _releases(cases: list[Case]) -> Counter[str]:
    return Counter(case.options[case.options.index("--kube-version") + 1] for case in cases)


def test_the_table_of_releases() -> None:
    """The table counts the cases whose expected text is kube-proxy's own."""
    text = (ROOT / "docs" / "correctness.md").read_text()
    lines = re.findall(r"^\| (.*) \|$", text, re.MULTILINE)
    head, *rows = (line.split(" | ") for line in lines)
    witnessed = (CONFORMANCE.parent / "kube-proxy.sha256").read_text().split()[1::2]
    groups = {"fixtures": [Case(FIXTURES / name.removesuffix(".rules")) for name in witnessed]}
    for case in CONFORMANCE_CASES:
        groups.setdefault(case.name.partition("-")[0], []).append(case)
    counted = {
        name: [releases[release] for release in head[1:]]
        for name, releases in ((name, _releases(cases)) for name, cases in groups.items())
    }
    assert {row[0].partition(":")[0]: list(map(int, row[1:])) for row in rows} == counted
    total = sum(map(len, groups.values()))
    assert f"{total} cases" in text
    assert f"{total} cases" in README.read_text()
