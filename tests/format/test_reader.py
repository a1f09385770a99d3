"""A repository that drtool wrote, read by a reader that knows nothing but docs/format.md."""

from __future__ import annotations

import ast
import hashlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import bson
import pytest
import yaml
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from tests.cli.running import drtool
from tests.format.audit import read_logs
from tests.format.chunks import DATA, PRIVATE
from tests.format.filling import EVENTS, FIRST, SECOND, VECTORS, change, fill
from tests.format.keys import SEALED_KEY, FormatError
from tests.format.lists import first_threshold
from tests.format.objects import KINDS, names, read_sealed
from tests.format.reader import Repository, Snapshot, Stream
from tests.servers.mongod import shared

pytestmark = pytest.mark.heavy

RAW = bson.CodecOptions(document_class=RawBSONDocument)
MAY_BE_IMPORTED = {"cryptography", "blake3", "xxhash", "zstandard", "tests"}


@dataclass(frozen=True)
class Written:
    """A repository with two snapshots, and what MongoDB held at the second, stream by stream."""

    store: Path
    identity: str
    held: dict[str, list[bytes]] = field(repr=False)

    def open(self, store: Path | None = None) -> Repository:
        return Repository(store or self.store, self.identity)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    server = shared()
    home = tmp_path_factory.mktemp("format")
    config = {
        "repository": {
            "url": str(home / "store"),
            "agent_key": {"file": str(home / "agent.key")},
            "state_dir": str(home / "state"),
            "cache_dir": str(home / "cache"),
        },
        "sources": {"app": {"type": "mongodb", "uri": server.uri, "databases": [FIRST, SECOND]}},
        "jobs": {"nightly": {"sources": ["app"]}},
    }
    (home / "drtool.yaml").write_text(yaml.safe_dump(config))
    with MongoClient[dict[str, Any]](server.uri) as client:
        fill(client)
        _drtool("init", "--identity-out", "identity.key", home=home)
        _drtool("backup", home=home)
        change(client)
        _drtool("backup", home=home)
        held = {name: _held(client, name) for name in _namespaces(client)}
        for database in (FIRST, SECOND):
            client.drop_database(database)
    yield Written(home / "store", (home / "identity.key").read_text(), held)
    shutil.rmtree(home)


def _drtool(*arguments: str, home: Path) -> None:
    ended = drtool(*arguments, "--json", cwd=home)
    assert ended.code == 0, ended.out + ended.err


def _namespaces(client: MongoClient[dict[str, Any]]) -> list[str]:
    return [
        f"{database}.{info['name']}"
        for database in (FIRST, SECOND)
        for info in client[database].list_collections()
        if not info["name"].startswith("system.")
    ]


def _held(client: MongoClient[dict[str, Any]], namespace: str) -> list[bytes]:
    database, name = namespace.split(".", 1)
    kind = next(client[database].list_collections(filter={"name": name}))["type"]
    if kind == "view":
        return []
    collection = client[database].get_collection(f"system.buckets.{name}" if kind == "timeseries" else name)
    order = [("$natural", 1)] if collection.options().get("capped") else [("_id", 1)]
    return [bytes(document.raw) for document in collection.with_options(codec_options=RAW).find(sort=order)]


@pytest.fixture(scope="module")
def repository(written: Written) -> Repository:
    return written.open()


@pytest.fixture
def copied(written: Written, tmp_path: Path) -> Iterator[Path]:
    """A copy of the store, to be damaged."""
    copy = tmp_path / "store"
    shutil.copytree(written.store, copy)
    yield copy
    shutil.rmtree(copy)


def _stream(repository: Repository, snapshot: Snapshot, name: str) -> Stream:
    [found] = [stream for stream in repository.streams(snapshot) if stream.name == name]
    return found


