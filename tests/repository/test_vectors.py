"""The code agrees with the test vectors that docs/format.md prints."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import zstandard

from drtool.repository import paper, planes
from drtool.repository.agent_key import AgentKey
from drtool.repository.chunks import chunk_id, open_chunk
from drtool.repository.escrow import Released, open_escrow
from drtool.repository.identity import Identity, Recipient
from drtool.repository.index import decode_index, encode_index, index_name
from drtool.repository.keyring import ChunkKind, Keyring
from drtool.repository.packs import PackEntry, Row, Slot, decode_header, encode_rows, read_directory
from drtool.repository.pages import (
    Bounds,
    ChunkRef,
    Leaf,
    PageRef,
    decode_bounds,
    decode_page,
    encode_bounds,
    encode_inner,
    encode_leaf,
)
from drtool.repository.primitives import SigningKey, signature_holds
from drtool.repository.sealed import Kind, open_object
from drtool.repository.trust import NamedRecipient, RepositoryDocument, Role, Signer, checked_lines, sign_lines
from drtool.repository.wire import Cursor
from drtool.sources.cutting import CutRule, Cutter
from tests.format import planes as independent
from tests.format.keys import read_escrow, read_identity, typed_in
from tests.repository.builders import NOW

_PAGE = Path(__file__).parents[2] / "docs" / "format.md"


def _vectors() -> dict[str, Any]:
    text = _PAGE.read_text(encoding="utf-8").partition("\n## Test vectors\n")[2]
    blocks = re.findall(r"^### (\S+)\n\n```json\n(.*?)\n```$", text, flags=re.MULTILINE | re.DOTALL)
    return {name: json.loads(body) for name, body in blocks}


VECTORS = _vectors()


def _raw(value: str | list[str]) -> bytes:
    return bytes.fromhex("".join(value))


def _identity() -> Identity:
    return Identity(_raw(VECTORS["identity"]["secret"]))


def _keyring() -> Keyring:
    fields = VECTORS["lineage"]
    key_id = _raw(fields["catalog_key_id"])
    return Keyring(_raw(fields["lineage"]), {key_id: _raw(fields["catalog_key"])}, key_id, _raw(fields["id_key"]))


def _document() -> RepositoryDocument:
    keyring, identity = _keyring(), _identity()
    writer = _raw(VECTORS["sealed-manifest"]["signer_public"])
    everything = frozenset(Role)
    return RepositoryDocument(
        _raw(VECTORS["lineage"]["repository"]),
        keyring.lineage,
        identity.root,
        1,
        NOW,
        keyring.current,
        (NamedRecipient(identity.recipient, "identity", NOW),),
        (Signer(writer, "host1", everything, NOW),),
    )


def test_the_page_has_every_vector() -> None:
    expected = "identity paper agent-ring escrow lineage chunk-ids byte-planes cut-rule cuts"
    expected += " signed-lines sealed-manifest sealed-evidence sealed-key catalog-slot"
    expected += " row pack index-payload page-leaf page-inner bounds"
    assert list(VECTORS) == expected.split()


def test_identity() -> None:
    fields, identity = VECTORS["identity"], _identity()
    assert identity.to_line() == fields["line"]
    assert Identity.from_text(fields["line"], "vector").secret == identity.secret
    assert identity.root_key.seed == _raw(fields["root_seed"])
    assert identity.root == _raw(fields["root_public"])
    assert identity.verifier_key.seed == _raw(fields["verifier_seed"])
    assert identity.verifier_key.public == _raw(fields["verifier_public"])
    assert hashlib.sha256(identity.recipient.public).digest() == _raw(fields["recipient_public_sha256"])
    assert identity.recipient.fingerprint == _raw(fields["fingerprint"])
    text = "".join(fields["recipient_text"])
    assert identity.recipient.to_text() == text
    assert Recipient.from_text(text) == identity.recipient


def test_derived_keys_and_chunk_ids() -> None:
    keyring = _keyring()
    assert keyring.cut_key == _raw(VECTORS["lineage"]["cut_key"])
    for kind in ChunkKind:
        word = kind.name.lower()
        assert keyring.chunk_id_key(kind) == _raw(VECTORS["lineage"]["chunk_id_keys"][word])
        assert chunk_id(keyring, kind, _raw(VECTORS["chunk-ids"]["chunk"])) == _raw(VECTORS["chunk-ids"]["ids"][word])


def test_byte_planes() -> None:
    fields = VECTORS["byte-planes"]
    chunk, body, length = _raw(fields["chunk"]), _raw(fields["body"]), fields["length"]
    assert planes.unpack(memoryview(body), length, zstandard.ZstdDecompressor(), "vector") == chunk
    assert independent.unpacked(body, length) == chunk


def test_cut_rule() -> None:
    fields = VECTORS["cut-rule"]
    key = _raw(fields["cut_key"])
    for average, threshold in fields["thresholds"].items():
        assert CutRule.for_average(key, float(average)).threshold == int(threshold)
    for record_key, digest in fields["hashes"].items():
        value = int(digest, 16)
        assert CutRule(key, value + 1).marks(_raw(record_key))
        assert not CutRule(key, value).marks(_raw(record_key))


def test_cuts() -> None:
    fields = VECTORS["cuts"]
    cutter = Cutter(CutRule(_keyring().cut_key, int(fields["threshold"])))
    keys = [number.to_bytes(4) for number in range(fields["records"])]
    assert [key.hex() for key in keys if cutter.cuts_after(key, fields["record_bytes"])] == fields["cut_after"]


def test_signed_lines() -> None:
    fields = VECTORS["signed-lines"]
    line = fields["line"].encode()
    message = f"drtool/1/{fields['kind']}\0".encode() + line
    assert signature_holds(_raw(fields["root_public"]), _raw(fields["signature"]), message)
    data = sign_lines(fields["kind"], json.loads(line), _identity().root_key)
    assert data.startswith(line + b"\n")
    assert fields["signature"].encode() in data
    assert checked_lines(fields["kind"], data, _identity().root, "vector") == json.loads(line)


def test_sealed_objects() -> None:
    for kind in (Kind.MANIFEST, Kind.EVIDENCE):
        fields = VECTORS[f"sealed-{kind.label}"]
        opened = open_object(kind, fields["name"], _raw(fields["object"]), _keyring(), _document())
        assert opened.payload.decode() == fields["payload"]
        assert opened.signer == _raw(fields["signer_public"]) == SigningKey(_raw(fields["signer_seed"])).public


def test_sealed_key() -> None:
    fields = VECTORS["sealed-key"]
    assert _identity().opening_key.open(_raw(fields["sealed"]), _raw(fields["info"])) == _raw(fields["key"])


def test_catalog_slot() -> None:
    fields = VECTORS["catalog-slot"]
    slot = Slot.decode(Cursor(_raw(fields["slot"]), "vector"))
    assert slot.encode() == _raw(fields["slot"])
    assert slot.open(_keyring(), None, {}) == _raw(fields["key"])


def test_row() -> None:
    fields = VECTORS["row"]
    row = Row.decode(Cursor(_raw(fields["row"]), "vector"))
    numbers = {name: fields[name] for name in ("slot", "counter", "offset", "stored", "length")}
    assert row == Row(_raw(fields["id"]), ChunkKind(fields["kind"]), **numbers)
    assert row.encode() == _raw(fields["row"])


def _pack() -> PackEntry:
    return read_directory(_raw(VECTORS["pack"]["pack"]), _keyring(), _document(), "vector")


def test_pack() -> None:
    fields, keyring, entry = VECTORS["pack"], _keyring(), _pack()
    data = _raw(fields["pack"])
    assert entry.sha256 == _raw(fields["sha256"]) == hashlib.sha256(data).digest()
    assert entry.header == fields["header"]
    (slot,) = decode_header(data, "vector")
    assert slot.id == _raw(fields["slot_id"])
    key = slot.open(keyring, _identity(), {})
    assert key == _raw(fields["slot_key"])
    for row, expected, plain in zip(entry.rows, fields["chunks"], (b"drtool", b"a" * 1000), strict=True):
        assert row.id == _raw(expected["id"])
        assert [row.kind, row.counter, row.offset, row.stored, row.length] == [
            expected[name] for name in ("kind", "counter", "offset", "stored", "length")
        ]
        sealed = data[row.offset : row.offset + row.stored]
        assert open_chunk(key, row.counter, sealed, keyring, row.kind, row.id, row.length) == plain


def test_index_payload() -> None:
    entry, payload = _pack(), _raw(VECTORS["index-payload"]["payload"])
    head = entry.sha256 + entry.size.to_bytes(8) + entry.header.to_bytes(4) + entry.indexed_by
    assert payload == head + encode_rows(entry.rows)
    document = _document()
    signer = SigningKey(_raw(VECTORS["sealed-manifest"]["signer_seed"]))
    data = encode_index([entry], _keyring(), signer, document.repository)
    assert decode_index(data, index_name(data), _keyring(), document) == [entry]


def test_pages() -> None:
    fields = VECTORS["page-leaf"]
    refs = tuple(ChunkRef(_raw(c["id"]), c["length"], c["records"]) for c in fields["chunks"])
    leaf = Leaf(_raw(fields["bounds"]), fields["bounds_length"], refs)
    assert encode_leaf(leaf) == _raw(fields["page"])
    assert decode_page(_raw(fields["page"])) == leaf
    fields = VECTORS["page-inner"]
    below = fields["level"] - 1
    pages = tuple(PageRef(_raw(p["id"]), below, p["chunks"], p["records"], p["bytes"]) for p in fields["pages"])
    assert encode_inner(pages) == _raw(fields["page"])
    decoded = decode_page(_raw(fields["page"]))
    assert not isinstance(decoded, Leaf)
    assert (decoded.level, decoded.pages) == (fields["level"], pages)


def test_bounds() -> None:
    fields = VECTORS["bounds"]
    bounds = [Bounds(_raw(first), _raw(last)) for first, last in fields["bounds"]]
    assert encode_bounds(bounds) == _raw(fields["chunk"])
    assert decode_bounds(_raw(fields["chunk"])) == bounds


def test_paper() -> None:
    assert paper.to_lines(_identity()) == VECTORS["paper"]["lines"]
    assert read_identity(typed_in("\n".join(VECTORS["paper"]["lines"]))).root == _identity().root


def test_agent_ring() -> None:
    fields = VECTORS["agent-ring"]
    opener = AgentKey("host1", bytes(16), bytes(32), _raw(fields["agent_seed"]), _keyring()).ring_opener
    assert opener.secret == _raw(fields["ring_secret"])
    assert opener.recipient.fingerprint == _raw(fields["ring_fingerprint"])


def test_escrow() -> None:
    fields = VECTORS["escrow"]
    fingerprint = _identity().recipient.fingerprint
    names = {"drtool": "escrow", "format": 1, "repository": fields["repository"], "recipient": fingerprint.hex()}
    data = sign_lines("escrow", names | {"kdf": fields["kdf"], "sealed": fields["sealed"]}, _identity().root_key)
    released = open_escrow(data, "the escrow", fields["passphrase"])
    assert released == Released(_identity(), _raw(fields["repository"]))
    assert read_escrow(data, fields["passphrase"]) == fields["text"]
