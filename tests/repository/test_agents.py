"""What docs/security.md claims about agents, and whoever stole an agent's key and disk, as tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from drtool.errors import (
    DamagedObjectError,
    WrongKeyError,
)
from drtool.repository.chunks import chunk_id
from drtool.repository.identity import Identity
from drtool.repository.keyring import ChunkKind
from drtool.repository.packs import decode_header, pack_name, read_directory
from drtool.repository.pages import decode_bounds, walk
from drtool.repository.reader import ChunkReader
from drtool.repository.sealed import Kind, open_object
from tests.repository.builders import (
    Made,
    objects,
)
from tests.repository.victims import MARKERS, SECRET_FROM_AGENTS, STREAMS, entries_of


def test_an_agent_lists_walks_and_checks(victim: Made) -> None:
    agent = victim.as_agent()
    assert agent.refresh_index() == []
    reader = ChunkReader(agent)
    for entry in entries_of(agent, reader):
        for leaf in walk(entry.root, reader.get_page):
            for ref in leaf.chunks:
                location = reader.locations(ref.id)[0]
                data = victim.storage.get(pack_name(location.pack))
                assert hashlib.sha256(data).digest() == location.pack
                assert read_directory(data, agent.keyring, agent.document, "the pack").size == location.pack_size


def test_an_agent_gets_no_record_no_bounds_and_no_definition(victim: Made) -> None:
    agent = victim.as_agent()
    reader = ChunkReader(agent)
    tried = 0
    for entry in entries_of(agent, reader):
        private = [entry.definition, *(leaf.bounds for leaf in walk(entry.root, reader.get_page))]
        data = [ref.id for leaf in walk(entry.root, reader.get_page) for ref in leaf.chunks]
        for kind, ids in ((ChunkKind.PRIVATE, private), (ChunkKind.DATA, data)):
            for id_ in ids:
                with pytest.raises(WrongKeyError, match="needs the identity"):
                    reader.get(kind, id_)
                with pytest.raises(DamagedObjectError):
                    reader.get(ChunkKind.CATALOG, id_)
                tried += 1
    assert tried > 80


def test_the_owner_gets_them_all(victim: Made) -> None:
    owner = victim.as_owner()
    reader = ChunkReader(owner)
    entry = next(entry for entry in entries_of(owner, reader) if entry.root)
    leaves = list(walk(entry.root, reader.get_page))
    refs = [ref for leaf in leaves for ref in leaf.chunks]
    assert tuple(reader.stream(refs)) == STREAMS[0].chunks
    assert reader.get(ChunkKind.PRIVATE, entry.definition, entry.definition_length) == STREAMS[0].definition
    bounds = [bound for leaf in leaves for bound in decode_bounds(reader.get(ChunkKind.PRIVATE, leaf.bounds))]
    assert bounds == [STREAMS[0].bounds(number) for number in range(len(refs))]


def _readable_with_the_catalog_key(made: Made) -> Iterator[bytes]:
    """Every plaintext that somebody with agent.key can get out of the store."""
    agent = made.as_agent()
    agent.refresh_index()
    reader = ChunkReader(agent)
    kinds = {kind.label: kind for kind in Kind}
    folders = {"snapshots": kinds["manifest"], "runs": kinds["run"], "evidence": kinds["evidence"]}
    for name, data in objects(made.storage).items():
        folder = name.split("/")[0]
        if folder in folders:
            yield agent.open_object(folders[folder], name, data).payload
        elif folder == "index":
            yield open_object(Kind.INDEX, "", data, agent.keyring, agent.document).payload
        elif folder == "packs":
            entry = read_directory(data, agent.keyring, agent.document, name)
            yield b"".join(row.encode() for row in entry.rows)
            yield from (reader.get(row.kind, row.id) for row in entry.rows if row.kind is ChunkKind.CATALOG)


def test_no_plaintext_anywhere(victim: Made) -> None:
    stored = b"".join(objects(victim.storage).values())
    for marker in MARKERS:
        assert marker not in stored
    readable = list(_readable_with_the_catalog_key(victim))
    assert any(MARKERS[2] in piece for piece in readable)  # the stream's name: the test finds what there is to find
    for marker in SECRET_FROM_AGENTS:
        assert not any(marker in piece for piece in readable)


def test_local_files_of_an_agent_hold_no_records(victim: Made) -> None:
    for path in victim.local.rglob("*"):
        if path.is_file():
            assert MARKERS[0] not in path.read_bytes()
            assert MARKERS[1] not in path.read_bytes()


def test_an_agent_key_opens_no_data_slot(victim: Made) -> None:
    keyring = victim.agent.keyring
    secrets = [keyring.id_key, victim.agent.seed, victim.agent.ring_opener.secret, *keyring.catalog.values()]
    for name, data in objects(victim.storage, "packs/").items():
        for slot in decode_header(data, name):
            for secret in secrets:
                if slot.sealed:
                    with pytest.raises(WrongKeyError):
                        slot.open(keyring, Identity(secret), {})


def test_who_holds_an_agent_key_can_confirm_a_guess_of_a_whole_chunk(victim: Made) -> None:
    """Not a strength but the claim's other half: docs/security.md says so."""
    agent = victim.as_agent()
    agent.refresh_index()
    assert agent.cache.locations(chunk_id(agent.keyring, ChunkKind.DATA, STREAMS[0].chunks[3]))
    assert not agent.cache.locations(chunk_id(agent.keyring, ChunkKind.DATA, b"another guess"))
