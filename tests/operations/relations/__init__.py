"""Tests of relations between streams."""
