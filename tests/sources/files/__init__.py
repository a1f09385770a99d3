"""Tests of drtool.sources.files."""
