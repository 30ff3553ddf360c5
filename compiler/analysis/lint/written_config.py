"""kube-proxy's configuration as its file has it, before flags of the command override it."""

from __future__ import annotations

from compiler.errors import Problem
from compiler.manifests.source import Source
from compiler.proxy.configuration import PATHS
from compiler.proxy.configuration_source import Found, find


class WrittenConfig:
    """The values of a file, by the names of `configuration.PATHS`; of no file without one."""

    def __init__(self, source: Source | None) -> None:
        self._found = find(source) if source is not None else Found()

    def value(self, name: str) -> object:
        """Return a value as it was written, None where it was not."""
        if name in self._found.flags:
            return self._found.flags[name][0].value
        value = self._found.value
        for step in PATHS[name]:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def tell(self, name: str, message: str, hint: str) -> Problem:
        """Make a problem of a value at its line of the file."""
        if name in self._found.flags:
            flag, origin = self._found.flags[name]
            return origin.problem(flag.path, message, hint)
        if self._found.origin is None:
            return Problem.of_argument(name, message, hint)
        return self._found.origin.problem(PATHS[name], message, hint)
