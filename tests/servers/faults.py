"""A small HTTP proxy that does to requests what networks and overloaded servers do, as scripted; TLS if given.

Without a script it forwards everything, which makes it the TLS end of servers that have none.
"""

from __future__ import annotations

import http.client
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.servers.tls import Certificate


class Fault(Enum):
    """What happens to a request."""

    SLOW_DOWN = auto()  # 503 SlowDown, not forwarded
    INTERNAL_ERROR = auto()  # 500, not forwarded
    CONFLICT = auto()  # 409 ConditionalRequestConflict, not forwarded
    SKEWED = auto()  # 403 RequestTimeTooSkewed, not forwarded
    DENIED = auto()  # 403 AccessDenied, not forwarded
    UNKNOWN = auto()  # 501 NotImplemented, not forwarded
    RESET = auto()  # the connection is reset instead of an answer, not forwarded
    DROP_UPLOAD = auto()  # reset after half of the body was read, not forwarded
    LOSE_ANSWER = auto()  # forwarded, and the connection closed without the answer
    LATE_ERROR = auto()  # forwarded, and 500 answered all the same
    TRUNCATE = auto()  # half of the answer's body, then closed
    RESET_ANSWER = auto()  # half of the answer's body, then reset
    FLIP_ANSWER = auto()  # one bit of the answer's body differs
    FLIP_UPLOAD = auto()  # one bit of the request's body differs
    UNQUOTED = auto()  # 412 if If-Match has no quotes around its ETag, else forwarded
    HOLD = auto()  # forwarded once `Proxy.gate` is set


_CANNED = {
    Fault.SLOW_DOWN: (503, "SlowDown"),
    Fault.INTERNAL_ERROR: (500, "InternalError"),
    Fault.CONFLICT: (409, "ConditionalRequestConflict"),
    Fault.SKEWED: (403, "RequestTimeTooSkewed"),
    Fault.DENIED: (403, "AccessDenied"),
    Fault.UNKNOWN: (501, "NotImplemented"),
    Fault.LATE_ERROR: (500, "InternalError"),
}
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that arrived, and what was done to it (None: forwarded)."""

    method: str
    path: str
    headers: dict[str, str]
    fault: Fault | None


@dataclass(slots=True)
class Rule:
    """Do `fault` to the next `times` requests of `method` whose path contains `path`."""

    fault: Fault
    method: str
    path: str
    times: int


@dataclass
class Proxy:
    """Forwards 127.0.0.1:`port` to `upstream`; script it with `inject`, read what came from `seen`."""

    upstream: int
    port: int
    scheme: str
    seen: list[Seen] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    _rules: list[Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """What clients connect to."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def inject(self, fault: Fault, method: str = "", path: str = "", times: int = 1) -> None:
        """Add a rule; the first that applies acts."""
        with self._lock:
            self._rules.append(Rule(fault, method, path, times))

    def reset(self) -> None:
        """Forget rules and requests."""
        with self._lock:
            self._rules.clear()
            self.seen.clear()

    def count(self, method: str, path: str = "") -> int:
        """How many such requests came."""
        return sum(1 for seen in list(self.seen) if seen.method == method and path in seen.path)

    def choose(self, method: str, path: str, headers: dict[str, str]) -> Fault | None:
        """Note a request and say what to do to it."""
        with self._lock:
            fault = None
            for rule in self._rules:
                if rule.times > 0 and method.startswith(rule.method) and rule.path in path:
                    rule.times -= 1
                    fault = rule.fault
                    break
            self.seen.append(Seen(method, path, headers, fault))
            return fault


@contextmanager
def proxy(upstream: int, certificate: Certificate | None = None) -> Iterator[Proxy]:
    """Run a proxy in threads of this process, with TLS where there is a certificate."""
    server = _Server(certificate)
    served = Proxy(upstream, server.server_address[1], "https" if certificate else "http")
    server.served = served
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    served: Proxy

    def __init__(self, certificate: Certificate | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._context = certificate.server_context() if certificate else None

    def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """In the connection's own thread, so that a slow handshake holds nobody up."""
        assert isinstance(request, socket.socket)
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is None:
            _Handler(request, client_address, self)
            return
        with self._context.wrap_socket(request, server_side=True) as wrapped:
            _Handler(wrapped, client_address, self)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are nothing to print."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    rbufsize = 1 << 20

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        fault = self.server.served.choose(self.command, self.path, dict(self.headers.items()))
        size = int(self.headers.get("Content-Length") or 0)
        if fault is Fault.DROP_UPLOAD:
            self.rfile.read(size // 2)
            self._break(reset=True)
            return
        body = self.rfile.read(size)
        if fault is Fault.RESET:
            self._break(reset=True)
        elif fault is Fault.UNQUOTED and not self.headers.get("If-Match", "").startswith('"'):
            self._refuse(412, "PreconditionFailed")
        elif fault in _CANNED and fault is not Fault.LATE_ERROR:
            self._refuse(*_CANNED[fault])
        else:
            if fault is Fault.HOLD:
                self.server.served.gate.wait(60)
            self._forward(fault, _flipped(body) if fault is Fault.FLIP_UPLOAD else body)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve  # noqa: N815

    def _forward(self, fault: Fault | None, body: bytes) -> None:
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.served.upstream)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    upstream.putheader(name, value)
            upstream.putheader("Content-Length", str(len(body)))
            upstream.putheader("Connection", "close")
            upstream.endheaders(body)
            answer = upstream.getresponse()
            self._answer(fault, answer, answer.read())
        finally:
            upstream.close()

    def _answer(self, fault: Fault | None, answer: http.client.HTTPResponse, body: bytes) -> None:
        if fault is Fault.LOSE_ANSWER:
            self._break(reset=False)
            return
        if fault is Fault.LATE_ERROR:
            self._refuse(*_CANNED[fault])
            return
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        empty = self.command == "HEAD" or answer.status in {204, 304}
        length = answer.getheader("Content-Length") if empty else str(len(body))
        if length is not None:
            self.send_header("Content-Length", length)
        self.end_headers()
        if fault in {Fault.TRUNCATE, Fault.RESET_ANSWER}:
            self.wfile.write(body[: len(body) // 2])
            self._break(reset=fault is Fault.RESET_ANSWER)
            return
        self.wfile.write(_flipped(body) if fault is Fault.FLIP_ANSWER else body)

    def _refuse(self, status: int, code: str) -> None:
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _break(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())  # a plain close would leave it to the files made of the socket
        else:
            self.connection.shutdown(socket.SHUT_RDWR)


def _flipped(body: bytes) -> bytes:
    if not body:
        return body
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
