"""Findings that are known: a baseline keeps them, and only new ones are reported."""

from __future__ import annotations

import hashlib

from compiler.analysis.lint.run import Located


def fingerprint(one: Located) -> str:
    """Identify a finding by its rule, object and field: it stays when lines move.

    The message is no part of it, since that may count endpoints.
    """
    text = "\n".join([one.id, one.subject, one.field or one.argument or one.message])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
