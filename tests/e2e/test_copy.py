"""A second repository when the first one is gone: other kinds of storage, other lineages, copies that were killed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drtool.config.copies import CopySettings
from drtool.config.loading import load_config
from drtool.operations.copy.siblings import create_copy
from tests.e2e.test_interruption import halted
from tests.operations.copy.places import FIRST, SECOND, contents_at, make_place
from tests.operations.pitr.site import next_second
from tests.operations.pitr.test_pitr import back, capture
from tests.operations.site import Site, connect, fill, hashes
from tests.repository.builders import backup
from tests.servers import s3
from tests.servers.mongod import shared
from tests.sources.mongo import Client

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def uri() -> str:
    """A set that is quiet, so that little is archived."""
    return shared("pitr").uri


@pytest.fixture(scope="module")
def client(uri: str) -> Iterator[Client]:
    """A client of it."""
    with connect(uri) as found:
        yield found


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The settings of a place in a bucket."""
    for name, value in (("AWS_ACCESS_KEY_ID", s3.ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", s3.SECRET_KEY)):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with s3.moto_server(tmp_path) as port:
        name = f"bucket-{secrets.token_hex(6)}"
        s3.make_bucket(port, name)
        yield {
            "url": f"s3://{name}/second",
            "region": s3.REGION,
            "endpoint_url": f"http://127.0.0.1:{port}",
        }


def test_the_first_one_is_gone(tmp_path: Path, uri: str, client: Client, database: str, bucket: dict[str, str]) -> None:
    fill(client, database)
    host = tmp_path / "host"
    host.mkdir()
    site = Site(host, uri, {"nightly": (database,)}, repository={"copies": [bucket]}).set_up()
    site.backup()
    at_backup = hashes(client, database)
    site.ok("copy", "--create")
    capture(site)
    client[database].c0.delete_many({"n": 3})
    moment, at_moment = next_second(client), hashes(client, database)
    capture(site)
    line = site.ok("copy")[-1]
    assert (line["segments"] > 0, line["copied"]) == (True, [])
    assert site.ok("copy")[-1]["segments"] == 0

    site.store.rename(tmp_path / "burnt down")
    settings = {key: value for key, value in bucket.items() if key != "url"}
    bare = site.elsewhere("bare", url=bucket["url"], repository=settings, has_agent=False)
    assert back(bare, client, database) == at_backup != at_moment
    assert back(bare, client, database, "--at", moment.isoformat()) == at_moment

    # And back into a directory, from the copy alone.
    bare.ok("copy", "--to", str(tmp_path / "third"), "--create")
    third = site.elsewhere("third", url=str(tmp_path / "third"), repository={}, has_agent=False)
    assert back(third, client, database, "--at", moment.isoformat()) == at_moment
    assert third.ok("verify", "--level", "restored")[0]["ok"]


def test_another_lineage(tmp_path: Path, uri: str, client: Client, database: str) -> None:
    fill(client, database, megabytes=3)
    sites = []
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        sites.append(Site(tmp_path / name, uri, {"nightly": (database,)}).set_up())
    ours, theirs = sites
    copies = [{"url": str(theirs.store), "agent_key": {"file": str(theirs.directory / "agent.key")}}]
    ours = replace(ours, repository={"copies": copies}).write_config()
    ours.backup()
    capture(ours)
    client[database].c1.insert_one({"_id": "later"})
    moment, at_moment = next_second(client), hashes(client, database)
    capture(ours)
    ours.ok("copy")
    ours.store.rename(tmp_path / "burnt down")
    assert theirs.ok("verify", "--level", "restored")[0]["ok"]
    assert back(theirs, client, database, "--at", moment.isoformat()) == at_moment


@pytest.mark.parametrize("moment", ["after:packs/:1", "before:index/:1", "before:snapshots/:2"])
def test_killed(tmp_path: Path, moment: str) -> None:
    place = make_place(tmp_path / "host")
    with place.site.opened() as repository:
        for streams in (FIRST, SECOND):
            backup(repository, streams)
    first = place.site.snapshots()[0]
    create_copy(load_config(place.site.config).repository, CopySettings(url=str(place.second)))
    with halted(place.site, moment, "copy", "--to", str(place.second)) as process:
        process.kill()
        process.communicate()
    committed = place.there.snapshots()
    assert committed == ([first] if moment.startswith("before:snapshots") else [])
    packs = set(place.second.glob("packs/*/*"))
    place.copied()
    assert contents_at(place.there) == contents_at(place.site)
    # What was there when it was killed serves the next run: nothing is stored twice.
    stored = set(place.second.glob("packs/*/*"))
    assert packs <= stored
    assert len(stored) == len(set(place.site.store.glob("packs/*/*")))
