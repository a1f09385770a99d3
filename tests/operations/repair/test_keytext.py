"""Record keys are shown as their system shows them."""

from __future__ import annotations

import bson
import pytest

from drtool.operations.repair.keytext import key_text
from drtool.sources.mongodb.keys import key_of


@pytest.mark.parametrize("value", [7, "a name", bson.ObjectId(b"123456789012"), {"a": 1}, b"\x00\x01", None, 1.5])
def test_of_mongodb(value: object) -> None:
    assert key_text("mongodb", key_of(bson.encode({"_id": value}))) == repr(value)


@pytest.mark.parametrize("key", [b"", b"\x02", b"\x07short", b"\xff\x00"])
def test_what_is_no_key(key: bytes) -> None:
    assert key_text("mongodb", key) == key.hex()


def test_of_other_systems() -> None:
    assert key_text("files", b"\x01\xff") == "01ff"
