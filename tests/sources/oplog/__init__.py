"""Tests of drtool.sources.mongodb.oplog."""
