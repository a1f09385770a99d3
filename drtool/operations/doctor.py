"""Would a backup and a restore work from here? Looks and tries; changes nothing but probe objects of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from drtool.errors import DrtoolError, ObjectMissingError
from drtool.operations.copy.examining import examine_copy
from drtool.operations.findings import Finding, Verdict
from drtool.operations.immutability import examine_immutability
from drtool.operations.keys.standing import standing
from drtool.operations.opening import open_source, repository_of, storage_of
from drtool.repository.agent_key import AgentKey
from drtool.repository.identity import Identity
from drtool.repository.trust import REPOSITORY_NAME
from drtool.storage.conformance import CHECKS, run_check

if TYPE_CHECKING:
    from drtool.config.repository import RepositorySettings
    from drtool.config.root import Config
    from drtool.config.secrets import Secret
    from drtool.sources.base import Source
    from drtool.storage.base import Storage

#: Clocks that differ by more than this make requests fail and times in listings misleading.
SKEW_SECONDS = 60.0

_ELSEWHERE = "Mistyped, moved or not mounted? A new one is made with: drtool init"
_Key = TypeVar("_Key", AgentKey, Identity)


def examine(config: Config) -> Iterator[Finding]:
    """Configuration, keys, store, repository, sources, tools: a finding each."""
    yield Finding("configuration", Verdict.OK, f"{config.path} is valid")
    yield from _keys(config.repository)
    yield from _tried("storage", lambda: _place(config.repository))
    for copy in config.repository.copies:
        yield from _tried(f"copy {copy.url}", partial(examine_copy, config.repository, copy))
    for name in sorted(config.sources):
        yield from _tried(f"source {name}", partial(_source, config, name))


def examine_target(config: Config, to: str) -> Iterator[Finding]:
    """May the account of `to` restore there, and to a point in time? For each source, what it lacks."""
    for name in sorted(config.sources):
        yield from _tried(f"restore of {name}", partial(_target, config, name, to))


def roles_of(config: Config) -> Iterator[tuple[str, str, str]]:
    """For each source that has accounts: its name, what a role is for, the commands that create it."""
    for name in sorted(config.sources):
        with contextlib.closing(open_source(name, config.sources[name])) as source:
            for purpose, commands in source.roles().items():
                yield name, purpose, commands


def examine_storage(settings: RepositorySettings) -> Iterator[Finding]:
    """The conformance suite against the configured store: some 100 MB of traffic, all of it removed again."""
    if "://" not in settings.url and not Path(settings.url).is_dir():
        yield Finding("storage", Verdict.FAILED, f"{settings.url} is not a directory", _ELSEWHERE)
        return
    with storage_of(settings) as storage:
        for check in CHECKS:
            result = run_check(storage, check)
            if result.ok:
                yield Finding(result.name, Verdict.OK, result.message)
            else:
                verdict = Verdict.FAILED if result.required else Verdict.WARNING
                yield Finding(result.name, verdict, result.message, result.lost)


def _tried(check: str, run: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from run()
    except DrtoolError as error:
        yield Finding(check, Verdict.FAILED, error.message, error.hint)


def _keys(settings: RepositorySettings) -> Iterator[Finding]:
    if settings.agent_key is None and settings.identity is None:
        yield Finding("keys", Verdict.FAILED, "the configuration names no key", "Set repository.agent_key.")
        return
    agent = identity = None
    if settings.agent_key is None:
        yield Finding("agent key", Verdict.WARNING, "no agent key is configured: no backup can be taken from here")
    else:
        agent = yield from _key("agent key", settings.agent_key, AgentKey.from_text)
    if settings.identity is None:
        about = "no identity here: backups cannot be read or restored from this host (as it should be on a backup host)"
        yield Finding("identity", Verdict.OK, about)
    else:
        identity = yield from _key("identity", settings.identity, Identity.from_text)
    if agent is not None and identity is not None:
        yield from _together(agent, identity)


def _key(name: str, secret: Secret, parse: Callable[[str, str], _Key]) -> Generator[Finding, None, _Key | None]:
    origin = secret.key if secret.path is None else str(secret.path)
    try:
        key = parse(secret.reveal(), origin)
    except DrtoolError as error:
        yield Finding(name, Verdict.FAILED, error.message, error.hint)
        return None
    if secret.path is not None and secret.path.is_file() and secret.path.stat().st_mode & 0o077:
        yield Finding(name, Verdict.WARNING, f"{origin} can be read by other users", f"chmod 600 {origin}")
    else:
        yield Finding(name, Verdict.OK, f"{origin} can be read")
    return key


def _together(agent: AgentKey, identity: Identity) -> Iterator[Finding]:
    if agent.root != identity.root:
        yield Finding(
            "keys",
            Verdict.FAILED,
            "agent key and identity belong to different repositories",
            "Name the identity that was made together with the agent key.",
        )
    yield Finding(
        "keys",
        Verdict.WARNING,
        "agent key and identity both lie readable on this host: whoever breaks in can read every backup",
        "Keep the identity elsewhere, and name it only where you restore or verify.",
    )


def _place(settings: RepositorySettings) -> Iterator[Finding]:
    """The repository, and its storage only where there is one: trying to write makes a directory."""
    with storage_of(settings) as storage:
        try:
            storage.get(REPOSITORY_NAME)
        except ObjectMissingError:
            yield Finding("repository", Verdict.FAILED, f"there is no repository at {storage.url}", _ELSEWHERE)
            return
    yield from _tried("repository", lambda: _repository(settings))
    yield from _tried("storage", lambda: _storage(settings))
    yield from _tried("immutability", lambda: examine_immutability(settings))


def _storage(settings: RepositorySettings) -> Iterator[Finding]:
    with storage_of(settings) as storage:
        found = storage.probe()
        yield Finding("storage", Verdict.OK, f"{storage.url} can be read and written")
        if not found.create_only_put and found.versions:
            yield Finding(
                "storage",
                Verdict.WARNING,
                "the store ignores create-only puts (If-None-Match), but keeps what is replaced",
                "Nothing is lost, but drtool does not prune such a store, where two collectors could undo each other.",
            )
        elif not found.create_only_put:
            yield Finding(
                "storage",
                Verdict.FAILED,
                "the store ignores create-only puts (If-None-Match)",
                "Two writers can silently replace each other's objects: drtool does not make repositories there.",
            )
        if not found.compare_and_swap:
            yield Finding(
                "storage", Verdict.WARNING, "the store ignores compare-and-swap puts (If-Match)", "Leases do not hold."
            )
        yield _clock(storage)


def _clock(storage: Storage) -> Finding:
    skew = (datetime.now(UTC) - storage.now()).total_seconds()
    if abs(skew) > SKEW_SECONDS:
        return Finding("clock", Verdict.WARNING, f"this host's clock is {skew:+.0f} s off the store's", "Set up NTP.")
    return Finding("clock", Verdict.OK, f"within {SKEW_SECONDS:.0f} s of the store's")


def _repository(settings: RepositorySettings) -> Iterator[Finding]:
    with repository_of(settings) as repository:
        names = ", ".join(entry.name for entry in repository.document.recipients)
        yield Finding("repository", Verdict.OK, f"{repository.id[:8]} opens; recipients: {names}")
        stand = standing(repository)
        if stand.revoked:
            hint = "Nothing that it signs counts. The identity's owner makes another: drtool key add --agent"
            yield Finding("agent key", Verdict.FAILED, "this host's agent key was revoked", hint)
        yield Finding("recovery", Verdict.OK, str(stand))


def _source(config: Config, name: str) -> Iterator[Finding]:
    with contextlib.closing(open_source(name, config.sources[name])) as source:
        probe = source.probe()
        about = f"{probe.type} {probe.version}, {probe.topology}: {probe.consistency}"
        yield Finding(f"source {name}", Verdict.OK, about)
        for warning in probe.warnings:
            yield Finding(f"source {name}", Verdict.WARNING, warning)
        for lack in source.lacks():
            verdict = Verdict.FAILED if lack.fatal else Verdict.WARNING
            hint = f"Without it: {lack.lost}. drtool doctor --print-roles backup shows a role that has it."
            yield Finding(f"source {name}", verdict, f"the account lacks {lack.privilege}", hint)
        yield from _tried(f"restore of {name}", lambda: _own_account(name, source))
        yield from _tried(f"sandbox of {name}", lambda: _sandbox(name, source.sandbox_program(probe.version)))


def _target(config: Config, name: str, to: str) -> Iterator[Finding]:
    with contextlib.closing(open_source(name, config.sources[name])) as source:
        lacks, to_a_time = source.restore_lacks(to), _to_a_time(source)
    if not lacks:
        yield Finding(f"restore of {name}", Verdict.OK, f"the account may restore{to_a_time}")
    for lack in lacks:
        verdict = Verdict.FAILED if lack.fatal else Verdict.WARNING
        hint = f"Without it: {lack.lost}. drtool doctor --print-roles replay shows a role that has it."
        yield Finding(f"restore of {name}", verdict, f"the account lacks {lack.privilege}", hint)


def _own_account(name: str, source: Source) -> Iterator[Finding]:
    """A backup's account need not restore, but who is woken at night should know."""
    check = f"restore of {name}"
    lacks = source.restore_lacks(None)
    if any(lack.fatal for lack in lacks):
        yield Finding(check, Verdict.OK, "this account may not restore: use restore --to with one that may")
    elif lacks:
        yield Finding(check, Verdict.OK, "this account may restore, but not everything: see doctor --to with its URI")
    else:
        yield Finding(check, Verdict.OK, f"this account may restore{_to_a_time(source)}")


def _to_a_time(source: Source) -> str:
    """What a kind with a log allows beyond."""
    return "" if source.log() is None else ", also to a point in time"


def _sandbox(name: str, program: str) -> Iterator[Finding]:
    yield Finding(f"sandbox of {name}", Verdict.OK, f"trial restores can use {program}")
