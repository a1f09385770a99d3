"""repository.json and keys/: only what the root signed counts."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import (
    DamagedObjectError,
    ForeignRepositoryError,
    FormatVersionError,
    RepositoryExistsError,
    RepositoryMissingError,
    RolledBackError,
    TamperedError,
    UnsafeStorageError,
    WrongKeyError,
)
from drtool.repository.identity import Identity
from drtool.repository.keyring import Keyring
from drtool.repository.repository import create
from drtool.repository.trust import (
    REPOSITORY_NAME,
    LastGood,
    NamedRecipient,
    RepositoryDocument,
    Revocation,
    Role,
    Signer,
    keys_name,
    open_keyring,
    seal_keyring,
    sign_lines,
)
from drtool.storage.base import Capabilities
from drtool.storage.directory import DirectoryStorage
from tests.repository.builders import NOW, Made, make

ROOT = Identity(b"1" * 32)
OTHER = Identity(b"2" * 32)
KEYRING = Keyring(b"L" * 16, {b"k" * 8: b"K" * 32}, b"k" * 8, b"i" * 32)
DOCUMENT = RepositoryDocument(
    repository=b"r" * 16,
    lineage=b"L" * 16,
    root=ROOT.root,
    sequence=7,
    created=NOW,
    catalog_key=b"k" * 8,
    recipients=(NamedRecipient(ROOT.recipient, "identity", NOW),),
    signers=(Signer(b"s" * 32, "host1", frozenset({Role.WRITER}), NOW, OTHER.recipient),),
    revocations=(Revocation(b"x" * 32, NOW, {"0/nightly": LastGood(3, "ab")}),),
    object_lock={"mode": "COMPLIANCE", "days": 30},
)


def _fields(data: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(data.split(b"\n")[0])
    return fields


FIELDS = _fields(DOCUMENT.sign(ROOT.root_key))


def test_round_trip() -> None:
    assert RepositoryDocument.parse(DOCUMENT.sign(ROOT.root_key), ROOT.root) == DOCUMENT


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_an_altered_field_is_refused(field: str) -> None:
    line, second, _ = DOCUMENT.sign(ROOT.root_key).split(b"\n")
    altered = json.loads(line) | {field: "altered"}
    data = json.dumps(altered, sort_keys=True, separators=(",", ":")).encode() + b"\n" + second + b"\n"
    expected: dict[str, type[Exception]] = {
        "drtool": DamagedObjectError,
        "format": FormatVersionError,
        "suites": FormatVersionError,
        "root": WrongKeyError,
    }
    with pytest.raises(expected.get(field, TamperedError)):
        RepositoryDocument.parse(data, ROOT.root)


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_a_missing_field_is_refused_although_signed(field: str) -> None:
    fields = {name: value for name, value in FIELDS.items() if name != field}
    with pytest.raises((DamagedObjectError, FormatVersionError, WrongKeyError)):
        RepositoryDocument.parse(sign_lines("repository", fields, ROOT.root_key), ROOT.root)


@given(st.data())
def test_a_flipped_bit_is_refused(data: st.DataObject) -> None:
    line, second = DOCUMENT.sign(ROOT.root_key).rstrip(b"\n").split(b"\n")
    position = data.draw(st.integers(0, len(line) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    flipped = line[:position] + bytes([line[position] ^ bit]) + line[position + 1 :]
    with pytest.raises((DamagedObjectError, FormatVersionError, WrongKeyError, TamperedError)):
        RepositoryDocument.parse(flipped + b"\n" + second + b"\n", ROOT.root)


def test_an_unknown_field_is_ignored() -> None:
    data = sign_lines("repository", FIELDS | {"later": 1}, ROOT.root_key)
    assert RepositoryDocument.parse(data, ROOT.root) == DOCUMENT


@pytest.mark.parametrize(
    "second", [b"", b"{}", b"[]", b'{"signature":5}', b'{"signature":"zz"}', b"[" * 100_000, b'{"signature":"00"}']
)
def test_without_a_signature(second: bytes) -> None:
    line = DOCUMENT.sign(ROOT.root_key).split(b"\n")[0]
    with pytest.raises((DamagedObjectError, TamperedError)):
        RepositoryDocument.parse(line + b"\n" + second, ROOT.root)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"drtool":"repository"'])
def test_what_is_no_document(data: bytes) -> None:
    with pytest.raises(DamagedObjectError):
        RepositoryDocument.parse(data, ROOT.root)


def test_another_root_is_a_wrong_key() -> None:
    with pytest.raises(WrongKeyError, match="root key is not the one"):
        RepositoryDocument.parse(DOCUMENT.sign(ROOT.root_key), OTHER.root)


def test_another_root_that_claims_to_be_ours_is_tampering() -> None:
    with pytest.raises(TamperedError, match="not signed by the repository's root"):
        RepositoryDocument.parse(DOCUMENT.sign(OTHER.root_key), ROOT.root)


def test_a_signature_of_another_kind_does_not_count() -> None:
    with pytest.raises(TamperedError):
        RepositoryDocument.parse(sign_lines("keys", FIELDS, ROOT.root_key), ROOT.root)


def test_another_format_is_named() -> None:
    data = sign_lines("repository", FIELDS | {"format": 2}, ROOT.root_key)
    with pytest.raises(FormatVersionError, match="format 2"):
        RepositoryDocument.parse(data, ROOT.root)


def test_roles() -> None:
    assert DOCUMENT.allows(b"s" * 32, Role.WRITER)
    assert not DOCUMENT.allows(b"s" * 32, Role.MAINTAINER)
    assert not DOCUMENT.allows(b"t" * 32, Role.WRITER)


def test_a_revoked_signer_keeps_what_the_revocation_names_and_nothing_else() -> None:
    revoked = b"x" * 32
    assert DOCUMENT.accepts(revoked, "0/nightly", 2, "whatever the chain says")
    assert DOCUMENT.accepts(revoked, "0/nightly", 3, "ab")
    assert not DOCUMENT.accepts(revoked, "0/nightly", 3, "cd")
    assert not DOCUMENT.accepts(revoked, "0/nightly", 4, "ab")
    assert not DOCUMENT.accepts(revoked, "1/nightly", 1, "ab")
    assert DOCUMENT.accepts(b"s" * 32, "1/nightly", 1, "ab")


def test_keyring_round_trip() -> None:
    data = seal_keyring(KEYRING, DOCUMENT.repository, ROOT.recipient, ROOT.root_key)
    assert open_keyring(data, DOCUMENT, ROOT) == KEYRING


def test_a_keyring_of_another_repository_is_refused() -> None:
    data = seal_keyring(KEYRING, b"q" * 16, ROOT.recipient, ROOT.root_key)
    with pytest.raises(TamperedError, match="another repository"):
        open_keyring(data, DOCUMENT, ROOT)


def test_a_keyring_that_the_root_did_not_sign_is_refused() -> None:
    data = seal_keyring(KEYRING, DOCUMENT.repository, ROOT.recipient, OTHER.root_key)
    with pytest.raises(TamperedError):
        open_keyring(data, DOCUMENT, ROOT)


def test_a_keyring_for_somebody_else_is_a_wrong_key() -> None:
    data = seal_keyring(KEYRING, DOCUMENT.repository, OTHER.recipient, ROOT.root_key)
    with pytest.raises(WrongKeyError):
        open_keyring(data, DOCUMENT, ROOT)


def test_an_old_keyring_is_refused() -> None:
    old = Keyring(KEYRING.lineage, {b"o" * 8: b"K" * 32}, b"o" * 8, KEYRING.id_key)
    data = seal_keyring(old, DOCUMENT.repository, ROOT.recipient, ROOT.root_key)
    with pytest.raises(TamperedError, match="older"):
        open_keyring(data, DOCUMENT, ROOT)


@pytest.mark.parametrize("sealed", [None, "", "!!", base64.b64encode(bytes(2000)).decode()])
def test_a_damaged_keyring(sealed: str | None) -> None:
    fields = {"repository": DOCUMENT.repository.hex()} | ({} if sealed is None else {"sealed": sealed})
    with pytest.raises((DamagedObjectError, WrongKeyError)):
        open_keyring(sign_lines("keys", fields, ROOT.root_key), DOCUMENT, ROOT)


# --- opening -----------------------------------------------------------------------------


def test_no_repository(made: Made) -> None:
    made.storage.delete(REPOSITORY_NAME)
    with pytest.raises(RepositoryMissingError):
        made.as_agent()


def test_one_repository_in_one_place(made: Made) -> None:
    before = made.storage.get(REPOSITORY_NAME)
    with pytest.raises(RepositoryExistsError):
        create(made.storage, "host2")
    assert made.storage.get(REPOSITORY_NAME) == before


def test_the_owner_gets_the_keys_from_the_store(made: Made) -> None:
    assert made.as_owner().keyring == made.as_agent().keyring


def test_a_host_that_saw_a_newer_document_refuses_an_older_one(made: Made) -> None:
    old = made.storage.get(REPOSITORY_NAME)
    made.enrol("host2")
    made.as_agent().close()
    made.storage.put(REPOSITORY_NAME, old)
    with pytest.raises(RolledBackError, match="sequence 1, this host has seen 2"):
        made.as_agent()
    made.as_agent("a host without memory").close()


def test_a_repository_of_the_same_root_is_still_another_one(made: Made) -> None:
    made.publish(repository=b"q" * 16)
    with pytest.raises(ForeignRepositoryError):
        made.as_agent()


def test_somebody_elses_repository(made: Made, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make(tmp_path / "other")
    theirs = Made(other.storage, made.agent, made.identity, made.local)
    for way_in in (theirs.as_agent, theirs.as_owner):
        with pytest.raises(WrongKeyError):
            way_in()
    with pytest.raises(WrongKeyError, match="different repositories"):
        Made(made.storage, made.agent, other.identity, made.local).as_both()


def test_an_identity_that_is_no_recipient(made: Made) -> None:
    stranger = Identity(b"3" * 32, pinned_root=made.identity.root)
    with pytest.raises(WrongKeyError, match="not a recipient"):
        Made(made.storage, made.agent, stranger, made.local).as_owner()


def test_missing_keys_of_a_recipient(made: Made) -> None:
    made.storage.delete(keys_name(made.identity.recipient))
    with pytest.raises(TamperedError, match="missing"):
        made.as_owner()


def test_after_a_rotation_an_old_agent_key_is_refused(made: Made) -> None:
    made.publish(catalog_key=b"new.....")
    with pytest.raises(WrongKeyError, match="current catalog key"):
        made.as_agent()


def test_the_root_says_which_catalog_key_seals(made: Made) -> None:
    ring = made.agent.keyring
    both = Keyring(ring.lineage, {b"ahead...": b"a" * 32, **ring.catalog}, b"ahead...", ring.id_key)
    agent = type(made.agent)(made.agent.name, made.agent.repository, made.agent.root, made.agent.seed, both)
    assert made.as_agent(agent=agent).keyring.current == made.document().catalog_key


def test_no_key_at_all(made: Made) -> None:
    with pytest.raises(WrongKeyError, match="no key was given"):
        made._open(None, None, "host")


def test_creating_needs_create_only_puts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DirectoryStorage, "probe", lambda self: Capabilities(False, False, False))
    with pytest.raises(UnsafeStorageError):
        make(tmp_path)
