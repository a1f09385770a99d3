"""Retries: on faults between drtool and a real server, and on a clock that the test moves."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drtool.errors import (
    CorruptAnswerError,
    InterruptedRunError,
    PreconditionFailedError,
    ThrottledError,
    TransientStorageError,
)
from drtool.storage.attempts import RetryPolicy
from drtool.storage.directory import DirectoryStorage
from drtool.storage.retry import Retrying
from drtool.storage.s3 import S3Storage
from drtool.storage.s3_client import S3Settings
from tests.servers import s3
from tests.servers.faults import Fault, Proxy, proxy
from tests.servers.process import wait_until
from tests.servers.tls import Certificate
from tests.storage.conftest import Servers

QUICK = RetryPolicy(shortest=0.001, longest=0.01)
CONTENT = secrets.token_bytes(300_000)


class Bench:
    """A storage behind a fault proxy (`bare`), the same with retries, and past the proxy (`direct`)."""

    def __init__(self, faults: Proxy, bare: S3Storage, direct: S3Storage) -> None:
        self.faults = faults
        self.bare = bare
        self.direct = direct
        self.storage = Retrying(bare, QUICK)


@pytest.fixture(scope="module", params=["http", "https"])
def faults(request: pytest.FixtureRequest, servers: Servers, certificate: Certificate) -> Iterator[Proxy]:
    with proxy(servers.port("moto"), certificate if request.param == "https" else None) as running:
        yield running


@pytest.fixture
def bench(faults: Proxy, servers: Servers, certificate: Certificate) -> Iterator[Bench]:
    faults.reset()
    bucket = f"bucket-{secrets.token_hex(6)}"
    s3.make_bucket(servers.port("moto"), bucket)
    bare = S3Storage(bucket, "p", S3Settings(endpoint_url=faults.url, ca_bundle=str(certificate.certificate)))
    direct = S3Storage(bucket, "p", S3Settings(endpoint_url=servers.endpoint("moto", "http")))
    yield Bench(faults, bare, direct)
    bare.close()
    direct.close()


@pytest.mark.parametrize(
    "fault",
    [
        Fault.SLOW_DOWN,
        Fault.INTERNAL_ERROR,
        Fault.CONFLICT,
        Fault.SKEWED,
        Fault.RESET,
        Fault.DROP_UPLOAD,
        Fault.LOSE_ANSWER,
        Fault.LATE_ERROR,
    ],
)
def test_put_rides_out(bench: Bench, fault: Fault) -> None:
    bench.faults.inject(fault, "PUT", times=2)
    bench.storage.put("object", CONTENT)
    assert bench.direct.get("object") == CONTENT
    assert bench.faults.count("PUT") == 3


@pytest.mark.parametrize("fault", [Fault.TRUNCATE, Fault.RESET_ANSWER, Fault.LOSE_ANSWER])
def test_get_rides_out(bench: Bench, fault: Fault) -> None:
    bench.direct.put("object", CONTENT)
    bench.faults.inject(fault, "GET", "object", times=2)
    assert bench.storage.get("object") == CONTENT
    assert bench.faults.count("GET") == 3


@pytest.mark.parametrize("fault", [Fault.TRUNCATE, Fault.RESET_ANSWER])
def test_range_rides_out(bench: Bench, fault: Fault) -> None:
    bench.direct.put("object", CONTENT)
    bench.faults.inject(fault, "GET", "object")
    assert bench.storage.get("object", offset=1000, length=200_000) == CONTENT[1000:201_000]


def test_flipped_bit_is_noticed_where_the_store_keeps_checksums(servers: Servers) -> None:
    s3.make_bucket(servers.port("ministack"), bucket := f"bucket-{secrets.token_hex(6)}")
    with proxy(servers.port("ministack")) as front:
        bare = S3Storage(bucket, "p", S3Settings(endpoint_url=front.url))
        bare.put("object", CONTENT)
        front.inject(Fault.FLIP_ANSWER, "GET", times=3)
        with pytest.raises(CorruptAnswerError):
            bare.get("object")
        assert Retrying(bare, QUICK).get("object") == CONTENT
        assert front.count("GET") == 4


def test_bit_flipped_on_the_way_up_is_noticed_at_the_latest_on_reading(servers: Servers) -> None:
    s3.make_bucket(servers.port("ministack"), bucket := f"bucket-{secrets.token_hex(6)}")
    with proxy(servers.port("ministack")) as front:
        bare = S3Storage(bucket, "p", S3Settings(endpoint_url=front.url))
        front.inject(Fault.FLIP_UPLOAD, "PUT")
        with pytest.raises(CorruptAnswerError):
            bare.put("object", CONTENT)
            bare.get("object")


def test_slow_put_leaves_the_old_object_in_place(bench: Bench) -> None:
    bench.direct.put("object", b"old")
    bench.faults.gate.clear()
    bench.faults.inject(Fault.HOLD, "PUT")
    with ThreadPoolExecutor(1) as threads:
        put = threads.submit(bench.storage.put, "object", CONTENT)
        try:
            wait_until(lambda: bench.faults.count("PUT") == 1, "the put to arrive")
            assert bench.direct.get("object") == b"old"
        finally:
            bench.faults.gate.set()
        put.result()
    assert bench.direct.get("object") == CONTENT


def test_flipped_bit_in_a_range_is_for_the_repository_to_notice(bench: Bench) -> None:
    """S3 has no checksum of a range: what comes is what the repository's own hashes then refuse."""
    bench.direct.put("object", CONTENT)
    bench.faults.inject(Fault.FLIP_ANSWER, "GET", "object")
    assert bench.storage.get("object", offset=1000, length=200_000) != CONTENT[1000:201_000]


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.LATE_ERROR])
def test_lost_answer_of_a_create_only_put_is_success(bench: Bench, fault: Fault) -> None:
    bench.faults.inject(fault, "PUT")
    info = bench.storage.put("object", CONTENT, if_absent=True)
    assert bench.faults.count("PUT") == 2
    assert bench.direct.head("object").etag == info.etag
    assert bench.direct.get("object") == CONTENT


