"""Redis: drtool beside redis-cli, which writes one plain file and restores nothing by itself.

The same work as a backup is that file compressed and encrypted on its way, where zstd and age are installed. What
stands beside a restore is redis-cli --pipe, which sends the same commands from a file that was made before. What each
key costs weighs most where values are small: so there are several sizes of them.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from drtool.sources.redis.binary import find_server
from drtool.sources.redis.connection import connect
from drtool.sources.redis.server import RunningServer, running
from tests.bench import measure
from tests.bench.drtools import command
from tests.bench.measure import FailedError, Measured
from tests.bench.peers import can_seal, new_recipient, sealing
from tests.bench.place import environment
from tests.bench.table import render

TITLE = "redis"
KEYS = 200_000
#: Bytes of a value, and how many keys have such: 400 MB each, lest starting Python is most of what is measured.
SIZES = {410: 1_000_000, 2_000: 200_000, 10_000: 40_000}
_OURS, _THEIRS, _SEALED = "drtool", "redis-cli --rdb", "redis-cli --rdb - | zstd -1 -T0 | age"
_PARTS = {"first": "first backup", "second": "second backup, unchanged", "restore": "restore to an empty server"}
_BATCH = 5_000
_DUMP, _COMMANDS = "dump.rdb", "commands"
_POLL_SECONDS = 0.02


def report(scale: float, runs: int, parent: Path | None) -> str:
    """A table for each part: of a small mixture, and, measured half as often, of strings of several sizes."""
    found = [_report("a mixture", lambda uri: _fill(uri, round(KEYS * scale)), runs, parent)]
    for size, count in SIZES.items():
        what = f"strings of {size:,} random bytes"
        fill = partial(_fill_strings, count=max(1, round(count * scale)), size=size)
        found.append(_report(what, fill, max(1, runs // 2), parent))
    return "\n\n".join(found)


def _report(what: str, fill: Callable[[str], int], runs: int, parent: Path | None) -> str:
    program = find_server()
    figures: dict[str, dict[str, list[Measured]]] = {part: {} for part in _PARTS}
    with (
        tempfile.TemporaryDirectory(prefix="drtool-bench-", dir=parent) as directory,
        running(program, Path(directory)) as server,
    ):
        keys = fill(server.uri)
        size = 0
        for number in range(runs):
            place = Path(directory) / str(number)
            round_ = _Round(place, program, server, keys)
            for part, name, measured in round_.measure():
                figures[part].setdefault(name, []).append(measured)
            size = round_.size
            shutil.rmtree(place)
    told = (
        f"{TITLE}, {what}: {keys:,} keys, {size / 1e6:.0f} MB as a dump; {os.cpu_count()} processors; medians of {runs}"
    )
    return "\n\n".join([told, *(render(_PARTS[part], figures[part], size, _OURS) for part in _PARTS)])


class _Round:
    def __init__(self, directory: Path, program: Path, server: RunningServer, keys: int) -> None:
        directory.mkdir()
        self._directory, self._program, self._server, self._keys = directory, program, server, keys
        directory.joinpath("drtool.yaml").write_text(
            "repository: {url: repository, agent_key: {file: agent.key}, identity: {file: identity.key},"
            " state_dir: state, cache_dir: cache}\n"
            f"sources: {{cache: {{type: redis, uri: '{server.uri}'}}}}\n"
            "jobs: {nightly: {sources: [cache]}}\n",
            encoding="utf-8",
        )
        self._drtool("init", "--identity-out", "identity.key")

    @property
    def size(self) -> int:
        """Bytes of the dump that redis-cli wrote."""
        return self._directory.joinpath(_DUMP).stat().st_size

    def measure(self) -> list[tuple[str, str, Measured]]:
        """Each part, by both."""
        backups: dict[str, Callable[[], Measured]] = {_THEIRS: self._redis_cli, _OURS: lambda: self._drtool("backup")}
        if can_seal():
            backups[_SEALED] = self._sealed
        found = [(part, name, backup()) for part in ("first", "second") for name, backup in backups.items()]
        self._drtool("export", "latest", "--archive", _COMMANDS)
        with self._empty_server() as other:
            found.append(("restore", "redis-cli --pipe", self._pipe(other)))
        with self._empty_server() as other:
            found.append(("restore", _OURS, self._drtool("restore", "latest", "--to", other.uri, server=other)))
        return found

    @contextlib.contextmanager
    def _empty_server(self) -> Iterator[RunningServer]:
        """To be filled: ``FailedError`` where not all keys are there at the end."""
        with running(self._program, self._directory) as server:
            yield server
            client = connect(server.uri)
            there = client.dbsize()
            client.close()
        if there != self._keys:
            raise FailedError(f"restored {there} of {self._keys} keys")

    def _redis_cli(self) -> Measured:
        return self._measured([[*self._client(self._server), "--rdb", _DUMP]], self._server, _secret(self._server))

    def _sealed(self) -> Measured:
        """The same work as drtool's first backup: read, compressed, encrypted, written."""
        dump = [*self._client(self._server), "--rdb", "-"]
        pipe = [dump, *sealing(new_recipient())]
        return self._measured(pipe, self._server, _secret(self._server), stdout=self._directory / "dump.age")

    def _pipe(self, server: RunningServer) -> Measured:
        return self._measured([["cat", _COMMANDS], [*self._client(server), "--pipe"]], server, _secret(server))

    def _client(self, server: RunningServer) -> list[str]:
        beside = self._program.with_name("redis-cli")
        return [str(beside) if beside.exists() else "redis-cli", "-p", str(server.port)]

    def _drtool(self, *arguments: str, server: RunningServer | None = None) -> Measured:
        return self._measured([command(*arguments)], server or self._server, {})

    def _measured(
        self,
        pipeline: Sequence[Sequence[str]],
        server: RunningServer,
        more: Mapping[str, str],
        stdout: Path | None = None,
    ) -> Measured:
        _settle(server)
        env = {**environment(), **more}
        return measure.run(pipeline, cwd=self._directory, env=env, server=server.pid, stdout=stdout)


