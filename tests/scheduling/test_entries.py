"""What a configuration has drtool do repeatedly."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.config.loading import parse_config
from drtool.config.root import Config
from drtool.errors import ConfigError, UsageError
from drtool.scheduling.entries import entries_of, named, verification
from drtool.scheduling.expressions import Schedule
from drtool.scheduling.ledger import Ledger
from drtool.scheduling.standings import acquaint, known_since, standings
from tests.scheduling.samples import at, entry

TEXT = """
repository: {url: /srv/repo, state_dir: STATE}
sources: {app: {type: files, paths: [/srv/app]}}
jobs:
  nightly: {sources: [app], schedule: "@daily", verify: {level: readable, sample: 2.5%}}
  hourly: {sources: [app], schedule: "0 * * * *", jitter: 10m}
  by-hand: {sources: [app]}
schedules:
  capture: {task: pitr capture, sources: [app], schedule: "*/5 * * * *"}
  check: {task: verify, level: readable, shares: 7, schedule: "0 6 * * *"}
  some: {task: verify, level: intact, sample: 10%, snapshots: [nightly@latest], schedule: "0 7 * * *"}
  rotate: {task: retention apply, jobs: [nightly], schedule: "0 3 * * *"}
  clean: {task: prune, schedule: "30 4 * * *"}
  away: {task: copy, to: /mnt/copy, schedule: "0 5 * * *"}
  everything: {task: backup, schedule: "0 12 * * 0"}
"""


def config(directory: Path, text: str = TEXT) -> Config:
    return parse_config(text.replace("STATE", str(directory)), directory / "drtool.yaml")


def test_the_arguments_of_each(tmp_path: Path) -> None:
    found = {entry.name: " ".join(entry.arguments(8)) for entry in entries_of(config(tmp_path))}
    assert found == {
        "nightly": "backup nightly",
        "hourly": "backup hourly",
        "capture": "pitr capture app",
        "check": "verify --level readable --share 2/7",
        "some": "verify --level intact --sample 10% nightly@latest",
        "rotate": "retention apply nightly",
        "clean": "prune",
        "away": "copy --to /mnt/copy",
        "everything": "backup",
    }


def test_what_each_is_about(tmp_path: Path) -> None:
    found = {entry.name: (entry.job, entry.jobs) for entry in entries_of(config(tmp_path))}
    assert found["nightly"] == found["rotate"] == ("nightly", ("nightly",))
    assert found["everything"] == ("", ("nightly", "hourly", "by-hand"))
    assert found["clean"] == ("", ())


def test_the_verification_of_a_job(tmp_path: Path) -> None:
    wanted = config(tmp_path).jobs["nightly"].verify
    assert wanted is not None
    found = verification("20261121t0200", wanted)
    assert " ".join(found) == "verify 20261121t0200 --level readable --sample 2.5%"


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    entries = entries_of(config(tmp_path))
    assert [one.name for one in named(entries, ["clean", "nightly", "clean"])] == ["clean", "nightly"]
    with pytest.raises(UsageError, match="by-hand") as error:
        named(entries, ["by-hand"])
    assert "nightly, hourly" in error.value.hint


def test_a_host_s_slots_stay_where_they_are(tmp_path: Path) -> None:
    def offset(directory: Path) -> timedelta:
        (hourly,) = named(entries_of(config(directory)), ["hourly"])
        return hourly.schedule.offset

    offsets = {offset(tmp_path) for _ in range(3)}
    assert len(offsets) == 1
    assert max(offsets) <= timedelta(minutes=10)
    assert len({offset(tmp_path / str(number)) for number in range(20)}) > 5, "other hosts have others"


@given(st.integers(0, 10**6), st.text(max_size=5), st.integers(0, 10**7))
def test_jitter_puts_every_slot_off_by_the_same(seconds: int, key: str, moment: int) -> None:
    plain, late = Schedule("7 3 * * *", "Europe/Berlin"), Schedule("7 3 * * *", "Europe/Berlin", seconds, key)
    now = at("01 00:00") + timedelta(seconds=moment)
    assert timedelta(0) <= late.offset <= timedelta(seconds=seconds)
    assert late.next_after(now + late.offset) == plain.next_after(now) + late.offset
    assert late.previous_at_or_before(now + late.offset) == plain.previous_at_or_before(now) + late.offset


@pytest.mark.parametrize(
    "expression", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "60 * * * *", "* * * *", "R 2 * * *", "@reboot", "never", ""]
)
def test_expressions_that_never_fire_or_are_none(tmp_path: Path, expression: str) -> None:
    with pytest.raises(ConfigError, match=r"jobs\.nightly\.schedule"):
        config(tmp_path, TEXT.replace("@daily", expression))


def test_what_a_command_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"schedules\.rotate.*one job, or none for all"):
        config(tmp_path, TEXT.replace("jobs: [nightly]", "jobs: [nightly, hourly]"))


def test_an_expression_that_fires_once_in_years(tmp_path: Path) -> None:
    (seldom, *_) = entries_of(config(tmp_path, TEXT.replace("@daily", "0 2 29 2 *")))
    assert seldom.schedule.interval(at("21 00:00")) == timedelta(days=4 * 365 + 1)


def test_an_entry_is_known_from_when_it_was_first_seen_as_it_is(tmp_path: Path) -> None:
    nightly, hourly = entry(), entry("0 * * * *", "hourly")
    with Ledger(tmp_path) as ledger:
        assert known_since(ledger, [nightly]) == {}
        acquaint(ledger, [nightly, hourly], at("20 12:00"))
        acquaint(ledger, [nightly, hourly], at("21 12:00"))
        assert known_since(ledger, [nightly, hourly]) == {"nightly": at("20 12:00"), "hourly": at("20 12:00")}
        assert [found.due_slot for _, found in standings([nightly, hourly], ledger, at("21 12:00"))] == [
            at("21 02:00"),
            at("21 12:00"),
        ]
        moved = entry("0 3 * * *")
        assert known_since(ledger, [moved]) == {}
        acquaint(ledger, [moved], at("21 13:00"))
        assert known_since(ledger, [moved, hourly]) == {"nightly": at("21 13:00")}
        acquaint(ledger, [moved], at("21 11:00"))
        assert known_since(ledger, [moved]) == {"nightly": at("21 11:00")}, "the clock was put back"
