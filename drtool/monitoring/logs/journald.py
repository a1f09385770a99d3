"""systemd's journal, by its own protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/)."""

from __future__ import annotations

import array
import errno
import fcntl
import json
import os
import re
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

from drtool.monitoring.logs.lines import Level, Line

SOCKET = Path("/run/systemd/journal/socket")
_PRIORITIES = {Level.INFO: 6, Level.WARNING: 4, Level.ERROR: 3}
_TOO_LARGE = (errno.EMSGSIZE, errno.ENOBUFS)


class Journal:
    """Each line is a datagram with its fields: ``MESSAGE``, ``PRIORITY``, ``SYSLOG_IDENTIFIER``, ``DRTOOL_RUN_ID``,
    ``DRTOOL_COMMAND``, and ``DRTOOL_…`` for those of its own. ``OSError`` where nobody takes it."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def add(self, line: Line) -> None:
        """Send a line."""
        data = encode(fields_of(line))
        try:
            self._socket.sendto(data, self._path)
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            self._send_as_file(data)

    def close(self) -> None:
        """Nothing can be sent afterwards."""
        self._socket.close()

    def _send_as_file(self, data: bytes) -> None:
        """What is too large for a datagram goes as a sealed file in memory, whose descriptor the datagram holds."""
        descriptor = os.memfd_create("drtool-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            file.write(data)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
            self._socket.sendmsg([], ancillary, 0, self._path)


def fields_of(line: Line) -> dict[str, str]:
    """The journal's fields of a line."""
    own = {f"DRTOOL_{_name(name)}": _text(value) for name, value in line.fields.items()}
    head = {"MESSAGE": line.message, "PRIORITY": str(_PRIORITIES[line.level]), "SYSLOG_IDENTIFIER": "drtool"}
    return {**own, **head, "DRTOOL_RUN_ID": line.run, "DRTOOL_COMMAND": line.command}


def encode(fields: Mapping[str, str]) -> bytes:
    """A datagram: ``NAME=value`` and a newline for each; a value with a newline in it goes after its length, which is
    64 bits, little-endian. Empty ones are left out."""
    parts = []
    for name, value in fields.items():
        data = value.encode("utf-8", "backslashreplace")
        if b"\n" in data:
            parts.append(name.encode("ascii") + b"\n" + struct.pack("<Q", len(data)) + data + b"\n")
        elif data:
            parts.append(name.encode("ascii") + b"=" + data + b"\n")
    return b"".join(parts)


def _name(name: str) -> str:
    return re.sub("[^A-Z0-9_]", "_", name.upper())[:50]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
