"""A program on a terminal of its own: a pseudo-terminal whose size changes and whose keys work."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time
from dataclasses import dataclass, field

# What rich writes: to the other screen and back, the cursor hidden and shown, and to the top.
ENTER, LEAVE, HIDE, SHOW, TOP = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25l", "\x1b[?25h", "\x1b[H"
CTRL_C = b"\x03"
# What would override the terminal itself.
UNSET = {"COLUMNS", "LINES", "NO_COLOR"}


@dataclass
class Terminal:
    """`proxyrules` as it runs on a terminal; `shown` is all that it has written so far."""

    pid: int
    screen: int
    shown: str = field(default="")

    @classmethod
    def start(cls, *arguments: str, rows: int = 24, columns: int = 80) -> Terminal:
        """Run `proxyrules` on a terminal of this size."""
        pid, screen = pty.fork()
        if pid == 0:
            variables = {k: v for k, v in os.environ.items() if k not in UNSET}
            command = [sys.executable, "-m", "compiler", *arguments]
            os.execve(sys.executable, command, {**variables, "TERM": "xterm-256color"})
        terminal = cls(pid, screen)
        terminal.resize(rows, columns)
        return terminal

    def resize(self, rows: int, columns: int) -> None:
        """Change the size; the kernel sends SIGWINCH."""
        fcntl.ioctl(self.screen, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, words: str, seconds: float = 30) -> str:
        """Read until these words come, and return what was read since the last time."""
        begin, start = time.monotonic(), len(self.shown)
        while words not in self.shown[start:]:
            assert time.monotonic() - begin < seconds, f"no {words!r} in {self.shown[start:]!r}"
            assert self._read(), f"ended without {words!r}: {self.shown[start:]!r}"
        return self.shown[start:]

    def press(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.screen, keys)

    def end(self) -> tuple[int, str]:
        """Read until the program ends; return its exit code, and what it wrote meanwhile."""
        start = len(self.shown)
        while self._read():
            pass
        os.close(self.screen)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status), self.shown[start:]

    def _read(self) -> bool:
        """Read what has come within a tenth of a second; False once the program is gone."""
        ready, _, _ = select.select([self.screen], [], [], 0.1)
        if not ready:
            return True
        try:
            data = os.read(self.screen, 65536)
        except OSError:  # EIO: no process has the other end any more
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)
