"""A report on snapshots as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from compiler.cli.changes_json import changes_value

if TYPE_CHECKING:
    from compiler.snapshots.directory import SnapshotsReport


def as_json(found: SnapshotsReport) -> str:
    """Return the report as one JSON object."""
    from compiler.cli.snapshot.check import merged

    value = {
        "upToDate": found.current,
        "files": [
            {
                "path": file.path,
                "state": file.state.name.lower(),
                "snapshot": file.snapshot or None,
                "family": file.family.value if file.snapshot else None,
                "nodes": list(file.nodes),
            }
            for file in found.files
        ],
        "listUpToDate": found.listing is None,
        "leftAlone": list(found.unlisted),
        "notes": list(found.notes),
        "changes": changes_value(merged(found)),
    }
    return json.dumps(value, indent=2) + "\n"
