"""What stands beside the application's database: its passages' vectors in an embedded Qdrant, and its settings."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo.database import Database

from drtool.operations.demo.application import Document
from drtool.operations.demo.contents import DIMENSIONS
from drtool.operations.demo.steps import Check
from drtool.sources.qdrant.shards import engine

COLLECTION = "passages"
_AT_ONCE = 250
_NEAREST = 5
_FILES = {
    "app.yaml": "assistant: {model: small, passages: 5}\nlimits: {transfer: 50000}\n",
    "flags.json": '{"new-ledger": false, "assistant": true}\n',
    "nginx/site.conf": "upstream acme { server 127.0.0.1:3000; }\n",
    ".env": "PAYMENT_TOKEN=demo-only\n",
}


@dataclass(frozen=True, slots=True)
class Companions:
    """Directories: of the embedded engine's shards, and of the application's settings."""

    vectors: Path
    settings: Path

    def make(self) -> None:
        """Make both, the vectors without a point."""
        shard = self.vectors / COLLECTION
        shard.mkdir(parents=True)
        module = engine()
        for name, text in _FILES.items():
            path = self.settings / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o600 if name == ".env" else 0o644)
        (self.settings / "current.conf").symlink_to("nginx/site.conf")
        config = module.EdgeConfig(vectors={"": module.EdgeVectorParams(size=DIMENSIONS, distance=module.Distance.Dot)})
        module.EdgeShard.create(str(shard), config).close()

    def follow(self, database: Database[Document]) -> int:
        """Bring the vectors to what the documents are; returns how many points there are. The shard is open only that
        long: an embedded engine has one owner, and a backup has to come to its turn."""
        module = engine()
        with closing(module.EdgeShard.load(str(self.vectors / COLLECTION))) as shard:
            batch: list[Any] = []
            for number, found in enumerate(database.documents.find().sort("slug", 1)):
                payload = {"doc_id": str(found["_id"]), "title": found["title"]}
                batch.append(module.Point(number, found["embedding"], payload))
                if len(batch) == _AT_ONCE:
                    shard.update(module.UpdateOperation.upsert_points(batch))
                    batch = []
            shard.update(module.UpdateOperation.upsert_points(batch))
            return int(shard.info().points_count)

    def lose(self) -> None:
        """The disk is gone."""
        shutil.rmtree(self.vectors)
        shutil.rmtree(self.settings)

    def state(self, database: Database[Document]) -> State:
        """What is there, with the answer to a search for what the first document says."""
        module = engine()
        first = database.documents.find_one(sort=[("slug", 1)])
        assert first is not None
        with closing(module.EdgeShard.load(str(self.vectors / COLLECTION))) as shard:
            points, _ = shard.scroll(module.ScrollRequest(limit=1_000_000, with_payload=True, with_vector=True))
            query = module.Query.Nearest(first["embedding"])
            found = shard.search(module.SearchRequest(query=query, limit=_NEAREST))
        held = {str(point.id): repr((sorted(point.payload.items()), point.vector)) for point in points}
        return State(held, tuple(str(point.id) for point in found), dict(_tree(self.settings)))


@dataclass(frozen=True, slots=True)
class State:
    """Points by id with payload and vector, the ids that a search finds, and of each file its mode and SHA-256."""

    points: Mapping[str, str]
    nearest: tuple[str, ...]
    files: Mapping[str, tuple[int, str]]


def compare_companions(before: State, after: State) -> list[Check]:
    """One check for each part."""
    return [
        Check(
            "vectors",
            before.points == after.points,
            f"{len(after.points):,} of {len(before.points):,} vectors with their payloads, bit for bit",
        ),
        Check("search", before.nearest == after.nearest, f"a search finds points {', '.join(after.nearest)}"),
        Check("settings", before.files == after.files, f"{len(after.files)} files and links, modes and contents"),
    ]


def _tree(root: Path) -> Iterator[tuple[str, tuple[int, str]]]:
    for parent, _, names in os.walk(root):
        for name in names:
            path = Path(parent, name)
            content = bytes(path.readlink()) if path.is_symlink() else path.read_bytes()
            yield str(path.relative_to(root)), (path.lstat().st_mode, hashlib.sha256(content).hexdigest())
