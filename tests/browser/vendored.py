"""Compare the libraries of the page with what npm publishes: `python -m tests.browser.vendored`.

Needs npm and its registry, so that it is no test. `--update` copies the files instead.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cases import ROOT

VENDOR = ROOT / "compiler" / "cli" / "explore_page" / "vendor"
# Our names, and where the files are in the package.
FILES = {
    "dagre.min.js": "@dagrejs/dagre/dist/dagre.min.js",
    "LICENSE": "@dagrejs/dagre/LICENSE",
}
# The page shows one licence text for both packages.
SAME_LICENCE = "@dagrejs/graphlib/LICENSE"


def recorded_sums() -> dict[str, str]:
    """Return the SHA-256 of each file, as it was when it was compared."""
    rows = (line.split() for line in (VENDOR / "sha256sums").read_text().splitlines())
    return {name: digest for digest, name in rows}


def installed(folder: Path) -> Path:
    """Install the locked packages, whose integrity npm checks; return where they are."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(VENDOR / name, folder)
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is needed")
    subprocess.run([npm, "ci", "--ignore-scripts", "--silent"], cwd=folder, check=True)
    return folder / "node_modules"


def main(arguments: list[str]) -> None:
    """Compare, or update with `--update`; exit with 1 where a file differs."""
    with tempfile.TemporaryDirectory() as folder:
        packages = installed(Path(folder))
        published = {name: (packages / path).read_bytes() for name, path in FILES.items()}
        if (packages / SAME_LICENCE).read_bytes() != published["LICENSE"]:
            sys.exit("graphlib's licence differs from dagre's: the page must show both")
    if "--update" in arguments:
        for name, content in published.items():
            (VENDOR / name).write_bytes(content)
        sums = (
            f"{hashlib.sha256(content).hexdigest()}  {name}\n"
            for name, content in published.items()
        )
        (VENDOR / "sha256sums").write_text("".join(sums))
    found = [name for name, content in published.items() if (VENDOR / name).read_bytes() != content]
    if found:
        sys.exit(f"differs from the package: {', '.join(found)}")


if __name__ == "__main__":
    main(sys.argv[1:])
