"""Running the command line inside the test's process, or as one of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from compiler import cli


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str


class Runner:
    """Runs `proxyrules` as the shell would, but in this process: the exit code is the real one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]):
        self._monkeypatch, self._capture = monkeypatch, capfdbinary

    def __call__(self, *arguments: str | Path) -> Result:
        self._capture.readouterr()
        self._monkeypatch.setattr(sys, "argv", ["proxyrules", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        sys.stdout.flush()
        out, err = self._capture.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Result(code, out.decode(), err.decode())


def run_process(
    *arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m compiler` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "compiler", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=120,
        cwd=cwd,
        check=False,
    )
