"""Tests of drtool.cli, mostly through real processes."""
