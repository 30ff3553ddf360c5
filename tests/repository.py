"""A git repository of a test's own, with manifests of a small shop."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

FILE = """\
snapshots:
  - name: shop
    manifests: [apps/shop/*.yaml, cluster/nodes.yaml]
    nodes: all
"""

NODES = "---\n".join(
    f"""\
apiVersion: v1
kind: Node
metadata:
  name: worker-{number}
spec:
  podCIDR: 10.244.{number}.0/24
"""
    for number in (1, 2, 3)
)

SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
spec:
  type: NodePort
  clusterIP: 10.96.10.10
  selector:
    app: web
  ports:
    - name: http
      port: 80
      targetPort: 8080
      nodePort: 30080
"""

SLICE = """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-abc
  namespace: shop
  labels:
    kubernetes.io/service-name: web
addressType: IPv4
ports:
  - name: http
    port: 8080
endpoints:
  - addresses: [10.244.1.10]
    nodeName: worker-1
  - addresses: [10.244.2.10]
    nodeName: worker-2
"""
THIRD = "  - addresses: [10.244.2.11]\n    nodeName: worker-2\n"
WEB = f"{SERVICE}---\n{SLICE}"

# A second Service, with session affinity.
API = WEB.replace("web", "api").replace("10.96.10.10", "10.96.10.20")
API = API.replace("  type: NodePort\n", "  sessionAffinity: ClientIP\n")
API = API.replace("      nodePort: 30080\n", "").replace(".10]", ".20]")

FILES = {
    "proxyrules.yaml": FILE,
    "cluster/nodes.yaml": NODES,
    "apps/shop/web.yaml": WEB,
    "apps/shop/api.yaml": API,
}


@dataclass(frozen=True)
class Repository:
    """A repository: the folder, which is the current one too."""

    root: Path

    def git(self, *words: str) -> str:
        """Run git and return what it printed."""
        done = subprocess.run(
            ["git", *words], cwd=self.root, capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """Write a file, in a folder that is made for it."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text of a file, which has it once or more."""
        text = self.read(path)
        assert old in text
        self.write(path, text.replace(old, new))

    def commit(self, message: str = "change") -> str:
        """Commit all files and return the hash."""
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").strip()


def make_repository(
    root: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str] | None = None
) -> Repository:
    """Make a repository with one commit on main, and work in it.

    Git reads no configuration but the repository's own, and its hashes are always the same.
    """
    for name, value in {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.org",
        "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
        "GIT_PAGER": "cat",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "PROXYRULES_ALLOW_COMMANDS"):
        monkeypatch.delenv(name, raising=False)
    root.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(root)
    repository = Repository(root)
    repository.git("init", "--quiet", "--initial-branch=main")
    for path, text in (FILES if files is None else files).items():
        repository.write(path, text)
    repository.commit("first")
    return repository
