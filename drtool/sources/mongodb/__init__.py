"""MongoDB: read at one cluster time, restored collection by collection, raw BSON end to end."""

from drtool.sources.mongodb.source import MongoSource

__all__ = ["MongoSource"]
