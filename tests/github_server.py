"""A server on loopback that stands for GitHub's API, as far as comments need it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

BOT = "github-actions[bot]"
TOKEN = "a-token"


@dataclass
class Server:
    """`calls` are the methods and paths that were asked for; `refuse` are methods that get 403."""

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    refuse: tuple[str, ...] = ()

    def add(self, body: str, login: str = BOT) -> dict[str, Any]:
        number = len(self.comments) + 1
        comment = {
            "id": number,
            "body": body,
            "user": {"login": login},
            "html_url": f"https://github.com/shop/manifests/pull/7#issuecomment-{number}",
        }
        self.comments.append(comment)
        return comment

    def answer(self, method: str, target: str, body: dict[str, Any]) -> tuple[int, Any]:
        whole = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(whole.query).items()}
        path = whole.path.removeprefix("/repos/shop/manifests/")
        self.calls.append((method, path))
        if method in self.refuse:
            return 403, {"message": "Resource not accessible by integration"}
        if method == "GET" and path == "pulls":
            owner, _, branch = query["head"].partition(":")
            chosen = (owner, branch)
            heads = [one["head"] for one in self.pulls]
            found = [
                one
                for one, head in zip(self.pulls, heads, strict=True)
                if (head["user"]["login"], head["ref"]) == chosen
            ]
            return 200, found
        if path == "issues/7/comments":
            if method == "POST":
                return 201, self.add(body["body"])
            size, page = int(query["per_page"]), int(query["page"])
            return 200, self.comments[size * (page - 1) : size * page]
        if method == "PATCH" and (found_id := re.fullmatch(r"issues/comments/(\d+)", path)):
            comment = self.comments[int(found_id[1]) - 1]
            comment["body"] = body["body"]
            return 200, comment
        return 404, {"message": "Not Found"}


@contextmanager
def github_server() -> Iterator[Server]:
    """Run a server of the test's own."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                status, value = 401, {"message": "Bad credentials"}
            else:
                status, value = state.answer(self.command, self.path, body)
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = handle_one  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
