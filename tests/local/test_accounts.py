"""Users have names, but for those of whom the host knows nothing."""

from __future__ import annotations

import os

import pytest

from drtool.local.accounts import user_name


def test_names() -> None:
    assert user_name(0) == "root"


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert user_name(2**31 - 7) == str(2**31 - 7)
    monkeypatch.setattr(os, "geteuid", lambda: 2**31 - 7)
    assert user_name() == str(2**31 - 7)
