"""The keys that the configuration names: can they be read, by whom else, and do they belong together?"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, TypeVar

from drtool.errors import DrtoolError
from drtool.operations.doctor.findings import Finding, Verdict
from drtool.repository.agent_key import AgentKey
from drtool.repository.identity import Identity

if TYPE_CHECKING:
    from drtool.config.repository import RepositorySettings
    from drtool.config.secrets import Secret

_Key = TypeVar("_Key", AgentKey, Identity)


def examine_keys(settings: RepositorySettings) -> Iterator[Finding]:
    """Each key, and what it means that they lie here."""
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
