"""Copying within a lineage: byte for byte, only what is missing, and nothing that is not what its signer stored."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.config.copies import CopySettings
from drtool.config.loading import load_config
from drtool.operations.contents import Contents
from drtool.operations.copy.results import State
from drtool.operations.copy.siblings import create_copy
from drtool.operations.joblock import copy_lock
from drtool.operations.opening import repository_of
from drtool.repository.chain import read_catalogue
from drtool.repository.pages import leaf_refs, walk
from drtool.repository.reader import ChunkReader
from drtool.repository.removals import Lost, Removal, announce
from drtool.repository.sealed import Kind
from drtool.repository.writer import ChunkWriter
from drtool.storage.base import ObjectInfo
from drtool.storage.directory import DirectoryStorage
from tests.operations.copy.places import FIRST, Place, contents, contents_at, documents, make_place, send, stored
from tests.operations.site import Site, flip
from tests.repository.builders import NOW, Stream, backup, put_record, put_removal, write_stream
from tests.repository.test_segments import put_chain

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A host with four snapshots that share chunks in several ways."""
    place = make_place(tmp_path_factory.mktemp("many") / "host")
    pieces = [documents(first, first + 8) for first in (0, 10, 20, 30)]
    with place.site.opened() as repository:
        for chosen in ((0, 1), (1, 2), (2,), (3, 0)):
            backup(repository, [Stream(f"app.c{number}", pieces[number]) for number in chosen])
    return place.site


def test_everything_goes_once(place: Place) -> None:
    first, second = place.copied("--create")
    assert [first["state"], second["state"]] == ["copied", "copied"]
    assert first["chunks"] == {"total": 100, "sent": 100}
    assert second["chunks"] == {"total": 103, "sent": 3}
    before = stored(place.second)
    ended = place.copy()
    assert (ended.code, ended.result["there"], ended.result["copied"]) == (0, 2, [])
    assert stored(place.second) == before
    here = stored(place.site.store)
    assert {name: data for name, data in here.items() if name.startswith("snapshots/")} == {
        name: data for name, data in before.items() if name.startswith("snapshots/")
    }
    # All of each pack was needed, so each went as it was.
    assert {name for name in here if name.startswith("packs/")} == {
        name for name in before if name.startswith("packs/")
    }


def test_the_copy_alone_gives_everything_back(place: Place) -> None:
    expected = contents_at(place.site)
    place.copied("--create")
    place.site.store.rename(place.site.store.with_name("burnt down"))
    assert contents_at(place.there) == expected
    assert all(line["ok"] for line in place.there.ok("verify", "--level", "readable")[:-1])


def test_without_the_identity(place: Place) -> None:
    place.copied("--create", "latest")
    host = replace(place, site=replace(place.site, has_identity=False).write_config())
    assert [line["state"] for line in host.copied()] == ["copied"]
    assert len(place.there.snapshots()) == 2


def test_with_the_identity_alone(place: Place) -> None:
    owner = replace(place, site=replace(place.site, has_agent=False).write_config())
    assert len(owner.copied("--create")) == 2
    assert contents_at(place.there) == contents_at(place.site)


def test_one_snapshot_takes_what_it_needs_and_no_more(place: Place) -> None:
    latest = place.site.snapshots()[-1]
    with place.site.opened() as repository:
        backup(repository, (replace(FIRST[0], chunks=FIRST[0].chunks[:5]),))
    [line] = place.copied("--create", "latest")
    assert line["chunks"] == {"total": 5, "sent": 5}
    sizes = [len(data) for name, data in stored(place.second).items() if name.startswith("packs/")]
    assert sum(sizes) < 40_000  # of 180,000 in the pack that they lie in
    assert all(one["ok"] for one in place.there.ok("verify", "--level", "readable")[:-1])
    # What is there already does not go again, whichever pack it was in.
    [line] = place.copied(latest)
    assert line["chunks"] == {"total": 103, "sent": 98}
    assert contents_at(place.there).items() <= contents_at(place.site).items()


def test_a_look_writes_nothing_and_tells_what_goes(place: Place) -> None:
    place.copied("--create", place.site.snapshots()[0])
    before, runs = stored(place.second), sorted((place.site.store / "runs").iterdir())
    assert place.copy("--dry-run").result["missing"] == place.site.snapshots()[1:]
    [line] = place.copied("--dry-run")
    assert (line["state"], line["chunks"]["sent"]) == ("missing", 3)
    assert (stored(place.second), sorted((place.site.store / "runs").iterdir())) == (before, runs)
    [line] = place.copied()
    assert line["chunks"]["sent"] == 3