def _manifests(written: Written, store: Path) -> tuple[Path, Path]:
    """The first and the second manifest in `store`, a copy."""
    first, second = written.open().snapshots
    return store / "snapshots" / first.id, store / "snapshots" / second.id


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def test_every_document_is_read_as_mongodb_holds_it(written: Written, repository: Repository) -> None:
    streams = {stream.name: stream for stream in repository.streams(repository.snapshots[1])}
    assert streams.keys() == written.held.keys()
    for name, stream in streams.items():
        count = 0
        for record, document in zip(repository.records(stream), written.held[name], strict=True):
            is_same = record == document  # a rewritten assertion would print megabytes
            assert is_same, f"{name}, document {count}"
            count += 1
        assert count == (stream.root.page.records if stream.root else 0)
    assert not repository.problems


def test_the_first_snapshot_is_as_it_was(repository: Repository) -> None:
    first = repository.snapshots[0]
    counts, totals = {}, []
    for stream in repository.streams(first):
        lengths = [len(record) for record in repository.records(stream)]
        counts[stream.name] = len(lengths)
        totals += [stream.root.page[1:]] if stream.root else []
        if stream.fields["kind"] == "collection":
            assert stream.threshold == first_threshold(len(lengths), sum(lengths)), stream.name
    assert counts[f"{FIRST}.events"] == EVENTS
    assert counts[f"{SECOND}.kinds"] == 14
    assert counts[f"{SECOND}.large"] == 8
    assert counts[f"{FIRST}.empty"] == counts[f"{FIRST}.seen"] == 0
    statistics = [first.fields["statistics"][name] for name in ("chunks", "records", "bytes")]
    assert statistics == [sum(column) for column in zip(*totals, strict=True)]


def test_pages_of_many_chunks_and_of_long_keys(repository: Repository) -> None:
    events = _stream(repository, repository.snapshots[1], f"{FIRST}.events")
    wide = _stream(repository, repository.snapshots[1], f"{FIRST}.wide")
    assert events.root is not None
    assert events.root.page.chunks > 40
    assert wide.root is not None
    assert wide.root.level > 0


def test_vectors_were_written_down_as_byte_planes(written: Written) -> None:
    repository = written.open()
    vectors = _stream(repository, repository.snapshots[1], f"{FIRST}.vectors")
    assert len(list(repository.records(vectors))) == VECTORS
    assert 2 in repository.chunks.codecs


def test_definitions_are_bson(repository: Repository) -> None:
    definitions = [bson.decode(repository.definition(stream)) for stream in repository.streams(repository.snapshots[0])]
    by_name = {definition["name"]: definition for definition in definitions}
    assert by_name[f"{FIRST}.seen"]["kind"] == "view"
    assert by_name[f"{FIRST}.seen"]["options"]["viewOn"] == "events"
    assert by_name[f"{FIRST}.empty"]["idIndex"]["key"] == {"_id": 1}
    assert by_name[f"{SECOND}.weather"]["kind"] == "timeseries"
    assert by_name[f"{SECOND}.log"]["kind"] == "capped"


def test_every_object_passes_its_checks(written: Written, repository: Repository) -> None:
    opened = {
        name: read_sealed(written.store, repository.trust, kind, name)
        for kind in KINDS
        if kind.names
        for name in names(written.store, kind)
    }
    packs = {f"packs/{path.parent.name}/{path.name}" for path in (written.store / "packs").glob("*/*")}
    for pack in packs:
        for row in repository.chunks.check_pack(pack):
            assert pack.endswith(repository.chunks.locations(row.id)[0].pack)
    keys = f"keys/{repository.trust.identity.fingerprint.hex()}"
    there = {path.relative_to(written.store).as_posix() for path in written.store.rglob("*") if path.is_file()}
    assert {name for name in there if name[0] != "+"} == {*opened, *packs, keys, "repository.json"}


