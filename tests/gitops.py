"""The example repository `examples/gitops`, with real git."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cases import ROOT

EXAMPLE = ROOT / "examples" / "gitops"


@dataclass(frozen=True)
class Repository:
    """A copy of the example, in which `main` has been committed."""

    path: Path

    def git(self, *arguments: str) -> str:
        """Run git with nobody's settings, at a time that is always the same."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=git_environment(self.path.parent),
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        return done.stdout.strip()

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text, which must be there, in one file or in what it names."""
        path = self.path / name
        text = path.read_text()
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new))

    def commit(self, message: str) -> str:
        """Commit everything; return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")


def git_environment(home: Path) -> dict[str, str]:
    """Return an environment in which git depends on nothing but the repository."""
    when = "2026-01-01T00:00:00Z"
    settings = {
        "user.name": "Ann",
        "user.email": "ann@example.com",
        "init.defaultBranch": "main",
        "commit.gpgSign": "false",
    }
    numbered = list(enumerate(settings.items()))
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_AUTHOR_DATE": when,
        "GIT_COMMITTER_DATE": when,
        "GIT_CONFIG_COUNT": str(len(settings)),
        **{f"GIT_CONFIG_KEY_{number}": name for number, (name, _) in numbered},
        **{f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in numbered},
    }


def clone_example(folder: Path) -> Repository:
    """Copy the example into a repository of its own."""
    path = folder / "shop"
    shutil.copytree(EXAMPLE, path)
    repository = Repository(path)
    repository.git("init", "--quiet")
    repository.commit("The shop")
    return repository
