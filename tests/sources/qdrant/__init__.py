"""Qdrant as a source."""
