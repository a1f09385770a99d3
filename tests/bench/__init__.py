"""Measurements: ``python -m tests.bench --help``. They print figures and assert nothing about time."""
