"""What a repository is seen to hold, and what is known of it while it does not answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.config.loading import load_config
from drtool.config.root import Config
from drtool.errors import TransientStorageError
from drtool.operations.unattended.attending.attending import ledger_of
from drtool.operations.unattended.standing.survey import Growth, JobSurvey, LogGap, LogSurvey, Space, Survey, Unanswered
from drtool.operations.unattended.standing.surveying import (
    KEPT_FOR,
    ask,
    kept_survey,
    refresh_if_old,
    refreshed,
)
from drtool.scheduling.ledger import Ledger
from tests.operations.site import Site, fill, flip
from tests.sources.mongo import Client

_NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
_MOMENTS = st.datetimes(timezones=st.just(UTC))
_NAMES = st.text("abc", min_size=1, max_size=3)
_JOBS = st.builds(
    JobSurvey,
    created=_MOMENTS,
    instant=_MOMENTS,
    verified_at=st.none() | _MOMENTS,
    verified=st.dictionaries(_NAMES, _MOMENTS, max_size=2),
    growth=st.lists(st.builds(Growth), max_size=2).map(tuple),
)
_GAPS = st.lists(st.builds(LogGap, first=_MOMENTS, last=_MOMENTS), max_size=2).map(tuple)
_LOGS = st.builds(LogSurvey, archived_until=_MOMENTS, lag=st.floats(0, 1e9), gaps=_GAPS)
_SURVEYS = st.builds(
    Survey,
    taken_at=st.none() | _MOMENTS,
    jobs=st.dictionaries(_NAMES, _JOBS, max_size=2),
    logs=st.dictionaries(_NAMES, _LOGS, max_size=2),
    problems=st.lists(st.text(), max_size=2).map(tuple),
    spaces=st.lists(st.builds(Space), max_size=2).map(tuple),
    unanswered=st.none() | st.builds(Unanswered, since=_MOMENTS, at=_MOMENTS),
)


@pytest.fixture
def config(site: Site) -> Config:
    return load_config(site.config)


@pytest.fixture
def ledger(config: Config) -> Iterator[Ledger]:
    with ledger_of(config) as opened:
        yield opened


@given(_SURVEYS)
def test_what_is_kept_comes_back(survey: Survey) -> None:
    assert Survey.from_json(json.loads(json.dumps(survey.to_json()))) == survey


@pytest.mark.parametrize("kept", [None, [], {"taken_at": 7, "jobs": {"nightly": {}}}])
def test_what_another_version_kept_counts_for_nothing(kept: object) -> None:
    assert Survey.from_json(kept) is None


def test_a_survey_tells_of_the_newest_snapshot_and_of_those_before(
    site: Site, client: Client, database: str, config: Config
) -> None:
    assert ask(config).jobs == {}
    fill(client, database)
    first = site.backup()
    site.ok("verify", "--level", "readable")
    fill(client, database + "x")
    client[database]["more"].insert_one({"_id": 1, "x": "y" * 500})
    second = site.backup()

    survey = ask(config)

    found = survey.jobs["nightly"]
    assert (found.snapshots, found.newest, found.head) == (2, second["snapshot"], second["head"])
    assert found.stored_bytes == second["bytes"]["stored"]
    assert (found.level, found.verified_at) == ("none", None)
    assert found.verified.keys() == {"listed", "intact", "readable"}, "of the first snapshot"
    week = found.growth[0]
    assert (week.days, week.stored_bytes) == (7, first["bytes"]["stored"] + second["bytes"]["stored"])
    assert week.bytes is None, "no snapshot is older than a week"
    assert survey.bytes == sum(path.stat().st_size for path in site.objects("packs"))
    assert {space.place for space in survey.spaces} == {"repository", "state", "cache"}
    assert all(0 < space.free <= space.total for space in survey.spaces)


def test_growth_is_against_the_snapshot_before_those_days(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    site.backup()
    config = load_config(site.config)
    later = datetime.now(UTC) + timedelta(days=10)
    week, month = ask(config, lambda: later).jobs["nightly"].growth
    assert (week.stored_bytes, week.bytes) == (0, 0)
    assert (month.stored_bytes > 0, month.bytes) == (True, None)


def test_another_host_does_not_guess_what_the_packs_take(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    site.backup()
    other = site.elsewhere("other")
    survey = ask(load_config(other.config))
    assert survey.bytes is None
    assert survey.jobs["nightly"].snapshots == 1


def test_what_is_wrong_with_the_repository_is_told(site: Site, client: Client, database: str, config: Config) -> None:
    fill(client, database)
    site.backup()
    site.backup()
    flip(site.objects("snapshots")[0])
    survey = ask(config)
    assert survey.problems
    assert survey.jobs["nightly"].snapshots == 1


def test_while_nothing_answers_what_was_known_is_kept_with_the_reason(
    site: Site, client: Client, database: str, config: Config, ledger: Ledger
) -> None:
    fill(client, database)
    site.backup()
    known = refreshed(config, ledger, lambda: _NOW)
    away = site.store.rename(site.store.parent / "away")

    refreshed(config, ledger, lambda: _NOW + timedelta(hours=1))
    survey = refreshed(config, ledger, lambda: _NOW + timedelta(hours=2))

    assert (survey.taken_at, survey.jobs) == (_NOW, known.jobs)
    assert survey.unanswered is not None
    assert survey.unanswered.since == _NOW + timedelta(hours=1)
    assert survey.unanswered.at == _NOW + timedelta(hours=2)
    assert survey.unanswered.message
    kept = kept_survey(config, ledger)
    assert kept is not None
    assert kept.unanswered == survey.unanswered

    away.rename(site.store)
    assert refreshed(config, ledger, lambda: _NOW + timedelta(hours=3)).unanswered is None


def test_a_repository_that_never_answered_is_on_record(site: Site, config: Config, ledger: Ledger) -> None:
    site.store.rename(site.store.parent / "away")
    survey = refreshed(config, ledger, lambda: _NOW)
    assert survey.taken_at is None
    assert survey.unanswered is not None
    assert survey.unanswered.since == _NOW


def test_it_is_asked_again_once_what_is_kept_is_old(config: Config, ledger: Ledger) -> None:
    refreshed(config, ledger, lambda: _NOW)
    soon, late = _NOW + timedelta(seconds=KEPT_FOR / 2), _NOW + timedelta(seconds=KEPT_FOR)
    assert refresh_if_old(config, ledger, lambda: soon).taken_at == _NOW
    assert refresh_if_old(config, ledger, lambda: late).taken_at == late
    set_back = _NOW - timedelta(days=1)
    assert refresh_if_old(config, ledger, lambda: set_back).taken_at == set_back, "a clock that was set back"


def test_a_store_that_does_not_answer_is_not_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        other = site.elsewhere("other", url="s3://nowhere/at-all", repository={"endpoint_url": url, "region": "x"})
        with pytest.raises(TransientStorageError, match="did not answer within"):
            ask(load_config(other.config), limit=0.2)


def test_an_archived_log_is_told_with_its_lag(
    site: Site, client: Client, database: str, config: Config, tmp_path: Path
) -> None:
    fill(client, database)
    site.backup()
    site.ok("pitr", "capture")
    later = datetime.now(UTC) + timedelta(hours=1)
    log = ask(config, lambda: later).logs["nightly"]
    assert log.archived_until <= datetime.now(UTC)
    assert log.lag == pytest.approx((later - log.archived_until).total_seconds())
    assert log.gaps == ()
    assert log.leads_on is True
