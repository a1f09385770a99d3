"""Archived logs: names, manifests, chains, stretches, and where archiving goes on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import DamagedObjectError, MissingObjectError, RolledBackError, TamperedError, UnknownSignerError
from drtool.repository.archive import Archived, Stretch, read_archive, read_ends, stretches
from drtool.repository.pages import PageRef
from drtool.repository.primitives import SigningKey
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.segments import Position, Segment, SegmentName, source_id
from drtool.repository.trust import Revocation, Role
from tests.repository.builders import NOW, Made, flipped, put_record

ROOT = PageRef(bytes(32), 0, 1, 3, 300)
TIMELINE, OTHER = "a" * 32, "b" * 32
places = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))


def segment(repository: Repository, start: int, end: int, **fields: Any) -> Segment:
    """The entries of the seconds after `start` up to `end`."""
    made = Segment(
        repository=repository.id,
        source="app",
        source_id=source_id(repository.keyring, "app"),
        timeline=TIMELINE,
        identity="",
        number=1,
        previous=None,
        start=Position((start, 1), 1),
        end=Position((end, 1), 1, "mark"),
        root=ROOT,
        threshold=1 << 60,
        created=NOW,
        host="host1",
        run="20261121t020000z-0000000000",
        tool="drtool 0",
    )
    return replace(made, **fields)


def put(repository: Repository, one: Segment, signer: SigningKey | None = None) -> str:
    """Seal and store it; its object's hash."""
    data = repository.seal(Kind.SEGMENT, one.name, one.encode(), signer)
    repository.storage.put(one.name, data, if_absent=True)
    [hash_] = [a.hash for a in _all(repository) if a.segment.name == one.name]
    return hash_


def _all(repository: Repository) -> list[Archived]:
    archive = read_archive(repository, "app")
    return [one for timeline in archive.timelines for stretch in timeline.stretches for one in stretch.segments]


def put_chain(repository: Repository, ends: Sequence[int], **fields: Any) -> list[Segment]:
    """Segments from each to the next of `ends`, in one chain."""
    made: list[Segment] = []
    hash_ = None
    for number, (start, end) in enumerate(itertools.pairwise(ends), 1):
        one = segment(repository, start, end, number=number, previous=hash_, **fields)
        hash_ = put(repository, one)
        made.append(one)
    return made


def spans(made: Sequence[Stretch]) -> list[tuple[int, int]]:
    """From where to where, in seconds."""
    return [(one.start.at[0], one.end.at[0]) for one in made]


@pytest.fixture
def agent(made: Made) -> Iterator[Repository]:
    """A host that writes."""
    repository = made.as_agent()
    yield repository
    repository.close()


@given(places, places)
def test_names_come_back(start: tuple[int, int], end: tuple[int, int]) -> None:
    name = SegmentName("0" * 32, TIMELINE, start, end)
    if start < end:
        assert SegmentName.parse(str(name)) == name
    else:
        with pytest.raises(DamagedObjectError):
            SegmentName.parse(str(name))


@pytest.mark.parametrize("name", ["oplog/", "oplog/x/y/1-2", "snapshots/1", f"oplog/{'0' * 32}/{'0' * 32}/0-1"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(DamagedObjectError):
        SegmentName.parse(name)


def test_manifests_come_back(agent: Repository) -> None:
    one = segment(agent, 1, 9, number=2, previous="0" * 64, identity="5" * 24)
    assert Segment.decode(one.encode(), one.name) == one
    parted = replace(one, foreign=((3, 1), (5, 2)))
    assert Segment.decode(parted.encode(), one.name) == parted


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"format":1', b'"format":2'),
        (b'"number":1', b'"number":0'),
        (b'"number":1', b'"number":"1"'),
        (b'"ts":[9,1]', b'"ts":[9]'),
        (b'"ts":[9,1]', b'"ts":[8,1]'),
        (b'"ts":[9,1]', b'"ts":[9,-1]'),
        (b'"root":{', b'"roof":{'),
        (b'"previous":null', b'"previous":7'),
        (b'+00:00"', b'"'),
    ],
)
def test_a_manifest_that_is_none(agent: Repository, old: bytes, new: bytes) -> None:
    one = segment(agent, 1, 9)
    assert old in one.encode()
    with pytest.raises(DamagedObjectError):
        Segment.decode(one.encode().replace(old, new), one.name)


