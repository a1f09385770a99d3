"""What is exported, a real Redis reads: a dump that it starts on, commands that redis-cli hands to it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from shutil import which
from typing import IO
from urllib.parse import urlsplit

import pytest

from drtool.sources.exporting import ExportItem, ExportPlace
from drtool.sources.redis import RedisSource
from drtool.sources.redis.connection import Client, connect, inspect_server
from drtool.sources.redis.exporting import FILE
from drtool.sources.redis.server import RunningServer, running
from tests.sources.contract import Copy, back_up
from tests.sources.redis import zoo

LIBRARY = "#!lua name=answers\nredis.register_function('answer', function() return 42 end)"


def export(source: RedisSource, place: ExportPlace, copies: Iterable[Copy]) -> list[str]:
    """Export all streams; how they are read."""
    exporter = source.exporter(place)
    by_name = {copy.stream.name: copy for copy in copies}
    items = [
        ExportItem(copy.stream, sum(chunk.records for chunk in copy.chunks), len(copy.data))
        for copy in by_name.values()
    ]
    for item in exporter.begin(items):
        written = exporter.write(item, (chunk.data for chunk in by_name[item.stream.name].chunks))
        assert (written.records, written.bytes) == (item.records, item.bytes)
    return list(exporter.finish())


@pytest.fixture
def filled(redis_server: RunningServer, client: Client) -> bool:
    """Has the server functions, too?"""
    zoo.fill(redis_server.uri)
    if inspect_server(client, redis_server.uri).numbers < (7,):
        return False
    client.execute_command("FUNCTION LOAD", "REPLACE", LIBRARY)
    return True


def check(uri: str, original: str, *, has_functions: bool) -> None:
    """The same keys, and the functions work."""
    assert zoo.comparable(uri) == zoo.comparable(original)
    if has_functions:
        with closing(connect(uri)) as client:
            assert client.execute_command("FCALL", "answer", 0) == 42


def test_a_server_starts_on_the_dump(
    redis_server: RunningServer, redis_program: Path, tmp_path: Path, filled: bool
) -> None:
    with closing(RedisSource("redis", uri=redis_server.uri)) as source:
        notes = export(source, ExportPlace(str(tmp_path), "6.2", directory=tmp_path), back_up(source).values())
    assert any("redis-server --dir" in note for note in notes)
    with running(redis_program, config={"dir": f'"{tmp_path}"', "dbfilename": FILE}) as other:
        check(other.uri, redis_server.uri, has_functions=filled)


def test_redis_cli_loads_the_commands(
    redis_server: RunningServer, redis_program: Path, tmp_path: Path, filled: bool
) -> None:
    cli = which("redis-cli") or str(redis_program.with_name("redis-cli"))
    file = tmp_path / "commands"
    with closing(RedisSource("redis", uri=redis_server.uri)) as source, file.open("wb") as sink:
        notes = export(source, ExportPlace(str(file), "6.2", archive=_Sink(sink)), back_up(source).values())
    assert any("redis-cli --pipe" in note for note in notes)
    with running(redis_program) as other, file.open("rb") as commands:
        answer = subprocess.run(
            [cli, "-p", str(other.port), "--pipe"],
            env={**os.environ, "REDISCLI_AUTH": urlsplit(other.uri).password or ""},
            stdin=commands,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert "errors: 0" in answer.stdout, answer.stdout + answer.stderr
        check(other.uri, redis_server.uri, has_functions=filled)


class _Sink:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, data: bytes, /) -> None:
        self._file.write(data)
