"""What several kernel tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.box import BACKENDS
from tests.kernel.wire import Wire, fresh_wire


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """One of iptables' backends."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def wire(backend: str) -> Iterator[Wire]:
    """A node that packets are sent to, whose rules are loaded by a backend."""
    with fresh_wire() as made:
        yield made
