"""Tests of drtool.monitoring.alerting."""
