"""Tests of drtool.monitoring.targets, against servers that speak their protocols and keep to their limits."""
