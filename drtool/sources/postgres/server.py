"""A private PostgreSQL server on a Unix socket, in a directory of its own, that never outlives this process."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from drtool.errors import SourceError
from drtool.sources.supervising import supervised

_HERE = Path(__file__).parent
#: To connect to first: of the databases that a new cluster has, the one that nobody backs up.
_DATABASE = "template1"
_START_SECONDS = 90.0
_END_SECONDS = 60.0
_POLL_SECONDS = 0.02
#: A socket's path may be 107 bytes long on Linux, and ends in ``/.s.PGSQL.5432``.
_LONGEST_DIRECTORY = 85
#: Nothing here has to survive a crash.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "off",
    # In the directory, which goes after a kill, too; other kinds stay in /dev/shm then.
    "dynamic_shared_memory_type": "mmap",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "max_connections": "60",
    "max_locks_per_transaction": "512",  # reading back holds every table
    "shared_buffers": "128MB",
    "autovacuum": "off",
    "logging_collector": "off",
    "log_min_messages": "warning",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. ``uri`` is that of its owner; ``pid`` the postmaster's."""

    uri: str
    pid: int
    directory: Path


@contextlib.contextmanager
def running(
    postgres: Path, parent: Path | None = None, *, owner: str = "postgres", settings: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start `postgres` with a cluster of its own below `parent`, as far as its user may go there, and end it.

    The directory goes with it, and both go too when this process is killed (``supervisor``). As root, it runs as
    ``postgres`` or ``nobody``. Raises ``SourceError`` with the last line of its log when it does not start.
    """
    user = _user()
    directory = Path(tempfile.mkdtemp(prefix="drtool-pg-", dir=_place(parent, user)))
    try:
        for path in (directory, directory / "data"):
            path.mkdir(mode=0o700, exist_ok=True)
            os.chown(path, user.pw_uid, user.pw_gid)
        _make_cluster(postgres.with_name("initdb"), directory, user, owner)
        with _started(postgres, directory, user, {**_SETTINGS, **(settings or {})}) as pid:
            yield Server(f"postgresql://{owner}@/{_DATABASE}?host={quote(str(directory), safe='')}", pid, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _user() -> pwd.struct_passwd:
    """Whom to run it as: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise SourceError("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")


def _place(parent: Path | None, user: pwd.struct_passwd) -> Path:
    """`parent`, or else the first usual place where the user can get to its directory, and whose path is short."""
    usual = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"), Path("/dev/shm")]  # noqa: S108
    for place in [*([parent] if parent is not None else []), *usual]:
        if len(os.fsencode(place)) <= _LONGEST_DIRECTORY and _passable(place, user):
            return place
    raise SourceError(
        f"there is no directory for temporary files that the user {user.pw_name} can get to",
        hint="Name one in $TMPDIR, with a path that is open to all (chmod o+x).",
    )


def _passable(place: Path, user: pwd.struct_passwd) -> bool:
    if not place.is_dir() or not os.access(place, os.W_OK):
        return False
    if os.geteuid() != 0:
        return True
    for path in (place.resolve(), *place.resolve().parents):
        found = path.stat()
        if not (found.st_mode & 0o001 or (found.st_uid == user.pw_uid and found.st_mode & 0o100)):
            return False
    return True


def _as_user(user: pwd.struct_passwd) -> list[str]:
    script = _HERE / "as_user.py"
    return [sys.executable, "-I", "-S", "-c", script.read_text("utf-8"), str(user.pw_uid), str(user.pw_gid)]


def _make_cluster(initdb: Path, directory: Path, user: pwd.struct_passwd, owner: str) -> None:
    options = ["-U", owner, "--auth=trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"]
    done = subprocess.run(
        [*_as_user(user), str(initdb), "-D", str(directory / "data"), *options],
        cwd=directory,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SourceError(
            f"a PostgreSQL cluster could not be made by {initdb} as {user.pw_name}: {said[-1] if said else '?'}",
            hint=f"The user {user.pw_name} must be able to run it: are its directories open to all?",
        )


@contextlib.contextmanager
def _started(postgres: Path, directory: Path, user: pwd.struct_passwd, settings: Mapping[str, str]) -> Iterator[int]:
    options = [f"--{name}={value}" for name, value in settings.items()]
    command = [*_as_user(user), str(postgres), "-D", str(directory / "data"), "-k", str(directory), *options]
    with supervised(directory, command, cwd="/", env={**os.environ, "LC_ALL": "C"}) as supervisor:
        try:
            yield _wait_until_ready(supervisor, directory)
        finally:
            _quit(directory)


def _wait_until_ready(supervisor: subprocess.Popen[bytes], directory: Path) -> int:
    """By what the postmaster itself writes into its lock file."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            lines = directory.joinpath("data", "postmaster.pid").read_text("utf-8").splitlines()
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return int(lines[0])
        if directory.joinpath("exit").exists() or supervisor.poll() is not None:
            raise SourceError(f"PostgreSQL did not start: {_last_words(directory)}")
        time.sleep(_POLL_SECONDS)
    raise SourceError(f"PostgreSQL did not start within {_START_SECONDS:.0f} seconds: {_last_words(directory)}")


def _quit(directory: Path) -> None:
    """An immediate shutdown, which gives back the shared memory that SIGKILL leaves behind."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int(directory.joinpath("pid").read_text("ascii"))
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + _END_SECONDS
        while not directory.joinpath("exit").exists() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)


def _last_words(directory: Path) -> str:
    with contextlib.suppress(OSError):
        lines = directory.joinpath("output").read_text("utf-8", errors="replace").strip().splitlines()
        if lines:
            return lines[-1]
    return "it wrote no log"
