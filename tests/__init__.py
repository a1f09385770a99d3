"""Tests; they mirror drtool/."""
