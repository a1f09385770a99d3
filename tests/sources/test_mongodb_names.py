"""Names: selecting, matching, renaming."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import ConfigError, UsageError
from drtool.sources.mongodb.names import Selection, beside, matches, rename

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='*?[./\\ "$\0'), min_size=1, max_size=15)


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("app.users", "app", True),
        ("app.users", "ap*", True),
        ("app.users", "app.users", True),
        ("app.users", "app.u*", True),
        ("app.users.old", "app.users", False),
        ("app.users.old", "app.users.*", True),
        ("app.users", "*.users", True),
        ("app.users", "other", False),
        ("app.users", "users", False),
        ("app.odd[1]", "app.odd[1]", True),
    ],
)
def test_matching(name: str, pattern: str, expected: bool) -> None:
    assert matches(name, pattern) is expected


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("app.users", "app", "app2", "app2.users"),
        ("app.a.b", "app", "app2", "app2.a.b"),
        ("application.users", "app", "app2", None),
        ("app.users", "app.users", "app.people", "app.people"),
        ("app.users", "app.users", "other.people", "other.people"),
        ("app.users2", "app.users", "app.people", None),
        ("app.log_1", "app.log_*", "old.l_*", "old.l_1"),
        ("app.users", "app.*", "copy.*", "copy.users"),
        ("app1.users", "app*", "copy*", "copy1.users"),
        ("app.x", "app.xx*xx", "a.*", None),
    ],
)
def test_renaming(name: str, old: str, new: str, expected: str | None) -> None:
    assert rename(name, old, new) == expected


@pytest.mark.parametrize(("old", "new"), [("app", "app.users"), ("app.users", "app"), ("a.*", "a.b"), ("a.**", "b.**")])
def test_pairs_without_a_meaning(old: str, new: str) -> None:
    with pytest.raises(UsageError):
        rename("app.users", old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        *(
            ("app.users", wrong)
            for wrong in ("local.x", "admin.x", "config.x", "b$.c", "b c.d", "b/.c", 'b".c', "b.$c")
        ),
        *(
            ("app.users", wrong)
            for wrong in (".c", "b.", "b..c", "b.system.views", "b.drtool_restore", "b.drtool_restore.1")
        ),
        *(("app.users", wrong) for wrong in ("d" * 64 + ".c", "d." + "c" * 254, "b." + "ö" * 127)),
        *(("app", wrong) for wrong in ("local", "admin", "config", "b$", "b c", "b\\c", "d" * 64)),
        ("app.*", "local.*"),
    ],
)
def test_names_that_cannot_be(old: str, new: str) -> None:
    with pytest.raises(UsageError, match="nothing can be restored as"):
        rename("app.users", old, new)


@given(names, names, names)
def test_renaming_back(database: str, collection: str, other: str) -> None:
    name = f"{database}.{collection}"
    renamed = rename(name, database, other)
    assert renamed is not None
    assert rename(renamed, other, database) == name


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=".\0"), min_size=1, max_size=63))
def test_beside_fits(database: str) -> None:
    name, _, collection = beside(f"{database}.users.old", "20260102").partition(".")
    assert collection == "users.old"
    assert name.endswith("_20260102")
    assert len(name.encode()) <= 63 or len(name.encode()) <= len(database.encode())


def test_selecting() -> None:
    chosen = Selection(exclude=("logs", "app.tmp_*", "s*"))
    assert chosen.of(["app", "admin", "local", "config", "logs", "shop"]) == ["app"]
    assert chosen.takes("app.users")
    assert not chosen.takes("app.tmp_1")
    assert chosen.takes("app.system.js")
    for skipped in ("system.views", "system.profile", "system.buckets.x", "drtool_restore"):
        assert not chosen.takes(f"app.{skipped}")


@pytest.mark.parametrize("name", ["admin", "local", "config", "a.b", ""])
def test_databases_that_cannot_be_chosen(name: str) -> None:
    with pytest.raises(ConfigError):
        Selection((name,))