def test_lost_answer_of_a_swap_is_success(bench: Bench) -> None:
    etag = bench.direct.put("object", b"old").etag
    bench.faults.inject(Fault.LOSE_ANSWER, "PUT")
    info = bench.storage.put("object", CONTENT, if_match=etag)
    assert bench.direct.head("object").etag == info.etag
    assert bench.direct.get("object") == CONTENT


def test_server_that_wants_quotes_around_an_etag_gets_them(bench: Bench) -> None:
    etag = bench.direct.put("object", b"old").etag
    bench.faults.inject(Fault.UNQUOTED, "PUT", times=100)
    etag = bench.bare.put("object", b"new", if_match=etag).etag
    assert bench.faults.count("PUT") == 2
    bench.bare.put("object", CONTENT, if_match=etag)
    assert bench.faults.count("PUT") == 3
    with pytest.raises(PreconditionFailedError):
        bench.bare.put("object", b"late", if_match=etag)
    assert bench.direct.get("object") == CONTENT


def test_conflict_is_not_taken_for_a_lost_answer(bench: Bench) -> None:
    bench.direct.put("object", b"another's")
    with pytest.raises(PreconditionFailedError):
        bench.storage.put("object", CONTENT, if_absent=True)
    assert bench.faults.count("PUT") == 1
    bench.faults.inject(Fault.RESET, "PUT")
    with pytest.raises(PreconditionFailedError):
        bench.storage.put("object", CONTENT, if_absent=True)
    assert bench.direct.get("object") == b"another's"


def test_identical_bytes_of_another_are_a_conflict_where_no_answer_was_lost(bench: Bench) -> None:
    bench.direct.put("object", CONTENT)
    bench.faults.inject(Fault.SLOW_DOWN, "PUT")
    with pytest.raises(PreconditionFailedError):
        bench.storage.put("object", CONTENT, if_absent=True)


def test_listing_goes_on_where_it_broke_off(bench: Bench) -> None:
    names = [f"{number:04}" for number in range(30)]
    for name in names:
        bench.direct.put(name, b"")
    bench.faults.inject(Fault.TRUNCATE, "GET", "list-type", times=2)
    assert [info.name for info in bench.storage.list()] == names


@pytest.mark.parametrize("fault", [Fault.SLOW_DOWN, Fault.LATE_ERROR, Fault.TRUNCATE])
def test_attempts_run_out_with_the_error_and_the_tally(bench: Bench, fault: Fault) -> None:
    bench.direct.put("object", CONTENT)
    bench.faults.inject(fault, "GET", times=100)
    expected = {Fault.SLOW_DOWN: ThrottledError, Fault.TRUNCATE: CorruptAnswerError}
    with pytest.raises(TransientStorageError, match=r"tried 4 times") as caught:
        Retrying(bench.bare, RetryPolicy(attempts=4, shortest=0.001)).get("object")
    assert type(caught.value) is expected.get(fault, TransientStorageError)
    assert bench.faults.count("GET") == 4


def test_nothing_but_plain_bodies_is_sent(bench: Bench) -> None:
    bench.storage.put("object", CONTENT)
    (seen,) = bench.faults.seen
    assert "x-amz-trailer" not in {name.lower() for name in seen.headers}
    assert "Transfer-Encoding" not in seen.headers
    assert len(seen.headers["X-Amz-Content-SHA256"]) == 64


def test_cancellation_ends_a_wait(bench: Bench) -> None:
    bench.faults.inject(Fault.INTERNAL_ERROR, "PUT", times=100)
    cancelled = threading.Event()
    cancelled.set()
    storage = Retrying(bench.bare, RetryPolicy(shortest=3600, longest=3600, elapsed=1e9), cancelled=cancelled)
    with pytest.raises(InterruptedRunError):
        storage.put("object", CONTENT)
    bench.faults.reset()
    storage.put("object", CONTENT)


class Failing(DirectoryStorage):
    """Answers each head with the next of `errors`."""

    def __init__(self, path: Path, errors: Callable[[], TransientStorageError]) -> None:
        super().__init__(path)
        self._errors = errors

    def head(self, name: str, *, version: str | None = None) -> object:  # type: ignore[override]
        raise self._errors()


def test_elapsed_time_is_bounded(tmp_path: Path) -> None:
    now = 0.0

    def wait(seconds: float) -> bool:
        nonlocal now
        now += seconds
        return False

    storage = Failing(tmp_path / "r", lambda: TransientStorageError("no"))
    policy = RetryPolicy(attempts=10**6, contact_attempts=10**6, elapsed=100)
    with pytest.raises(TransientStorageError, match="tried"):
        Retrying(storage, policy, clock=lambda: now, wait=wait).head("x")  # type: ignore[arg-type]
    assert 60 < now <= 100


def test_store_that_never_answered_is_given_up_soon(tmp_path: Path) -> None:
    storage = Failing(tmp_path / "r", lambda: TransientStorageError("no", ambiguous=False))
    with pytest.raises(TransientStorageError, match="tried 5 times"):
        Retrying(storage, QUICK).head("x")  # type: ignore[arg-type]
