from __future__ import annotations

import re

from tests.cases import ROOT

POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{[0-9]*,?[0-9]*\})\+")


def test_no_group_is_possessive() -> None:
    """Python 3.11.0 to 3.11.4 match such groups wrongly (python/cpython issues 100061, 106052).

    `(?:a*+:|b)?+` leaves the match at the place where its last attempt failed, so that text is
    lost. Debian 12 has Python 3.11.2. Possessive repeats of one character are right everywhere.
    """
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "compiler").rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if POSSESSIVE_GROUP.search(line)
    ]
    assert found == []
