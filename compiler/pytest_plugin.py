"""A pytest plugin: the fixture `rules_snapshot`, which pins the rules of manifests in files.

`pip install 'proxyrules[pytest]'` installs syrupy, which keeps the files; pytest finds the plugin
by its entry point.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

try:
    from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
except ImportError:  # pytest loads every plugin that is installed, also where nobody uses it

    @pytest.fixture
    def rules_snapshot() -> None:
        """Say what is missing."""
        pytest.fail("rules_snapshot needs syrupy: pip install 'proxyrules[pytest]'", pytrace=False)

else:

    class RulesSnapshotExtension(SingleFileSnapshotExtension):
        """Rules as `iptables-restore` takes them, one file each.

        What differs is shown as what changes for traffic, and then line by line.
        """

        _write_mode = WriteMode.TEXT
        file_extension = "rules"

        def serialize(self, data: object, **_: object) -> str:
            """Return the text of a `Compilation`, or text as it is. Raises TypeError."""
            from compiler.compilation import Compilation

            if isinstance(data, Compilation):
                return data.text
            if isinstance(data, str):
                return data
            message = f"rules are a Compilation or its text, not {type(data).__name__}"
            raise TypeError(message)

        def diff_lines(
            self, serialized_data: str | bytes, snapshot_data: str | bytes
        ) -> Iterator[str]:
            """Give the change for traffic, then the lines that differ."""
            if snapshot_data:
                yield from _change(str(snapshot_data), str(serialized_data))
            yield from super().diff_lines(serialized_data, snapshot_data)

    @pytest.fixture
    def rules_snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
        """Compare with the rules in a file: `assert compile_rules("svc.yaml") == rules_snapshot`.

        The file is `__snapshots__/TEST_FILE/TEST_NAME.rules`; with several in one test, name each:
        `rules_snapshot(name="worker-1")`. `pytest --snapshot-update` writes them.
        """
        return snapshot.use_extension(RulesSnapshotExtension)


def _change(old: str, new: str) -> Iterator[str]:
    """Say what changes for traffic, a line each; why not where either is no text of rules."""
    from compiler.cli.colour import plain
    from compiler.cli.diff_formats import as_text
    from compiler.errors import InputError
    from compiler.manifests.source import Source
    from compiler.questions import diff

    sides = Source("the snapshot", old.encode()), Source("the compiled rules", new.encode())
    try:
        yield from as_text(diff(*sides), plain, rules=False)
    except InputError as error:
        yield from (f"not compared: {problem}" for problem in error.problems)
    yield ""
