"""mongorestore's layouts: Extended JSON, names, and where users, roles and the oplog go."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import ExportError
from drtool.sources.exporting import ExportItem, ExportPlace
from drtool.sources.mongodb.definitions import Definition, Kind
from drtool.sources.mongodb.exporting.directory import file_name
from drtool.sources.mongodb.exporting.extended_json import canonical
from drtool.sources.reading import Proof, StreamInfo
from tests.sources.dumps import Dump, crc64_xz, read_archive, read_directory
from tests.sources.mongo import RAW, document, int32, source_of

_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
_OPTIONS = json_util.CANONICAL_JSON_OPTIONS.with_options(datetime_conversion=DatetimeConversion.DATETIME_MS)
_NAMES = st.text(st.characters(exclude_characters="\0$", codec="utf-8"), max_size=8)
_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**31), 2**31 - 1),
        st.integers(-(2**63), 2**63 - 1).map(Int64),
        st.floats(allow_nan=False),
        st.text(st.characters(codec="utf-8"), max_size=20),
        st.binary(max_size=12),
        st.builds(Binary, st.binary(min_size=16, max_size=16), st.sampled_from([2, 3, 4, 5, 6, 128])),
        st.binary(min_size=12, max_size=12).map(ObjectId),
        st.integers(-(2**63), 2**63 - 1).map(DatetimeMS),
        st.builds(Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
        st.builds(Regex, _NAMES, st.sampled_from(["", "i", "imx", "su"])),
        st.sampled_from([MinKey(), MaxKey(), Decimal128("NaN"), Decimal128("1E+6144"), Decimal128("-0.10")]),
        st.text(max_size=5).map(Code),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_NAMES, _VALUES, max_size=4))
def test_extended_json_means_the_same_bytes(value: dict[str, Any]) -> None:
    raw = bson.encode(value, codec_options=_CODEC)
    assert bson.encode(json_util.loads(canonical(raw), json_options=_OPTIONS), codec_options=_CODEC) == raw


DB_POINTER = '{"v": {"$dbPointer": {"$ref": "c", "$id": {"$oid": "0a0a0a0a0a0a0a0a0a0a0a0a"}}}}'


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ((0x01, "v", struct.pack("<d", float("nan"))), '{"v": {"$numberDouble": "NaN"}}'),
        ((0x06, "v", b""), '{"v": {"$undefined": true}}'),
        ((0x0E, "v", b'\x03\0\0\0s"\0'), '{"v": {"$symbol": "s\\""}}'),
        ((0x0C, "v", b"\x02\0\0\0c\0" + b"\x0a" * 12), DB_POINTER),
        (
            (0x0F, "v", int32(25) + int32(2) + b"f\0" + document((0x02, "s", b"\x02\0\0\0x\0"))),
            '{"v": {"$code": "f", "$scope": {"s": "x"}}}',
        ),
        ((0x03, "v", document((0x10, "a", int32(1)), (0x10, "a", int32(2)))),
         '{"v": {"a": {"$numberInt": "1"}, "a": {"$numberInt": "2"}}}'),
        ((0x03, "v", document((0x02, "$regex", b"\x02\0\0\0x\0"))), '{"v": {"$regex": "x"}}'),
        ((0x03, "$jsonSchema", document()), '{"$jsonSchema": {}}'),
    ],
)  # fmt: skip
def test_what_a_dictionary_would_lose(element: tuple[int, str, bytes], expected: str) -> None:
    assert canonical(document(element)) == expected


@pytest.mark.parametrize("name", ["$date", "$oid", "$uuid", "$numberLong", "$minKey"])
def test_a_document_that_would_read_as_something_else_is_refused(name: str) -> None:
    inner = {"x": 1, name: 5}
    assert name in canonical(bson.encode({"$literal": inner}))
    with pytest.raises(ExportError, match=r"begins with the field"):
        canonical(bson.encode({"$literal": [{name: 5}]}))


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=120))
def test_file_names(name: str) -> None:
    found = file_name(name)
    assert len(found) <= 238
    assert found.isascii()
    assert "/" not in found
    assert unquote_plus(found) == name or len(found) == 238


def test_long_names_as_mongodump_writes_them() -> None:
    # of mongodump 100.8.0
    assert file_name("größe" * 20).endswith("gr%C3%B6%C3%9%243RQ46wXZk8xUNoKurLtpNId_zBY")
    assert file_name("a b/c~d$") == "a+b%2Fc~d%24"


def _item(name: str, kind: str, data: bytes = b"", **options: Any) -> ExportItem:
    definition = b""
    if kind not in ("users", "roles"):
        raw = RawBSONDocument(bson.encode(options), RAW)
        definition = Definition(
            name, Kind(kind), "" if kind in ("view", "oplog") else "ab" * 16, raw, None, ()
        ).encode()
    info = StreamInfo(name, kind, Proof.IDENTICAL, definition, has_records=kind != "view")
    return ExportItem(info, records=0, bytes=len(data))


def _export(tmp_path: Path, streams: dict[ExportItem, list[bytes]]) -> tuple[Dump, Dump, list[str], list[str]]:
    """Both layouts, and what is said of them."""
    source = source_of("mongodb://127.0.0.1:9/")
    directory = tmp_path / "dump"
    directory.mkdir()
    archive = tmp_path / "archive"
    with archive.open("wb") as file:

        class Sink:
            def write(self, data: bytes, /) -> None:
                file.write(data)

        places = [ExportPlace("dump", "6.0.5", directory=directory), ExportPlace("a b", "6.0.5", archive=Sink())]
        notes = []
        for exporter in map(source.exporter, places):
            order = exporter.begin(list(streams))
            assert sorted(item.stream.name for item in order) == sorted(item.stream.name for item in streams)
            for item in order:
                written = exporter.write(item, iter(streams[item]))
                assert written.bytes == sum(map(len, streams[item]))
            notes.append(list(exporter.finish()))
    return read_directory(directory), read_archive(archive.read_bytes()), notes[0], notes[1]


ALICE, BOB, ROOT, ENTRY, RECORD = (bson.encode({"_id": each}) for each in ("app.alice", "b.bob", "admin.root", 1, 2))
AUTH = bson.encode({"_id": "authSchema", "currentVersion": 5})


def test_users_of_single_databases_have_their_files_there(tmp_path: Path) -> None:
    streams = {
        _item("app.c", "collection"): [RECORD, RECORD + RECORD],
        _item("app.$users", "users"): [ALICE],
        _item("app.$roles", "roles"): [ENTRY],
        _item("b.$users", "users"): [BOB],
    }
    directory, archive, notes, of_archive = _export(tmp_path, streams)
    expected = {
        "app.c": [RECORD] * 3,
        "app.$admin.system.users": [ALICE],
        "app.$admin.system.roles": [ENTRY],
        "app.$admin.system.version": [AUTH],
        "b.$admin.system.users": [BOB],
        "b.$admin.system.version": [AUTH],
    }
    assert directory.documents == archive.documents == expected
    assert directory.metadata == archive.metadata
    assert directory.metadata.keys() == {"app.c"}
    assert list(archive.documents)[-1] == "app.c", "mongorestore wants users and roles before all collections"
    assert (tmp_path / "dump/app/$admin.system.users.bson").exists()
    assert notes == [
        "restore it with: mongorestore dump",
        "app with its users and roles: mongorestore --db app --restoreDbUsersAndRoles dump/app",
        "b with its users and roles: mongorestore --db b --restoreDbUsersAndRoles dump/b",
    ]
    assert of_archive[0] == "restore it with: mongorestore --archive='a b'"


def test_users_of_a_whole_server_go_to_admin(tmp_path: Path) -> None:
    streams = {
        _item("app.$users", "users"): [ALICE],
        _item("admin.$users", "users"): [ROOT],
        _item("app.$roles", "roles"): [],
        _item("$external.$users", "users"): [BOB],
        _item("app.v", "view", viewOn="c", pipeline=[]): [],
    }
    directory, archive, notes, _ = _export(tmp_path, streams)
    for dump in (directory, archive):
        assert sorted(dump.documents["admin.system.users"]) == sorted([ALICE, ROOT, BOB])
        assert dump.documents["admin.system.version"] == [AUTH]
        assert dump.documents["admin.system.roles"] == []
        assert dump.options("app.v")["type"] == "view"
    assert "app.v" not in directory.documents
    assert archive.documents["app.v"] == []
    assert "removes all others" in notes[1]


def _entry(number: int, name: str, uuid: str = "ab") -> bytes:
    operation = {"op": "i", "ns": name, "ui": Binary(bytes.fromhex(uuid * 16), 4), "o": {"_id": number}}
    return bson.encode({"v": Int64(2), "ts": Timestamp(9, number), "t": Int64(1), **operation})


def test_the_overlay_is_the_oplog(tmp_path: Path) -> None:
    """Under the names of its end, without what else was in it."""
    entries = [_entry(1, "app.c"), _entry(2, "app.c"), _entry(3, "app.old"), _entry(4, "app.c", "cd")]
    streams = {
        _item("$oplog", "oplog", since=Timestamp(9, 1)): entries,
        _item("app.c", "collection", validator={"n": 1}): [RECORD],
    }
    directory, archive, notes, _ = _export(tmp_path, streams)
    assert directory.documents == archive.documents
    assert directory.documents["app.c"] == [RECORD]
    assert [bson.decode(each) for each in directory.documents[".oplog"]] == [
        {"ts": Timestamp(9, number), "v": 2, "op": "i", "ns": "app.c", "o": {"_id": number}} for number in (2, 3)
    ]
    assert list(archive.documents)[-1] == ".oplog"
    assert (tmp_path / "dump/oplog.bson").exists()
    assert notes == ["restore it with: mongorestore --bypassDocumentValidation --oplogReplay dump"]


def test_the_headers(tmp_path: Path) -> None:
    directory, archive, _, _ = _export(tmp_path, {_item("app.c", "collection", capped=True, autoIndexId=True): []})
    assert directory.header["ServerVersion"] == archive.header["server_version"] == "6.0.5"
    assert archive.header["version"] == "0.1"
    assert directory.documents == archive.documents == {"app.c": []}
    text = directory.metadata["app.c"]
    assert json.loads(text)["uuid"] == "ab" * 16
    assert directory.options("app.c") == {
        "options": {"capped": True},
        "indexes": [],
        "uuid": "ab" * 16,
        "collectionName": "c",
        "type": "collection",
    }


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (_item("app." + "ü" * 40, "timeseries", timeseries={"timeField": "t"}), "too long for a time series"),
        (_item("../up.c", "collection"), "no name that a dump"),
        (
            _item("app.v", "view", viewOn="c", pipeline=[{"$set": {"x": {"$date": 1}}}]),
            r"app\.v: a document that begins",
        ),
    ],
)
def test_what_a_directory_cannot_hold_is_refused_before_anything_is_written(
    tmp_path: Path, item: ExportItem, message: str
) -> None:
    exporter = source_of("mongodb://127.0.0.1:9/").exporter(ExportPlace("d", "6.0.5", directory=tmp_path))
    with pytest.raises(ExportError, match=message) as caught:
        exporter.begin([_item("app.c", "collection"), item])
    assert caught.value.hint or "no name" in message
    assert not list(tmp_path.iterdir())


def test_the_checksum_of_the_reader() -> None:
    assert crc64_xz(b"123456789") == 0x995DC9BBDF1939FA
