"""A web server that is a provider: it keeps what it gets, and answers as told, or as the provider would."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.monitoring.targets.providers import Provider, Reply, Request


class Receiver:
    """``requests`` are those that came; the next ones of ``answers`` go before the provider's own."""

    def __init__(self, provider: Provider, server: ThreadingHTTPServer, scheme: str) -> None:
        self.provider = provider
        self.requests: list[Request] = []
        self.answers: list[Reply] = []
        #: Set to let requests wait that came while `hanging`.
        self.go_on = threading.Event()
        self.hanging = False
        self._address = f"{scheme}://127.0.0.1:{server.server_port}"

    def url(self, path: str = "/T00000000/B00000000/secretsecretsecret") -> str:
        """Where it listens; the path is a secret, as with most."""
        return self._address + path

    def reply(self, request: Request) -> Reply:
        """Keep it, and decide."""
        self.requests.append(request)
        if self.hanging:
            self.go_on.wait(60)
        return self.answers.pop(0) if self.answers else self.provider(request)

    @property
    def accepted(self) -> list[Request]:
        """Those that the provider takes."""
        return [request for request in self.requests if self.provider(request).status < 300]


@contextlib.contextmanager
def receiving(provider: Provider, certificate: Path | None = None) -> Iterator[Receiver]:
    """A receiver, over TLS where there is a certificate (with its key)."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = receiver.reply(Request(self.command, self.path, headers, body))
            with contextlib.suppress(OSError):  # who waited has gone
                self.send_response(reply.status)
                for name, value in reply.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

        do_POST = do_PUT = do_GET = _answer  # noqa: N815 - the library's names

        def log_message(self, *_arguments: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver = Receiver(provider, server, "http" if certificate is None else "https")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()
