"""A dead man's switch for tests: an HTTP server on loopback that writes down what it was asked."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Check:
    """What came in, oldest first: method, path with query, body. ``answers`` are the statuses of the next answers (then
    200); a status of 0 means none at all: the connection is held until the end. ``location`` goes with redirects."""

    port: int = 0
    scheme: str = "http"
    answers: list[int] = field(default_factory=list)
    location: str = ""
    pings: list[tuple[str, str, bytes]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, without their queries."""
        return [path.partition("?")[0] for _, path, _ in self.pings]


@contextlib.contextmanager
def checking(answers: Sequence[int] = (), *, certificate: tuple[Path, Path] | None = None) -> Iterator[Check]:
    """Inside, the server runs; with a `certificate` (PEM, and its key) it speaks TLS."""
    check = Check(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            check.pings.append((self.command, self.path, body))
            status = check.answers.pop(0) if check.answers else 200
            if status == 0:
                check.over.wait()
                return
            self.send_response(status)
            if check.location:
                self.send_header("Location", check.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815 - the name is the library's

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        check.port = server.server_address[1]
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            check.scheme = "https"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield check
        finally:
            check.over.set()
            server.shutdown()
            thread.join()