def test_what_was_lost_there_is_sent_again_when_it_is_named(place: Place) -> None:
    place.copied("--create")
    packs = [path for path in place.second.glob("packs/*/*") if path.is_file()]
    max(packs, key=lambda path: path.stat().st_size).unlink()
    assert place.copied() == []
    assert place.there.drtool("verify", "--level", "listed").code == 4
    [line] = place.copied("latest")
    assert (line["state"], line["chunks"]["sent"] > 0) == ("copied", True)
    assert [one["state"] for one in place.copied("latest")] == ["there"]
    assert all(one["ok"] for one in place.there.ok("verify", "--level", "readable")[:-1])


def test_what_was_lost_there_goes_with_the_next_snapshot(place: Place) -> None:
    place.copied("--create", place.site.snapshots()[0])
    for path in place.second.glob("packs/*/*"):
        path.unlink()
    [line] = place.copied()
    assert line["chunks"] == {"total": 103, "sent": 103}
    assert place.there.ok("verify", line["snapshot"], "--level", "readable")[0]["ok"]


@pytest.mark.parametrize("with_packs", [True, False])
def test_what_the_index_lost_there_goes_with_the_next_snapshot(place: Place, with_packs: bool) -> None:
    first, second = place.site.snapshots()
    place.copied("--create", first)
    lost = [*place.second.glob("index/*"), *(place.second.glob("packs/*/*") if with_packs else ())]
    for path in lost:
        path.unlink()
    assert [line["snapshot"] for line in place.copied()] == [second]
    assert place.there.ok("verify", second, "--level", "readable")[0]["ok"]
    with place.site.opened() as repository:
        third = backup(repository, (*FIRST[:2], Stream("app.more", documents(300, 302)))).id
    [line] = place.copied()
    assert (line["snapshot"], line["chunks"]["sent"]) == (third, 2)
    assert place.there.ok("verify", third, "--level", "readable")[0]["ok"]


@pytest.mark.parametrize("remembers", [True, False])
def test_what_was_altered_there_goes_in_other_packs(place: Place, remembers: bool) -> None:
    place.copied("--create")
    largest = max(place.second.glob("packs/*/*"), key=lambda path: path.stat().st_size)
    if remembers:
        largest.write_bytes(largest.read_bytes()[:-1])
    else:  # then it is another one of the same size that it meets under the name
        flip(largest)
        shutil.rmtree(place.site.directory / "state")
        shutil.rmtree(place.site.directory / "cache")
        for path in place.second.glob("index/*"):
            path.unlink()
    assert place.copied(*place.site.snapshots())[0]["state"] == "copied"
    assert all(line["ok"] for line in place.there.ok("verify", "--level", "readable")[:-1])
    assert [line["state"] for line in place.copied(*place.site.snapshots())] == ["there"] * 2


@pytest.mark.parametrize("remembers", [True, False])
def test_leaves_that_were_copied_are_not_read_again(place: Place, remembers: bool) -> None:
    place.copied("--create", place.site.snapshots()[0])
    if not remembers:
        shutil.rmtree(place.site.directory / "state")
    with place.site.opened() as repository, contextlib.closing(ChunkReader(repository)) as reader:
        first, second = (
            {
                entry.name: {leaf.id for leaf in leaf_refs(entry.root, reader.get_page)}
                for entry in Contents(reader, one.manifest).streams()
            }
            for one in read_catalogue(repository).snapshots
        )
    assert first["app.big"] == second["app.big"]
    with mock.patch.object(ChunkReader, "get_page", autospec=True, side_effect=ChunkReader.get_page) as get_page:
        [line] = place.copied()
    assert line["chunks"] == {"total": 103, "sent": 3}
    read = {call.args[1] for call in get_page.call_args_list}
    assert read & second["app.small"]
    assert bool(read & second["app.big"]) is not remembers


def test_a_damaged_pack_goes_no_further(place: Place) -> None:
    other = replace(FIRST[0], name="app.other", chunks=(b"alone",), definition=b"its own")
    with place.site.opened() as repository:
        whole = backup(repository, (other,), job="other").id
    pack = max((path for path in place.site.store.glob("packs/*/*")), key=lambda path: path.stat().st_size)
    flip(pack)
    ended = place.copy("--create")
    assert (ended.code, ended.result["error"]["kind"]) == (3, "partial")
    lines = {line["snapshot"]: line for line in ended.lines if line["type"] == "copy"}
    assert [line["snapshot"] for line in lines.values() if line["ok"]] == ended.result["copied"] == [whole]
    for name, line in lines.items():
        if name != whole:
            assert (line["state"], line["problems"][0]["object"]) == ("failed", f"packs/{pack.parent.name}/{pack.name}")
            assert name in ended.result["error"]["message"]
    assert place.there.snapshots() == [whole]
    flip(pack)
    assert len(place.copied()) == 2


