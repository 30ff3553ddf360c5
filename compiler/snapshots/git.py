"""What git is asked for: revisions, their merge base, and their files.

A commit's files are written to a temporary folder by `git checkout-index` with an index of its own:
unlike `git archive` it leaves nothing out (`export-ignore`), and unlike `git worktree` it adds
nothing to the repository.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compiler.errors import InputError, Problem
from compiler.manifests.convert import shorten

_FETCH = (
    "fetch all of it: fetch-depth: 0 for actions/checkout, GIT_DEPTH: 0 for GitLab, "
    "git fetch --unshallow elsewhere"
)
_LINK = "120000"


class GitError(Exception):
    """Git is not there, or failed where the input is not at fault; `hint` says what helps."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True)
class Commit:
    """A commit: its whole hash, and what the user called it."""

    sha: str
    name: str

    @property
    def short(self) -> str:
        """The beginning of the hash, as people write it."""
        return self.sha[:10]


@dataclass(frozen=True)
class Repository:
    """A git repository that `folder` is in; `inside` is the path of `folder` in it, "" its root."""

    folder: Path
    inside: str

    @classmethod
    def of(cls, folder: Path) -> Repository:
        """Find the repository. Raises `InputError` where there is none, `GitError` without git."""
        done = _git(folder, "rev-parse", "--show-prefix")
        if done.returncode == 0:
            return cls(
                folder, done.stdout.decode("utf-8", "surrogateescape").strip("\n").strip("/")
            )
        error = done.stderr.decode("utf-8", "replace")
        if "dubious ownership" in error:
            message = "the repository belongs to another user, so git does not read it"
            hint = f"git config --global --add safe.directory {folder}"
            raise InputError(Problem(str(folder), message, hint))
        raise InputError(
            Problem(str(folder), "not in a git repository", "run it where the manifests are kept")
        )

    def commit(self, name: str, argument: str) -> Commit:
        """Return the commit that a revision means. Raises `InputError`."""
        if name and not name.startswith("-"):
            done = self._run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
            if done.returncode == 0:
                return Commit(done.stdout.decode().strip(), name)
        message = f"no revision {shorten(name)} in this repository"
        if self._is_shallow():
            raise InputError(
                Problem.of_argument(argument, f"{message}, which is a shallow clone", _FETCH)
            )
        raise InputError(Problem.of_argument(argument, message, self._hint(name)))

    def _hint(self, name: str) -> str:
        remote = self._run("rev-parse", "--verify", "--quiet", f"origin/{name}^{{commit}}")
        if remote.returncode == 0:
            return f"did you mean origin/{name}?"
        return f"git fetch origin {name} may bring it" if name.isprintable() else ""

    def merge_base(self, one: Commit, other: Commit) -> Commit:
        """Return where two commits' histories part. Raises `InputError` where they never met."""
        done = self._run("merge-base", one.sha, other.sha)
        if done.returncode == 0:
            return Commit(done.stdout.decode().split()[0], one.name)
        if self._is_shallow():
            message = f"the merge base of {one.name} and {other.name} is not in this shallow clone"
            raise InputError(Problem.of_argument("base", message, _FETCH))
        message = f"{one.name} and {other.name} have no commit in common"
        raise InputError(Problem.of_argument("base", message, "choose another revision"))

    def _is_shallow(self) -> bool:
        done = self._run("rev-parse", "--is-shallow-repository")
        return done.stdout.strip() == b"true"

    def changed_files(self) -> int:
        """Count the files of the folder that are not as the last commit has them."""
        words = ("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", ".")
        done = self._checked(*words)
        return sum(bool(one) for one in done.split(b"\0"))

    def changed_since(self, base: Commit, head: Commit | None) -> list[str]:
        """Return the files of the folder that `head` has and that are not as `base` has them.

        They are named from `folder`. Without `head` the work tree is meant, with untracked files.
        """
        chosen = ("--name-only", "-z", "--no-renames", "--diff-filter=d", "--relative")
        ends = [base.sha] if head is None else [base.sha, head.sha]
        listed = self._checked("diff", "--no-ext-diff", *chosen, *ends, "--", ".")
        if head is None:
            listed += self._checked("ls-files", "-z", "--others", "--exclude-standard", "--", ".")
        names = {one.decode("utf-8", "surrogateescape") for one in listed.split(b"\0") if one}
        return sorted(names)

    def content(self, commit: Commit | None, path: str) -> bytes | None:
        """Return a file of a commit, of the work tree without one; None where it has none."""
        if commit is not None:
            return self.read(commit, path)
        try:
            return (self.folder / path).read_bytes()
        except OSError:
            return None

    def read(self, commit: Commit, path: str) -> bytes | None:
        """Return a file of a commit, None where it has none; `path` is from `folder`."""
        done = self._run("cat-file", "blob", f"{commit.sha}:{self._full(path)}")
        return done.stdout if done.returncode == 0 else None

    def _full(self, path: str) -> str:
        return f"{self.inside}/{path}" if self.inside else path

    @contextmanager
    def files(self, commit: Commit, below: Sequence[str] | None = None) -> Iterator[Path]:
        """Write the files of a commit to a temporary folder, which is removed at the end.

        Yields what is `folder` there. `below` are the paths that are wanted, from `folder`, all
        without it; symbolic links may lead anywhere, so that with one of them all are written.
        Raises `GitError`.
        """
        with tempfile.TemporaryDirectory(prefix="proxyrules-") as made:
            target = Path(made, "files")
            target.mkdir()
            index = {"GIT_INDEX_FILE": str(Path(made, "index"))}
            self._checked("read-tree", commit.sha, environment=index)
            words = ["checkout-index", "--quiet", f"--prefix={target}/"]
            chosen = None if below is None else self._chosen(commit, below)
            if chosen is None:
                self._checked(*words, "--all", environment=index, top=True)
            elif chosen:
                text = b"\0".join(chosen)
                self._checked(*words, "-z", "--stdin", environment=index, stdin=text, top=True)
            folder = target / self.inside
            folder.mkdir(parents=True, exist_ok=True)
            yield folder

    def _chosen(self, commit: Commit, below: Sequence[str]) -> list[bytes] | None:
        """Return the paths that are wanted, None for all."""
        wanted = [self._full(path).encode("utf-8", "surrogateescape") for path in below]
        if b"" in wanted:
            return None
        listed = self._checked("ls-tree", "-r", "-z", "--full-tree", commit.sha)
        chosen = []
        for entry in filter(None, listed.split(b"\0")):
            head, _, path = entry.partition(b"\t")
            if any(path == one or path.startswith(one + b"/") for one in wanted):
                if head.startswith(_LINK.encode()):
                    return None
                chosen.append(path)
        return chosen

    def configured(self, name: str) -> str | None:
        """Return a value of git's configuration, None where it is not set."""
        done = self._run("config", "--get", name)
        return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None

    def configure(self, name: str, value: str) -> None:
        """Set a value in the configuration of this clone. Raises `GitError`."""
        self._checked("config", "--local", name, value)

    def top(self) -> Path:
        """Return the root of the work tree."""
        text = self._checked("rev-parse", "--show-toplevel").decode("utf-8", "surrogateescape")
        return Path(text.strip("\n"))

    def _run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return _git(self.folder, *words)

    def _checked(
        self,
        *words: str,
        environment: dict[str, str] | None = None,
        stdin: bytes = b"",
        top: bool = False,
    ) -> bytes:
        folder = self.top() if top else self.folder
        done = _git(folder, *words, environment=environment, stdin=stdin)
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            reason = lines[-1] if lines else f"exit code {done.returncode}"
            raise GitError(f"git {words[0]} failed: {reason}")
        return done.stdout


def _git(
    folder: Path,
    *words: str,
    environment: dict[str, str] | None = None,
    stdin: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:
    variables = {**os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", **(environment or {})}
    try:
        return subprocess.run(  # noqa: S603
            ["git", *words],  # noqa: S607  # the user's git, wherever it is
            cwd=folder,
            env=variables,
            input=stdin,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise
        raise GitError(
            "git is not installed", "install it: files of revisions are read by it"
        ) from error
