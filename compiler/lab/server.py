"""The endpoints' servers: one process that answers in every endpoint's namespace.

A socket belongs to the namespace that it was made in, wherever its process goes afterwards. So one
process opens all sockets, entering each namespace for a moment, and serves them all from the node's
namespace, where `lab down` finds it.

Run as `python -m compiler.lab.server DIRECTORY LAB`. It reads `listeners.json` in the directory,
listens, and then writes that file's `generation` to `listening`. SIGHUP makes it read again:
sockets that are still wanted stay open. SIGTERM ends it.
"""

from __future__ import annotations

import resource
import selectors
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from compiler.family import IPV6
from compiler.lab import netns
from compiler.lab.layout import Listener, family_of
from compiler.lab.run_directory import LISTENERS_FILE, READY_FILE, netns_name

HTTP_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ")
BACKLOG = 512
MAX_REQUEST = 4096


class Listeners(msgspec.Struct, frozen=True):
    """What to listen on. `generation` counts the changes, so that each can be waited for."""

    generation: int
    listeners: tuple[Listener, ...]


def body(answer: str, client: str) -> bytes:
    """Return what an endpoint answers: its name, and the client's address as it saw it."""
    return f"Hostname: {answer}\nClient: {client}\n".encode()


def reply(request: bytes, answer: str, client: str) -> bytes:
    """Return the reply to a TCP request: HTTP where it was HTTP, the bare lines otherwise."""
    content = body(answer, client)
    if not request.startswith(HTTP_METHODS):
        return content
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if request.startswith(b"HEAD ") else content)


def open_socket(listener: Listener, kind: socket.SocketKind) -> socket.socket:
    """Open one listening socket in the current namespace."""
    family = socket.AF_INET6 if family_of(listener.address) == IPV6 else socket.AF_INET
    opened = socket.socket(family, kind)
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind((listener.address, listener.port))
    if kind is socket.SOCK_STREAM:
        opened.listen(BACKLOG)
    return opened


class Server:
    """All listening sockets and the connections on them, in one selector."""

    def __init__(self, directory: Path, lab: str) -> None:
        self.directory = directory
        self.lab = lab
        self.selector = selectors.DefaultSelector()
        self.open: dict[Listener, tuple[socket.socket, socket.socket]] = {}

    def load(self) -> None:
        """Listen where `listeners.json` says, and nowhere else."""
        wanted = msgspec.json.decode((self.directory / LISTENERS_FILE).read_bytes(), type=Listeners)
        for listener in set(self.open) - set(wanted.listeners):
            for gone in self.open.pop(listener):
                self.selector.unregister(gone)
                gone.close()
        for listener in wanted.listeners:
            if listener not in self.open:
                self.listen(listener)
        ready = self.directory / READY_FILE
        draft = ready.with_suffix(".draft")
        draft.write_text(str(wanted.generation))
        draft.replace(ready)

    def listen(self, listener: Listener) -> None:
        """Open the listener's TCP and UDP sockets inside its namespace."""
        with netns.entered(netns_name(self.lab, listener.member)):
            stream = open_socket(listener, socket.SOCK_STREAM)
            datagram = open_socket(listener, socket.SOCK_DGRAM)
        self.open[listener] = (stream, datagram)
        self.selector.register(stream, selectors.EVENT_READ, (self.accept, listener.member))
        self.selector.register(
            datagram, selectors.EVENT_READ, (self.answer_datagram, listener.member)
        )

    def accept(self, listening: socket.socket, answer: str) -> None:
        """Take a connection; it is answered when its request has come."""
        # The client may have gone again before its connection was taken.
        with suppress(OSError):
            connection, _ = listening.accept()
            connection.setblocking(False)
            self.selector.register(
                connection, selectors.EVENT_READ, (self.answer_connection, answer)
            )

    def answer_connection(self, connection: socket.socket, answer: str) -> None:
        """Answer the first bytes of a request (or its end) and close."""
        self.selector.unregister(connection)
        with connection, suppress(OSError):
            request = connection.recv(MAX_REQUEST)
            client: str = connection.getpeername()[0]
            connection.sendall(reply(request, answer, client))

    def answer_datagram(self, listening: socket.socket, answer: str) -> None:
        """Answer a datagram."""
        with suppress(OSError):
            _, sender = listening.recvfrom(MAX_REQUEST)
            listening.sendto(body(answer, sender[0]), sender)

    def serve(self) -> None:
        """Answer until SIGTERM; SIGHUP reads the listeners again."""
        wake, woken = socket.socketpair()
        for end in (wake, woken):
            end.setblocking(False)
        signal.set_wakeup_fd(woken.fileno())
        self.selector.register(wake, selectors.EVENT_READ, (self.signalled, ""))
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        self.load()
        while True:
            for key, _ in self.selector.select():
                handle, answer = key.data
                ready = key.fileobj
                # One that a reload closed earlier in this round has no number any more.
                if isinstance(ready, socket.socket) and ready.fileno() != -1:
                    handle(ready, answer)

    def signalled(self, wake: socket.socket, _: str) -> None:
        """Handle the signals that came."""
        numbers = wake.recv(MAX_REQUEST)
        if signal.SIGTERM in numbers:
            sys.exit(0)
        self.load()


def main() -> None:
    """Serve until SIGTERM."""
    directory, lab = Path(sys.argv[1]), sys.argv[2]
    # Two sockets an endpoint and family: a thousand pods need more than the usual 1024.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    Server(directory, lab).serve()


if __name__ == "__main__":
    main()
