"""`rules_snapshot`, as somebody's tests use it, in a pytest of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cases import FIXTURES, GOLDEN, ROOT
from tests.documents import blocks

pytest_plugins = ["pytester"]

# The example of the docs.
TEST = blocks(ROOT / "docs" / "python.md", "python")[-1]


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_subprocess("-p", "no:cacheprovider", "--no-showlocals", *arguments)


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with manifests and two tests, whose snapshots are written."""
    text = (FIXTURES / "seed-affinity-none" / "input.yaml").read_text()
    (pytester.path / "shop.yaml").write_text(text)
    pytester.makepyfile(test_shop=TEST)
    run(pytester, "--snapshot-update").assert_outcomes(passed=2)
    return pytester


def stored(project: pytest.Pytester) -> dict[str, str]:
    folder = project.path / "__snapshots__" / "test_shop"
    return {path.name: path.read_text() for path in folder.iterdir()}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_files_are_what_compile_prints(project: pytest.Pytester) -> None:
    rules = (GOLDEN / "seed-affinity-none.rules").read_text()
    names = ("test_shop", "test_workers[worker-1]", "test_workers[worker-2]")
    assert stored(project) == {f"{name}.rules": rules for name in names}
    run(project).assert_outcomes(passed=2)


def test_a_failure_shows_the_change_for_traffic_before_the_lines(project: pytest.Pytester) -> None:
    edit(project.path / "shop.yaml", "sessionAffinity: None", "sessionAffinity: ClientIP")
    result = run(project, "-k", "not workers", "-vv")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            *blocks(ROOT / "docs" / "python.md", "text")[-1].splitlines(),
            "E *-A KUBE-SEP-TBW2IYJKUCAC7GB3 *-m recent *",
        ]
    )


def test_a_change_of_lines_alone_is_said_to_be_none_for_traffic(project: pytest.Pytester) -> None:
    for path in (project.path / "__snapshots__" / "test_shop").iterdir():
        edit(path, "-m tcp -p tcp -d", "-p tcp -m tcp -d")
    result = run(project)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["E *No difference for traffic."])


def test_a_stored_file_that_is_no_rules(project: pytest.Pytester) -> None:
    (project.path / "__snapshots__" / "test_shop" / "test_shop.rules").write_text("*nat\nbroken\n")
    result = run(project, "-k", "not workers")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *not compared: the snapshot:2:1: not a line of restore text*"])


def test_a_snapshot_that_is_missing(project: pytest.Pytester) -> None:
    (project.path / "__snapshots__" / "test_shop" / "test_shop.rules").unlink()
    result = run(project, "-k", "not workers")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *Snapshot 'test_shop' does not exist!"])


def test_what_is_no_rules(project: pytest.Pytester) -> None:
    project.makepyfile(test_shop="def test_it(rules_snapshot):\n    assert 5 == rules_snapshot\n")
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*rules are a Compilation or its text, not int"])


def test_without_syrupy_the_fixture_says_what_to_install(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makepyfile(test_shop="def test_it(rules_snapshot):\n    pass\n")
    blocked = project.mkdir("blocked") / "syrupy"
    blocked.mkdir()
    (blocked / "__init__.py").write_text("raise ImportError('no syrupy')\n")
    monkeypatch.setenv("PYTHONPATH", str(blocked.parent), prepend=os.pathsep)
    result = run(project, "-p", "no:syrupy")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["rules_snapshot needs syrupy: pip install 'proxyrules?pytest?'"])
