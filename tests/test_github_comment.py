"""The comment on a pull request, against a server that stands for GitHub's API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compiler.github_comment import MAX_CHARACTERS, marker, run
from tests.github_server import BOT, TOKEN, Server, github_server

PULL = {"pull_request": {"number": 7, "head": {"repo": {"full_name": "shop/manifests"}}}}
FORK = {"pull_request": {"number": 7, "head": {"repo": {"full_name": "mallory/manifests"}}}}
RUN = {
    "workflow_run": {
        "head_repository": {"owner": {"login": "mallory"}},
        "head_branch": "patch-1",
        "head_sha": "abc",
    }
}


@pytest.fixture
def server() -> Iterator[Server]:
    with github_server() as made:
        yield made


class Step:
    """The step, with files of its own. `said` are its lines."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder, self.said = server, folder, list[str]()

    def __call__(
        self, report: str, *arguments: str, event: dict[str, Any] = PULL, token: str = TOKEN
    ) -> int:
        (self.folder / "report.md").write_text(report)
        (self.folder / "event.json").write_text(json.dumps(event))
        environ = {
            "GITHUB_API_URL": self.server.url,
            "GITHUB_REPOSITORY": "shop/manifests",
            "GITHUB_TOKEN": token,
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_OUTPUT": str(self.folder / "output"),
        }
        self.said.clear()
        return run([str(self.folder / "report.md"), *arguments], environ, self.said.append)


@pytest.fixture
def step(server: Server, tmp_path: Path) -> Step:
    return Step(server, tmp_path)


def test_one_comment_is_updated_rather_than_repeated(step: Step, server: Server) -> None:
    assert step("first\n") == 0
    assert step("second\n") == 0
    (comment,) = server.comments
    assert comment["body"] == f"{marker('')}\nsecond\n"
    address = comment["html_url"]
    assert step.said == [address]
    assert (step.folder / "output").read_text() == f"comment-url={address}\n" * 2


def test_an_equal_report_changes_nothing(step: Step, server: Server) -> None:
    step("same\n")
    server.comments[0]["body"] = server.comments[0]["body"].replace("\n", "\r\n")
    step("same\n")
    assert [method for method, _ in server.calls] == ["GET", "POST", "GET"]


def test_no_new_comment_where_nothing_changes(step: Step, server: Server) -> None:
    assert step("no change\n", "--only-update") == 0
    assert not server.comments
    assert not step.said
    step("a change\n")
    step("no change\n", "--only-update")
    assert [one["body"].partition("\n")[2] for one in server.comments] == ["no change\n"]


def test_the_comment_is_found_behind_a_hundred_others(step: Step, server: Server) -> None:
    for number in range(150):
        server.add(f"comment {number}", login="somebody")
    step("first\n")
    step("second\n")
    assert len(server.comments) == 151


def test_a_marker_of_somebody_elses_is_not_taken(step: Step, server: Server) -> None:
    """The token may change all comments: theirs must stay as it is."""
    theirs = server.add(f"{marker('')}\nmine", login="mallory")
    step("report\n")
    assert theirs["body"].endswith("mine")
    assert [one["user"]["login"] for one in server.comments] == ["mallory", BOT]


def test_reviews_with_names_have_comments_of_their_own(step: Step, server: Server) -> None:
    step("first\n", "--name", "a")
    step("second\n", "--name", "b")
    step("third\n", "--name", "a")
    assert [one["body"].splitlines()[1] for one in server.comments] == ["third", "second"]


def test_a_fork_has_no_right_to_comment_and_that_is_no_failure(step: Step, server: Server) -> None:
    server.refuse = ("POST", "PATCH")
    assert step("report\n", event=FORK) == 0
    assert step.said[0].startswith("::notice title=proxyrules::a pull request from a fork has a")


def test_a_missing_permission_is_a_failure(step: Step, server: Server) -> None:
    server.refuse = ("POST",)
    assert step("report\n") == 3
    assert step.said == [
        (
            "::error title=proxyrules::GitHub: POST issues/7/comments: 403 Resource not accessible"
            " by integration; the job needs the permission pull-requests: write"
        )
    ]
    assert step("report\n", token="wrong") == 3
    assert "401 Bad credentials" in step.said[0]


def test_a_second_workflow_finds_the_pull_request_by_branch_and_commit(
    step: Step, server: Server
) -> None:
    head = {"user": {"login": "mallory"}, "ref": "patch-1", "sha": "abc"}
    server.pulls = [
        {"number": 5, "head": {**head, "user": {"login": "shop"}}},
        {"number": 6, "head": {**head, "sha": "older"}},
        {"number": 7, "head": head},
    ]
    assert step("report\n", event=RUN) == 0
    assert len(server.comments) == 1


def test_no_comment_where_the_pull_request_has_moved_on(step: Step, server: Server) -> None:
    head = {"user": {"login": "mallory"}, "ref": "patch-1", "sha": "newer"}
    server.pulls = [{"number": 7, "head": head}]
    assert step("report\n", event=RUN) == 0
    assert not server.comments
    assert step.said == ["::notice title=proxyrules::no open pull request, so no comment"]


def test_a_push_has_no_pull_request(step: Step, server: Server) -> None:
    assert step("report\n", event={"ref": "refs/heads/main"}) == 0
    assert not server.calls


def test_a_report_that_is_too_long(step: Step, server: Server) -> None:
    assert step("x" * MAX_CHARACTERS) == 3
    assert not server.comments
    assert "over 65,536" in step.said[0]


def test_no_answer(step: Step, server: Server) -> None:
    server.url = "http://127.0.0.1:9"
    assert step("report\n") == 3
    assert step.said[0].startswith("::error title=proxyrules::GitHub: GET issues/7/comments?")
    assert step("report\n", event=RUN) == 3
    assert step.said[0].startswith("::error title=proxyrules::GitHub: GET pulls?")
    server.url = "file:///etc"
    assert step("report\n") == 3
    assert "should begin with https://" in step.said[0]


def test_outside_a_workflow(tmp_path: Path) -> None:
    said: list[str] = []
    assert run([str(tmp_path / "report.md")], {}, said.append) == 2
    assert "GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN, GITHUB_EVENT_PATH not set" in said[0]
