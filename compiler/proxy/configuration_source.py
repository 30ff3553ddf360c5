"""Where kube-proxy's configuration is in a text: a KubeProxyConfiguration, or kube-proxy's flags.

The configuration comes alone, under a key of a ConfigMap (`config.conf` with kubeadm, `config` with
EKS), or as the flags of kube-proxy's Pod or DaemonSet (GKE, RKE2), each also inside a List. As
kube-proxy does, flags beside `--config` are ignored, but for `--hostname-override`.

Source: kubernetes `cmd/kube-proxy/app/options.go` (`Complete`, `processHostnameOverrideFlag`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from compiler.errors import Problem
from compiler.manifests.convert import describe, shorten
from compiler.manifests.source import Source
from compiler.manifests.text import decode
from compiler.proxy.kube_proxy_flags import Flag, FlagError, KubeProxy, kube_proxies
from compiler.yaml.plain import Path, PlainDocument, SyntaxProblem, field_path

API_VERSION = "kubeproxy.config.k8s.io/v1alpha1"
KIND = "KubeProxyConfiguration"

# How many objects a message lists.
_LISTED = 5


@dataclass(frozen=True)
class Origin:
    """Where a value comes from: `file` names the text that has it, `subject` its object."""

    file: str
    document: PlainDocument
    path: Path = ()
    subject: str = KIND

    def problem(self, path: Path, message: str, hint: str = "", *, key: bool = False) -> Problem:
        """Return a problem with the value at `path` below this one, or with its key."""
        line, column = self.document.locate((*self.path, *path), key=key)
        # The path of an object in a List helps nobody: the subject names it.
        return Problem(self.file, message, hint, line, column, self.subject, field_path(path))

    def written(self, path: Path) -> str:
        """See `PlainDocument.written`; `path` is below this one."""
        return self.document.written((*self.path, *path))

    def octal(self, path: Path) -> tuple[int, int] | None:
        """See `PlainDocument.octal`; `path` is below this one."""
        return self.document.octal((*self.path, *path))


@dataclass
class Found:
    """What a text has: the value of a KubeProxyConfiguration, its origin, and kube-proxy's flags.

    `flags` are by kube-proxy's names in Python's spelling (`cluster_cidr`).
    """

    value: object = None
    origin: Origin | None = None
    flags: dict[str, tuple[Flag, Origin]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def find(source: Source) -> Found:
    """Find the configuration in a text; `problems` has why there is none, or more than one."""
    search = _Search(source.name)
    try:
        search.read(decode(source.text))
    except SyntaxProblem as problem:
        search.problems.append(_syntax(source.name, problem))
    return search.found()


def _syntax(name: str, problem: SyntaxProblem) -> Problem:
    return Problem(name, problem.message, problem.hint, problem.line, problem.column)


class _Search:
    def __init__(self, name: str) -> None:
        self._name = name
        self._configurations: list[tuple[object, Origin]] = []
        self._proxies: list[tuple[KubeProxy, Origin]] = []
        self._others: list[str] = []
        self.problems: list[Problem] = []

    def read(self, text: str) -> None:
        """Look at every document. Raises `SyntaxProblem`."""
        from compiler.yaml.composed import compose

        for document in compose(text):
            self._look_at(document.value, Origin(self._name, document))

    def _look_at(self, value: object, origin: Origin) -> None:
        if not isinstance(value, dict):
            self._others.append(describe(value))
            return
        kind, items, data = value.get("kind"), value.get("items"), value.get("data")
        proxies = list(kube_proxies(value))
        if kind == KIND:
            self._configurations.append((value, origin))
        elif isinstance(items, list):
            for index, item in enumerate(items):
                where = (*origin.path, "items", index)
                self._look_at(item, Origin(origin.file, origin.document, where))
        elif isinstance(data, dict):
            self._look_into(data, _name_of(value))
        elif proxies:
            pod = Origin(origin.file, origin.document, origin.path, _name_of(value))
            self._proxies += [(proxy, pod) for proxy in proxies]
        else:
            self._others.append(_name_of(value))

    def _look_into(self, data: dict[str, object], subject: str) -> None:
        """Look at what a ConfigMap has: every key, since any may be the one that is mounted."""
        from compiler.yaml.composed import compose

        self._others.append(f"{subject} ({', '.join(data) or 'no keys'})")
        for key, text in data.items():
            if not isinstance(text, str) or KIND not in text:
                continue
            name = f"{self._name} ({key})"
            try:
                found = [(one.value, Origin(name, one)) for one in compose(text)]
            except SyntaxProblem as problem:
                self.problems.append(_syntax(name, problem))
                continue
            self._configurations += [
                (value, origin)
                for value, origin in found
                if isinstance(value, dict) and value.get("kind") == KIND
            ]

    def found(self) -> Found:
        """Choose among what was found."""
        found = Found(problems=self.problems)
        for _, origin in self._configurations[1:]:
            found.problems.append(
                origin.problem((), f"there is a second {KIND}", "give only one of them")
            )
        if self._configurations:
            found.value, found.origin = self._configurations[0]
        reads_file = [proxy.config for proxy, _ in self._proxies if proxy.config]
        if reads_file and not self._configurations and not found.problems:
            proxy, origin = next(one for one in self._proxies if one[0].config)
            message = f"kube-proxy reads its configuration from {shorten(proxy.config)}"
            hint = "add the ConfigMap that has it: kubectl get configmap -n kube-system -o yaml"
            found.problems.append(origin.problem((), message, hint))
        elif self._proxies:
            self._take_flags(found, with_file=bool(self._configurations))
        elif not self._configurations and not found.problems:
            found.problems.append(self._nothing())
        return found

    def _nothing(self) -> Problem:
        looked_at = self._others[:_LISTED]
        more = len(self._others) - len(looked_at)
        listed = ", ".join(looked_at) + (f" and {more} more" if more > 0 else "")
        message = f"no {KIND} in {listed}" if listed else f"no {KIND}: the text is empty"
        return Problem(
            self._name, message, "give one, a ConfigMap that has one, or the Pod of kube-proxy"
        )

    def _take_flags(self, found: Found, *, with_file: bool) -> None:
        """Take the flags in which kube-proxy's Pods agree, each node's own name left out."""
        for proxy, origin in self._proxies:
            if with_file and not proxy.config:
                message = f"this kube-proxy has no --config, so it does not read the {KIND}"
                found.problems.append(origin.problem((), message, "give only one of them"))
                return
            found.problems += [_flag_problem(error, origin) for error in proxy.errors]
        first, origin = self._proxies[0]
        names = dict.fromkeys(name for proxy, _ in self._proxies for name in proxy.flags)
        for name in names:
            if with_file and name != "hostname_override":
                continue  # as kube-proxy ignores it
            values = [proxy.flags.get(name) for proxy, _ in self._proxies]
            if all(one and values[0] and one.value == values[0].value for one in values):
                found.flags[name] = first.flags[name], origin
            elif name != "hostname_override":
                found.problems.append(self._disagreement(name, values))

    def _disagreement(self, name: str, values: Sequence[Flag | None]) -> Problem:
        option = "--" + name.replace("_", "-")
        shown = dict.fromkeys(
            f"{origin.subject} has {shorten(flag.text) if flag else 'none'}"
            for flag, (_, origin) in zip(values, self._proxies, strict=True)
        )
        message = f"kube-proxy's {option} is not the same everywhere: {', '.join(list(shown)[:2])}"
        return Problem(self._name, message, "give the Pod of one node")


def _flag_problem(error: FlagError, origin: Origin) -> Problem:
    return origin.problem(error.path, error.message, error.hint)


def _name_of(value: dict[str, object]) -> str:
    """Name an object as messages do: `ConfigMap kube-system/kube-proxy`."""
    kind = value.get("kind")
    metadata = value.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    parts = [named.get("namespace"), named.get("name")]
    name = "/".join(str(part) for part in parts if part)
    text = " ".join(filter(None, [kind if isinstance(kind, str) else describe(value), name]))
    return text if text.isprintable() and len(text) < 320 else shorten(text)
