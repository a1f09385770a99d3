"""Evidence: what verification found, signed and chained (docs/format.md, "Evidence")."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from types import UnionType
from typing import Any

from drtool.errors import DamagedObjectError, DrtoolError, TamperedError, WrongKeyError
from drtool.repository.ids import new_id
from drtool.repository.levels import Level
from drtool.repository.linked import Link, check_links, end_of, saw
from drtool.repository.manifests import object_hash
from drtool.repository.primitives import SigningKey
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.state import Head
from drtool.repository.trust import Role
from drtool.repository.wire import NUMBER_LIMIT, decode_json, encode_json

EVIDENCE = "evidence/"
MAX_PROBLEMS = 100
#: What a revocation calls a signer's evidence.
CHAIN = "evidence"
_TYPES: dict[str, type | UnionType] = {
    "evidence": str,
    "number": int,
    "previous": str | None,
    "manifest": str,
    "level": str,
    "ok": bool,
    "at": str,
    "share": float | int,
    "proof": str | None,
    "seconds": float | int,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one verification of one snapshot found.

    ``manifest`` is the hash of the manifest object that was verified; ``share`` is the part of the
    chunks that was read (1.0 for all); ``proof`` the weakest proof that a restored stream passed. ``tolerated`` are the
    largest errors of streams that came back equal within a tolerance, ``relations`` the outcomes of what was checked
    between streams, without data.
    """

    snapshot: str
    manifest: str
    level: str
    ok: bool
    at: str
    host: str
    tool: str
    share: float
    checked: Mapping[str, int]
    problems: tuple[Mapping[str, str], ...]
    proof: str | None = None
    seconds: float = 0.0
    tolerated: tuple[Mapping[str, str], ...] = ()
    relations: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Reached:
    """The best that evidence says of a snapshot, and what the last verification of it said.

    ``seconds`` is how long the verification took that reached the level; 0 where it does not say.
    """

    level: Level
    at: str | None
    proof: str | None
    last_failed: bool
    seconds: float = 0.0


def record(repository: Repository, evidence: Evidence, signer: SigningKey) -> str:
    """Store evidence, linked to the last of the same signer; returns its id."""
    number, previous = end_of(repository, EVIDENCE, signer.public, links_of(repository))
    id_ = new_id()
    name = EVIDENCE + id_
    fields = asdict(evidence)
    fields["problems"] = fields["problems"][:MAX_PROBLEMS]
    for optional in ("tolerated", "relations"):
        told = fields.pop(optional)
        if told:
            fields[optional] = told[:MAX_PROBLEMS]
    fields |= {"format": 1, "evidence": id_, "number": number + 1, "previous": previous}
    data = repository.seal(Kind.EVIDENCE, name, encode_json(fields), signer)
    repository.storage.put(name, data, if_absent=True)
    saw(repository, EVIDENCE, Link.of(name, signer.public, data, fields))
    return id_


def links_of(repository: Repository) -> list[Link]:
    """The places of all evidence in its chains."""
    return [Link.of(name, signer, data, fields) for name, data, signer, fields in _read(repository, [])]


@dataclass(frozen=True, slots=True)
class Stored:
    """The evidence that is there (name, object, signer, fields), what is wrong with other objects, and the heads that
    this host remembered before it looked."""

    found: tuple[tuple[str, bytes, bytes, dict[str, Any]], ...]
    problems: tuple[DrtoolError, ...]
    heads: tuple[Head, ...]


def read_evidence(repository: Repository) -> Stored:
    """All evidence, each piece checked by itself."""
    heads = repository.state.heads()  # before the listing
    problems: list[DrtoolError] = []
    # A name tells the second only, and numbers order what one signer wrote.
    found = sorted(
        _read(repository, problems), key=lambda one: (one[0].rpartition("-")[0], one[3]["at"], one[3]["number"])
    )
    return Stored(tuple(found), tuple(problems), tuple(heads))


def reached(
    repository: Repository, removed: Collection[str] = (), stored: Stored | None = None
) -> tuple[dict[str, Reached], list[DrtoolError]]:
    """What is known of each manifest, by the hash of its object, and what is wrong with the evidence itself.

    `removed` are the hashes of evidence whose removal was announced: to be read after `stored`, since what goes is
    announced before. Remembers the heads of chains that are whole.
    """
    stored = stored or read_evidence(repository)
    problems = list(stored.problems)
    best: dict[str, Reached] = {}
    failed: dict[str, Level] = {}
    links = [Link.of(name, signer, data, fields) for name, data, signer, fields in stored.found]
    problems += check_links(repository, EVIDENCE, links, stored.heads, forks=True, gone=removed)
    for name, _, signer, fields in stored.found:
        level = Level[fields["level"].upper()]
        if level >= Level.READABLE and not repository.document.allows(signer, Role.VERIFIER):
            problems.append(TamperedError(f"{name} claims level {level.label}, which its signer may not attest"))
            continue
        manifest, is_whole = fields["manifest"], fields["share"] >= 1.0
        old = best.get(manifest, Reached(Level.NONE, None, None, False))
        if not fields["ok"]:
            failed[manifest] = max(level, failed.get(manifest, Level.NONE))
        elif is_whole and level >= failed.get(manifest, Level.NONE):
            failed.pop(manifest, None)  # only a look at everything, as close as the one that failed, clears it
        if fields["ok"] and is_whole and level >= old.level:
            old = Reached(level, fields["at"], fields["proof"], False, float(fields["seconds"]))
        best[manifest] = replace(old, last_failed=manifest in failed)
    return best, problems


def _read(repository: Repository, problems: list[DrtoolError]) -> Iterator[tuple[str, bytes, bytes, dict[str, Any]]]:
    for name, data in repository.listing(EVIDENCE):
        if isinstance(data, DrtoolError):
            problems.append(data)
            continue
        if data is None:
            continue
        try:
            opened = repository.open_object(Kind.EVIDENCE, name, data)
            fields = decode_json(opened.payload, name)
            if not _is_well_formed(fields) or fields["evidence"] != name.removeprefix(EVIDENCE):
                raise DamagedObjectError(f"{name} is not the evidence that it should be")
            if not repository.document.accepts(opened.signer, CHAIN, fields["number"], object_hash(data)):
                raise TamperedError(f"{name} was signed after its signer's key had been revoked")
        except (DamagedObjectError, TamperedError, WrongKeyError) as error:
            problems.append(error.about(name))
            continue
        yield name, data, opened.signer, fields


def _is_well_formed(fields: Mapping[str, Any]) -> bool:
    if fields.get("format") != 1 or not all(isinstance(fields.get(name), kind) for name, kind in _TYPES.items()):
        return False
    if not 1 <= fields["number"] < NUMBER_LIMIT or not 0 <= fields["share"] <= 1:
        return False
    return fields["level"] in {level.label for level in Level}
