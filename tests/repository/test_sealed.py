"""Sealed objects: whole, under their own name, in their own repository, by somebody who may."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import DamagedObjectError, TamperedError, WrongKeyError
from drtool.repository.identity import Identity
from drtool.repository.keyring import Keyring
from drtool.repository.primitives import SigningKey
from drtool.repository.sealed import HEADER_BYTES, MOMENTARY, MOVABLE, SIGNERS, Kind, Opened, open_object, seal_object
from drtool.repository.trust import NamedRecipient, RepositoryDocument, Revocation, Role, Signer
from tests.repository.builders import NOW, flipped

KEYRING = Keyring(b"L" * 16, {b"k" * 8: b"K" * 32}, b"k" * 8, b"i" * 32)
KEYS = {role: SigningKey(role.value.encode().ljust(32)) for role in Role}
STRANGER = SigningKey(b"?" * 32)
IDENTITY = Identity(b"1" * 32)
REPOSITORY = b"r" * 16
DOCUMENT = RepositoryDocument(
    REPOSITORY,
    KEYRING.lineage,
    IDENTITY.root,
    1,
    NOW,
    KEYRING.current,
    (NamedRecipient(IDENTITY.recipient, "identity", NOW),),
    tuple(Signer(key.public, role.value, frozenset({role}), NOW) for role, key in KEYS.items()),
)
NAME = "evidence/1"

kinds = st.sampled_from(list(Kind))


def _key_for(kind: Kind) -> SigningKey:
    return KEYS[min(SIGNERS[kind])]


def _sealed(kind: Kind = Kind.EVIDENCE, name: str = NAME, payload: bytes = b"payload") -> bytes:
    return seal_object(kind, name, payload, KEYRING, _key_for(kind), REPOSITORY)


@given(kinds, st.text("abc/", max_size=20), st.binary(max_size=300))
def test_round_trip(kind: Kind, name: str, payload: bytes) -> None:
    data = _sealed(kind, name, payload)
    assert open_object(kind, name, data, KEYRING, DOCUMENT) == Opened(payload, _key_for(kind).public)
    assert data != _sealed(kind, name, payload)


def test_every_byte_counts() -> None:
    data = _sealed()
    for position in range(len(data)):
        with pytest.raises((DamagedObjectError, WrongKeyError)) as caught:
            open_object(Kind.EVIDENCE, NAME, flipped(data, position), KEYRING, DOCUMENT)
        assert NAME in caught.value.message or isinstance(caught.value, WrongKeyError)
        if isinstance(caught.value, WrongKeyError):
            assert 9 <= position < 17  # the catalog key's id


def test_every_truncation_is_noticed() -> None:
    data = _sealed()
    for end in range(len(data)):
        with pytest.raises(DamagedObjectError, match=NAME):
            open_object(Kind.EVIDENCE, NAME, data[:end], KEYRING, DOCUMENT)


@given(kinds, kinds)
def test_an_object_is_of_its_kind_alone(kind: Kind, other: Kind) -> None:
    if kind != other:
        data = _sealed(kind)
        with pytest.raises(DamagedObjectError, match="another kind"):
            open_object(other, NAME, data, KEYRING, DOCUMENT)
        disguised = data[:8] + bytes([other]) + data[9:]
        with pytest.raises(DamagedObjectError):
            open_object(other, NAME, disguised, KEYRING, DOCUMENT)


@given(kinds)
def test_an_object_lies_under_its_own_name(kind: Kind) -> None:
    with pytest.raises(DamagedObjectError, match="a name that is not its own"):
        open_object(kind, "evidence/2", _sealed(kind), KEYRING, DOCUMENT)


@pytest.mark.parametrize("kind", list(Kind))
def test_only_what_may_move_counts_in_another_repository_of_the_lineage(kind: Kind) -> None:
    elsewhere = replace(DOCUMENT, repository=b"q" * 16)
    data = _sealed(kind)
    if kind in MOVABLE:
        assert open_object(kind, NAME, data, KEYRING, elsewhere).payload == b"payload"
    else:
        with pytest.raises(DamagedObjectError):
            open_object(kind, NAME, data, KEYRING, elsewhere)


@pytest.mark.parametrize("kind", list(Kind))
def test_nothing_counts_in_another_lineage(kind: Kind) -> None:
    with pytest.raises(DamagedObjectError):
        open_object(kind, NAME, _sealed(kind), replace(KEYRING, lineage=b"M" * 16), DOCUMENT)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("kind", list(Kind))
def test_each_kind_needs_a_role(kind: Kind, role: Role) -> None:
    data = seal_object(kind, NAME, b"payload", KEYRING, KEYS[role], REPOSITORY)
    if role in SIGNERS[kind]:
        assert open_object(kind, NAME, data, KEYRING, DOCUMENT).signer == KEYS[role].public
    else:
        with pytest.raises(TamperedError, match="did not allow"):
            open_object(kind, NAME, data, KEYRING, DOCUMENT)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_stranger_with_the_catalog_key_signs_nothing(kind: Kind) -> None:
    data = seal_object(kind, NAME, b"payload", KEYRING, STRANGER, REPOSITORY)
    with pytest.raises(TamperedError, match="did not allow"):
        open_object(kind, NAME, data, KEYRING, DOCUMENT)


def test_who_holds_the_catalog_key_cannot_put_words_into_another_mouth() -> None:
    class Forger(SigningKey):
        """Signs with its own key and claims to be the verifier."""

    forger = Forger(b"?" * 32)
    forger.public = KEYS[Role.VERIFIER].public
    data = seal_object(Kind.EVIDENCE, NAME, b"payload", KEYRING, forger, REPOSITORY)
    with pytest.raises(TamperedError, match="signature"):
        open_object(Kind.EVIDENCE, NAME, data, KEYRING, DOCUMENT)


@pytest.mark.parametrize("kind", list(Kind))
def test_what_a_revoked_signer_is_doing_just_now_does_not_count(kind: Kind) -> None:
    key = _key_for(kind)
    document = replace(DOCUMENT, revocations=(Revocation(key.public, NOW, {}),))
    if kind in MOMENTARY:
        with pytest.raises(TamperedError, match="revoked"):
            open_object(kind, NAME, _sealed(kind), KEYRING, document)
    else:
        assert open_object(kind, NAME, _sealed(kind), KEYRING, document)


def test_an_unknown_catalog_key_is_named() -> None:
    with pytest.raises(WrongKeyError, match="6b6b6b6b6b6b6b6b"):
        open_object(Kind.EVIDENCE, NAME, _sealed(), replace(KEYRING, catalog={b"x" * 8: b"K" * 32}), DOCUMENT)


def test_another_catalog_key_opens_nothing() -> None:
    with pytest.raises(DamagedObjectError):
        open_object(Kind.EVIDENCE, NAME, _sealed(), replace(KEYRING, catalog={b"k" * 8: b"x" * 32}), DOCUMENT)


def test_nothing_shows_outside() -> None:
    data = _sealed(payload=b"MARKER" * 10)
    assert b"MARKER" not in data
    assert _key_for(Kind.EVIDENCE).public not in data
    assert len(data) == HEADER_BYTES + 32 + 64 + 60 + 16
