"""An identity under a passphrase: what opens it, and what a reader refuses."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest

from drtool.errors import DamagedObjectError, DrtoolError, FormatVersionError, TamperedError, WrongKeyError
from drtool.repository.escrow import Cost, Released, escrow_name, open_escrow, seal_escrow
from drtool.repository.identity import Identity
from drtool.repository.trust import sign_lines

ROOT = Identity(b"1" * 32)
SECOND = Identity(b"2" * 32, ROOT.root)
REPOSITORY = b"r" * 16
WORDS = "Straße über dem Fluß, naïve Möwe"
CHEAP = Cost(65_536, 1, 1)
NAME = escrow_name(ROOT.recipient)
OBJECT = seal_escrow(ROOT, WORDS, REPOSITORY, ROOT.root_key, CHEAP)


def _altered(**changes: Any) -> bytes:
    """With other fields, and the root's signature over them."""
    return sign_lines("escrow", json.loads(OBJECT.split(b"\n")[0]) | changes, ROOT.root_key)


def _with_kdf(**changes: Any) -> bytes:
    return _altered(kdf=json.loads(OBJECT.split(b"\n")[0])["kdf"] | changes)


def test_the_passphrase_brings_it_back_however_it_is_encoded() -> None:
    for form in ("NFC", "NFD"):
        typed = unicodedata.normalize(form, WORDS)
        assert open_escrow(OBJECT, NAME, typed) == Released(ROOT, REPOSITORY)


def test_a_wrong_passphrase() -> None:
    with pytest.raises(WrongKeyError, match="does not open"):
        open_escrow(OBJECT, NAME, WORDS.lower())


def test_a_second_recipients_identity_keeps_its_root() -> None:
    data = seal_escrow(SECOND, WORDS, REPOSITORY, ROOT.root_key, CHEAP)
    assert open_escrow(data, escrow_name(SECOND.recipient), WORDS).identity == SECOND


def test_nothing_of_it_lies_there_in_the_clear() -> None:
    assert ROOT.secret not in OBJECT
    assert ROOT.to_line().encode() not in OBJECT
    assert seal_escrow(ROOT, WORDS, REPOSITORY, ROOT.root_key, CHEAP) != OBJECT


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("memory_kib", value)
            for value in (0, 8, 65_535, 4_194_305, 1 << 40, -65_536, 65_536.0, "65536", True, None)
        ),
        *(("iterations", value) for value in (0, 17, 1 << 31, True)),
        *(("lanes", value) for value in (0, 17, 1 << 31, True)),
        ("name", "argon2i"),
        ("name", "scrypt"),
        ("salt", "00" * 8),
        ("salt", "zz"),
        ("salt", None),
    ],
)
def test_what_is_out_of_bounds_is_refused_although_the_root_signed_it(field: str, value: object) -> None:
    with pytest.raises(DamagedObjectError, match="cannot be used"):
        open_escrow(_with_kdf(**{field: value}), NAME, WORDS)


@pytest.mark.parametrize(
    "cost", [(65_535, 1, 1), (4_194_305, 1, 1), (65_536, 0, 1), (65_536, 17, 1), (65_536, 1, 0), (65_536, 1, 17)]
)
def test_nobody_can_ask_for_such_a_cost(cost: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="not"):
        Cost(*cost)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"drtool": "keys"}, DamagedObjectError),
        ({"format": 2}, FormatVersionError),
        ({"repository": "q" * 32}, DamagedObjectError),
        ({"repository": (b"q" * 16).hex()}, WrongKeyError),
        ({"recipient": SECOND.recipient.fingerprint.hex()}, WrongKeyError),
        ({"sealed": "!!"}, DamagedObjectError),
        ({"sealed": ""}, WrongKeyError),
        ({"kdf": []}, DamagedObjectError),
        ({"kdf": None}, DamagedObjectError),
    ],
)
def test_altered_fields(changes: dict[str, Any], error: type[DrtoolError]) -> None:
    with pytest.raises(error):
        open_escrow(_altered(**changes), NAME, WORDS)


def test_the_root_that_comes_out_must_have_signed_it() -> None:
    """Who knows the passphrase could seal another identity, but not in the root's name."""
    other = Identity(b"3" * 32)
    for forged in (
        seal_escrow(ROOT, WORDS, REPOSITORY, other.root_key, CHEAP),
        OBJECT.replace(b'"signature":"', b'"signature":"00'),
        OBJECT.split(b"\n")[0] + b"\n{}\n",
    ):
        with pytest.raises((TamperedError, DamagedObjectError)):
            open_escrow(forged, NAME, WORDS)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"{}", OBJECT[: len(OBJECT) // 3], b"[" * 100_000])
def test_what_is_no_escrow(data: bytes) -> None:
    with pytest.raises(DamagedObjectError):
        open_escrow(data, NAME, WORDS)
