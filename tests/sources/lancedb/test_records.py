"""Parts of files as records, and Protocol Buffers: no engine is needed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.config.source_types.lancedb import LanceSettings
from drtool.errors import MissingToolError, SourceError
from drtool.sources.lancedb import LanceSource
from drtool.sources.lancedb.manifest import read_manifest
from drtool.sources.lancedb.protobuf import bytes_of, number_of, parse
from drtool.sources.lancedb.records import Part, encode, key_of, parts, records
from drtool.sources.lancedb.writing import write

PARTS = st.builds(
    Part,
    st.text("abc/._é-", min_size=1, max_size=20),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.binary(max_size=50),
)


@given(st.lists(PARTS, max_size=8))
def test_what_is_packed_comes_out(packed: list[Part]) -> None:
    pairs = [encode(part) for part in packed]
    chunk = b"".join(data for _, data in pairs)
    assert [part._replace(data=bytes(part.data)) for part in parts(chunk)] == packed
    assert [(key, bytes(data)) for key, data in records(chunk)] == pairs


@given(st.lists(PARTS, min_size=1, max_size=4), st.data())
def test_half_a_record_is_an_error(packed: list[Part], data: st.DataObject) -> None:
    chunk = b"".join(encode(part)[1] for part in packed)
    end = len(chunk) - data.draw(st.integers(1, len(encode(packed[-1])[1]) - 1))
    with pytest.raises(SourceError):
        list(records(chunk[:end]))


@given(st.integers(0, 2**63), st.integers(0, 2**63), st.text("ab", min_size=1))
def test_keys_of_a_file_sort_by_offset(one: int, other: int, path: str) -> None:
    assert (key_of(path, one) < key_of(path, other)) == (one < other)


@pytest.mark.parametrize("path", ["/etc/passwd", "../other.lance/data", "data/../../x", "."])
def test_a_record_never_leads_out_of_its_table(path: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="outside of its table"):
        write(tmp_path / "table", [bytes(encode(Part(path, 0, 1, b"x"))[1])])
    assert list(tmp_path.rglob("*")) == []


@given(st.binary(max_size=60))
def test_whatever_is_no_manifest_is_named(data: bytes) -> None:
    with pytest.raises(SourceError, match="table docs: its manifest cannot be read"):
        read_manifest(data, "docs")


@given(st.integers(0, 2**64 - 1), st.binary(max_size=200))
def test_fields_of_a_message(number: int, data: bytes) -> None:
    message = parse(b"\x08" + _varint(number) + b"\x12" + _varint(len(data)) + data + b"\x1d1234" + b"\x2112345678")
    assert (number_of(message, 1), bytes_of(message, 2)) == (number, data)
    assert (bytes_of(message, 3), bytes_of(message, 4)) == (b"1234", b"12345678")
    assert (number_of(message, 9), bytes_of(message, 9)) == (0, b"")


def test_a_bucket_is_refused() -> None:
    with pytest.raises(ValueError, match="object stores cannot be backed up"):
        LanceSettings.model_validate({"type": "lancedb", "path": "s3://bucket/vectors"})


def test_without_the_engine_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)  # as an import finds it that fails
    with pytest.raises(MissingToolError) as caught:
        LanceSource("vectors", path=tmp_path).sandbox_program("0.40.0")
    assert "drtool[lancedb]" in caught.value.hint


def _varint(number: int) -> bytes:
    digits = []
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])
