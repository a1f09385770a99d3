"""A stolen agent key that goes on writing, and what ends with it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drtool.errors import NoSuchSnapshotError, RefusedError, TamperedError, UsageError, WrongKeyError
from drtool.operations.admitting import require_writer
from drtool.operations.keys.agents import add_agent
from drtool.operations.keys.revoking import Revoked, revoke
from drtool.operations.keys.rotating import rotate
from drtool.operations.reporting import Silent
from drtool.repository.chain import Snapshot, read_catalogue
from drtool.repository.evidence import reached, record
from drtool.repository.ids import new_id
from drtool.repository.levels import Level
from drtool.repository.repository import Repository
from drtool.repository.runs import Run
from drtool.repository.sealed import Kind
from drtool.repository.trust import Role, Signer
from tests.operations.keys.places import Killed, add, agent_opens, contents, dying, read_as, rooted, second, stream
from tests.repository.builders import NOW, Made, backup, commit, objects, put_record, put_removal
from tests.repository.victims import evidence_of

FUTURE = "20991231t000000z-0000000000"


def _revoke(made: Made, name: str = "host1", **options: object) -> Revoked:
    with rooted(made) as (repository, authority):
        return revoke(repository, authority, name, Silent(), **options)  # type: ignore[arg-type]


def _listed(made: Made) -> tuple[list[str], list[type]]:
    with contextlib.closing(made.as_owner("somebody without memory")) as owner:
        catalogue = read_catalogue(owner)
    return [snapshot.id for snapshot in catalogue.snapshots], [type(problem) for problem in catalogue.problems]


def test_the_thief_goes_on_writing_and_nothing_of_it_counts(made: Made) -> None:
    """New snapshots, new jobs, forged pasts, evidence, runs: whatever the key signs after it was revoked."""
    with contextlib.closing(made.as_agent()) as thief:
        good = backup(thief, [stream(2)])
        [first, second_] = read_catalogue(thief).snapshots
        assert second_ == good
        revoked = _revoke(made)
        assert {(link.number, link.name) for link in revoked.kept} == {(2, good.manifest.name)}
        assert revoked.refused == ()
        backup(thief, [stream(3)])
        backup(thief, [stream(3)], job="another")
        commit(thief, snapshot=FUTURE, number=2, previous=first.hash, previous_snapshot=first.id)
        commit(thief, snapshot=FUTURE.replace("99", "98"), number=1, previous=None, previous_snapshot=None)
        record(thief, evidence_of(good.hash, Level.INTACT), thief.signer)
        run = Run(thief, "backup", "nightly")
        run.renew()
        with pytest.raises(WrongKeyError, match="was revoked"):
            require_writer(_reopened(made, thief), "snapshots")
    listed, problems = _listed(made)
    assert listed == [first.id, good.id]
    assert problems
    assert set(problems) == {TamperedError}
    with contextlib.closing(made.as_owner("another without memory")) as owner:
        levels, wrong = reached(owner)
        assert levels == {}
        assert [type(problem) for problem in wrong] == [TamperedError]
        with pytest.raises(TamperedError, match="was revoked"):
            owner.open_object(Kind.RUN, run.name)


def _reopened(made: Made, thief: Repository) -> Repository:
    made.as_agent("thief's own").close()
    thief.document = made.document()
    return thief


def test_a_forged_past_is_told_from_the_true_one_where_retention_took_its_neighbours(made: Made) -> None:
    with contextlib.closing(made.as_agent()) as thief:
        snapshots = [*read_catalogue(thief).snapshots, *(backup(thief, [stream(n)]) for n in (2, 3, 4))]
        with contextlib.closing(made.as_owner()) as owner:
            put_removal(owner, snapshots[1:3], owner.signer)
        _revoke(made)
        forged = [
            commit(thief, snapshot=new_id(), number=n, previous="ab" * 32, previous_snapshot=None) for n in (2, 3)
        ]
    listed, problems = _listed(made)
    assert listed == [snapshots[0].id, snapshots[3].id]
    assert len(problems) == len(forged)


def test_what_it_had_written_stays_readable(made: Made) -> None:
    before = read_as(made, made.identity, "before")
    _revoke(made)
    assert read_as(made, made.identity, "after") == before


def test_other_hosts_go_on(made: Made, tmp_path: Path) -> None:
    other = made.enrol("host2")
    _revoke(made)
    with contextlib.closing(made.as_agent("host2", other)) as agent:
        backup(agent, [stream(2)])
        assert len(contents_of_chains(agent)) == 2


def contents_of_chains(repository: Repository) -> list[Snapshot]:
    catalogue = read_catalogue(repository)
    assert catalogue.problems == ()
    return list(catalogue.snapshots)


def test_a_host_that_saw_what_was_forged_does_not_miss_it(made: Made) -> None:
    """Found out late: it listed the thief's snapshot as its chain's head."""
    with contextlib.closing(made.as_agent()) as thief:
        [good] = read_catalogue(thief).snapshots
        junk = backup(thief, [stream(9)])
    with contextlib.closing(made.as_owner("listing")) as owner:
        assert len(contents_of_chains(owner)) == 2
    revoked = _revoke(made, last_good=[good.id])
    assert [link.name for link in revoked.refused] == [junk.manifest.name]
    with contextlib.closing(made.as_owner("listing")) as owner:
        catalogue = read_catalogue(owner)
        assert [snapshot.id for snapshot in catalogue.snapshots] == [good.id]
        assert ["after its key had been revoked" in problem.message for problem in catalogue.problems] == [True]


def test_a_moment_ends_every_chain_by_the_stores_clock(made: Made) -> None:
    with contextlib.closing(made.as_agent()) as agent:
        [good] = read_catalogue(agent).snapshots
        record(agent, evidence_of(good.hash, Level.LISTED), agent.signer)
        names = {info.name: info.modified for info in made.storage.list()}
        _older(made, [good.manifest.name], timedelta(days=2))
        junk = backup(agent, [stream(9)])
    assert names[good.manifest.name] < datetime.now(UTC)
    revoked = _revoke(made, before=datetime.now(UTC) - timedelta(days=1))
    assert [link.name for link in revoked.kept] == [good.manifest.name]
    assert {link.name.partition("/")[0] for link in revoked.refused} == {"evidence", "snapshots"}
    assert junk.manifest.name in {link.name for link in revoked.refused}
    assert _listed(made)[0] == [good.id]


def _older(made: Made, names: list[str], age: timedelta) -> None:
    """Let the store have had these for longer."""
    import os

    for name in names:
        path = Path(made.storage.url) / name
        then = (datetime.now(UTC) - age).timestamp()
        os.utime(path, (then, then))


def test_oplog_segments_and_removals_have_chains_too(made: Made) -> None:
    maintainer = made.enrol("maintenance", Role.MAINTAINER)
    with contextlib.closing(made.as_agent("m", maintainer)) as opened:
        fields: dict[str, object] = {"number": 1, "previous": None, "snapshots": [], "segments": []}
        name = put_record(opened, Kind.REMOVAL, "removals/", fields)
    revoked = _revoke(made, "maintenance")
    assert {(link.chain, link.number, link.name) for link in revoked.kept} == {("removals", 1, name)}
    with contextlib.closing(made.as_agent("m", maintainer)) as opened:
        put_record(opened, Kind.REMOVAL, "removals/", {**fields, "number": 2})
    _, problems = _listed(made)
    assert problems == [TamperedError]


def test_an_unreadable_object_is_told_since_nobody_knows_whose_it_is(made: Made) -> None:
    made.storage.put("evidence/20260101t000000z-0000000000", b"nothing")
    reporter = Silent()
    with rooted(made) as (repository, authority):
        revoke(repository, authority, "host1", reporter)
    assert any("does not count any more" in warning for warning in reporter.warnings)


def test_a_recipient_is_revoked_with_all_that_opened_the_repository_to_it(made: Made) -> None:
    ada = second(made)
    add(made, ada, verifier=True)
    revoked = _revoke(made, "Ada")
    assert revoked.recipient is not None
    assert revoked.signer is not None
    assert made.document().is_revoked(ada.verifier_key.public)
    assert not any(ada.recipient.fingerprint.hex() in name for name in objects(made.storage))
    with pytest.raises(WrongKeyError, match="not a recipient"):
        read_as(made, ada)
    with contextlib.closing(made.as_agent()) as agent:
        backup(agent, [stream(2)])
    with pytest.raises(RefusedError, match="for good"):
        add(made, ada, verifier=True)
    add(made, ada)  # a recipient may come back, a signer may not
    assert len(read_as(made, ada)) == 2


def test_the_root_stays(made: Made) -> None:
    add(made, second(made))
    before = objects(made.storage)
    root = made.identity
    for name in ("identity", root.recipient.fingerprint.hex(), root.verifier_key.public.hex()[:12]):
        with pytest.raises(RefusedError, match="root"):
            _revoke(made, name)
    assert objects(made.storage) == before


def test_by_key_by_fingerprint_and_never_twice(made: Made) -> None:
    ada = second(made)
    add(made, ada, verifier=True)
    assert _revoke(made, made.agent.signing_key.public.hex()[:16]).name == "host1"
    gone = _revoke(made, ada.recipient.fingerprint.hex())
    assert gone.name == "Ada"
    assert gone.signer is not None
    assert gone.recipient is not None
    for name in ("host1", "Ada", made.agent.signing_key.public.hex()):
        with pytest.raises(UsageError, match="no key is called"):
            _revoke(made, name)


def test_a_name_is_free_again_and_means_the_key_that_has_it_now(made: Made, tmp_path: Path) -> None:
    _revoke(made)
    with rooted(made) as (_, authority):
        fresh = add_agent(authority, "host1", Role.WRITER, tmp_path / "fresh.key").signer
    assert _revoke(made).signer == fresh


def test_of_two_agents_with_one_name_the_key_tells_which(made: Made) -> None:
    """A copy's own agent may be called as one that its first repository has enrolled since."""
    made.enrol("host2")
    stolen = Signer(b"\x77" * 32, "host2", frozenset({Role.WRITER}), NOW)
    made.publish(signers=(*made.document().signers, stolen))
    with pytest.raises(UsageError, match="several keys"):
        _revoke(made, "host2")
    assert _revoke(made, stolen.public.hex()).signer == stolen
    assert [each.public for each in made.document().revocations] == [stolen.public]


