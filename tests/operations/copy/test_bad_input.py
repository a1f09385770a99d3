"""What cannot be copied to is refused with a hint, before anything is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from drtool.errors import StorageFullError
from drtool.repository.identity import Identity
from drtool.storage.directory import DirectoryStorage
from tests.operations.copy.places import NOWHERE, Place, contents_at, stored
from tests.operations.site import Site


def _refused(place: Place, code: int, kind: str, *arguments: str) -> str:
    """What it says; neither end changes."""
    ends = [path for path in (place.site.store, place.second) if path.exists()]
    before = [(stored(end), sorted(end.glob("runs/*"))) for end in ends]
    ended = place.copy(*arguments)
    assert (ended.code, ended.result["error"]["kind"]) == (code, kind), ended.out + ended.err
    assert [(stored(end), sorted(end.glob("runs/*"))) for end in ends] == before
    assert ended.result["error"]["hint"] or kind == "wrong-key"
    return str(ended.result["error"]["message"])


def test_nothing_is_there(place: Place) -> None:
    assert "there is no repository" in _refused(place, 1, "repository-missing")
    assert not place.second.exists()


def test_the_repository_itself(place: Place) -> None:
    itself = replace(place, second=place.site.store)
    assert "that is to be copied" in _refused(itself, 20, "refused")
    assert "already" in _refused(itself, 20, "repository-exists", "--create")
    assert "itself" in _refused(itself, 20, "refused", "--sync-keys")


def test_there_is_one_already(place: Place) -> None:
    place.copied("--create")
    _refused(place, 20, "repository-exists", "--create")


def test_another_root(place: Place, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    theirs = Site(tmp_path / "theirs", NOWHERE, {"nightly": ("app",)}).set_up()
    far = replace(place, second=theirs.store)
    assert "not of this one's lineage" in _refused(far, 12, "foreign-repository")
    _refused(far, 12, "wrong-key", "--sync-keys")


def test_another_format(place: Place) -> None:
    place.copied("--create", place.site.snapshots()[0])
    path = place.second / "repository.json"
    first, rest = path.read_text().split("\n", 1)
    path.write_text(json.dumps({**json.loads(first), "format": 2}) + "\n" + rest)
    assert "format 2" in _refused(place, 1, "format-version")


def test_an_altered_document(place: Place) -> None:
    place.copied("--create", place.site.snapshots()[0])
    path = place.second / "repository.json"
    path.write_text(path.read_text().replace('"sequence":1', '"sequence":7'))
    _refused(place, 4, "tampered")


def test_making_one_needs_the_root(place: Place, tmp_path: Path) -> None:
    host = replace(place, site=replace(place.site, has_identity=False).write_config())
    assert "needs the identity" in _refused(host, 2, "config", "--create")
    with place.site.opened() as repository:
        reader = Identity(Identity.generate().secret, pinned_root=repository.document.root)
    (tmp_path / "reader.key").write_text(reader.to_file("reads only"))
    wrong = replace(place.site, has_identity=False, repository={"identity": {"file": str(tmp_path / "reader.key")}})
    _refused(replace(place, site=wrong.write_config()), 12, "wrong-key", "--create")
    assert not place.second.exists() or not any(place.second.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (("nosuch",), 10, "no-such-snapshot"),
        (("--dry-run", "--create"), 2, "usage"),
        (("nightly@yesterday",), 2, "usage"),
    ],
)
def test_what_is_typed(place: Place, arguments: tuple[str, ...], code: int, kind: str) -> None:
    if "--create" not in arguments:
        place.copied("--create", place.site.snapshots()[0])
    ended = place.copy(*arguments)
    assert (ended.code, ended.result["error"]["kind"]) == (code, kind)


def test_no_address(place: Place) -> None:
    ended = place.site.drtool("copy")
    assert (ended.code, "where" in ended.result["error"]["message"]) == (2, True)
    ended = place.site.drtool("copy", "--to", "ftp://example.org/x")
    assert (ended.code, "s3://BUCKET/PREFIX" in ended.result["error"]["message"]) == (2, True)
    several = [{"url": str(place.second)}, {"url": str(place.second) + "2"}]
    site = replace(place.site, repository={"copies": several}).write_config()
    assert str(place.second) in site.drtool("copy").result["error"]["hint"]
    site = replace(place.site, repository={"copies": several[:1]}).write_config()
    assert site.drtool("copy", "--create").code == 0


def test_no_space_there(place: Place) -> None:
    place.copied("--create", place.site.snapshots()[0])
    real = DirectoryStorage.put

    def full(self: DirectoryStorage, name: str, *rest: object, **conditions: object) -> object:
        if name.startswith("packs/"):
            raise StorageFullError(f"no space left for {name}")
        return real(self, name, *rest, **conditions)  # type: ignore[arg-type]

    with mock.patch.object(DirectoryStorage, "put", full):
        ended = place.copy()
    assert (ended.code, ended.result["error"]["kind"]) == (1, "storage-full")
    assert len(place.there.snapshots()) == 1
    assert len(place.copied()) == 1
    assert contents_at(place.there) == contents_at(place.site)
