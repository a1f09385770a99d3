"""Milvus: each collection's records through its client."""

from drtool.sources.milvus.source import MilvusSource

__all__ = ["MilvusSource"]
