"""Tests of drtool.config."""
