"""Connecting, what a server says of itself, and the client's errors in drtool's terms."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from drtool.errors import AuthenticationError, ConfigError, DrtoolError, SourceError, UnreachableError
from drtool.sources.extras import require
from drtool.sources.redis import uri as uris

#: A client of the package redis, which is typed by nobody here.
Client = Any

_CONNECT_SECONDS, _ANSWER_SECONDS = 10.0, 600.0
OLDEST = (5,)

_URI_HINT = (
    "It is redis://NAME:PASSWORD@HOST:PORT, rediss://… for TLS, or unix://NAME:PASSWORD@/PATH; name and password are"
    " percent-encoded: @ is %40, : is %3A, / is %2F."
)
_LOG_IN = "Check name and password in the URI (redis://NAME:PASSWORD@HOST:PORT; only a password: redis://:PASSWORD@…)."
_GRANT = "The command drtool doctor names the privileges that are missing, and how they are granted."
_ANSWERS = "Is the server running, and does it listen there? Port, firewall, TLS (rediss://) and bind are worth a look."
_GONE = "It answered before: was it stopped or restarted, or the network cut? Run the same again when it answers."
_LOADING = "The server is starting: it answers when its data set is in memory. Run the same again then."
_STALE = "The replica has lost its primary. Read from the primary, or when the link is up again."
_OUT_OF_MEMORY = "The server has reached its maxmemory: raise it there, or restore to another server with --to URI."


def connect(uri: str, *, database: int = 0) -> Client:
    """A client; nothing is sent yet. ``ConfigError`` where the address cannot be one."""
    redis = require("redis", "redis")
    plain, _ = uris.address(uri)
    if not plain.startswith(uris.SCHEMES):
        raise ConfigError("a Redis URI begins with redis://, rediss:// or unix://", hint=_URI_HINT)
    try:
        options = redis.connection.parse_url(plain)
        options["db"] = database
        # The client would look up its own version, and tell the server, at every connection.
        unnamed = {"driver_info": None} if hasattr(redis, "DriverInfo") else {"lib_name": None, "lib_version": None}
        pool = redis.ConnectionPool(
            **{
                "protocol": 2,
                "socket_connect_timeout": _CONNECT_SECONDS,
                "socket_timeout": _ANSWER_SECONDS,
                "retry": redis.retry.Retry(redis.backoff.NoBackoff(), 0),
                **unnamed,
                **options,
            }
        )
        return redis.Redis.from_pool(pool)
    except (ValueError, TypeError):
        # neither the text nor the client's words about it: parts of a password may be in them
        raise ConfigError("the Redis URI cannot be parsed", hint=_URI_HINT) from None


@contextlib.contextmanager
def translated(uri: str, doing: str = "") -> Iterator[None]:
    """Raise what the client raises as drtool's errors; `doing` says what was being done, nothing at first contact.

    ``UnreachableError`` without an answer, ``AuthenticationError`` for credentials and privileges, else
    ``SourceError``.
    """
    errors = require("redis", "redis").exceptions
    try:
        yield
    except errors.RedisError as error:
        raise _translate(errors, error, uri, doing) from error
    except OSError as error:
        raise UnreachableError(f"{_where(uri, doing)}: {error.strerror or error}", hint=_hint(doing)) from error


def refusal(uri: str, doing: str, answer: str) -> DrtoolError:
    """The error for an error that a server answers with, as it stands (``NOPERM this user has no …``)."""
    kind, _, rest = answer.partition(" ")
    text = f"{_where(uri, doing)}: {uris.redacted(answer, uri)}"
    if kind in ("NOAUTH", "WRONGPASS") or rest.startswith(("invalid username-password", "invalid password")):
        return AuthenticationError(text, hint=_LOG_IN)
    if kind == "NOPERM":
        return AuthenticationError(text, hint=_GRANT)
    if kind == "LOADING":
        return UnreachableError(text, hint=_LOADING)
    hints = {"MASTERDOWN": _STALE, "NOMASTERLINK": _STALE, "OOM": _OUT_OF_MEMORY}
    return SourceError(text, hint=hints.get(kind.lstrip("-"), ""))


def _translate(errors: Any, error: Exception, uri: str, doing: str) -> DrtoolError:
    text = f"{_where(uri, doing)}: {uris.redacted(str(error), uri)}"
    kinds = [(errors.NoPermissionError, "NOPERM"), (errors.BusyLoadingError, "LOADING")]
    kinds += [(errors.AuthenticationError, "WRONGPASS"), (errors.AuthenticationWrongNumberOfArgsError, "WRONGPASS")]
    kinds += [(errors.OutOfMemoryError, "OOM"), (errors.MasterDownError, "MASTERDOWN")]
    for kind, word in kinds:
        if isinstance(error, kind):
            return refusal(uri, doing, f"{word} {error}")
    if isinstance(error, errors.ConnectionError | errors.TimeoutError):
        return UnreachableError(text, hint=_hint(doing))
    if isinstance(error, errors.ResponseError):
        return refusal(uri, doing, str(error))
    return SourceError(text)


def _where(uri: str, doing: str) -> str:
    return uris.shown(uri) + (f", {doing}" if doing else "")


def _hint(doing: str) -> str:
    return _GONE if doing else _ANSWERS


@dataclass(frozen=True, slots=True)
class Server:
    """What a server says of itself. ``databases`` says of each that holds something how many keys it has."""

    version: str
    valkey: bool
    role: str
    link_down: bool
    last_save_failed: bool
    max_memory: int
    used_memory: int
    evicts: bool
    databases: Mapping[int, int]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version as numbers."""
        return version_numbers(self.version)

    @property
    def name(self) -> str:
        """Kind and version, for people."""
        return f"{'Valkey' if self.valkey else 'Redis'} {self.version}"


