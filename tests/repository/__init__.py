"""Tests of the repository: format, keys, writing, reading, and what an attacker can do."""
