"""What a Redis source is told."""

from __future__ import annotations

import pytest

from drtool.config.source_types.redis import RedisSettings
from tests.config.samples import changed, problems, read


def with_cache(lines: str) -> str:
    return changed("sources:\n", f"sources:\n  cache:\n    type: redis\n{lines}")


def test_settings() -> None:
    lines = "    uri: unix:///run/redis.sock\n    databases: [0, 3]\n    exclude: ['session:*']\n    method: scan\n"
    found = read(with_cache(lines)).sources["cache"]
    assert isinstance(found, RedisSettings)
    assert (found.databases, found.exclude, found.method) == ((0, 3), ("session:*",), "scan")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("    uri: http://cache\n", "redis://"),
        ("    uri: redis://cache\n    databases: [-1]\n", "number of a database"),
        ("    uri: redis://cache\n    exclude: ['']\n", "pattern"),
        ("    uri: redis://cache\n    method: dump\n", "auto"),
    ],
)
def test_mistakes(lines: str, said: str) -> None:
    [problem] = problems(with_cache(lines))
    assert said in problem
