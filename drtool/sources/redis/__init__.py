"""Redis as a source: read at one instant as a replica reads it, compared key by key, restored key by key."""

from drtool.sources.redis.source import RedisSource

__all__ = ["RedisSource"]