def test_a_missing_pack_alone(place: Place) -> None:
    max(place.site.store.glob("packs/*/*"), key=lambda path: path.stat().st_size).unlink()
    ended = place.copy("--create", "latest")
    assert (ended.code, ended.result["error"]["kind"]) == (4, "missing-object")
    assert "is missing" in ended.result["error"]["message"]


def test_what_lies_in_a_sound_pack_too_is_taken_from_there(empty: Place) -> None:
    with empty.site.opened() as repository:
        backup(repository, FIRST)
        pack = max(empty.site.store.glob("packs/*/*"), key=lambda path: path.stat().st_size)
        # Nothing is to rely on it: the next backup stores its chunks once more.
        repository.state.note_bad_packs([bytes.fromhex(pack.name)], [])
        backup(repository, FIRST)
        repository.state.note_bad_packs([], [bytes.fromhex(pack.name)])
    flip(pack)
    assert [line["state"] for line in empty.copied("--create")] == ["copied", "copied"]
    assert all(one["ok"] for one in empty.there.ok("verify", "--level", "readable")[:-1])


def test_what_retention_removed_there_stays_away(place: Place) -> None:
    place.copied("--create")
    gone = place.site.snapshots()[0]
    with place.there.opened(reads_data=True) as repository:
        [snapshot] = [one for one in read_catalogue(repository).snapshots if one.id == gone]
        put_removal(repository, [snapshot], repository.signer)
    ended = place.copy()
    assert (ended.code, ended.result["removed"], ended.result["there"]) == (0, 1, 1)
    ended = place.copy(gone)
    assert (ended.code, ended.result["error"]["kind"]) == (20, "refused")
    assert place.there.snapshots() == place.site.snapshots()[1:]


def test_what_is_on_record_there_as_lost_is_sent_again(place: Place) -> None:
    place.copied("--create")
    gone = place.site.snapshots()[0]
    with place.there.opened(reads_data=True) as repository:
        [snapshot] = [one for one in read_catalogue(repository).snapshots if one.id == gone]
        repository.storage.delete(snapshot.manifest.name)
        lost = Lost(snapshot.chain, snapshot.manifest.number, snapshot.id, snapshot.hash)
        announce(repository, Removal(lost=(lost,)), repository.signer)
    assert [line["snapshot"] for line in place.copied()] == [gone]
    assert contents_at(place.there) == contents_at(place.site)


def test_what_the_archived_log_lost_there_is_sent_again(place: Place) -> None:
    with place.site.opened() as repository:
        writer = ChunkWriter(repository)
        root = write_stream(writer, Stream("log", documents(400, 406))).root
        writer.flush()
        writer.close()
        assert root is not None
        put_chain(repository, (1, 2, 3), root=root)
    assert place.copy("--create").result["segments"] == 2
    for path in place.second.glob("packs/*/*"):
        path.unlink()
    ended = place.copy("latest")
    assert (ended.code, ended.result["segments"], ended.result["chunks"]) == (0, 0, 103 + 6)
    with place.there.opened(reads_data=True) as repository, contextlib.closing(ChunkReader(repository)) as reader:
        refs = [ref for leaf in walk(root, reader.get_page) for ref in leaf.chunks]
        assert len(list(reader.stream(refs))) == 6
    assert place.copy("latest").result["bytes"] == 0


