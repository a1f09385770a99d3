"""Tests of drtool.sources."""
