"""One comment on a pull request, which is updated rather than repeated: a step of `action.yml`.

`python -m compiler.github_comment REPORT` takes what it needs from the environment that GitHub
gives every step (docs.github.com: "Store information in variables"), and `GITHUB_TOKEN`.
The number of the pull request is never taken from the report's side: a pull request from a fork
decides what a report says.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# GitHub rejects longer comments. `review` keeps its reports below 65,000.
MAX_CHARACTERS = 65_536
_PER_PAGE = 100
_TIMEOUT = 30.0

Event = Mapping[str, Any]


class GitHubError(Exception):
    """What GitHub answered instead of doing it. `status` is HTTP's, 0 where there was no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True)
class GitHub:
    """A repository by GitHub's REST API."""

    api: str
    repository: str
    token: str

    def call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """Call the API, and return what it answers. Raises GitHubError."""
        url = f"{self.api}/repos/{self.repository}/{path}"
        if not url.startswith(("http://", "https://")):
            raise GitHubError(f"GITHUB_API_URL is {self.api!r}, and should begin with https://")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, method=method)  # noqa: S310  # checked above
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Accept", "application/vnd.github+json")
        request.add_header("X-GitHub-Api-Version", "2022-11-28")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            message = f"{method} {path}: {error.code} {_message(error)}"
            raise GitHubError(message, error.code) from error
        except (OSError, ValueError) as error:
            raise GitHubError(f"{method} {path}: {error}") from error

    def pages(self, path: str) -> Iterator[Any]:
        """Give all items of a list. Raises GitHubError."""
        page = 1
        while True:
            items = self.call("GET", f"{path}?per_page={_PER_PAGE}&page={page}")
            yield from items
            if len(items) < _PER_PAGE:
                return
            page += 1


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return str(error.reason)


@dataclass(frozen=True)
class PullRequest:
    """A pull request; `fork` is whether its branch is in another repository."""

    number: int
    fork: bool


def pull_request(event: Event, github: GitHub) -> PullRequest | None:
    """Return the pull request that an event is about; None for a push, say.

    A `workflow_run` that a fork's pull request started names none, so that it is looked up by its
    branch, and has to be at the commit that ran. Raises GitHubError.
    """
    if (found := event.get("pull_request")) is not None:
        head = (found.get("head") or {}).get("repo") or {}
        return PullRequest(int(found["number"]), head.get("full_name") != github.repository)
    run = event.get("workflow_run")
    if run is None:
        return None
    owner, branch = run["head_repository"]["owner"]["login"], run["head_branch"]
    asked = urllib.parse.urlencode({"state": "open", "head": f"{owner}:{branch}"})
    for one in github.call("GET", f"pulls?{asked}"):
        if one["head"]["sha"] == run["head_sha"]:
            # here the token is the base repository's own
            return PullRequest(int(one["number"]), fork=False)
    return None


def marker(name: str) -> str:
    """Return the line by which the comment is found again; `name` keeps several apart."""
    return f"<!-- proxyrules review {name} -->".replace("  ", " ")


def comment_of(comments: Iterator[Any], name: str, author: str) -> Any | None:
    """Return the comment that was written before.

    Only one of `author`'s is taken: anybody can write the marker into a comment of their own, and
    the token may change others' comments.
    """
    first = marker(name)
    for comment in comments:
        body = str(comment.get("body") or "")
        if body.startswith(first) and (comment.get("user") or {}).get("login") == author:
            return comment
    return None


def write_comment(  # by name
    github: GitHub,
    number: int,
    report: str,
    *,
    name: str = "",
    author: str = "github-actions[bot]",
    only_update: bool = False,
) -> str | None:
    """Write the report as a comment, or update the one that is there; return its address.

    With `only_update` no new one is written: None is returned where there is none. Raises
    GitHubError.
    """
    body = f"{marker(name)}\n{report}"
    if len(body) > MAX_CHARACTERS:
        raise GitHubError(f"the report has {len(body):,} characters, over {MAX_CHARACTERS:,}")
    there = comment_of(github.pages(f"issues/{number}/comments"), name, author)
    if there is None:
        if only_update:
            return None
        there = github.call("POST", f"issues/{number}/comments", {"body": body})
    elif str(there["body"]).replace("\r\n", "\n") != body:
        there = github.call("PATCH", f"issues/comments/{there['id']}", {"body": body})
    return str(there["html_url"])


def run(arguments: Sequence[str], environ: Mapping[str, str], say: Callable[[str], object]) -> int:
    """Do what the command line asks for; return the exit code."""
    asked = _parser().parse_args(arguments)
    missing = [name for name in _NEEDED if not environ.get(name)]
    if missing:
        say(f"::error title=proxyrules::{', '.join(missing)} not set: this is a step of a workflow")
        return 2
    api, repository, token, event_path = (environ[name] for name in _NEEDED)
    github = GitHub(api, repository, token)
    found: PullRequest | None = None
    event = json.loads(Path(event_path).read_text(encoding="utf-8"))
    try:
        found = pull_request(event, github)
        if found is None:
            say("::notice title=proxyrules::no open pull request, so no comment")
            return 0
        report = Path(asked.report).read_text(encoding="utf-8")
        address = write_comment(
            github,
            found.number,
            report,
            name=asked.name,
            author=asked.author,
            only_update=asked.only_update,
        )
    except GitHubError as error:
        forbidden = error.status in (401, 403, 404)
        if forbidden and found is not None and found.fork:
            say(f"::notice title=proxyrules::{_FORK}")
            return 0
        hint = "; the job needs the permission pull-requests: write" if forbidden else ""
        say(f"::error title=proxyrules::GitHub: {_one_line(str(error))}{hint}")
        return 3
    if address is not None:
        say(address)
        _output(environ, f"comment-url={address}\n")
    return 0


_NEEDED = ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN", "GITHUB_EVENT_PATH")
_FORK = (
    "a pull request from a fork has a token that can't comment; the report is in the job summary"
    " (docs/pull-requests.md shows how a second workflow comments)"
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m compiler.github_comment", description=__doc__)
    parser.add_argument("report", help="a file of Markdown")
    parser.add_argument("--name", default="", help="keeps the comments of several reviews apart")
    parser.add_argument("--author", default="github-actions[bot]", help="who the token belongs to")
    parser.add_argument("--only-update", action="store_true", help="write no new comment")
    return parser


def _one_line(text: str) -> str:
    """Return text as one value of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _output(environ: Mapping[str, str], line: str) -> None:
    if path := environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(line)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], os.environ, print))
