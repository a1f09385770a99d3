"""The source contract, kept by Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from drtool.sources.base import Source
from drtool.sources.redis import RedisSource
from drtool.sources.redis.server import RunningServer
from tests.sources.contract import Harness, SourceContract
from tests.sources.redis import zoo


@dataclass
class RedisHarness:
    """A server with several databases."""

    server: RunningServer
    splits = False
    has_versions = True

    def source(self, *, part_bytes: int | None = None) -> Source:
        """See ``Harness``."""
        return RedisSource("redis", uri=self.server.uri)

    def fill(self) -> None:
        """See ``Harness``."""
        zoo.fill(self.server.uri)

    def change(self) -> None:
        """See ``Harness``."""
        zoo.change(self.server.uri)

    def listing(self) -> Mapping[str, Sequence[bytes] | None]:
        """See ``Harness``."""
        return zoo.listing(self.server.uri)

    def nowhere(self) -> Source:
        """See ``Harness``."""
        return RedisSource("redis", uri="redis://127.0.0.1:1")


class TestRedisContract(SourceContract):
    """The suite on a real redis-server."""

    @pytest.fixture
    def harness(self, redis_server: RunningServer) -> Harness:
        return RedisHarness(redis_server)
