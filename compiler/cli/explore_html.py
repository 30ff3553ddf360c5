"""The document as JSON, until there is a page around it."""

import json
from collections.abc import Iterator

from compiler.analysis.explore.document import Document


def assemble(document: Document) -> Iterator[str]:
    """Give the document in pieces."""
    yield json.dumps({**document, "details": list(document["details"])}, ensure_ascii=False)
