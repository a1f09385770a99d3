"""Every error that drtool reports on purpose: its class, its exit code and its hint.

An error is raised where it is noticed and reported once, by ``drtool.cli``. ``kind`` is what
scripts see in ``--json``; it is the class's name in kebab case and does not change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar, Self


class ExitCode(IntEnum):
    """Exit codes of the command line."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3
    VERIFICATION_FAILED = 4
    NO_SUCH_SNAPSHOT = 10
    LOCKED = 11
    WRONG_KEY = 12
    REFUSED = 20
    SKIPPED = 75
    INTERRUPTED = 130


class DrtoolError(Exception):
    """Base of all errors that are reported without a traceback.

    ``message`` says what happened to what; ``hint`` what to do about it (may be empty).
    """

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint
        #: The name in the store of the one object that it is about, where it is about one.
        self.object = ""

    def about(self, name: str) -> Self:
        """Note the name of the object that it is about; returns itself."""
        self.object = self.object or name
        return self

    @property
    def kind(self) -> str:
        """The class's name in kebab case, without ``Error``: stable, for scripts."""
        name = type(self).__name__.removesuffix("Error")
        return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


# --- usage and configuration -------------------------------------------------------------


class UsageError(DrtoolError):
    """The command line asks for something that does not make sense."""

    exit_code = ExitCode.USAGE


class ConfigError(DrtoolError):
    """The configuration cannot be used; the message names file, line and key."""

    exit_code = ExitCode.USAGE


class InterruptedRunError(DrtoolError):
    """SIGINT or SIGTERM ended the run; what was committed is whole."""

    exit_code = ExitCode.INTERRUPTED
    default_hint = "Run the same command again: what was already uploaded is reused."


class LockedError(DrtoolError):
    """Another process holds what this one needs."""

    exit_code = ExitCode.LOCKED


class RefusedError(DrtoolError):
    """A guard refuses: going on could destroy something."""

    exit_code = ExitCode.REFUSED