def test_who_did_what(written: Written, repository: Repository) -> None:
    logs, problems = read_logs(written.store, repository.trust)
    [(id_, log)] = logs.items()
    assert (problems, log.problems) == ([], [])
    [file] = (written.store.parent / "state" / "unattended").glob("*/audit.jsonl")
    lines = file.read_bytes().splitlines()
    assert [log.lines[number] for number in sorted(log.lines)] == lines
    assert hashlib.sha256(lines[0]).hexdigest() == id_
    told = [(entry["event"], entry["command"], entry.get("exit_code")) for entry in log.entries]
    commands = ("init", "backup", "backup")
    assert told == [one for name in commands for one in (("begun", name, None), ("ended", name, 0))]
    assert [entry["begun"] for entry in log.entries[1::2]] == [1, 3, 5]
    assert [entry["result"]["snapshots"] for entry in log.entries[3::2]] == [
        [snapshot.id] for snapshot in repository.snapshots
    ]
    for entry in log.entries:
        if entry["event"] != "ended":
            assert entry["arguments"][-1] == "--json"
            assert entry["config"]["path"] == str(written.store.parent / "drtool.yaml")
            assert {*entry["who"]} >= {"user", "uid", "by"}
            assert entry["where"]["host"] == log.host


def test_an_audit_log_that_lacks_a_part(written: Written, repository: Repository, copied: Path) -> None:
    first, *_, last = sorted((copied / "audit").iterdir())
    taken = last.read_bytes()
    last.unlink()
    logs, problems = read_logs(copied, repository.trust)
    assert ([log.problems for log in logs.values()], problems) == ([[]], [])  # the newest: known to who has seen it
    last.write_bytes(taken)
    first.unlink()
    logs, [problem] = read_logs(copied, repository.trust)
    assert "does not follow anything" in problem
    assert "lines are missing" in next(iter(logs.values())).problems


def test_a_flipped_byte_in_a_pack_is_refused(written: Written, repository: Repository, copied: Path) -> None:
    stream = _stream(repository, repository.snapshots[1], f"{SECOND}.large")
    reference = next(repository.references(stream))
    [location] = repository.chunks.locations(reference.id)
    name = f"packs/{location.pack[:2]}/{location.pack}"
    _flip(copied / name, location.row.offset + 10)
    damaged = written.open(copied)
    with pytest.raises(FormatError, match=location.pack):
        list(damaged.records(stream))
    with pytest.raises(FormatError, match="does not have its hash"):
        damaged.chunks.check_pack(name)


@pytest.mark.parametrize("at", [0, 8, 9, 20, 60, 200, -1], ids=str)
def test_a_flipped_byte_in_a_manifest_is_reported(written: Written, copied: Path, at: int) -> None:
    manifest, other = _manifests(written, copied)
    _flip(manifest, at)
    damaged = written.open(copied)
    assert [snapshot.id for snapshot in damaged.snapshots] == [other.name]
    assert damaged.problems[0].startswith(f"snapshots/{manifest.name}: ")
    assert "are missing, and no removal names them" in damaged.problems[1]


def test_a_flipped_byte_in_an_index_object_is_reported_and_its_chunks_are_missed(
    written: Written, copied: Path
) -> None:
    indexes = list((copied / "index").iterdir())
    for index in indexes:
        _flip(index, 300)
    damaged = written.open(copied)
    assert {problem.partition(":")[0] for problem in damaged.problems} == {f"index/{index.name}" for index in indexes}
    with pytest.raises(FormatError, match="not in the index"):
        list(damaged.streams(damaged.snapshots[0]))


