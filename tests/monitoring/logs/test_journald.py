"""The journal's protocol, against a socket that takes it apart as journald does."""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.monitoring.logs.journald import Journal, encode
from drtool.monitoring.logs.lines import Level, Line

AT = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


def decoded(data: bytes) -> dict[str, str]:
    """The fields of a datagram, as https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ says that they are read."""
    fields = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, is_short, value = line.partition(b"=")
        if not is_short:
            (length,) = struct.unpack("<Q", rest[:8])
            value, end, rest = rest[8 : 8 + length], rest[8 + length : 9 + length], rest[9 + length :]
            assert end == b"\n"
        fields[name.decode()] = value.decode()
        data = rest
    return fields


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[tuple[Path, socket.socket]]:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(path))
        bound.settimeout(30)
        yield path, bound


def received(bound: socket.socket) -> dict[str, str]:
    """The next datagram's fields, or those in the file that it holds."""
    data, ancillary, _, _ = bound.recvmsg(1 << 20, socket.CMSG_SPACE(4))
    for _, _, passed in ancillary:
        descriptors = array.array("i")
        descriptors.frombytes(passed)
        assert data == b""
        with os.fdopen(descriptors[0], "rb") as file:
            file.seek(0)
            data = file.read()
            with pytest.raises(OSError, match=r"not permitted|Bad file"):
                os.ftruncate(file.fileno(), 0)
    return decoded(data)


@settings(max_examples=25)
@given(st.dictionaries(st.from_regex("[A-Z][A-Z0-9_]{0,9}", fullmatch=True), st.text(min_size=1), max_size=6))
def test_every_value_arrives(fields: dict[str, str]) -> None:
    assert decoded(encode(fields)) == fields


def test_a_line_with_its_fields(receiver: tuple[Path, socket.socket]) -> None:
    path, bound = receiver
    line = Line(AT, Level.WARNING, "two\nlines", "backup", "run-1", {"exit_code": 3, "job": "nightly", "odd name": ""})
    journal = Journal(path)
    journal.add(line)
    journal.close()
    assert received(bound) == {
        "MESSAGE": "two\nlines",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "drtool",
        "DRTOOL_RUN_ID": "run-1",
        "DRTOOL_COMMAND": "backup",
        "DRTOOL_EXIT_CODE": "3",
        "DRTOOL_JOB": "nightly",
    }


def test_what_is_too_large_for_a_datagram_goes_as_a_file(receiver: tuple[Path, socket.socket]) -> None:
    path, bound = receiver
    message = "long\n" * 200_000
    journal = Journal(path)
    journal.add(Line(AT, Level.ERROR, message))
    journal.close()
    assert received(bound) == {"MESSAGE": message, "PRIORITY": "3", "SYSLOG_IDENTIFIER": "drtool"}


def test_no_journal(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Journal(tmp_path / "none").add(Line(AT, Level.INFO, "text"))
