"""Runs the steps of a composite action as GitHub's runner does, as far as `action.yml` needs it.

The expressions are those of docs.github.com, "Evaluate expressions": names with dots, strings,
`==`, `!=`, `&&` and `||`. What is not known is an error, so that no test passes by leaving it out.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_NAME = re.compile(r"[a-z_][\w-]*(\.[\w-]+)*", re.IGNORECASE)


@dataclass
class Run:
    """What a run gave. `failed` is the name of the step that failed, empty where none did."""

    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    log: str = ""
    failed: str = ""


@dataclass
class Runner:
    """`folder` is the runner's temporary one, `workspace` where the repository is checked out.

    `github` is the context of that name, `environ` the environment of every step.
    """

    folder: Path
    workspace: Path
    github: Mapping[str, Any]
    environ: Mapping[str, str]

    def run(self, action: Path, **inputs: str) -> Run:
        """Run an action, a folder with `action.yml`; inputs have `_` where their names have `-`."""
        value = YAML(typ="safe").load(action / "action.yml")
        given = {name.replace("_", "-"): one for name, one in inputs.items()}
        unknown = given.keys() - value["inputs"].keys()
        assert not unknown, f"no inputs {unknown}"
        context: dict[str, Any] = {"github": self.github, "inputs": {}, "steps": {}}
        for name, one in value["inputs"].items():
            assert name in given or not one.get("required"), f"input {name} is required"
            context["inputs"][name] = given.get(name, expand(one.get("default", ""), context))
        result = Run()
        for number, step in enumerate(value["runs"]["steps"]):
            if result.failed:
                break
            condition = step.get("if")
            if condition is not None and not truth(evaluate(_inner(condition), context)):
                continue
            self._step(step, number, action, context, result)
        for name, one in value.get("outputs", {}).items():
            result.outputs[name] = expand(one["value"], context)
        return result

    def _step(
        self, step: Mapping[str, Any], number: int, action: Path, context: Any, result: Run
    ) -> None:
        assert step["shell"] == "bash", "the runner asks every step of an action for its shell"
        output, summary = self.folder / f"output-{number}", self.folder / f"summary-{number}"
        for path in (output, summary):
            path.touch()
        own = {name: expand(value, context) for name, value in step.get("env", {}).items()}
        environ = {
            **self.environ,
            "GITHUB_ACTION_PATH": str(action),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.folder),
            **own,
        }
        script = self.folder / f"step-{number}.sh"
        assert not _EXPRESSION.search(step["run"]), "expressions in scripts can be injected into"
        script.write_text(step["run"])
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.workspace / expand(step.get("working-directory", "."), context),
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        result.log += done.stdout
        result.summary += summary.read_text()
        if done.returncode:
            result.failed = step["name"]
        lines = [line.partition("=") for line in output.read_text().splitlines()]
        context["steps"][step.get("id", number)] = {"outputs": {k: v for k, _, v in lines}}


def expand(text: str, context: Mapping[str, Any]) -> str:
    """Replace the expressions in a text."""
    return _EXPRESSION.sub(lambda found: str(evaluate(found[1], context) or ""), str(text))


def _inner(condition: str) -> str:
    found = _EXPRESSION.fullmatch(condition.strip())
    return found[1] if found else condition


def truth(value: object) -> bool:
    """Say whether a value counts as true."""
    return bool(value)


def evaluate(expression: str, context: Mapping[str, Any]) -> Any:
    """Return what an expression gives."""
    if "||" in expression:
        first, _, rest = expression.partition("||")
        return evaluate(first, context) or evaluate(rest, context)
    if "&&" in expression:
        first, _, rest = expression.partition("&&")
        return evaluate(first, context) and evaluate(rest, context)
    for sign, equal in (("==", True), ("!=", False)):
        left, found, right = expression.partition(sign)
        if found:
            sides = [str(evaluate(side, context) or "") for side in (left, right)]
            return (sides[0] == sides[1]) is equal
    word = expression.strip()
    if re.fullmatch(r"'[^']*'", word):
        return word[1:-1]
    assert _NAME.fullmatch(word), f"not an expression that this runner knows: {word}"
    value: Any = context
    for part in word.split("."):
        # what is not there is null
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def base_environment(home: Path) -> dict[str, str]:
    """Return an environment without this machine's settings."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    return {**kept, "HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