def version_numbers(version: str) -> tuple[int, ...]:
    """``7.0.15`` as numbers: (7, 0, 15)."""
    return tuple(int(part) for part in version.partition("-")[0].split(".") if part.isdigit())


def inspect_server(client: Client, uri: str) -> Server:
    """Ask. ``SourceError`` for what is too old, a cluster's node or a sentinel."""
    with translated(uri):
        told = client.info()
    server = _server(told)
    where = uris.shown(uri)
    if str(told.get("redis_mode", "standalone")) == "sentinel":
        raise SourceError(f"{where} is a sentinel, which holds no data", hint="Name the server that it watches.")
    if str(told.get("cluster_enabled", "0")) == "1":
        raise SourceError(
            f"{where} is a node of a cluster (cluster-enabled yes): that is not supported",
            hint="It is untested: keys move between the nodes while they are read. Each node can be exported with"
            " redis-cli --rdb.",
        )
    if server.numbers < OLDEST:
        raise SourceError(f"{where} is {server.name}: servers older than Redis 5 are not supported")
    return server


def _server(told: Mapping[str, Any]) -> Server:
    valkey = "valkey_version" in told
    keyspace = {int(name[2:]): entry for name, entry in told.items() if name[:2] == "db" and name[2:].isdigit()}
    limit = int(told.get("maxmemory", 0))
    return Server(
        version=str(told["valkey_version" if valkey else "redis_version"]),
        valkey=valkey,
        role="replica" if told.get("role") == "slave" else "primary",
        link_down=told.get("role") == "slave" and told.get("master_link_status") != "up",
        last_save_failed=told.get("rdb_last_bgsave_status", "ok") != "ok",
        max_memory=limit,
        used_memory=int(told.get("used_memory", 0)),
        evicts=limit > 0 and told.get("maxmemory_policy", "noeviction") != "noeviction",
        databases={number: int(entry["keys"]) for number, entry in keyspace.items()},
    )
