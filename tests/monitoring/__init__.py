"""Tests of drtool.storage, against real servers."""
