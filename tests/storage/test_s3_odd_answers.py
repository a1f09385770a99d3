"""Answers that no S3 server should give, and some do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from drtool.errors import TransientStorageError
from drtool.storage.s3 import S3Storage
from drtool.storage.s3_client import S3Settings
from tests.servers.s3 import ACCESS_KEY, REGION, SECRET_KEY


class _FailsWithAChecksum(BaseHTTPRequestHandler):
    """rclone's S3 server does this when an object is replaced under a reader."""

    def do_GET(self) -> None:
        body = b"<Error><Code>InternalError</Code></Error>"
        self.send_response(500)
        self.send_header("x-amz-checksum-crc32", "AAAAAA==")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _FailsWithAChecksum) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_server_error_with_a_checksum_is_worth_another_try(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    settings = S3Settings(REGION, f"http://127.0.0.1:{port}", None, None, None, 4)
    with closing(S3Storage("bucket", "", settings)) as storage, pytest.raises(TransientStorageError, match="bucket/x"):
        storage.get("x")
