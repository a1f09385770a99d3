"""``drtool verify``."""

from __future__ import annotations

import pytest

from tests.operations.site import Site, fill, flip, small_packs
from tests.sources.mongo import Client

FIELDS = {"type", "snapshot", "level", "ok", "checked", "problems"}


@pytest.fixture
def taken(site: Site, client: Client, database: str) -> Site:
    """A host with one snapshot."""
    fill(client, database)
    site.backup()
    return site


@pytest.mark.parametrize("level", ["listed", "intact", "readable", "restored"])
def test_levels(taken: Site, level: str) -> None:
    line, result = taken.ok("verify", "latest", "--level", level)
    assert line.keys() >= FIELDS
    assert (line["type"], line["level"], line["ok"], line["problems"]) == ("verification", level, True, [])
    assert line["checked"].keys() == {"objects", "chunks", "bytes", "records"}
    assert (line["checked"]["objects"], line["checked"]["chunks"]) == (3, 9)
    assert (line["checked"]["bytes"] > 0) is (level != "listed")
    assert line["checked"]["records"] == (24 if level == "restored" else 0)
    assert line["proof"] == ("identical" if level == "restored" else None)
    assert (result["verified"], result["failed"]) == (1, [])
    [listed] = taken.ok("snapshots")[:-1]
    assert (listed["level"], listed["verified_at"] is not None) == (level, True)


def test_a_lower_level_does_not_take_a_higher_one_away(taken: Site) -> None:
    taken.ok("verify", "--level", "readable")
    taken.ok("verify", "--level", "listed")
    assert taken.ok("snapshots")[0]["level"] == "readable"


def test_all_without_an_argument(taken: Site) -> None:
    taken.backup()
    assert [line["ok"] for line in taken.ok("verify")[:-1]] == [True, True]
    assert "not" not in taken.told("verify").out


def test_for_people(taken: Site) -> None:
    ended = taken.told("verify", "latest", "--level", "restored")
    assert ended.code == 0
    assert "restored, proof identical" in ended.out
    assert "24 records compared" in ended.out


def test_nothing_to_verify(site: Site) -> None:
    assert site.ok("verify")[-1]["verified"] == 0


@pytest.mark.parametrize(("level", "code"), [("listed", 0), ("intact", 0), ("readable", 2), ("restored", 2)])
def test_what_an_agent_key_alone_can_do(taken: Site, level: str, code: int) -> None:
    bare = taken.elsewhere("bare", has_identity=False)
    ended = bare.drtool("verify", "--level", level)
    assert ended.code == code
    if code:
        assert "identity" in ended.result["error"]["message"]
        assert "repository.identity" in ended.result["error"]["hint"]


def test_what_an_identity_alone_can_do(taken: Site) -> None:
    other = taken.elsewhere("other", has_agent=False)
    for level in ("listed", "readable"):
        assert other.ok("verify", "--level", level)[0]["ok"]
    assert taken.ok("snapshots")[0]["level"] == "readable"


def test_identities_that_are_none(taken: Site) -> None:
    (taken.directory / "identity.key").write_text("nonsense")
    assert taken.drtool("verify", "--level", "readable").code == 12
    (taken.directory / "identity.key").unlink()
    ended = taken.drtool("verify", "--level", "readable")
    assert (ended.code, "identity.key" in ended.result["error"]["message"]) == (12, True)
    assert taken.drtool("verify", "--level", "intact").code == 0


def test_samples_do_not_raise_the_level(taken: Site) -> None:
    [line] = taken.ok("verify", "--level", "intact", "--share", "1/1")[:-1]
    assert line["share"] == 1.0
    [line] = taken.ok("verify", "--level", "readable", "--sample", "50%")[:-1]
    assert line["share"] == 0.5
    assert taken.ok("snapshots")[0]["level"] == "intact"


@pytest.mark.heavy
def test_shares_cover_everything(site: Site, client: Client, database: str) -> None:
    fill(client, database, megabytes=6)
    with small_packs():
        site.backup()
    whole = site.ok("verify", "--level", "readable")[0]["checked"]["bytes"]
    shares = [site.ok("verify", "--level", "readable", "--share", f"{k}/3")[0] for k in (1, 2, 3)]
    assert sum(line["checked"]["bytes"] for line in shares) == whole
    flip(max(site.objects("packs"), key=lambda path: path.stat().st_size))
    codes = [site.drtool("verify", "--level", "intact", "--share", f"{k}/3").code for k in (1, 2, 3)]
    assert sorted(codes) == [0, 0, 4]


def test_options_that_make_no_sense(taken: Site) -> None:
    for percentage in ("0%", "101%", "nan", "x", "-1"):
        assert taken.drtool("verify", f"--sample={percentage}").code == 2
    for share in ("0/3", "4/3", "3", "a/b", "1/0"):
        assert taken.drtool("verify", "--share", share).code == 2
    assert taken.drtool("verify", "--sample", "5%", "--share", "1/2").code == 2
    assert taken.drtool("verify", "--level", "perfect").code == 2


def test_a_failure_is_remembered_until_a_look_as_close_finds_nothing(taken: Site) -> None:
    [pack] = [path for path in taken.objects("packs") if path.stat().st_size > 100_000]
    whole = pack.read_bytes()
    taken.ok("verify", "--level", "restored")
    flip(pack)
    ended = taken.drtool("verify", "--level", "intact")
    assert (ended.code, ended.result["error"]["kind"]) == (4, "verification-failed")
    [line] = ended.lines[:-1]
    assert not line["ok"]
    assert {problem["object"] for problem in line["problems"]} == {f"packs/{pack.parent.name}/{pack.name}"}
    assert {problem["stream"].rpartition(".")[2] for problem in line["problems"]} == {"c0", "c1"}
    assert taken.ok("snapshots")[0]["verification_failed"]
    assert "FAILED" in taken.told("snapshots").out
    assert taken.drtool("show", "latest-verified").code == 10
    pack.write_bytes(whole)
    taken.ok("verify", "--level", "listed")
    assert taken.ok("snapshots")[0]["verification_failed"]
    taken.ok("verify", "--level", "intact")
    assert not taken.ok("snapshots")[0]["verification_failed"]
    assert taken.ok("snapshots")[0]["level"] == "restored"


def test_without_a_mongod(taken: Site) -> None:
    ended = taken.drtool("verify", "--level", "restored", env={"DRTOOL_MONGOD": "/nonexistent/mongod"})
    assert (ended.code, ended.result["error"]["kind"]) == (1, "missing-tool")


def test_the_source_need_not_be_there(taken: Site) -> None:
    other = taken.elsewhere("other", uri="mongodb://127.0.0.1:1/?directConnection=true")
    assert other.ok("verify", "--level", "restored")[0]["ok"]
