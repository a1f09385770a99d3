"""Levels ``intact`` and ``readable``: reading the packs that a snapshot needs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from drtool.errors import DamagedObjectError, ObjectMissingError, RepositoryError, UsageError, WrongKeyError
from drtool.operations.contents import Contents, Listing, Need, Problem
from drtool.repository.chunks import open_chunk
from drtool.repository.levels import Level
from drtool.repository.packs import Row, Slot, decode_header, pack_name
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository

#: Packs that are read and checked at the same time: each is held whole.
PACKS_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """Which packs to read: all, a random part (``fraction``), or share k of n, so that n runs read all."""

    fraction: float = 1.0
    share: tuple[int, int] | None = None

    @classmethod
    def parse(cls, sample: str | None, share: str | None) -> Sample:
        """From ``10%`` or ``3/7``; ``UsageError`` for anything else."""
        if sample is not None and share is not None:
            raise UsageError("--sample and --share exclude each other")
        if sample is not None:
            try:
                percent = float(sample.removesuffix("%"))
            except ValueError as error:
                raise UsageError(f"--sample {sample}: give a percentage, such as 10%") from error
            if not 0 < percent <= 100:
                raise UsageError(f"--sample {sample}: must be over 0% and at most 100%")
            return cls(fraction=percent / 100)
        if share is not None:
            part, _, whole = share.partition("/")
            if not (part.isdecimal() and whole.isdecimal() and 1 <= int(part) <= int(whole)):
                raise UsageError(f"--share {share}: give K/N with K from 1 to N, such as 3/7")
            return cls(fraction=1 / int(whole), share=(int(part), int(whole)))
        return cls()

    def takes(self, sha256: bytes, salt: bytes) -> bool:
        """Is this pack among those to read? `salt` makes each run's random part another one."""
        if self.share is not None:
            part, whole = self.share
            return int.from_bytes(sha256[:8]) % whole == part - 1
        if self.fraction >= 1:
            return True
        return int.from_bytes(hashlib.sha256(salt + sha256).digest()[:8]) < self.fraction * 2**64

    def choose(self, packs: Mapping[bytes, int], salt: bytes) -> dict[bytes, int]:
        """The packs to read, with their sizes.

        At least one of a random part, since having read nothing would attest nothing; shares divide the packs as
        they are, so that n runs read each once.
        """
        chosen = {sha256: size for sha256, size in packs.items() if self.takes(sha256, salt)}
        if packs and not chosen and self.share is None:
            one = min(packs, key=lambda sha256: hashlib.sha256(salt + sha256).digest())
            chosen[one] = packs[one]
        return chosen


@dataclass(slots=True)
class PackFindings:
    """What reading one pack showed; ``bad_chunks`` are problems by chunk id, still without a stream.

    Of the ``chunks`` needed of it, ``opened`` were opened, there or elsewhere.
    """

    size: int = 0
    chunks: int = 0
    opened: int = 0
    problem: Problem | None = None
    bad_chunks: dict[bytes, Problem] = field(default_factory=dict)


def inspect_packs(
    repository: Repository,
    reader: ChunkReader,
    listing: Listing,
    packs: Iterable[bytes],
    level: Level,
    advance: Callable[[int], None],
) -> Iterator[tuple[bytes, PackFindings]]:
    """Read packs whole; at ``readable`` decrypt every chunk that `listing` needs of them and compute its id again.

    ``WrongKeyError`` where the identity does not open them.
    """

    def inspect(sha256: bytes) -> tuple[bytes, PackFindings]:
        findings = PackFindings()
        data = _read(repository, sha256, findings)
        if data is not None and level >= Level.READABLE:
            _open_all(repository, reader, listing.needed(sha256), data, sha256, findings)
        advance(findings.size)
        return sha256, findings

    with ThreadPoolExecutor(PACKS_AT_ONCE, thread_name_prefix="inspect") as pool:
        yield from pool.map(inspect, packs)


def _read(repository: Repository, sha256: bytes, findings: PackFindings) -> bytes | None:
    name = pack_name(sha256)
    try:
        data = repository.storage.get(name)
    except ObjectMissingError:
        findings.problem = Problem("missing-object", name, "", f"{name} is missing")
        return None
    findings.size = len(data)
    if hashlib.sha256(data).digest() != sha256:
        findings.problem = Problem("damaged-object", name, "", f"{name} does not have its checksum: it was altered")
    return data


def _open_all(
    repository: Repository,
    reader: ChunkReader,
    needed: Iterable[tuple[Need, Row]],
    data: bytes,
    sha256: bytes,
    findings: PackFindings,
) -> None:
    name = pack_name(sha256)
    slots: tuple[Slot, ...] | None = None
    for need, row in needed:
        findings.chunks += 1
        try:
            try:
                slots = decode_header(data, name) if slots is None else slots
                key = reader.slot_key(slots, row.slot, sha256)
                sealed = memoryview(data)[row.offset : row.offset + row.stored]
                open_chunk(key, row.counter, sealed, repository.keyring, row.kind, row.id, row.length)
            except (DamagedObjectError, WrongKeyError) as here:
                # The index may lie about a sound pack: the chunk is bad only where no other place holds it.
                _open_elsewhere(reader, need, here)
        except (DamagedObjectError, WrongKeyError) as error:
            # In a pack that was altered a recipient's name may be what was altered: the key is not to blame then.
            if isinstance(error, WrongKeyError) and findings.problem is None:
                raise
            findings.bad_chunks[row.id] = Problem.of(error, object_=name)
        else:
            findings.opened += 1


def _open_elsewhere(reader: ChunkReader, need: Need, here: RepositoryError) -> None:
    """Open a chunk wherever the index knows it; the error `here` where it opens nowhere."""
    try:
        reader.get(need.kind, need.id, need.length)
    except (DamagedObjectError, WrongKeyError) as error:
        raise here from error


def streams_with(contents: Contents, bad: Container[bytes]) -> Iterator[tuple[str, bytes]]:
    """Which streams of a snapshot need which of these chunks; "" stands for the stream list itself."""
    for id_, _ in contents.manifest.stream_chunks:
        if id_ in bad:
            yield "", id_
    for entry in contents.streams():
        for need in contents.needs(entry):
            if need.id in bad:
                yield f"{entry.source}/{entry.name}", need.id
