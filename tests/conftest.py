from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from compiler.netfilter.backend import Backend
from tests.browser.chromium import missing_for_browser_tests
from tests.golden import GoldenExtension, RulesGoldenExtension
from tests.kernel.box import Box, fresh_box
from tests.kernel.namespace import (
    PROGRAMS,
    Namespace,
    fresh_namespace,
    missing_for_kernel_tests,
)
from tests.repository import Repository, make_repository
from tests.run import Runner

# Set where no kernel or browser test may be skipped (.ci/run): what is missing fails the run.
REQUIRE_KERNEL = "PROXYRULES_REQUIRE_KERNEL"
REQUIRE_BROWSER = "PROXYRULES_REQUIRE_BROWSER"


def commands_of(item: pytest.Item) -> set[str]:
    """Return the commands that a kernel test calls.

    Those that its `kernel` marks name, and the iptables of its backend: the parameter `backend`,
    else a lab's default.
    """
    commands = {"ip"}
    for mark in item.iter_markers("kernel"):
        commands.update(mark.args)
    callspec = getattr(item, "callspec", None)
    backend = callspec.params.get("backend") if callspec else None
    if backend is None and "box" in getattr(item, "fixturenames", ()):
        backend = Backend.NFT
    return commands.union(PROGRAMS[Backend(backend)] if backend else ())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kernel = [item for item in items if item.get_closest_marker("kernel")]
    skip_or_fail(
        "kernel",
        {item: missing_for_kernel_tests(commands_of(item)) for item in kernel},
        required=REQUIRE_KERNEL,
    )
    browser = [item for item in items if item.get_closest_marker("browser")]
    skip_or_fail(
        "browser", dict.fromkeys(browser, missing_for_browser_tests()), required=REQUIRE_BROWSER
    )


def skip_or_fail(kind: str, reasons: dict[pytest.Item, str], *, required: str) -> None:
    """Skip tests of a kind that can't run here, and say why; fail where they are required."""
    missing = sorted({reason for reason in reasons.values() if reason})
    if missing and os.environ.get(required):
        message = f"{kind} tests are required here ({required}) and can't run: "
        raise pytest.UsageError(message + "; ".join(missing))
    for item, reason in reasons.items():
        if reason:
            item.add_marker(pytest.mark.skip(reason=f"{kind} test: {reason}"))


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A network namespace of the test's own, with loopback up."""
    with fresh_namespace() as made:
        yield made


@pytest.fixture
def proxyrules(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Runner:
    """The command line, run in this process."""
    return Runner(monkeypatch, capfdbinary)


@pytest.fixture
def box(proxyrules: Runner) -> Iterator[Box]:
    """A lab of the test's own."""
    with fresh_box(proxyrules) as made:
        yield made


@pytest.fixture
def golden(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Snapshots as plain files in golden/: `assert text == golden(name="diff.txt")`."""
    return snapshot.use_extension(GoldenExtension)


@pytest.fixture
def golden_rules(rules_snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """The rules of a case: `assert text == golden_rules(name=case.name)`."""
    return rules_snapshot.use_extension(RulesGoldenExtension)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A git repository with manifests and a `proxyrules.yaml`; the current folder is its root."""
    return make_repository(tmp_path / "shop", monkeypatch)