@pytest.mark.parametrize("writes", [2, 3])
def test_what_a_revocation_that_was_cut_off_left_goes_with_the_next_change(made: Made, writes: int) -> None:
    ada, bob = second(made), second(made)
    add(made, ada)
    storage, fate = dying(made.storage, writes)
    with contextlib.suppress(Killed), rooted(replace(made, storage=storage), "killed") as (repository, authority):
        authority.share([bob.recipient])  # whoever is about to be added, and was not
        revoke(repository, authority, "Ada", Silent())
    assert not fate.survived
    is_revoked = "Ada" not in {entry.name for entry in made.document().recipients}
    assert is_revoked == (writes == 3)
    assert any(ada.recipient.fingerprint.hex() in name for name in objects(made.storage))
    if is_revoked:
        with pytest.raises(UsageError) as caught:
            _revoke(made, "Ada")
        assert "drtool key rotate" in caught.value.hint
    with rooted(made, "again") as (repository, authority):
        rotate(repository, authority, Silent(), () if is_revoked else ["Ada"])
    there = {info.name for info in made.storage.list()}
    assert not any(each.recipient.fingerprint.hex() in name for name in there for each in (ada, bob))
    assert read_as(made, made.identity, "owner")
    assert agent_opens(made, made.agent) == 1


def test_what_cannot_be_the_last_good_one(made: Made) -> None:
    ada = second(made)
    add(made, ada)
    before = made.document()
    with pytest.raises(NoSuchSnapshotError):
        _revoke(made, last_good=["2099"])
    with pytest.raises(UsageError, match="signs nothing"):
        _revoke(made, "Ada", last_good=["2026"])
    assert made.document() == before


def test_an_enrolled_key_is_replaced_in_the_document_only_by_a_revocation(made: Made) -> None:
    before = made.document()
    _revoke(made)
    after = made.document()
    assert after.signers == before.signers
    assert replace(after, revocations=(), sequence=before.sequence) == before
    with contextlib.closing(made.as_owner()) as owner:
        assert contents(owner)


def test_what_another_revoked_key_forged_is_no_doubt_about_this_one(made: Made) -> None:
    other = made.enrol("host2")
    with contextlib.closing(made.as_agent("host2", other)) as thief:
        _revoke(made, "host2")
        backup(thief, [stream(7)])
    reporter = Silent()
    with rooted(made) as (repository, authority):
        revoke(repository, authority, "host1", reporter)
    assert reporter.warnings == []
