"""A stub of Qdrant's REST interface over qdrant-client's local mode in memory: as much of it as drtool uses.

It is no Qdrant: what it shows is that drtool asks and understands as qdrant-client does.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from qdrant_client import QdrantClient, models

VERSION = "1.17.0"
_HNSW = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000, "max_indexing_threads": 0}
_OPTIMIZERS = {"deleted_threshold": 0.2, "vacuum_min_vector_number": 1000, "default_segment_number": 0}
_PARAMS = {"shard_number": 1, "replication_factor": 1, "write_consistency_factor": 1, "on_disk_payload": True}

Body = dict[str, Any]


@dataclass
class Stub:
    """What it holds, and how it misbehaves: ``api_key`` is asked for; ``cut`` answers are cut in half, by a part of
    their path; ``hook`` is called before each answer."""

    client: QdrantClient
    url: str
    api_key: str = ""
    cut: str = ""
    hook: Callable[[str], None] = lambda path: None
    configs: dict[str, Body] = field(default_factory=dict)
    indexes: dict[str, Body] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: Body) -> Any:
        """The result; ``KeyError`` where there is no such thing."""
        for verb, pattern, name in _ROUTES:
            found = re.fullmatch(pattern, path)
            if verb == method and found:
                with _LOCK:
                    return getattr(self, f"_{name}")(*found.groups(), body)
        raise KeyError(path)

    def _list(self, body: Body) -> Any:
        return {"collections": [{"name": one.name} for one in self.client.get_collections().collections]}

    def _exists(self, name: str, body: Body) -> Any:
        return {"exists": self.client.collection_exists(name)}

    def _describe(self, name: str, body: Body) -> Any:
        config = self.configs[name]
        params = _PARAMS | {key: value for key, value in config.items() if key in ("vectors", "sparse_vectors")}
        known = {key: value for key, value in config.items() if key in ("quantization_config", "metadata")}
        return {
            "status": "green",
            "optimizer_status": "ok",
            "segments_count": 1,
            "points_count": self.client.count(name).count,
            "config": {
                "params": params,
                "hnsw_config": _HNSW | config.get("hnsw_config", {}),
                "optimizer_config": _OPTIMIZERS
                | {"flush_interval_sec": 5, "indexing_threshold": 10_000}
                | config.get("optimizers_config", {}),
                **known,
            },
            "payload_schema": {key: {**one, "points": 1} for key, one in self.indexes.get(name, {}).items()},
        }

    def _create(self, name: str, body: Body) -> Any:
        made = models.CreateCollection(**body)
        self.configs[name] = body
        return self.client.create_collection(name, made.vectors or {}, made.sparse_vectors)

    def _update(self, name: str, body: Body) -> Any:
        for key, value in body.items():
            self.configs[name][key] = self.configs[name].get(key, {}) | value
        return True

    def _delete(self, name: str, body: Body) -> Any:
        self.configs.pop(name, None)
        return self.client.delete_collection(name)

    def _count(self, name: str, body: Body) -> Any:
        return {"count": self.client.count(name).count}

    def _scroll(self, name: str, body: Body) -> Any:
        points, following = self.client.scroll(
            name,
            limit=body["limit"],
            offset=body.get("offset"),
            with_payload=body["with_payload"],
            with_vectors=body["with_vector"],
        )
        return {"points": [_dumped(point) for point in points], "next_page_offset": following}

    def _retrieve(self, name: str, body: Body) -> Any:
        return [_dumped(point) for point in self.client.retrieve(name, body["ids"])]

    def _query(self, name: str, body: Body) -> Any:
        found = self.client.query_points(
            name, query=body["query"]["nearest"], using=body.get("using"), limit=body["limit"]
        )
        return {"points": [{"id": point.id, "version": 0, "score": point.score} for point in found.points]}

    def _upsert(self, name: str, body: Body) -> Any:
        self.client.upsert(name, [models.PointStruct(**point) for point in body["points"]])
        return {"operation_id": 0, "status": "completed"}

    def _index(self, name: str, body: Body) -> Any:
        schema = body["field_schema"]
        told = {"data_type": schema} if isinstance(schema, str) else {"data_type": schema["type"], "params": schema}
        self.indexes.setdefault(name, {})[body["field_name"]] = told
        return {"operation_id": 0, "status": "completed"}

    def _aliases(self, name: str, body: Body) -> Any:
        return {"aliases": [_dumped(one) for one in self.client.get_collection_aliases(name).aliases]}

    def _all_aliases(self, body: Body) -> Any:
        return {"aliases": [_dumped(one) for one in self.client.get_aliases().aliases]}

    def _alias(self, body: Body) -> Any:
        made = [models.CreateAliasOperation(**one) for one in body["actions"]]
        return self.client.update_collection_aliases(made)

    def _cluster(self, body: Body) -> Any:
        return {"status": "disabled"}


_ROUTES = (
    ("GET", "/collections", "list"),
    ("GET", "/aliases", "all_aliases"),
    ("GET", "/cluster", "cluster"),
    ("POST", "/collections/aliases", "alias"),
    ("GET", "/collections/([^/]+)", "describe"),
    ("PUT", "/collections/([^/]+)", "create"),
    ("PATCH", "/collections/([^/]+)", "update"),
    ("DELETE", "/collections/([^/]+)", "delete"),
    ("GET", "/collections/([^/]+)/exists", "exists"),
    ("GET", "/collections/([^/]+)/aliases", "aliases"),
    ("POST", "/collections/([^/]+)/points/count", "count"),
    ("POST", "/collections/([^/]+)/points/scroll", "scroll"),
    ("POST", "/collections/([^/]+)/points/query", "query"),
    ("POST", "/collections/([^/]+)/points", "retrieve"),
    ("PUT", "/collections/([^/]+)/points", "upsert"),
    ("PUT", "/collections/([^/]+)/index", "index"),
)
_LOCK = threading.Lock()


def _dumped(model: Any) -> Any:
    return model.model_dump(mode="json", exclude_none=True)


@contextmanager
def serving() -> Iterator[Stub]:
    """A stub on loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            path = self.path.partition("?")[0]
            stub.hook(path)
            if stub.api_key and self.headers.get("api-key") != stub.api_key:
                return self._send(401, b"Must provide an API key")
            if path == "/":
                return self._send(200, json.dumps({"title": "stub", "version": VERSION}).encode())
            try:
                result = stub.answer(self.command, path, body)
            except (KeyError, ValueError) as error:
                return self._send(404, json.dumps({"status": {"error": f"Not found: {error}"}, "time": 0}).encode())
            data = json.dumps({"result": result, "status": "ok", "time": 0}).encode()
            return self._send(200, data, half=bool(stub.cut) and stub.cut in path)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _do  # noqa: N815 - http.server's names

        def _send(self, status: int, data: bytes, *, half: bool = False) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if half else data)
            self.close_connection = half

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    client = QdrantClient(":memory:", force_disable_check_same_thread=True)
    stub = Stub(client, f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        client.close()
