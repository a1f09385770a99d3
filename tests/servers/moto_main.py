"""moto's S3 server in a process of its own: writes its port to the file named by the argument, and serves."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class OneAtATime:
    """Lets requests that change something at the application one after the other.

    S3 compares and writes in one step; moto in two, between which another thread may write. A body is read before the
    turn is taken, so that a slow or cut sender holds up nobody.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._turn = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """As WSGI has it."""
        if environ["REQUEST_METHOD"] in {"GET", "HEAD"}:
            return self._application(environ, start_response)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length:
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        with self._turn:
            return list(self._application(environ, start_response))


class Dispatcher:
    """Tells requests to S3 by their signature. moto looks through the directory of its services for each request."""

    def __init__(self) -> None:
        self._s3 = create_backend_app("s3")
        self._others = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """As WSGI has it."""
        is_s3 = "/s3/aws4_request" in environ.get("HTTP_AUTHORIZATION", "")
        return (self._s3 if is_s3 else self._others)(environ, start_response)


def main() -> None:
    """Serve until killed."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = OneAtATime(Dispatcher())
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    target = Path(sys.argv[1])
    incoming = target.with_suffix(".new")
    incoming.write_text(str(server.server_port))
    incoming.rename(target)
    server.serve_forever()


if __name__ == "__main__":
    main()