class PartialError(DrtoolError):
    """Part of what was asked for was done, part was not; the message says which.

    ``causes`` are the errors of the parts that were not, by name, where they are told one by one.
    """

    exit_code = ExitCode.PARTIAL

    def __init__(self, message: str, *, hint: str = "", causes: Mapping[str, DrtoolError] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.causes: Mapping[str, DrtoolError] = dict(causes or {})


class SkippedError(DrtoolError):
    """A hook asked that this run be skipped."""

    exit_code = ExitCode.SKIPPED


class HookError(DrtoolError):
    """A command of the operator's that goes with a run failed, or took too long."""


class TimeLimitError(DrtoolError):
    """A run took longer than it may, and was stopped."""


class ScheduledRunError(DrtoolError):
    """What ``schedule run`` started failed."""


class NotificationError(DrtoolError):
    """A notification was not delivered; ``retry_after`` is how many seconds the target asks to wait, if it does."""

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class MetricsError(DrtoolError):
    """What Prometheus reads cannot be written."""


class InstallationError(DrtoolError):
    """What is to start drtool by itself (cron, systemd) cannot be read or written."""


class StateError(DrtoolError):
    """What drtool keeps on this host (runs, alerts) cannot be read or written."""


# --- storage -----------------------------------------------------------------------------


class StorageError(DrtoolError):
    """The store refused or failed; not worth trying again as it is."""


class TransientStorageError(StorageError):
    """The store did not answer, or answered that it cannot just now: trying again may help.

    ``ambiguous`` is true when the request may have taken effect all the same.
    """

    def __init__(self, message: str, *, hint: str = "", ambiguous: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.ambiguous = ambiguous


class ThrottledError(TransientStorageError):
    """The store asks for fewer requests; this one had no effect."""


class CorruptAnswerError(TransientStorageError):
    """What arrived is shorter than announced or fails its checksum."""


class ObjectMissingError(StorageError):
    """There is no object of that name (or no such version of it)."""


class PreconditionFailedError(StorageError):
    """A create-only or compare-and-swap put found another object in its place."""


class PermissionDeniedError(StorageError):
    """The credentials do not allow the request."""


class BucketMissingError(StorageError):
    """The bucket (or the directory above the repository) does not exist."""


class StorageFullError(StorageError):
    """No space left where the repository lives."""

    default_hint = "Free some space and run again: what was already stored is reused."


class UnsafeStorageError(StorageError):
    """The store lacks a guarantee that the operation rests on."""


# --- repository --------------------------------------------------------------------------


class RepositoryError(DrtoolError):
    """The repository cannot be used as it is."""


class RepositoryMissingError(RepositoryError):
    """There is no repository at the address."""

    default_hint = "Mistyped, moved or not mounted? Only where there never was one: drtool init makes it."


class RepositoryExistsError(RepositoryError):
    """There is a repository at the address already."""

    exit_code = ExitCode.REFUSED


class FormatVersionError(RepositoryError):
    """The repository was written in a format that this version does not know."""

    default_hint = "Use the version of drtool that wrote it, or a newer one."


class ForeignRepositoryError(RepositoryError):
    """The repository is not the one that the key belongs to."""

    exit_code = ExitCode.WRONG_KEY


class WrongKeyError(RepositoryError):
    """The key given does not open this."""

    exit_code = ExitCode.WRONG_KEY


class KeyFileError(RepositoryError):
    """A key file is missing, unreadable or damaged."""

    exit_code = ExitCode.WRONG_KEY


class TamperedError(RepositoryError):
    """Something in the repository was not written by who must have written it."""

    exit_code = ExitCode.VERIFICATION_FAILED
    default_hint = (
        "Somebody with write access to the store may have changed it. Do not rely on this "
        "repository before you know who; a copy elsewhere is not affected."
    )


class UnknownSignerError(TamperedError):
    """An object was signed by a key that the root did not allow to: it counts for nothing."""


class HiddenObjectError(TamperedError):
    """An object was deleted or replaced, and is read from an older version of it that the store kept."""

    default_hint = (
        "Nothing is lost: reading goes on with that version. Take away the credentials that did it,"
        " then bring the objects back with drtool repair versions."
    )


class RolledBackError(TamperedError):
    """The repository is older than what this host has already seen of it."""


class DamagedObjectError(RepositoryError):
    """An object is truncated or altered."""

    exit_code = ExitCode.VERIFICATION_FAILED


class MissingObjectError(DamagedObjectError):
    """An object that a snapshot needs is not there."""


class NoSuchSnapshotError(RepositoryError):
    """No snapshot answers to that name."""

    exit_code = ExitCode.NO_SUCH_SNAPSHOT
    default_hint = "List them with: drtool snapshots"


class OutOfReachError(RepositoryError):
    """No snapshot leads through the archived log to the moment asked for."""

    exit_code = ExitCode.NO_SUCH_SNAPSHOT


class RunExpiredError(RepositoryError):
    """The run could not renew its registration for too long; committing would not be safe."""


class VerificationFailedError(DrtoolError):
    """A verification found problems; they were listed before."""

    exit_code = ExitCode.VERIFICATION_FAILED


class ExportError(DrtoolError):
    """What is exported cannot be written where or how it was asked for."""


class ExaminationFailedError(DrtoolError):
    """A check of doctor failed; they were listed before."""


# --- sources -----------------------------------------------------------------------------


class SourceError(DrtoolError):
    """A source cannot be read, or a target not be written, as it is."""


class UnreachableError(SourceError):
    """The server does not answer."""


class AuthenticationError(SourceError):
    """The server does not accept the credentials, or does not grant what is needed."""


class InstantMovedError(SourceError):
    """The view's instant can no longer be read whole (a collection was dropped or renamed,
    say): the caller freezes anew, a bounded number of times."""


class WindowPassedError(InstantMovedError):
    """The view's instant lies further back than the source keeps history. What was read before holds for it."""


class OplogTruncatedError(SourceError):
    """The oplog no longer reaches back to where it is needed, or never held what was asked for."""


class TargetNotEmptyError(RefusedError):
    """The target holds something already."""


class IncompleteRestoreError(SourceError):
    """Not every record came back; the message says which did not."""


class MissingToolError(SourceError):
    """A program that is needed (mongod, say) is not installed."""
