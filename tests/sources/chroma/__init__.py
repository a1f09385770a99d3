"""Tests of drtool.sources.chroma."""
