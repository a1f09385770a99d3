"""Qdrant: a server, qdrant-client's local mode, and the embedded engine (Qdrant Edge)."""

from drtool.sources.qdrant.source import QdrantSource

__all__ = ["QdrantSource"]