@pytest.mark.parametrize("foreign", [b"[[3,1]]", b"[[3,1],[5]]", b"[[3,1],[5,-1]]", b"7"])
def test_a_parting_that_is_none(agent: Repository, foreign: bytes) -> None:
    one = segment(agent, 1, 9, foreign=((3, 1), (5, 2)))
    assert b"[[3,1],[5,2]]" in one.encode()
    with pytest.raises(DamagedObjectError):
        Segment.decode(one.encode().replace(b"[[3,1],[5,2]]", foreign), one.name)


def test_a_whole_chain(agent: Repository) -> None:
    put_chain(agent, [10, 20, 30])
    put_chain(agent, [40, 50], timeline=OTHER, created="2026-11-21T03:00:00+00:00")
    archive = read_archive(agent, "app")
    assert archive.problems == ()
    assert [timeline.id for timeline in archive.timelines] == [TIMELINE, OTHER]
    assert [spans(timeline.stretches) for timeline in archive.timelines] == [[(10, 30)], [(40, 50)]]
    assert archive.timelines[0].gaps() == []
    assert read_archive(agent, "other").timelines == ()


def test_a_segment_that_is_missing(agent: Repository) -> None:
    chain = put_chain(agent, [10, 20, 30, 40])
    agent.storage.delete(chain[1].name)
    archive = read_archive(agent, "app")
    [problem] = archive.problems
    assert isinstance(problem, MissingObjectError)
    assert "number 2 is gone" in problem.message
    [timeline] = archive.timelines
    assert spans(timeline.stretches) == [(10, 20), (30, 40)]
    assert [(a.at, b.at) for a, b in timeline.gaps()] == [((20, 1), (30, 1))]


@pytest.mark.parametrize("position", [0, 60, 200, -1])
def test_a_segment_that_was_altered(agent: Repository, position: int) -> None:
    chain = put_chain(agent, [10, 20, 30])
    data = agent.storage.get(chain[0].name)
    agent.storage.put(chain[0].name, flipped(data, position % len(data)))
    archive = read_archive(agent, "app")
    assert any(chain[0].name in problem.message for problem in archive.problems)
    assert spans(archive.timelines[0].stretches) == [(20, 30)]


def test_a_segment_under_another_name(agent: Repository) -> None:
    chain = put_chain(agent, [10, 20])
    name = str(SegmentName(chain[0].source_id, TIMELINE, (10, 1), (30, 1)))
    agent.storage.put(name, agent.storage.get(chain[0].name))
    [problem] = read_archive(agent, "app").problems
    assert isinstance(problem, DamagedObjectError)
    assert name in problem.message


def test_what_was_cut_off_is_noticed_by_who_saw_it(agent: Repository, made: Made) -> None:
    chain = put_chain(agent, [10, 20, 30])
    agent.storage.delete(chain[1].name)
    [problem] = read_archive(agent, "app").problems
    assert isinstance(problem, RolledBackError)
    stranger = made.as_agent("host2")
    assert read_archive(stranger, "app").problems == ()
    stranger.close()


def test_what_retention_removed_is_not_missed(agent: Repository, made: Made) -> None:
    chain = put_chain(agent, [10, 20, 30, 40])
    hashes = {one.segment.name: one.hash for one in _all(agent)}
    owner = made.as_owner()
    gone = [{"segment": one.name, "hash": hashes[one.name], "number": one.number} for one in chain[:2]]
    put_record(owner, Kind.REMOVAL, "removals/", {"number": 1, "snapshots": [], "segments": gone}, owner.signer)
    kept = agent.storage.get(chain[0].name)
    for one in chain[:2]:
        agent.storage.delete(one.name)
    archive = read_archive(agent, "app")
    assert archive.problems == ()
    assert spans(archive.timelines[0].stretches) == [(30, 40)]
    agent.storage.put(chain[0].name, kept)
    [problem] = read_archive(agent, "app").problems
    assert "put it back" in problem.message
    owner.close()


def test_two_with_one_number(agent: Repository) -> None:
    put_chain(agent, [10, 20])
    put(agent, segment(agent, 20, 30))
    assert any(
        isinstance(problem, TamperedError) and "claim number 1" in problem.message
        for problem in read_archive(agent, "app").problems
    )


