"""Servers that change while they are read, and servers that do not answer as they should."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from drtool.errors import (
    AuthenticationError,
    DrtoolError,
    InstantMovedError,
    MissingToolError,
    SourceError,
    UnreachableError,
)
from drtool.sources.chroma import ChromaSource
from drtool.sources.chroma.freezing import Selection
from drtool.sources.reading import WHOLE, Consistency
from drtool.sources.vectors.records import VECTORS, decode_all
from tests.sources.chroma import zoo
from tests.sources.chroma.zoo import Client
from tests.sources.contract import back_up, check_restored, plan_for, read_all, restore, rule_of

pytestmark = pytest.mark.heavy
pytest.importorskip("chromadb")

OnServer = tuple[str, str, Client]


def source_of(on_server: OnServer) -> ChromaSource:
    """The test's own database as a source."""
    return ChromaSource("vectors", on_server[0], selection=Selection(databases=(on_server[1],)))


def test_what_is_deleted_and_added_meanwhile_is_told_and_streams_fit(on_server: OnServer) -> None:
    client = on_server[2]
    collection = client.create_collection("docs", embedding_function=None)
    collection.add(ids=[f"{number:03}" for number in range(300)], embeddings=zoo.vectors(300, 4))
    with (
        closing(source_of(on_server)) as source,
        closing(source.prepare(None)) as prepared,
        closing(prepared.freeze()) as view,
    ):
        items, vectors = view.streams()
        collection.delete(ids=["007", "150"])
        read = [list(view.chunks(vectors, WHOLE, rule_of(vectors)))]
        collection.delete(ids=["100"])
        collection.add(ids=["new"], embeddings=zoo.vectors(1, 4))
        read.append(list(view.chunks(items, WHOLE, rule_of(items))))
        settled = view.settle()
    assert settled.consistency is Consistency.FUZZY
    [warning] = [text for text in settled.warnings if "docs" in text]
    assert "1 items are there that were not read" in warning
    assert "3 were deleted meanwhile" in warning
    ids = [[document["_id"] for chunk in chunks for document in decode_all(chunk.data)] for chunks in read]
    assert ids[0] == ids[1] == [f"{number:03}" for number in range(300) if number not in (7, 150)]


def test_a_collection_deleted_while_it_is_read_moves_the_instant(on_server: OnServer) -> None:
    client = on_server[2]
    client.create_collection("docs", embedding_function=None).add(ids=["a"], embeddings=zoo.vectors(1, 4))
    with (
        closing(source_of(on_server)) as source,
        closing(source.prepare(None)) as prepared,
        closing(prepared.freeze()) as view,
    ):
        view.streams()
        client.delete_collection("docs")
        with pytest.raises(InstantMovedError, match="docs"):
            read_all(view)
        with closing(prepared.freeze()) as later:
            assert list(later.streams()) == []


def test_a_collection_deleted_after_it_was_read_is_told(on_server: OnServer) -> None:
    client = on_server[2]
    client.create_collection("docs", embedding_function=None).add(ids=["a"], embeddings=zoo.vectors(1, 4))
    with (
        closing(source_of(on_server)) as source,
        closing(source.prepare(None)) as prepared,
        closing(prepared.freeze()) as view,
    ):
        assert sum(len(copy.chunks) for copy in read_all(view).values()) == 2
        client.delete_collection("docs")
        [warning] = view.settle().warnings
        assert "docs was deleted" in warning


def test_a_collection_filled_after_the_instant_is_no_other_definition(on_server: OnServer, tmp_path: Path) -> None:
    collection = on_server[2].create_collection("docs", embedding_function=None)
    with (
        closing(source_of(on_server)) as source,
        closing(source.prepare(None)) as prepared,
        closing(prepared.freeze()) as view,
    ):
        collection.add(ids=["a"], embeddings=zoo.vectors(1, 4))
        copies = read_all(view)
        plan = plan_for(source, copies)
        with source.sandbox("1.0.0", tmp_path) as box, closing(source.target(box.uri)) as target:
            restore(target, plan, copies)
            check_restored(source, target, plan, copies)


