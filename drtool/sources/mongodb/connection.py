"""Connecting, and pymongo's errors in drtool's terms."""

from __future__ import annotations

import atexit
import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient, ReadPreference
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    InvalidURI,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
)
from pymongo.synchronous import monitor

from drtool.errors import (
    AuthenticationError,
    ConfigError,
    InstantMovedError,
    OplogTruncatedError,
    SourceError,
    UnreachableError,
    WindowPassedError,
)
from drtool.sources.mongodb import uri as uris
from drtool.sources.mongodb import wire

Document = dict[str, Any]
Client = MongoClient[Document]

#: Replies of commands whose documents stay as they are.
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
#: Replies that are looked into; dates outside Python's range are no error.
DECODED: CodecOptions[Document] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)

UNAUTHORIZED = 13
_AUTHENTICATION_FAILED = (11, 18, 8000)  # 11 is of an X.509 certificate that no user has, 8000 Atlas'
_POSITION_LOST = 136  # of a capped collection, which the oplog is: the server dropped what the cursor stood at
_TIME_EXCEEDED = 50  # MaxTimeMSExpired
#: Of a member that is stepping down, is no primary, or is shutting down, where pymongo does not see it: in a reply's
#: writeConcernError, or in one that is looked into without it.
_NOT_PRIMARY = frozenset({91, 189, 10058, 10107, 11600, 11602, 13435, 13436})
_SELECTION_MS = 10_000
_POLL_SECONDS = 0.005
_URI_HINT = "User and password are percent-encoded in it: @ is %40, : is %3A, / is %2F."

_GONE = "It answered before: was it stopped or restarted, or the network cut? Run the same again when it answers."
_ELECTION = (
    "Another member was elected meanwhile, or the server is stopping. Run the same again, with a URI that names the"
    " whole set (replicaSet=…)."
)

_WINDOW_PASSED = 239  # SnapshotTooOld
_GRANT = (
    "Grant the user the role `backup` to back up, `restore` to restore; drtool doctor names what is missing. To restore"
    " with another account: --to URI."
)
_LOG_IN = "The server wants a user: put name and password into the URI (mongodb://NAME:PASSWORD@HOST/)."
#: Where the server repeats the whole command, its name is enough.
_COMMAND = re.compile(r"execute command \{ (\w+): .*", re.DOTALL)
_MOVED = {
    26: "a collection was dropped",
    43: "the server closed a cursor (a restart, or no reading for too long)",
    175: "a collection was dropped or renamed while it was read",
    _WINDOW_PASSED: "the instant lies further back than the server keeps history (minSnapshotHistoryWindowInSeconds)",
    246: "a collection was created, renamed or altered after the instant",
}


# At exit pymongo waits for its monitor threads, which sleep half a second at a time: 0.4 s of every run. They are
# daemons that hold nothing, so the process may end without them.
if (wait_for_monitors := getattr(monitor, "_shutdown_resources", None)) is not None:
    atexit.unregister(wait_for_monitors)


def connect(uri: str) -> Client:
    """A client for `uri`; nothing is sent yet. Raises ``ConfigError`` where the URI cannot be one."""
    if not uri.startswith(("mongodb://", "mongodb+srv://")):
        raise ConfigError("a MongoDB URI begins with mongodb:// or mongodb+srv://", hint=_URI_HINT)
    added: dict[str, Any] = {}
    if "serverselectiontimeoutms" not in uris.options(uri):
        added["serverSelectionTimeoutMS"] = _SELECTION_MS
    if (compressor := wire.compressor(uri)) is not None:
        added["compressors"] = compressor
    with translated(uri):
        try:
            return MongoClient(uri, appname="drtool", **added)
        except (ValueError, InvalidURI):
            # neither the text nor pymongo's words about it: parts of a password may be in them
            raise ConfigError("the MongoDB URI cannot be parsed", hint=_URI_HINT) from None
        except OSError as error:
            raise ConfigError(
                f"{uris.shown(uri)}: a file that the URI names cannot be read: {error.filename}: {error.strerror}",
                hint="tlsCAFile, tlsCertificateKeyFile and tlsCRLFile are PEM files on this host.",
            ) from error


@contextlib.contextmanager
def translated(uri: str, doing: str = "", *, at_instant: bool = False) -> Iterator[None]:
    """Raise what pymongo raises as drtool's errors; `doing` says what was being done (``reading app.users``), nothing
    at the first contact.

    ``UnreachableError`` without an answer, ``AuthenticationError`` for credentials and privileges, ``ConfigError``
    for the URI, else ``SourceError``; with `at_instant` ``InstantMovedError`` for what can no longer be read.
    """
    try:
        yield
    except PyMongoError as error:
        if at_instant and isinstance(error, OperationFailure) and error.code in _MOVED:
            kind = WindowPassedError if error.code == _WINDOW_PASSED else InstantMovedError
            raise kind(f"{uris.shown(uri)}, {doing}: {_MOVED[error.code]}") from error
        raise _translate(error, uri, doing) from error


