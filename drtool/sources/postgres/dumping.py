"""Definitions as the server's own pg_dump writes them: SQL in entries, each with its type and name."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drtool.errors import AuthenticationError, InstantMovedError, SourceError
from drtool.sources.postgres.connection import PRIVILEGE, parameters
from drtool.sources.postgres.uri import redacted, shown

_OPTIONS = (
    *("--no-blobs", "--no-tablespaces", "--no-subscriptions", "--no-password", "--no-sync"),
    "--lock-wait-timeout=60s",
)
#: What the server says to functions that look at the catalogue as it is and not as it was, when a view was dropped.
_DROPPED = ("could not open relation", "cache lookup failed", "does not exist")
_ENTRY = re.compile(r"^--\n-- Name: (.*); Type: (.*); Schema: (.*); Owner: (.*)\n--\n", re.MULTILINE)
_END = "--\n-- PostgreSQL database dump complete\n--\n"


@dataclass(frozen=True, slots=True)
class Entry:
    """A statement or a few that belong together: ``type`` is pg_dump's word (``FK CONSTRAINT``)."""

    name: str
    type: str
    schema: str
    owner: str
    sql: str

    @property
    def heading(self) -> str:
        """What stands above it."""
        return f"--\n-- Name: {self.name}; Type: {self.type}; Schema: {self.schema}; Owner: {self.owner}\n--\n"


def dump_definitions(pg_dump: Path, uri: str, database: str, snapshot: str, encoding: str) -> tuple[str, str]:
    """What comes before the rows and what comes after, as SQL, at a snapshot that somebody holds."""
    with _service(uri, database) as environment, ThreadPoolExecutor(2, thread_name_prefix="pg_dump") as pool:

        def run(section: str) -> str:
            options = [f"--section={section}", f"--snapshot={snapshot}", *_OPTIONS]
            if encoding != "SQL_ASCII":
                options.append("--encoding=UTF8")
            return _run([str(pg_dump), "-d", "service=drtool", *options], environment, uri, database)

        pre, post = pool.map(run, ("pre-data", "post-data"))
    return pre, post


def entries(sql: str) -> Iterator[Entry]:
    """The entries of pg_dump's SQL, in order, without what it says about itself."""
    whole, complete, _ = sql.rpartition(_END)  # the last one: a function may hold the words, too
    sql = whole if complete else sql
    found = list(_ENTRY.finditer(sql))
    for number, match in enumerate(found):
        end = found[number + 1].start() if number + 1 < len(found) else len(sql)
        name, type_, schema, owner = match.groups()
        yield Entry(name, type_, schema, owner, sql[match.end() : end].strip() + "\n")


def _run(command: list[str], environment: Mapping[str, str], uri: str, database: str) -> str:
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise SourceError(f"{command[0]} cannot be started: {error.strerror}") from error
    if done.returncode != 0:
        said = redacted(done.stderr.decode(errors="replace"), uri)[:600]
        about = f"{shown(uri)}: pg_dump could not read the definitions of {database}: {said}"
        if any(sign in said for sign in _DROPPED):
            raise InstantMovedError(about)
        if "permission denied" in said or "may lack SELECT" in said:
            raise AuthenticationError(about, hint=PRIVILEGE)
        locked = "Run again when the statement that holds a table exclusively has ended." if "lock" in said else ""
        raise SourceError(about, hint=locked)
    return done.stdout.decode("utf-8", "surrogateescape")


@contextmanager
def _service(uri: str, database: str) -> Iterator[Mapping[str, str]]:
    """An environment in which ``service=drtool`` is this database: no secret is in the arguments of a process, and no
    password is left on a disk by one that was killed."""
    options = {key: str(value) for key, value in parameters(uri, database).items()}
    secret = {"PGPASSWORD": options.pop("password")} if "password" in options else {}
    with tempfile.TemporaryDirectory(prefix="drtool-pg-") as directory:
        path = Path(directory) / "service.conf"
        path.touch(mode=0o600)
        lines = [f"{key}={value}\n" for key, value in options.items() if key not in ("service", "servicefile")]
        path.write_text("[drtool]\n" + "".join(lines), encoding="utf-8")
        yield {**os.environ, **secret, "PGSERVICEFILE": str(path), "LC_ALL": "C"}