def test_a_revoked_signer(agent: Repository, made: Made) -> None:
    put_chain(agent, [10, 20])
    made.publish(revocations=(Revocation(agent.signer.public, NOW, {}),))
    owner = made.as_owner()
    archive = read_archive(owner, "app")
    assert archive.timelines == ()
    assert "revoked" in archive.problems[0].message
    owner.close()


def test_only_writers_archive(agent: Repository, made: Made) -> None:
    verifier = made.enrol("verifier", Role.VERIFIER)
    again = made.as_agent()
    data = again.seal(Kind.SEGMENT, segment(again, 1, 9).name, segment(again, 1, 9).encode(), verifier.signing_key)
    again.storage.put(segment(again, 1, 9).name, data)
    archive = read_archive(again, "app")
    assert (archive.timelines, archive.lost) == ((), ())
    assert isinstance(archive.problems[0], UnknownSignerError)
    again.close()


def test_what_is_lost_is_known_by_name(agent: Repository) -> None:
    chain = put_chain(agent, [10, 20, 30, 40])
    assert read_archive(agent, "app").lost == ()
    agent.storage.put(chain[1].name, flipped(agent.storage.get(chain[1].name), 100))
    agent.storage.delete(chain[2].name)
    found = read_archive(agent, "app")
    assert sorted(map(str, found.lost)) == [chain[1].name, chain[2].name]


def test_where_the_newest_stretch_begins(agent: Repository) -> None:
    assert read_ends(agent, "app").begun == (0, 0)
    chain = put_chain(agent, [10, 20, 30, 40])
    assert read_ends(agent, "app").begun == (10, 1)
    agent.storage.delete(chain[0].name)
    beside = segment(agent, 22, 28, number=4)  # of a second host, say
    agent.storage.put(beside.name, agent.seal(Kind.SEGMENT, beside.name, beside.encode()))
    assert read_ends(agent, "app").begun == (20, 1)
    agent.storage.delete(chain[1].name)
    assert read_ends(agent, "app").begun == (30, 1)


@given(st.data())
def test_whoever_goes_on_at_the_end_leaves_no_gap(data: st.DataObject) -> None:
    """Several hosts archive one source: each goes on at the furthest end that it sees, which may be an older one."""
    ends = [10]
    made: list[tuple[int, int]] = []
    for _ in range(data.draw(st.integers(1, 12))):
        start = data.draw(st.sampled_from(sorted(ends)[-2:]))
        end = start + data.draw(st.integers(1, 9))
        made.append((start, end))
        ends.append(end)
    found = stretches([Archived(_plain(start, end), b"", "") for start, end in made])
    assert spans(found) == [(10, max(ends))]
    for one, following in zip(found[0].segments, found[0].segments[1:], strict=False):
        assert one.segment.end.at == following.segment.start.at


def _plain(start: int, end: int) -> Segment:
    at = Position((start, 1), 1), Position((end, 1), 1)
    return Segment("", "app", "0" * 32, TIMELINE, "", 1, None, *at, ROOT, 1, NOW, "", "", "")


def test_where_archiving_goes_on(agent: Repository, made: Made) -> None:
    assert read_ends(agent, "app").last is None
    chain = put_chain(agent, [10, 20, 30])
    found = read_ends(agent, "app")
    assert found.last is not None
    assert (found.last.segment, found.number, found.hash) == (chain[1], 2, found.last.hash)
    second = made.enrol("host2")
    repository = made.as_agent("host2", second)
    other = read_ends(repository, "app")
    assert other.last is not None
    assert (other.last.segment, other.number, other.hash) == (chain[1], 0, None)
    put(repository, segment(repository, 30, 40))
    stranger = made.as_agent("host3")
    back = read_ends(stranger, "app")
    assert back.last is not None
    assert (back.last.segment.end.at, back.number, back.hash) == ((40, 1), 2, found.hash)
    for each in (repository, stranger):
        each.close()


def test_a_bad_end_is_archived_again(agent: Repository) -> None:
    chain = put_chain(agent, [10, 20, 30])
    agent.storage.put(chain[1].name, flipped(agent.storage.get(chain[1].name), 100))
    found = read_ends(agent, "app")
    assert found.last is not None
    # The chain goes on from what this host remembers, so that what happened stays visible.
    assert (found.last.segment, found.number) == (chain[0], 2)
