"""Which snapshot a user means."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import NoSuchSnapshotError, UsageError
from drtool.operations.choosing import choose, instant_of
from drtool.repository.chain import Catalogue, Snapshot
from drtool.repository.evidence import Reached
from drtool.repository.levels import Level
from drtool.repository.manifests import Manifest, Statistics

START = datetime(2026, 3, 1, 2, tzinfo=UTC)


def snapshot(job: str, number: int, instant: datetime) -> Snapshot:
    """A snapshot of which only what choosing looks at is real."""
    id_ = f"{instant:%Y%m%dt%H%M%Sz}-{job}{number:04}"
    manifest = Manifest(
        snapshot=id_,
        repository="00",
        job=job,
        number=number,
        previous=None,
        previous_snapshot=None,
        created=instant.isoformat(),
        run="",
        host="",
        tool="",
        consistency="exact",
        proof="identical",
        instant=instant.isoformat(),
        sources=(),
        stream_count=0,
        stream_chunks=(),
        statistics=Statistics(0, 0, 0, 0, 0, 0, 0.0),
    )
    return Snapshot(manifest, b"s" * 32, f"hash of {id_}", 0)


def catalogue(*snapshots: Snapshot) -> Catalogue:
    """A catalogue without problems."""
    return Catalogue(snapshots, ())


gaps = st.lists(st.integers(0, 7200), min_size=1, max_size=8)
moments = st.integers(-4000, 60000)


@given(gaps, moments)
def test_the_newest_not_after_a_time(seconds: list[int], moment: int) -> None:
    taken, instant = [], START
    for number, gap in enumerate(seconds, start=1):
        instant += timedelta(seconds=gap)
        taken.append(snapshot("a", number, instant))
    other = snapshot("b", 1, START + timedelta(seconds=moment))
    wanted = START + timedelta(seconds=moment)
    before = [s for s in taken if instant_of(s) <= wanted]
    text = f"a@{wanted.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()}"
    if not before:
        with pytest.raises(NoSuchSnapshotError):
            choose(text, catalogue(*taken, other), {})
        return
    found = choose(text, catalogue(*taken, other), {})
    assert found.snapshot == before[-1]
    assert found.distance == wanted - instant_of(found.snapshot)
    assert found.distance >= timedelta(0)


@given(st.permutations(list(range(1, 6))), st.booleans())
def test_the_latest_whatever_the_order(order: list[int], in_one_second: bool) -> None:
    step = timedelta(0) if in_one_second else timedelta(seconds=1)
    taken = [snapshot("a", number, START + number * step) for number in order]
    found = choose("latest", catalogue(*taken), {})
    assert (found.snapshot.manifest.number, found.distance) == (5, None)
    assert choose("a@latest", catalogue(*taken), {}) == found


@pytest.mark.parametrize(
    ("levels", "number"),
    [
        ([Level.READABLE, Level.RESTORED, Level.INTACT], 2),
        ([Level.READABLE, Level.LISTED, Level.NONE], 1),
        ([Level.INTACT, Level.INTACT, Level.INTACT], None),
    ],
)
def test_the_latest_verified(levels: list[Level], number: int | None) -> None:
    taken = [snapshot("a", n, START + timedelta(hours=n)) for n in (1, 2, 3)]
    reached = {s.hash: Reached(level, "at", None, False) for s, level in zip(taken, levels, strict=True)}
    if number is None:
        with pytest.raises(NoSuchSnapshotError) as caught:
            choose("latest-verified", catalogue(*taken), reached)
        assert "verify" in caught.value.hint
        return
    assert choose("latest-verified", catalogue(*taken), reached).snapshot.manifest.number == number
    reached[taken[number - 1].hash] = Reached(Level.RESTORED, "at", None, last_failed=True)
    assert _number_or_none(catalogue(*taken), reached) != number


def _number_or_none(found: Catalogue, reached: dict[str, Reached]) -> int | None:
    try:
        return choose("latest-verified", found, reached).snapshot.manifest.number
    except NoSuchSnapshotError:
        return None


def test_several_jobs_are_unclear() -> None:
    both = catalogue(snapshot("b", 1, START), snapshot("a", 1, START))
    for word in ("latest", "latest-verified"):
        with pytest.raises(UsageError) as caught:
            choose(word, both, {})
        assert caught.value.hint == f"Say which: a@{word}, b@{word}"


def test_ids_win_whatever_the_job_is_called() -> None:
    taken = snapshot("latest", 1, START)
    assert choose(taken.id, catalogue(taken), {}).snapshot == taken
    assert choose("latest@latest", catalogue(taken), {}).snapshot == taken


@given(st.datetimes(min_value=datetime(2000, 1, 1)))
def test_a_time_without_a_zone_is_no_time(moment: datetime) -> None:
    with pytest.raises(UsageError) as caught:
        choose(f"a@{moment.isoformat()}", catalogue(snapshot("a", 1, START)), {})
    _, _, rest = caught.value.hint.partition(": ")
    for suggestion in rest.split(" or "):
        assert datetime.fromisoformat(suggestion).tzinfo is not None


def test_a_safety_snapshot_is_none_of_the_jobs_own() -> None:
    own = snapshot("nightly", 1, START)
    later = snapshot("nightly-safety", 1, START + timedelta(days=1))
    safety = replace(later, manifest=replace(later.manifest, tags=("safety",)))
    for text in ("latest", "nightly@latest", "nightly@2027-01-01T00:00:00Z"):
        assert choose(text, catalogue(own, safety), {}).snapshot == own
    for text in ("nightly-safety@latest", safety.id):
        assert choose(text, catalogue(own, safety), {}).snapshot == safety
    with pytest.raises(UsageError, match="several jobs"):
        choose("latest", catalogue(own, later), {})
