"""Goldens: syrupy snapshots as plain text files in `golden/`, named by the case alone."""

from __future__ import annotations

from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from syrupy.location import PyTestLocation
from syrupy.types import SnapshotIndex

from compiler.pytest_plugin import RulesSnapshotExtension
from tests.cases import GOLDEN


class RulesGoldenExtension(RulesSnapshotExtension):
    """What a case compiles to, as the fixture `rules_snapshot` keeps it, but in `golden/`."""

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        return str(GOLDEN)

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: SnapshotIndex = 0) -> str:
        assert isinstance(index, str), "a golden is named by its test"
        return index


class GoldenExtension(SingleFileSnapshotExtension):
    """One file a snapshot; the name that the test gives is the file's, ending included."""

    _write_mode = WriteMode.TEXT
    file_extension = ""

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        return str(GOLDEN)

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: SnapshotIndex = 0) -> str:
        assert isinstance(index, str), "a golden is named by its test"
        return index

    @classmethod
    def get_location(cls, *, test_location: PyTestLocation, index: SnapshotIndex) -> str:
        assert isinstance(index, str)
        return str(GOLDEN / index)