def test_a_flipped_byte_in_what_the_root_signed_is_refused(written: Written, copied: Path) -> None:
    [keys] = [path for path in (copied / "keys").iterdir() if "." not in path.name]
    for path in (copied / "repository.json", keys):
        sound = path.read_bytes()
        signature = sound.index(b'"signature":', sound.index(b"\n")) + 20
        for at in (0, 100, sound.index(b"\n") // 2, sound.index(b"\n"), signature, len(sound) - 1):
            path.write_bytes(sound)
            _flip(path, at)
            with pytest.raises(FormatError, match=path.name):
                written.open(copied)
        path.write_bytes(sound)
    assert not written.open(copied).problems


def test_a_manifest_that_is_gone_or_under_another_name_is_reported(written: Written, copied: Path) -> None:
    first, _second = _manifests(written, copied)
    renamed = first.rename(first.with_name("20200101t000000z-abcdef0123"))
    assert any(problem.startswith(f"snapshots/{renamed.name}: ") for problem in written.open(copied).problems)
    renamed.unlink()
    [problem] = written.open(copied).problems
    assert "1 of 2 are missing" in problem


def test_a_stranger_cannot_read(written: Written) -> None:
    line = "DRTOOL-IDENTITY-1-AAAQEA-YEAUDA-OCAJBI-FQYDIO-B4IBCE-QTCQKR-MFYYDE-NBWHA5-DYPWGD-ONFE"
    with pytest.raises(FormatError, match="another root"):
        Repository(written.store, line)
    with pytest.raises(FormatError, match="mistyped"):
        Repository(written.store, line.replace("YEAUDA", "YEAUDB"))


def test_other_cuts_and_counts_are_refused(repository: Repository) -> None:
    events = _stream(repository, repository.snapshots[1], f"{FIRST}.events")
    with pytest.raises(FormatError, match="the rule has no cut"):
        list(repository.records(replace(events, threshold=1)))
    with pytest.raises(FormatError, match="the rule has a cut"):
        list(repository.records(replace(events, threshold=1 << 64)))
    assert events.root is not None
    more = replace(events.root, page=events.root.page._replace(records=events.root.page.records + 1))
    with pytest.raises(FormatError, match="does not hold what is announced"):
        list(repository.records(replace(events, root=more)))
    with pytest.raises(FormatError, match="nowhere"):
        repository.chunks.read(PRIVATE, events.definition[0], events.definition[1] + 1)


def test_keys_that_were_added_to_a_pack_later(written: Written, repository: Repository, copied: Path) -> None:
    stream = _stream(repository, repository.snapshots[1], f"{SECOND}.large")
    reference = next(repository.references(stream))
    [location] = repository.chunks.locations(reference.id)
    fingerprint = repository.trust.identity.fingerprint
    pack = copied / "packs" / location.pack[:2] / location.pack
    sound = pack.read_bytes()
    header = sound[: location.header]
    at = header.index(fingerprint)
    entry = header[at - 17 : at - 1] + header[at + 16 : at + 16 + SEALED_KEY]
    pack.chmod(0o600)
    pack.write_bytes(header.replace(fingerprint, bytes(16)) + sound[location.header :])
    with pytest.raises(FormatError, match="was not sealed to this identity"):
        written.open(copied).chunks.read(DATA, reference.id, reference.length)
    added = copied / "slots" / fingerprint.hex() / location.pack
    added.parent.mkdir(parents=True)
    added.write_bytes(entry[:16] + bytes(SEALED_KEY) + entry)
    assert written.open(copied).chunks.read(DATA, reference.id, reference.length)


def test_a_reader_with_a_memory_notices_an_older_state(written: Written, repository: Repository, copied: Path) -> None:
    with pytest.raises(FormatError, match="put back"):
        Repository(copied, written.identity, seen_sequence=repository.trust.sequence + 1)
    _manifests(written, copied)[1].unlink()
    assert not written.open(copied).problems
    [problem] = Repository(copied, written.identity, remembered=repository.heads).problems
    assert "number 2, is not there" in problem


def test_the_reader_needs_no_part_of_drtool() -> None:
    allowed = MAY_BE_IMPORTED | sys.stdlib_module_names
    for path in Path(__file__).parent.glob("*.py"):
        if path.name.startswith("test_") or path.name == "filling.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in modules:
                assert module.partition(".")[0] in allowed, f"{path.name} imports {module}"
                assert module.partition(".")[0] != "tests" or module.startswith("tests.format."), module
