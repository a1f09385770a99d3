"""The essential flow on a store that speaks S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from drtool.repository.chain import read_catalogue
from drtool.repository.keyring import ChunkKind
from drtool.repository.manifests import decode_streams
from drtool.repository.packs import pack_name
from drtool.repository.pages import walk
from drtool.repository.reader import ChunkReader
from drtool.storage.s3 import S3Storage
from drtool.storage.s3_client import S3Settings
from tests.repository.builders import Stream, backup, make
from tests.servers.s3 import ACCESS_KEY, REGION, SECRET_KEY, make_bucket, moto_server

STREAM = Stream("db.c", tuple(b"record %d" % number * 1000 for number in range(50)))


def test_back_up_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    with moto_server(tmp_path) as port:
        make_bucket(port, "backups")
        settings = S3Settings(REGION, f"http://127.0.0.1:{port}", None, None, None, 8)
        made = make(tmp_path, S3Storage("backups", "prod", settings))
        agent = made.as_agent()
        backup(agent, [STREAM])
        backup(agent, [STREAM])
        owner = made.as_owner()
        reader = ChunkReader(owner)
        catalogue = read_catalogue(owner)
        assert (len(catalogue.snapshots), catalogue.problems) == (2, ())
        lists = catalogue.snapshots[1].manifest.stream_chunks
        (entry,) = decode_streams(reader.get(ChunkKind.CATALOG, id_, length) for id_, length in lists)
        refs = [ref for leaf in walk(entry.root, reader.get_page) for ref in leaf.chunks]
        assert tuple(reader.stream(refs)) == STREAM.chunks
        needed = {location.pack for ref in refs for location in reader.locations(ref.id)}
        assert {pack_name(pack) for pack in needed} <= {info.name for info in made.storage.list("packs/")}
        made.storage.close()
