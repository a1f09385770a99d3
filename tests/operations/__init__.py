"""Tests of the operations, most of them against a real server."""
