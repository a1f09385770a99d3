"""An archived oplog that drtool wrote, read by a reader that knows nothing but docs/format.md."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp

from tests.format.reader import Repository
from tests.format.segments import entries, segments
from tests.operations.pitr.site import next_second
from tests.operations.site import Site, connect
from tests.servers.mongod import shared
from tests.sources.mongo import Client, unique_database


def test_every_entry_is_there(tmp_path: Path) -> None:
    with connect(shared("pitr").uri) as client:
        name = unique_database(client)
        site = Site(tmp_path, shared("pitr").uri, {"app": (name,)}).set_up()
        client[name].c.insert_one({"_id": 0})
        site.backup()
        for number in range(3):
            client[name].c.insert_many([{"_id": f"{number} {each}"} for each in range(50)])
            next_second(client)
            site.ok("pitr", "capture")
        client.drop_database(name)
        repository = Repository(site.store, (site.directory / "identity.key").read_text())
        assert repository.problems == []
        found = segments(repository, "app")
        assert [segment.fields["number"] for segment in found] == [1, 2, 3]
        for one, following in itertools.pairwise(found):
            assert one.fields["to"] == following.fields["from"]
        point = repository.snapshots[-1].fields["sources"][0]["point"]
        assert found[0].fields["from"]["ts"] < point["replay_from"]
        read = [raw for segment in found for raw in entries(repository, segment)]
        assert read == _oplog(client, found[0].fields["from"]["ts"], found[-1].fields["to"]["ts"])
        last = bson.decode(read[-1])
        assert found[-1].fields["to"] == {
            "ts": [last["ts"].time, last["ts"].inc],
            "term": last["t"],
            "mark": str(_milliseconds(read[-1])),
        }


def _oplog(client: Client, start: list[int], end: list[int]) -> list[bytes]:
    raw: Any = client["local"].get_collection(
        "oplog.rs",
        codec_options=bson.CodecOptions(document_class=RawBSONDocument),
    )
    found = raw.find({"ts": {"$gt": Timestamp(*start), "$lte": Timestamp(*end)}}).sort("$natural", 1)
    return [bytes(each.raw) for each in found]


def _milliseconds(entry: bytes) -> int:
    options: Any = bson.CodecOptions(datetime_conversion=bson.DatetimeConversion.DATETIME_MS)
    return int(bson.decode(entry, options)["wall"])