def test_restores_to_a_server_and_measures_search(on_server: OnServer) -> None:
    zoo.fill(on_server[2])
    with closing(source_of(on_server)) as source, closing(source.target(None)) as target:
        with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
            copies = read_all(view)
            view.settle()
            before = view.point
        plan = plan_for(source, copies)
        assert target.inspect(plan).occupied == ()
        restore(target, plan, copies)
        with closing(target.read_back(plan)) as back:
            found = read_all(back, {name: rule_of(copy.stream) for name, copy in copies.items()})
            back.settle()
            assert source.regressions(before, back.point) == []
            assert (
                back.point["recall"].keys()
                == before["recall"].keys()
                >= {f"default_tenant/{on_server[1]}/{name}" for name in ("large", "cosine", "inner")}
            )
        for name, copy in copies.items():
            compared = source.compare(
                copy.stream, [chunk.data for chunk in copy.chunks], [chunk.data for chunk in found[name].chunks]
            )
            assert compared.differences == (), name
        occupied = target.inspect(plan).occupied
        assert any("large_restored: 700 items" in sentence for sentence in occupied)


def test_another_tenant_and_database(on_server: OnServer) -> None:
    url, database, client = on_server
    client.create_collection("docs", embedding_function=None).add(ids=["a"], embeddings=zoo.vectors(1, 4))
    with closing(source_of(on_server)) as source, closing(source.target(None)) as target:
        copies = back_up(source)
        assert list(copies) == [f"default_tenant/{database}/docs", f"default_tenant/{database}/docs{VECTORS}"]
        plan = plan_for(source, copies)
        tenant = f"tenant-{database}"
        for item in plan.items:
            renamed = source.rename(item.stream.name, f"default_tenant/{database}", f"{tenant}/other")
            assert renamed is not None
            object.__setattr__(item, "name", renamed)
        restore(target, plan, copies)
    there = ChromaSource("vectors", url, selection=Selection(tenants=(tenant,)))
    assert list(back_up(there)) == [f"{tenant}/other/docs", f"{tenant}/other/docs{VECTORS}"]


def test_what_the_configuration_names_and_is_not_there(on_server: OnServer) -> None:
    source = ChromaSource("vectors", on_server[0], selection=Selection(databases=("no-such",)))
    assert any("database no-such" in warning for warning in source.probe().warnings)


Answer = Callable[[BaseHTTPRequestHandler], None]


def whole(status: int, body: bytes) -> Answer:
    """An answer as it should be."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def half(request: BaseHTTPRequestHandler) -> None:
    """An answer that is not all that it announces."""
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"nanosecond')
    request.close_connection = True


@contextmanager
def server_that(answer: Answer) -> Iterator[str]:
    """The URL of a server that answers so, whatever is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (half, UnreachableError, "peer closed"),
        (whole(200, b'"2.0.0"'), MissingToolError, "2.0.0"),
        (whole(401, b'{"error": "ChromaAuthError", "message": "no"}'), AuthenticationError, "401"),
        (whole(403, b"<html>forbidden</html>"), AuthenticationError, "403"),
        (whole(404, b"<html>not here</html>"), SourceError, "404"),
        (whole(503, b"busy"), UnreachableError, "503"),
        (whole(200, b"<html>another server</html>"), SourceError, "http://127.0.0.1"),
    ],
)
def test_answers_that_are_none_are_named(answer: Answer, error: type[DrtoolError], says: str) -> None:
    with server_that(answer) as url, pytest.raises(error, match=says) as caught:
        ChromaSource("vectors", url, headers={"Authorization": "Bearer hunter2"}).probe()
    assert caught.value.hint
    assert "hunter2" not in caught.value.message + (caught.value.hint or "")


def test_headers_go_to_the_own_server_only() -> None:
    seen: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.headers.get("X-Chroma-Token"))
        whole(200, b'"1.0.0"')(request)

    with server_that(answer) as own, server_that(answer) as other:
        source = ChromaSource("vectors", own, headers={"X-Chroma-Token": "hunter2"})
        for uri, expected in ((own, "hunter2"), (f"{own}/", "hunter2"), (other, None)):
            seen.clear()
            with closing(source.target(uri)) as target, pytest.raises(SourceError):
                target.inspect(plan_for(source, {}))
                target._engine().databases("default_tenant")
            assert set(seen) == {expected}, uri
