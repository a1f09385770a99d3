"""What a MongoDB source may take of a server."""

from __future__ import annotations

import pytest

from drtool.config.source_types.mongodb import MongoSettings
from tests.config.samples import changed, problems, read


def with_setting(line: str) -> str:
    return changed("databases: [shop]", f"databases: [shop]\n    {line}")


def settings(line: str) -> MongoSettings:
    found = read(with_setting(line)).sources["app"]
    assert isinstance(found, MongoSettings)
    return found


def test_limits() -> None:
    assert settings("bandwidth: 20 MB").bandwidth == 20_000_000
    assert settings("max_time: 15m").max_time == 900
    assert (settings("").bandwidth, settings("").max_time) == (None, None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bandwidth: 20", "a size with its unit"),
        ("bandwidth: 99 KB", "at least 100 KB"),
        ("max_time: 60", "a duration with its unit"),
        ("max_time: 0s", "at least 1ms and at most 24d"),
        ("max_time: 25d", "at least 1ms and at most 24d"),
    ],
)
def test_mistakes(line: str, said: str) -> None:
    [problem] = problems(with_setting(line))
    assert said in problem
