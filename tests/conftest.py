from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.golden import GoldenExtension
from tests.kernel.box import Box, fresh_box
from tests.kernel.namespace import Namespace, fresh_namespace, missing_for_kernel_tests
from tests.run import Runner

# Set where the kernel tests must not be skipped (.ci/run): what is missing then fails the run.
REQUIRE_KERNEL = "PROXYRULES_REQUIRE_KERNEL"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kernel_items = [item for item in items if item.get_closest_marker("kernel")]
    if not kernel_items or not (missing := missing_for_kernel_tests()):
        return
    if os.environ.get(REQUIRE_KERNEL):
        message = f"kernel tests are required here ({REQUIRE_KERNEL}) and can't run: {missing}"
        raise pytest.UsageError(message)
    for item in kernel_items:
        item.add_marker(pytest.mark.skip(reason=f"kernel test: {missing}"))


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
    """Snapshots as plain files in golden/: `assert text == golden(name="case.rules")`."""
    return snapshot.use_extension(GoldenExtension)
