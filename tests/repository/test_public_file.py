"""Recipient files, and what is taken for one."""

from __future__ import annotations

import pytest

from drtool.errors import KeyFileError
from drtool.repository.identity import Identity
from drtool.repository.public_file import PublicHalf

IDENTITY = Identity(b"1" * 32, b"R" * 32)
PUBLIC = PublicHalf.of(IDENTITY)
LINE = IDENTITY.recipient.to_text()


def test_round_trip() -> None:
    assert PublicHalf.from_text(PUBLIC.to_text(), "f") == PUBLIC
    assert IDENTITY.secret.hex() not in PUBLIC.to_text()


def test_a_bare_recipient_line_will_do() -> None:
    assert PublicHalf.from_text(f"\n  {LINE}  \n", "f") == PublicHalf(IDENTITY.recipient)


def test_of_an_identity_file_only_the_public_half_is_taken() -> None:
    found = PublicHalf.from_text(IDENTITY.to_file("mine"), "f")
    assert found == PublicHalf(IDENTITY.recipient, IDENTITY.verifier_key.public, IDENTITY.root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no recipient"),
        ("# nothing\n", "no recipient"),
        (f"{LINE}\n{LINE}\n", "2 recipients"),
        (LINE[:-5], "checksum"),
        ("something else", "not a drtool recipient"),
        (f"{LINE}\nverifier zz", "verifier line"),
        (f"{LINE}\nverifier 00", "verifier line"),
    ],
)
def test_damage_names_the_file(text: str, message: str) -> None:
    with pytest.raises(KeyFileError, match=message) as caught:
        PublicHalf.from_text(text, "hers.recipient")
    assert "hers.recipient" in caught.value.message