def _settle(server: RunningServer) -> None:
    """Wait for the process that wrote the last dump, lest its end falls into the next measurement."""
    client = connect(server.uri)
    while client.info("persistence")["rdb_bgsave_in_progress"]:
        time.sleep(_POLL_SECONDS)
    client.close()


def _secret(server: RunningServer) -> Mapping[str, str]:
    return {"REDISCLI_AUTH": urlsplit(server.uri).password or ""}


def _fill(uri: str, count: int) -> int:
    """Sessions that expire, users as hashes, small rankings; how many keys."""
    client, chance = connect(uri), random.Random(TITLE)
    words = [chance.randbytes(6).hex() for _ in range(500)]
    with client.pipeline(transaction=False) as pipe:
        for number in range(count):
            kind = number % 10
            if kind < 5:
                pipe.set(f"session:{chance.getrandbits(64):016x}", chance.randbytes(150).hex(), px=10**11 + number)
            elif kind < 9:
                about = " ".join(chance.choices(words, k=30))
                pipe.hset(f"user:{number}", mapping={"name": chance.choice(words), "n": number, "about": about})
            else:
                pipe.zadd(f"rank:{number}", {word: chance.random() for word in chance.sample(words, 20)})
            if number % _BATCH == _BATCH - 1:
                pipe.execute()
        pipe.execute()
    keys = int(client.dbsize())
    client.close()
    return keys


def _fill_strings(uri: str, *, count: int, size: int) -> int:
    """Values of so many bytes; how many keys."""
    client, chance = connect(uri), random.Random(TITLE)
    for start in range(0, count, _BATCH):
        names = [f"value:{chance.getrandbits(64):016x}" for _ in range(min(_BATCH, count - start))]
        client.mset({name: chance.randbytes(size) for name in names})
    keys = int(client.dbsize())
    client.close()
    return keys
