"""Tests of drtool.sources.vectors."""
