from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from compiler.analysis.unified import unified_diff
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.printing import print_rules
from tests.cases import ALL_CASES


def test_equal_sides_give_nothing() -> None:
    for case in ALL_CASES[:50]:
        rules = parse_rules(case.expected)
        assert list(unified_diff(rules, rules, ("a", "b"))) == []


@pytest.mark.skipif(shutil.which("patch") is None, reason="patch is not installed")
def test_patch_takes_it(tmp_path: Path) -> None:
    chooser = random.Random(3)
    small = [case for case in ALL_CASES if len(case.expected) < 300_000]
    for _ in range(25):
        old, new = (parse_rules(case.expected) for case in chooser.sample(small, 2))
        if old.family != new.family:
            continue
        file = tmp_path / "rules"
        file.write_text(print_rules(old))
        text = "\n".join(unified_diff(old, new, ("rules", "rules"))) + "\n"
        subprocess.run(
            ["patch", "-s", "-p0", str(file)], input=text, text=True, check=True, cwd=tmp_path
        )
        assert file.read_text() == print_rules(new)