def test_a_machine_that_sleeps_while_it_commits(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.copied("--create", place.site.snapshots()[0])
    slept, put = [0.0], DirectoryStorage.put

    def sleeping(self: DirectoryStorage, name: str, *args: Any, **options: Any) -> ObjectInfo:
        slept[0] += 13 * 3600.0 if name.startswith("snapshots/") else 0.0
        return put(self, name, *args, **options)

    monkeypatch.setattr("drtool.repository.runs._awake_clock", lambda: time.monotonic() + slept[0])
    monkeypatch.setattr(DirectoryStorage, "put", sleeping)
    ended = place.copy()
    assert (ended.code, ended.result["error"]["kind"]) == (1, "run-expired")
    assert "name the snapshot" in ended.result["error"]["hint"]
    monkeypatch.undo()
    assert [line["state"] for line in place.copied("latest")] == ["there"]


def test_an_altered_manifest_there_is_told(place: Place) -> None:
    place.copied("--create")
    first = place.site.snapshots()[0]
    flip(place.second / "snapshots" / first)
    ended = place.copy()
    assert (ended.code, ended.result["failed"]) == (3, [first])
    (place.second / "snapshots" / first).unlink()
    assert [line["snapshot"] for line in place.copied()] == [first]


def test_a_damaged_manifest_here_is_told(place: Place) -> None:
    flip(place.site.store / "snapshots" / place.site.snapshots()[0])
    ended = place.copy("--create")
    assert (ended.code, len(ended.result["copied"])) == (3, 1)


def test_two_at_once_on_one_host(place: Place) -> None:
    place.copied("--create", place.site.snapshots()[0])
    with place.there.opened(reads_data=True) as second:
        id_ = second.id
    with copy_lock(place.site.directory / "state" / id_):
        ended = place.copy()
        assert (ended.code, ended.result["error"]["kind"]) == (11, "locked")
    assert len(place.copied()) == 1


def test_two_at_once_on_two_hosts(place: Place) -> None:
    place.copied("--create", place.site.snapshots()[0])
    hosts = [place.site, place.site.elsewhere("other")]
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda site: send(site, place.second), hosts))
    assert [one.problem for copied in told for one in copied] == [None] * len(told[0] + told[1])
    assert contents_at(place.there) == contents_at(place.site)


def test_a_parent_that_is_not_there(place: Place, tmp_path: Path) -> None:
    nowhere = replace(place, second=tmp_path / "not" / "mounted")
    ended = nowhere.copy("--create")
    assert ended.code != 0
    assert not (tmp_path / "not").exists()


def test_packs_that_are_about_to_go_there_are_not_relied_on(place: Place) -> None:
    place.copied("--create")
    marked = list(place.second.glob("packs/*/*"))
    with place.there.opened(reads_data=True) as second:
        fields = {"packs": [path.name for path in marked], "at": NOW, "host": "host"}
        put_record(second, Kind.TOMBSTONE, "tombstones/", fields)
    latest = place.site.snapshots()[-1]
    (place.second / "snapshots" / latest).unlink()
    [line] = place.copied()
    assert line["chunks"]["sent"] == line["chunks"]["total"] == 103
    for path in marked:
        path.unlink()
    assert place.there.ok("verify", latest, "--level", "readable")[0]["ok"]


@settings(max_examples=6)
@given(st.lists(st.sets(st.integers(0, 3), min_size=1), min_size=1, max_size=3))
def test_whatever_is_copied_in_whatever_order(many: Site, orders: list[set[int]]) -> None:
    ids = many.snapshots()
    with tempfile.TemporaryDirectory() as directory:
        second, sent = Path(directory) / "second", set[str]()
        create_copy(load_config(many.config).repository, CopySettings(url=str(second)))
        for chosen in orders:
            names = [ids[number] for number in chosen]
            told = send(many, second, *names)
            assert [(one.snapshot, one.problem) for one in told] == [
                (id_, None) for id_ in sorted(names, key=ids.index)
            ]
            assert all((one.shipped.sent == 0) == (one.state is State.THERE) for one in told if one.snapshot in sent)
            sent.update(names)
        settings_ = load_config(many.config).repository.model_copy(update={"url": str(second), "agent_key": None})
        with repository_of(settings_, reads_data=True) as opened:
            assert opened.refresh_index() == []
            found = contents(opened)
        everything = contents_at(many)
        assert found == {id_: everything[id_] for id_ in ids if id_ in sent}


def test_what_people_read(place: Place) -> None:
    first, second = place.site.snapshots()
    to = ("copy", "--to", str(place.second))
    told = place.site.told(*to, "--create", first).out
    assert "of the same lineage is ready" in told
    assert f"{first} (nightly): 100 of 100 chunks" in told
    assert f"{second} (nightly): would send 3 of 103 chunks" in place.site.told(*to, "--dry-run").out
    assert f"{second} (nightly): 3 of 103 chunks" in place.site.told(*to).out
    assert place.site.told(*to).out == "nothing to copy: 2 snapshots there already\n"
    assert f"{first} (nightly): all of it is there" in place.site.told(*to, first).out
    flip(place.site.store / "snapshots" / first)
    assert place.site.told(*to).code == 3


def test_in_small_portions(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drtool.operations.copy.moving.PORTION", 7)
    first, second = place.copied("--create")
    assert (first["chunks"]["sent"], second["chunks"]["sent"]) == (100, 3)
    assert contents_at(place.there) == contents_at(place.site)
