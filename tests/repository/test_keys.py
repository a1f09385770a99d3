"""Identities, recipients and agent keys as text, and every kind of damage to them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import FormatVersionError, KeyFileError
from drtool.repository.agent_key import AgentKey
from drtool.repository.identity import IDENTITY_PREFIX, Identity, Recipient
from drtool.repository.keyring import Keyring
from drtool.repository.primitives import seal_to

KEYRING = Keyring(bytes(16), {b"newer...": b"n" * 32, b"older...": b"o" * 32}, b"newer...", b"i" * 32)
AGENT = AgentKey("host1", b"r" * 16, b"R" * 32, b"s" * 32, KEYRING)

secrets = st.binary(min_size=32, max_size=32)


@given(secrets, st.text(max_size=60), st.none() | secrets)
def test_identity_file_round_trip(secret: bytes, comment: str, root: bytes | None) -> None:
    identity = Identity(secret, root)
    assert Identity.from_text(identity.to_file(comment), "f") == identity


@given(secrets)
def test_identity_line_may_be_typed_in_again_in_any_case_and_grouping(secret: bytes) -> None:
    body = Identity(secret).to_line().removeprefix(IDENTITY_PREFIX).replace("-", "")
    typed = f"  {IDENTITY_PREFIX}{body[:10]} {body[10:]}  ".lower()
    assert Identity.from_text(typed, "f").secret == secret


@given(secrets, st.data())
def test_one_wrong_character_is_noticed(secret: bytes, data: st.DataObject) -> None:
    line = Identity(secret).to_line()
    # The last character has two spare bits, which mean nothing.
    position = data.draw(st.integers(len(IDENTITY_PREFIX), len(line) - 2).filter(lambda i: line[i] != "-"))
    wrong = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567").filter(lambda c: c != line[position]))
    with pytest.raises(KeyFileError, match="checksum"):
        Identity.from_text(line[:position] + wrong + line[position + 1 :], "f")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no identity"),
        ("# nothing but a comment\n", "holds no identity"),
        (AGENT.to_text(), "does not belong in an identity file"),
        (Identity(bytes(32)).recipient.to_text(), "does not belong in an identity file"),
        (Identity(bytes(32)).to_line()[:-7], "checksum"),
        (Identity(bytes(32)).to_line() + "-AAAAAA", "checksum"),
        (Identity(bytes(32)).to_line()[:-1] + "!", "characters"),
        (Identity(bytes(32)).to_line()[:-1] + "é", "characters"),
        (f"{Identity(bytes(32)).to_line()}\n{Identity(b'1' * 32).to_line()}\n", "several"),
        (f"root zz\n{Identity(bytes(32)).to_line()}", "hexadecimal"),
        (f"root 00\n{Identity(bytes(32)).to_line()}", "1 bytes instead of 32"),
    ],
)
def test_damaged_identity_files(text: str, message: str) -> None:
    with pytest.raises(KeyFileError, match=message) as caught:
        Identity.from_text(text, "identity.key")
    assert "identity.key" in caught.value.message


def test_an_identity_that_pins_a_root_trusts_that_one() -> None:
    assert Identity(bytes(32)).root == Identity(bytes(32)).root_key.public
    assert Identity(bytes(32), b"R" * 32).root == b"R" * 32


@given(secrets)
def test_recipient_round_trip(secret: bytes) -> None:
    recipient = Identity(secret).recipient
    assert Recipient.from_text(f" {recipient.to_text()}\n") == recipient


@given(st.data())
def test_a_damaged_recipient_is_noticed(data: st.DataObject) -> None:
    text = Identity(bytes(32)).recipient.to_text()
    position = data.draw(st.integers(0, len(text) - 1))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_ !"
    wrong = data.draw(st.sampled_from(alphabet).filter(lambda c: c != text[position]))
    damaged = text[:position] + wrong + text[position + 1 :]
    try:
        found = Recipient.from_text(damaged)
    except KeyFileError:
        return
    # The spare bits of the last character mean nothing.
    assert position == len(text) - 1
    assert found == Identity(bytes(32)).recipient


@pytest.mark.parametrize("cut", [0, 5, 30, 800, 1640])
def test_a_recipient_cut_off_is_noticed(cut: int) -> None:
    with pytest.raises(KeyFileError):
        Recipient.from_text(Identity(bytes(32)).recipient.to_text()[:cut])


def test_what_is_sealed_to_one_identity_opens_with_it_alone() -> None:
    mine, other = Identity(b"1" * 32), Identity(b"2" * 32)
    sealed = seal_to(mine.recipient.public, b"k" * 32, b"info")
    assert mine.opening_key.open(sealed, b"info") == b"k" * 32
    for key, info in ((other, b"info"), (mine, b"other")):
        with pytest.raises(InvalidTag):
            key.opening_key.open(sealed, info)


def test_agent_key_round_trip() -> None:
    assert AgentKey.from_text(AGENT.to_text(), "f") == AGENT


@pytest.mark.parametrize("field", sorted(json.loads(AGENT.to_text())))
def test_an_agent_key_without_a_field_is_refused(field: str) -> None:
    fields = json.loads(AGENT.to_text())
    del fields[field]
    with pytest.raises(KeyFileError, match=r"agent\.key is not an agent key"):
        AgentKey.from_text(json.dumps(fields), "agent.key")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("repository", "00"),
        ("lineage", "00" * 17),
        ("root", "00" * 31),
        ("seed", "00" * 33),
        ("seed", "not hexadecimal"),
        ("seed", 5),
        ("id_key", "00"),
        ("catalog_keys", []),
        ("catalog_keys", [{"id": "00", "key": "00" * 32}]),
        ("catalog_keys", {"id": "00"}),
        ("drtool", "repository"),
    ],
)
def test_a_damaged_agent_key_is_refused(field: str, value: object) -> None:
    with pytest.raises(KeyFileError):
        AgentKey.from_text(json.dumps(json.loads(AGENT.to_text()) | {field: value}), "agent.key")


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '"agent-key"', AGENT.to_text()[:-20], Identity(bytes(32)).to_line()]
)
def test_what_is_no_agent_key_at_all(text: str) -> None:
    with pytest.raises(KeyFileError):
        AgentKey.from_text(text, "agent.key")


def test_an_agent_key_of_another_format() -> None:
    with pytest.raises(FormatVersionError, match="format 2"):
        AgentKey.from_text(json.dumps(json.loads(AGENT.to_text()) | {"format": 2}), "agent.key")


def test_no_secret_shows_when_a_key_is_printed() -> None:
    shown = repr(Identity(b"\x07" * 32)) + repr(replace(AGENT, seed=b"\x07" * 32)) + repr(KEYRING)
    for secret in (b"\x07" * 32, b"n" * 32, b"i" * 32):
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown


def test_errors_of_damaged_keys_do_not_quote_them() -> None:
    with pytest.raises(KeyFileError) as caught:
        AgentKey.from_text(AGENT.to_text().replace('"seed": "', '"seed": "x'), "agent.key")
    assert AGENT.seed.hex() not in f"{caught.value!r} {caught.value.__cause__!r}"
