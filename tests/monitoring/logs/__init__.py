"""Tests of drtool.monitoring.logs."""
