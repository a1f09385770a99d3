"""Each kind of object deleted, truncated, altered or exchanged: which level of verification sees it first, and that a
restore never begins without what it needs.

=================  =========  ========  =======  ========
object             deleted    truncated altered  exchanged
=================  =========  ========  =======  ========
pack of records    listed     listed    intact   listed
pack of catalog    listed     listed    listed   listed
index object       listed     intact    intact   intact
keys of recipient  listed     listed    listed   listed
manifest           opening    opening   opening  opening
evidence           opening    opening   opening  opening
repository.json    opening    opening   opening  opening
run                never: it says only who was writing
=================  =========  ========  =======  ========

``opening`` means every command that lists snapshots. What is not stated by size, such as an index object, is seen at
``listed`` by a host that comes new, and at ``intact`` by one that has read it before. Two packs of the same length that
were exchanged are seen at ``intact``.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drtool.operations.contents import Contents, list_needed
from drtool.repository.chain import read_catalogue
from drtool.repository.keyring import ChunkKind
from drtool.repository.packs import pack_name
from drtool.repository.reader import ChunkReader
from tests.operations.site import Site, fill, flip, hashes, small_packs, swap, truncate
from tests.sources.mongo import Client, unique_database

LEVELS = ("listed", "intact", "readable")


@pytest.fixture(scope="module")
def damaged_database(client: Client) -> Iterator[str]:
    """A database that no test changes."""
    name = unique_database(client)
    fill(client, name, megabytes=4, collections=2)
    # Records of one length make packs of one length: with this one no two packs of records can all be alike.
    client[name].c1.insert_one({"_id": "longer", "content": random.Random(name).randbytes(777)})
    yield name
    client.drop_database(name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, uri: str, client: Client, damaged_database: str) -> Site:
    """A host with two snapshots in several packs, both verified."""
    directory = tmp_path_factory.mktemp("whole")
    site = Site(directory, uri, {"nightly": (damaged_database,)}).set_up()
    with small_packs():
        site.backup()
        client[damaged_database].c0.update_one({"_id": 0}, {"$set": {"n": 100}})
        site.backup()
    site.ok("verify", "--level", "readable")
    return site


@pytest.fixture
def site(whole: Site, tmp_path: Path) -> Site:
    """A copy of it."""
    return whole.copied(tmp_path / "site")


def _packs(site: Site, kind: ChunkKind) -> list[Path]:
    """The packs whose chunks of this kind the newest snapshot needs, largest first; all others after them."""
    with site.opened() as repository, contextlib.closing(ChunkReader(repository)) as reader:
        newest = read_catalogue(repository).snapshots[-1]
        listing = list_needed(repository, Contents(reader, newest.manifest), keeps_rows=True)
        # Which kinds share a pack is a matter of chance; of a pack of records it may need the pages alone.
        found = [pack for pack in listing.packs if any(need.kind is kind for need, _ in listing.needed(pack))]
    found.sort(key=lambda pack: (-listing.packs[pack], pack))
    first = [site.store / pack_name(pack) for pack in found]
    return first + [path for path in site.objects("packs") if path not in first]


def _data_packs(site: Site) -> list[Path]:
    return _packs(site, ChunkKind.DATA)


def _catalog_packs(site: Site) -> list[Path]:
    return _packs(site, ChunkKind.CATALOG)


def _indexes(site: Site) -> list[Path]:
    return sorted(site.objects("index"), key=lambda path: -path.stat().st_size)


def _name(site: Site, path: Path) -> str:
    return path.relative_to(site.store).as_posix()


def _first_level(site: Site) -> tuple[str | None, set[str], set[str], str]:
    """The first level that fails, the objects and streams that its problems name, and what they say."""
    for level in LEVELS:
        ended = site.drtool("verify", "--level", level)
        if ended.code != 0:
            assert ended.code == 4, ended.out + ended.err
            problems = [problem for line in ended.lines[:-1] for problem in line["problems"]]
            messages = "; ".join(p["message"] for p in problems)
            return level, {p["object"] for p in problems}, {p["stream"] for p in problems}, messages
    return None, set(), set(), ""


def _delete(path: Path, _other: Path) -> None:
    path.unlink()


def _truncate(path: Path, _other: Path) -> None:
    truncate(path)


def _flip(path: Path, _other: Path) -> None:
    flip(path)


def _restores(client: Client, database: str) -> list[str]:
    return [name for name in client.list_database_names() if name.startswith(f"{database}_")]


@pytest.mark.parametrize(
    ("objects", "harm", "level"),
    [
        (_data_packs, _delete, "listed"),
        (_data_packs, _truncate, "listed"),
        (_data_packs, _flip, "intact"),
        (_data_packs, swap, "listed"),
        (_catalog_packs, _delete, "listed"),
        (_catalog_packs, _truncate, "listed"),
        (_catalog_packs, _flip, "listed"),
        (_catalog_packs, swap, "listed"),
        (_indexes, _delete, "listed"),
        (_indexes, _truncate, "intact"),
        (_indexes, _flip, "intact"),
        (_indexes, swap, "intact"),
    ],
)
def test_packs_and_index(
    site: Site, objects: Callable[[Site], list[Path]], harm: Callable[[Path, Path], None], level: str
) -> None:
    victim, *others = objects(site)
    name = _name(site, victim)
    harm(victim, next(path for path in others if path.stat().st_size != victim.stat().st_size))
    found, named, streams, messages = _first_level(site)
    assert found == level
    if not (objects is _indexes and harm is _delete):  # nobody knows what stood in an object that is gone
        assert name in named or name in messages
    if objects is _data_packs:
        assert any(stream.startswith("nightly/") for stream in streams)


@pytest.mark.parametrize("harm", [_delete, _truncate, _flip])
@pytest.mark.parametrize("objects", [_data_packs, _catalog_packs])
def test_a_restore_that_lacks_something_does_not_begin(
    site: Site,
    client: Client,
    damaged_database: str,
    objects: Callable[[Site], list[Path]],
    harm: Callable[[Path, Path], None],
) -> None:
    victim, other = objects(site)[:2]
    harm(victim, other)
    names = set(client.list_database_names())
    # Each snapshot needs some of the packs; the older one all those of the first run.
    codes = []
    for snapshot in _ids(site):
        ended = site.drtool("restore", snapshot, "--rename", f"{damaged_database}={damaged_database}_r")
        codes.append(ended.code)
        if ended.code != 0:
            assert ended.code == 4
            assert ended.result["error"]["kind"] in ("missing-object", "damaged-object")
            assert "records" not in ended.result
            assert victim.name in ended.result["error"]["message"]
        if harm is not _flip or objects is _catalog_packs:
            assert ended.code == 0 or set(client.list_database_names()) == names
        client.drop_database(f"{damaged_database}_r")
    assert 4 in codes


def _ids(site: Site) -> list[str]:
    return [path.name for path in site.objects("snapshots")]


def _flip_needed_record(site: Site) -> None:
    """Change a byte amid records that the newest snapshot needs: a pack also holds what only the one before needs."""
    with site.opened() as repository, contextlib.closing(ChunkReader(repository)) as reader:
        newest = read_catalogue(repository).snapshots[-1]
        listing = list_needed(repository, Contents(reader, newest.manifest), keeps_rows=True)
    pack, row = next(
        (pack, row)
        for pack in sorted(listing.packs)
        for need, row in listing.needed(pack)
        if need.kind is ChunkKind.DATA
    )
    victim = site.store / pack_name(pack)
    flip(victim, (row.offset + row.stored / 2) / victim.stat().st_size)


def test_altered_records_stop_a_restore(site: Site, client: Client, damaged_database: str) -> None:
    _flip_needed_record(site)
    ended = site.drtool("restore", "latest")
    assert (ended.code, ended.result["error"]["kind"]) == (4, "damaged-object")
    assert "does not decrypt" in ended.result["error"]["message"]
    for name in _restores(client, damaged_database):
        client.drop_database(name)


@pytest.mark.parametrize("at", [0.0, 0.0005, 0.001, 0.5, 0.9999])
def test_wherever_a_pack_is_altered(site: Site, at: float) -> None:
    """The header with its keys, the chunks, the directory: always a finding, never a wrong key or a crash."""
    victim = _data_packs(site)[0]
    flip(victim, at)
    ended = site.drtool("verify", "--level", "readable")
    assert (ended.code, ended.result["error"]["kind"]) == (4, "verification-failed")
    named = {problem["object"] for line in ended.lines[:-1] for problem in line["problems"]}
    assert named == {_name(site, victim)}


def test_bytes_of_a_packs_header(site: Site) -> None:
    victim = _data_packs(site)[0]
    sound = victim.read_bytes()
    for position in (0, 8, 9, 10, 11, 26, 27, 28, 43, 44, 60, 400, 1000):
        victim.write_bytes(sound[:position] + bytes([sound[position] ^ 0xFF]) + sound[position + 1 :])
        assert site.drtool("verify", "latest", "--level", "readable").code == 4, position
    victim.write_bytes(sound)


def test_what_is_bad_is_stored_anew(site: Site, client: Client, damaged_database: str) -> None:
    victim = _data_packs(site)[0]
    flip(victim)
    assert site.drtool("verify", "--level", "readable").code == 4
    assert len(site.objects("distrust")) == 1
    with small_packs():
        again = site.backup()
    assert again["chunks"]["new"] > 0
    # What was stored anew serves the snapshot before, which holds the same records, too.
    lines = site.drtool("verify", "--level", "readable").lines[:-1]
    assert [line["ok"] for line in lines[1:]] == [True, True]
    assert len(site.objects("distrust")) == 1
    for snapshot in site.snapshots()[1:]:
        site.ok("restore", snapshot, "--rename", f"{damaged_database}={damaged_database}_r")
        assert hashes(client, f"{damaged_database}_r") == hashes(client, damaged_database)
        client.drop_database(f"{damaged_database}_r")


def test_what_is_missing_is_stored_anew(site: Site) -> None:
    victims = _data_packs(site)[:2]
    for victim in victims:
        victim.unlink()
    before = site.objects("snapshots")
    ended = site.drtool("backup")
    assert (ended.code, ended.result["error"]["kind"]) == (4, "missing-object")
    assert site.objects("snapshots") == before
    assert site.backup()["chunks"]["new"] > 0
    lines = site.drtool("verify", "--level", "readable").lines[:-1]
    assert [line["ok"] for line in lines[1:]] == [True, True]


@pytest.mark.parametrize("harm", [_delete, _truncate, _flip])
def test_keys(site: Site, harm: Callable[[Path, Path], None]) -> None:
    [victim] = site.objects("keys")
    harm(victim, victim)
    level, named, _, _ = _first_level(site)
    assert (level, named) == ("listed", {_name(site, victim)})


@pytest.mark.parametrize("harm", [_truncate, _flip, swap])
@pytest.mark.parametrize("kind", ["snapshots", "evidence"])
def test_signed_objects(site: Site, kind: str, harm: Callable[[Path, Path], None]) -> None:
    victim, other = site.objects(kind)[-2:]
    harm(victim, other)
    listed = site.drtool("snapshots")
    assert (listed.code, listed.result["error"]["kind"]) == (4, "tampered")
    assert _name(site, victim) in listed.err
    verified = site.drtool("verify", "--level", "listed")
    assert verified.code == 4
    assert _name(site, victim) in verified.err + verified.result["error"]["message"]


def test_evidence_is_missed(site: Site) -> None:
    codes = []
    for number, path in enumerate(site.objects("evidence")):
        data = path.read_bytes()
        path.unlink()
        for host in (site, site.elsewhere(f"new{number}")):
            ended = host.drtool("snapshots")
            codes.append(ended.code)
            assert ("evidence" in ended.err) is (ended.code == 4)
        path.write_bytes(data)
    assert sorted(codes) == [0, 4, 4, 4]  # the last of the chain is followed by none: only who has seen it knows


def test_runs_matter_to_nobody_who_reads(site: Site) -> None:
    first, second, *others = site.objects("runs")
    flip(first)
    truncate(second)
    for path in others:
        path.unlink()
    assert _first_level(site)[0] is None
    assert site.drtool("backup").code == 0


@pytest.mark.parametrize(
    ("harm", "code", "kinds"),
    [
        (_delete, 1, {"repository-missing"}),
        (_truncate, 4, {"damaged-object"}),
        (_flip, 4, {"damaged-object", "tampered"}),
    ],
)
def test_repository_json(site: Site, harm: Callable[[Path, Path], None], code: int, kinds: set[str]) -> None:
    victim = site.store / "repository.json"
    harm(victim, victim)
    for arguments in (("snapshots",), ("backup",), ("verify",), ("restore", "latest")):
        ended = site.drtool(*arguments)
        assert ended.code == code
        assert ended.result["error"]["kind"] in kinds


def test_a_new_host_names_the_index_object(site: Site) -> None:
    victim = _indexes(site)[0]
    flip(victim)
    fresh = site.elsewhere("fresh")
    ended = fresh.drtool("verify", "--level", "listed")
    assert ended.code == 4
    assert _name(site, victim) in ended.err
    assert _name(site, victim) in fresh.drtool("restore", "latest").err
    # A host that has read it before still finds everything.
    assert site.drtool("restore", "latest", "--dry-run").code == 0