def _translate(error: PyMongoError, uri: str, doing: str) -> SourceError | ConfigError:
    where = uris.shown(uri) + (f", {doing}" if doing else "")
    text = f"{where}: {uris.redacted(_text(error), uri)}"
    if isinstance(error, NotPrimaryError) or (isinstance(error, OperationFailure) and error.code in _NOT_PRIMARY):
        return UnreachableError(text, hint=_ELECTION)
    if isinstance(error, OperationFailure):
        if error.code in _AUTHENTICATION_FAILED:
            hint = "Check user, password (or certificate), authSource and authMechanism in the source's URI."
            return AuthenticationError(text, hint=hint)
        if error.code == _POSITION_LOST:
            return OplogTruncatedError(text, hint="Give the server a larger oplog (replSetResizeOplog).")
        if error.code == UNAUTHORIZED:
            return AuthenticationError(text, hint=_GRANT if uris.parts(uri)[1] else _LOG_IN)
        if error.code == _TIME_EXCEEDED:
            return SourceError(text, hint="Raise or remove the source's max_time, or read at a quieter time or member.")
        return SourceError(text)
    if isinstance(error, ConfigurationError):
        return ConfigError(text)
    if isinstance(error, ConnectionFailure):
        return UnreachableError(text, hint=_GONE if doing else wire.hint(text, uri))
    return SourceError(text)


def _text(error: PyMongoError) -> str:
    """The server's own sentence where it gave one, without the copy of the whole reply."""
    if isinstance(error, OperationFailure) and error.details is not None and "errmsg" in error.details:
        return _COMMAND.sub(r"execute the command \1", str(error.details["errmsg"]))
    return str(error).partition(", Timeout:")[0].partition(", full error:")[0]


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a server says of itself.

    ``topology`` is ``replica-set``, ``standalone`` or ``sharded``. Outside a replica set the rest is empty:
    ``address`` is the member's own (``host:port``), ``set_id`` the set's id as hex, which the role `backup` may not
    see, ``set_name`` its name.
    """

    version: str
    topology: str
    writable: bool
    address: str = ""
    set_id: str = ""
    set_name: str = ""

    @property
    def identity(self) -> str:
        """The replica set's id, or its name where that may not be read; empty where there is none."""
        return self.set_id or self.set_name

    def same_set(self, other: Deployment) -> bool:
        """Do both belong to the same replica set, as far as can be seen?"""
        if self.set_id and other.set_id:
            return self.set_id == other.set_id
        return self.set_name == other.set_name

    @property
    def has_instants(self) -> bool:
        """Can all collections be read at one cluster time (snapshot reads outside transactions)?"""
        return self.topology == "replica-set" and self.numbers >= (5,)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version as numbers."""
        return version_numbers(self.version)


def version_numbers(version: str) -> tuple[int, ...]:
    """``6.0.5`` or ``8.0.0-rc3`` as numbers: (6, 0, 5), (8, 0, 0)."""
    return tuple(int(part) for part in version.partition("-")[0].split(".") if part.isdigit())


def inspect_deployment(client: Client) -> Deployment:
    """Ask the member that the client's read preference selects. Raises pymongo's errors."""
    preference = client.read_preference
    hello = client.admin.command("hello", read_preference=preference)
    version = client.admin.command("buildInfo", read_preference=preference)["version"]
    writable = bool(hello.get("isWritablePrimary"))
    if "setName" in hello:
        return Deployment(version, "replica-set", writable, hello["me"], _set_id(client), hello["setName"])
    return Deployment(version, "sharded" if hello.get("msg") == "isdbgrid" else "standalone", writable)


def _discover(client: Client) -> None:
    """Let the driver hear from all members, or fail to, before one is chosen.

    It knows the set's members from the first that answers, and would choose among those that it has heard of by then:
    the primary for ``secondaryPreferred``, often.
    """
    client.admin.command("hello", read_preference=client.read_preference)
    deadline = time.monotonic() + client.options.server_selection_timeout
    while client.read_preference != ReadPreference.PRIMARY and time.monotonic() < deadline:
        members = client.topology_description.server_descriptions().values()
        if all(member.is_server_type_known or member.error is not None for member in members):
            return
        time.sleep(_POLL_SECONDS)


def _set_id(client: Client) -> str:
    try:
        config = client.admin.command("replSetGetConfig", read_preference=client.read_preference)["config"]
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return ""
    return str(config["settings"]["replicaSetId"])


def pin(uri: str) -> tuple[Client, Deployment, str]:
    """A client for exactly one server: the member that `uri` and its read preference select, with the URI used for
    it.

    Raises drtool's errors (``translated``).
    """
    client = connect(uri)
    try:
        with translated(uri):
            _discover(client)
            found = inspect_deployment(client)
    except BaseException:
        client.close()
        raise
    if found.topology != "replica-set" or uris.is_direct(uri):
        return client, found, uri
    client.close()
    direct = uris.pinned(uri, found.address)
    return connect(direct), found, direct
