"""Retention policies: their files, their rules, and that an installed drtool finds those that come with it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.config.policies import Policy, find_policy, shipped
from drtool.config.rules import Rules
from drtool.config.spans import Span, parse_span
from drtool.errors import ConfigError, ExitCode
from tests.cli.running import ROOT, environment
from tests.config.samples import changed, problems, read

SHIPPED = {"compliance-7y", "minimal", "six-hourly", "standard"}


def _in_job(text: str) -> str:
    return changed("    sources: [app]", f"    sources: [app]\n    retention: {text}")


def _policy(text: str) -> Policy:
    found = read(_in_job(text)).jobs["nightly"].retention
    assert found is not None
    return found


def test_those_that_come_with_drtool() -> None:
    assert shipped().keys() == SHIPPED
    for name in SHIPPED:
        policy = find_policy(name, Path("/nowhere"))
        assert policy.name == name
        assert policy.rules.summary()
        text = shipped()[name].read_text("utf-8")
        assert text.count("#") >= 4, "they are commented"
        assert f"drtool retention simulate {name} " in text


@pytest.mark.heavy
def test_a_wheel_holds_them(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("cron", "drtool", "retention"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=source, check=True, capture_output=True, timeout=60)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = (
        "from drtool.config.policies import shipped; print(*(f'{name}={path}' for name, path in shipped().items()))"
    )
    env = {**environment(), "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=env, check=True, capture_output=True, text=True, timeout=60
    )
    found = dict(pair.split("=") for pair in done.stdout.split())
    assert found.keys() == SHIPPED
    assert all(path.startswith(str(tmp_path / "site" / "drtool")) for path in found.values())
    cron = tmp_path / "site" / "drtool" / "shipped" / "cron"
    assert {path.name for path in cron.iterdir()} == {path.name for path in (ROOT / "cron").iterdir()}


def test_by_name_by_path_and_in_place(tmp_path: Path) -> None:
    assert _policy("standard").path == shipped()["standard"]
    own = tmp_path / "mine.yaml"
    own.write_text("daily: 3\ntags: [keep, [a, b]]\nwithin: 1y6m\n")
    policy = _policy(str(own))
    assert (policy.name, policy.path, policy.rules.daily) == ("mine", own, 3)
    assert policy.rules.tags == (("keep",), ("a", "b"))
    assert policy.rules.within == Span(years=1, months=6)
    assert policy.rules.summary() == "daily 3, within 1y6m, tags keep or a+b"
    assert _policy("{last: 2, weekly: unlimited, yearly: -1}").rules == Rules(last=2, weekly=-1, yearly=-1)


def test_an_operators_own_comes_before_the_one_that_came_with_drtool(tmp_path: Path) -> None:
    own = tmp_path / "retention" / "standard.yaml"
    own.parent.mkdir()
    own.write_text("last: 1\n")
    assert find_policy("standard", tmp_path).path == own
    assert find_policy("minimal", tmp_path).path == shipped()["minimal"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("standrad", "14: jobs.nightly.retention: no policy 'standrad'; did you mean 'standard'?"),
        ("./none.yaml", "14: jobs.nightly.retention: cannot read the policy /etc/drtool/none.yaml: No such file"),
        ("{dayly: 3}", "14: jobs.nightly.retention.dayly: unknown key; did you mean 'daily'?"),
        ("{}", "14: jobs.nightly.retention: keeps nothing"),
        ("{last: 0}", "14: jobs.nightly.retention: keeps nothing"),
        ("{last: -2}", "14: jobs.nightly.retention.last: must be 0 or more, or -1 (unlimited)"),
        ("{last: true}", "14: jobs.nightly.retention.last: must be a whole number"),
        ("{last: many}", "14: jobs.nightly.retention.last: must be a whole number"),
        ("{last: 1.5}", "14: jobs.nightly.retention.last: must be a whole number"),
        ("{within: 0d}", "14: jobs.nightly.retention.within: has no length"),
        ("{within: -3d}", "14: jobs.nightly.retention.within: must be a length of time"),
        ("{within: 2w}", "14: jobs.nightly.retention.within: must be a length of time"),
        ("{within: 3d4d}", "14: jobs.nightly.retention.within: must be a length of time"),
        ("{within: 30}", "14: jobs.nightly.retention.within: must be a length of time"),
        ("{tags: [[]]}", "14: jobs.nightly.retention.tags: an empty list of tags"),
        ("{tags: ['a b']}", "14: jobs.nightly.retention.tags: a tag is a word"),
        ("7", "14: jobs.nightly.retention: must be a mapping of keys"),
    ],
)
def test_mistakes_in_the_configuration(text: str, expected: str) -> None:
    assert any(problem.startswith(expected) for problem in problems(_in_job(text))), problems(_in_job(text))


def test_mistakes_in_a_file(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("# mine\ndayly: 3\nwithin: 0d\nlast: 1\nlast: 2\n")
    with pytest.raises(ConfigError) as caught:
        find_policy(str(own), tmp_path)
    assert caught.value.exit_code == ExitCode.USAGE
    told = caught.value.message.splitlines()
    assert f"{own}:2: dayly: unknown key; did you mean 'daily'?" in told
    assert f"{own}:3: within: has no length: it keeps nothing" in told
    assert f"{own}:5: last: given twice (first on line 4)" in told
    [problem] = problems(_in_job(str(own)))
    assert problem.startswith("14: jobs.nightly.retention: ")
    assert f"{own}:2: dayly" in problem
    for text in ("", "- 1\n", "\x00"):
        own.write_text(text)
        with pytest.raises(ConfigError, match=r"mine\.yaml"):
            find_policy(str(own), tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("schedule: '0 2 * *'", "14: jobs.nightly.schedule: must be a cron expression"),
        ("schedule: '0 25 * * *'", "14: jobs.nightly.schedule: must be a cron expression"),
        ("timezone: Europe/Berlni", "14: jobs.nightly.timezone: is no time zone"),
        ("timezone: ../../etc/passwd", "14: jobs.nightly.timezone: is no time zone"),
    ],
)
def test_schedules(text: str, expected: str) -> None:
    good = changed("    sources: [app]", "    sources: [app]\n    schedule: '0 2 * * *'\n    timezone: Europe/Berlin")
    assert read(good).jobs["nightly"].schedule == "0 2 * * *"
    [problem] = problems(changed("    sources: [app]", f"    sources: [app]\n    {text}"))
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("moment", "span", "expected"),
    [
        ("2016-03-31T12:00:00", "1m", "2016-03-02T12:00:00"),  # 31 February of a leap year
        ("2017-03-31T12:00:00", "1m", "2017-03-03T12:00:00"),
        ("2017-05-31T12:00:00", "1m", "2017-05-01T12:00:00"),
        ("2016-02-29T00:30:00", "1y", "2015-03-01T00:30:00"),
        ("2016-01-15T00:30:00", "1m", "2015-12-15T00:30:00"),
        ("2016-01-15T00:30:00", "13m1d2h", "2014-12-13T22:30:00"),
        ("2016-01-15T00:30:00", "1y5m7d2h", "2014-08-07T22:30:00"),
        ("2016-01-15T00:30:00", "9999y", "0001-01-01T00:00:00"),
        ("2016-01-15T00:30:00", "999999d", "0001-01-01T00:00:00"),
    ],
)
def test_the_calendar_counts_on_where_a_month_is_short(moment: str, span: str, expected: str) -> None:
    """As Go's ``Time.AddDate`` does, which restic uses."""
    zone = timezone(timedelta(hours=5))
    found = parse_span(span).before(datetime.fromisoformat(moment).replace(tzinfo=zone))
    assert found.replace(tzinfo=None) == datetime.fromisoformat(expected)


@given(*(st.integers(0, 9999) for _ in range(4)))
def test_spans_round_trip(years: int, months: int, days: int, hours: int) -> None:
    span = Span(years, months, days, hours)
    if any((years, months, days, hours)):
        assert parse_span(str(span)) == span
    assert span.before(datetime.now(UTC)) <= datetime.now(UTC)
