"""Keys of a copy: they follow the first repository's, and who holds a stolen one spoils nobody else's snapshots."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

from drtool.repository.agent_key import AgentKey
from drtool.repository.authority import Authority, ring_holders
from drtool.repository.chain import read_catalogue
from drtool.repository.chunks import compress
from drtool.repository.identity import Identity
from drtool.repository.repository import Repository
from drtool.repository.trust import Role, Signer
from drtool.storage.directory import DirectoryStorage
from tests.operations.copy.places import FIRST, Place, contents, contents_at, stored
from tests.repository.builders import NOW, Stream, backup, put_removal


def test_keys_that_lag_behind_are_brought_in_line(place: Place) -> None:
    place.copied("--create", place.site.snapshots()[0])
    with place.site.opened(reads_data=True) as repository:
        authority = Authority(repository)
        ring = authority.grow_ring()
        authority.share(ring_holders(authority.document))
        authority.publish(catalog_key=ring.current)
    with place.site.opened() as repository:
        backup(repository, (Stream("app.later", (b"sealed under the next key",)),))
    before = stored(place.second)
    ended = place.copy()
    assert (ended.code, "catalog key was rotated" in ended.result["error"]["message"]) == (20, True)
    assert "--sync-keys" in ended.result["error"]["hint"]
    assert stored(place.second) == before
    assert len(place.copied("--sync-keys")) == 2
    assert place.copy("--sync-keys").result["keys_changed"] is False
    assert contents_at(place.there) == contents_at(place.site)
    host = replace(place, site=replace(place.site, has_identity=False).write_config())
    assert [line["state"] for line in host.copied("latest")] == ["there"]


def test_what_was_sealed_under_a_key_of_the_copys_own_counts(place: Place) -> None:
    place.copied("--create")
    gone = place.site.snapshots()[0]
    place.there.ok("key", "rotate")
    with place.there.opened(reads_data=True) as second:
        [snapshot] = [one for one in read_catalogue(second).snapshots if one.id == gone]
        put_removal(second, [snapshot], second.signer)
    assert place.copied("--sync-keys") == []
    assert place.copy().result["removed"] == 1
    assert place.there.snapshots() == place.site.snapshots()[1:]


def test_signers_that_the_copy_lacks(place: Place) -> None:
    place.copied("--create")
    agent = _enrolled(place, "second host")
    with _opened_by(place, agent) as repository:
        backup(repository, FIRST, job="theirs")
    ended = place.copy()
    assert (ended.code, "signer was added" in ended.result["error"]["message"]) == (20, True)
    assert len(place.copied("--sync-keys")) == 1
    # What only the copy allows stays allowed.
    with place.there.opened(reads_data=True) as second:
        authority = Authority(second)
        own = Signer(b"\7" * 32, "of the copy", frozenset({Role.MAINTAINER}), NOW)
        authority.publish(signers=(*authority.document.signers, own))
    _enrolled(place, "third host")
    assert place.copy("--sync-keys").result["keys_changed"] is True
    with place.there.opened(reads_data=True) as second:
        assert {signer.name for signer in second.document.signers} >= {"of the copy", "second host", "third host"}


def test_a_stolen_key_spoils_no_snapshots_but_its_own(empty: Place) -> None:
    thief = _enrolled(empty, "thief")
    honest = {bytes(chunk) for stream in FIRST for chunk in stream.chunks}

    def junk(data: bytes) -> memoryview:
        return memoryview(bytes(1 + len(data))) if data in honest else compress(data)

    with _opened_by(empty, thief) as repository, mock.patch("drtool.repository.writer.compress", junk):
        forged = backup(repository, FIRST, job="a").id
    with empty.site.opened() as repository:
        genuine = backup(repository, FIRST, job="b").id
    assert {line["snapshot"] for line in empty.copied("--create", forged)} == {forged}
    assert {line["snapshot"]: line["chunks"]["sent"] for line in empty.copied()} == {genuine: 100}
    levels = {line["snapshot"]: line["ok"] for line in _verified(empty)}
    assert levels[genuine]


def _verified(place: Place) -> Sequence[dict[str, object]]:
    ended = place.there.drtool("verify", "--level", "readable")
    return [line for line in ended.lines if line["type"] == "verification"]


def test_recipients_that_were_added_later(place: Place, tmp_path: Path) -> None:
    added = Identity.generate()
    (tmp_path / "ada").write_text(added.recipient.to_text() + "\n")
    place.site.ok("key", "add", "--recipient", str(tmp_path / "ada"), "--name", "Ada")
    # Of the first snapshot's packs nothing whole is needed for a third one, which takes a few of their chunks.
    with place.site.opened() as repository:
        part = backup(repository, (replace(FIRST[0], chunks=FIRST[0].chunks[:5]),)).id
    place.copied("--create", part)
    place.copied()
    with place.site.opened() as repository:
        person = Identity(added.secret, pinned_root=repository.document.root)
    opened = Repository.open(
        DirectoryStorage(place.second),
        agent=None,
        identity=person,
        state_dir=tmp_path / "state",
        cache_dir=tmp_path / "cache",
    )
    opened.refresh_index()
    found = contents(opened)
    opened.close()
    assert found == contents_at(place.site)


def _enrolled(place: Place, name: str) -> AgentKey:
    """A further host that the first repository's root made a writer."""
    with place.site.opened(reads_data=True) as repository:
        assert repository.agent is not None
        agent = replace(repository.agent, name=name, seed=name.encode().ljust(32, b"."))
        authority = Authority(repository)
        signer = Signer(agent.signing_key.public, name, frozenset({Role.WRITER}), NOW, agent.ring_opener.recipient)
        authority.publish(signers=(*authority.document.signers, signer))
    return agent


@contextlib.contextmanager
def _opened_by(place: Place, agent: AgentKey) -> Iterator[Repository]:
    """The first repository, as another host has it."""
    local = place.site.directory / agent.name
    repository = Repository.open(
        DirectoryStorage(place.site.store),
        agent=agent,
        identity=None,
        state_dir=local / "state",
        cache_dir=local / "cache",
    )
    with contextlib.closing(repository):
        yield repository


def test_whose_key_it_is_not(place: Place) -> None:
    place.copied("--create")
    there = place.there
    ended = replace(there, has_agent=True).write_config().drtool("snapshots")
    assert (ended.code, ended.result["error"]["kind"]) == (12, "foreign-repository")
    assert "leave repository.agent_key out" in ended.result["error"]["hint"]
    assert there.write_config().drtool("snapshots").code == 0
