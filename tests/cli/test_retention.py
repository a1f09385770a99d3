"""``drtool retention …``, ``protect`` and ``release``, as people and scripts type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from drtool.repository.chain import Snapshot
from tests.operations.retention.history import take
from tests.operations.site import Site, drtool

DAYS = 10
NOWHERE = "mongodb://127.0.0.1:1"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A host that needs no server: its snapshots are made up."""
    return Site(tmp_path, NOWHERE, {"nightly": ("app",)}).set_up()


def _follow(site: Site, retention: Any, **more: Any) -> None:
    content = yaml.safe_load(site.config.read_text())
    content["jobs"]["nightly"] |= {"retention": retention, **more}
    site.config.write_text(yaml.safe_dump(content))


def _take(site: Site, days: int = DAYS) -> list[Snapshot]:
    last = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    with site.opened() as repository:
        return [take(repository, last - timedelta(days=days - n), tags=(f"day{n}",)) for n in range(1, days + 1)]


def _ids(lines: list[dict[str, Any]], *, keep: bool) -> list[str]:
    return [line["snapshot"] for line in lines if line["type"] == "decision" and line["keep"] is keep]


def test_plan_and_apply(site: Site) -> None:
    _follow(site, {"last": 3, "tags": ["day2"]})
    ids = [one.id for one in _take(site)]
    lines = site.ok("retention", "plan")
    assert all(line.keys() >= {"snapshot", "job", "time", "keep", "reasons"} for line in lines[:-1])
    assert _ids(lines, keep=True) == [ids[1], *ids[-3:]]
    assert lines[1]["reasons"] == ["has tags day2"]
    assert lines[0]["reasons"] == []
    result = lines[-1]
    assert (result["keep"], result["remove"]) == (4, [ids[0], *ids[2:-3]])
    assert len(result["plan"]) == 64
    told = site.told("retention", "plan").out
    assert "has tags day2" in told
    assert f"drtool retention apply --plan {result['plan'][:16]}" in told
    assert "nightly: 4 snapshots stay, 6 go" in told

    done = site.ok("retention", "apply", "--plan", result["plan"][:16].upper())[-1]
    assert (done["remove"], done["plan"], len(done["announced"])) == (result["remove"], result["plan"], 1)
    assert site.snapshots() == [ids[1], *ids[-3:]]
    assert "nothing had to go" in site.told("retention", "apply").out
    assert "nothing goes" in site.told("retention", "plan").out
    again = site.ok("retention", "apply", "--plan", result["plan"])[-1]
    assert (again["remove"], again["plan"], again["carried_out_before"]) == ([], result["plan"], True)
    assert "was carried out before" in site.told("retention", "apply", "--plan", result["plan"]).out


def test_apply_of_one_job(site: Site) -> None:
    _follow(site, {"last": 1})
    _take(site, 3)
    for command in ("plan", "apply"):
        ended = site.drtool("retention", command, "nihgtly")
        assert (ended.code, ended.result["error"]["hint"]) == (2, "Jobs: nightly")
    assert len(site.ok("retention", "apply", "nightly")[-1]["remove"]) == 2


def test_without_a_policy_nothing_goes(site: Site) -> None:
    _take(site, 3)
    result = site.ok("retention", "apply")[-1]
    assert (result["keep"], result["remove"]) == (3, [])
    assert "no policy" in site.told("retention", "plan").out


def test_another_plan_is_refused(site: Site) -> None:
    _follow(site, {"last": 3})
    ids = [one.id for one in _take(site)]
    for hash_, code in (("0" * 64, 20), ("0" * 11, 2), ("x" * 64, 2)):
        ended = site.drtool("retention", "apply", "--plan", hash_)
        assert ended.code == code
        assert ended.result["error"]["hint"] or code == 2
    assert site.snapshots() == ids


def test_junk_is_refused_with_a_way_out(site: Site) -> None:
    _follow(site, {"last": 5}, schedule="0 2 * * *", timezone="UTC")
    _take(site)
    with site.opened() as repository:
        for minute in range(20):
            take(repository, datetime.now(UTC) - timedelta(minutes=30 - minute))
    lines = site.ok("retention", "plan")
    assert [line["obstacle"] for line in lines if line["type"] == "objection"] == ["surplus"]
    ended = site.drtool("retention", "apply")
    error = ended.result["error"]
    assert (ended.code, error["kind"]) == (20, "refused")
    assert "27 snapshots of the 7 days" in error["message"]
    assert "jobs.nightly.schedule" in error["hint"]
    assert "--despite surplus" in error["hint"]
    assert len(site.snapshots()) == DAYS + 20
    site.ok("retention", "apply", "--despite", "surplus")
    assert len(site.snapshots()) == 5


def test_a_host_without_a_maintainer_may_plan_and_not_apply(site: Site) -> None:
    _follow(site, {"last": 1})
    ids = [one.id for one in _take(site, 2)]
    bare = site.elsewhere("bare", has_identity=False)
    _follow(bare, {"last": 1})
    assert bare.ok("retention", "plan")[-1]["remove"] == [ids[0]]
    ended = bare.drtool("retention", "apply")
    assert ended.code == 2
    assert "maintainer" in ended.result["error"]["message"]
    assert site.snapshots() == ids


def test_protect_and_release(site: Site) -> None:
    _follow(site, {"last": 1})
    ids = [one.id for one in _take(site, 4)]
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    pinned = site.ok("protect", ids[0], "--reason", "before the migration")[-1]
    assert (pinned["snapshot"], pinned["until"]) == (ids[0], None)
    site.ok("protect", ids[1], "--reason", "an audit", "--until", until)
    assert [line["protected"] for line in site.ok("snapshots")[:-1]] == [True, True, False, False]
    assert "protected" in site.told("snapshots").out
    assert site.ok("show", ids[0])[-1]["protected"] == ["before the migration"]
    assert _ids(site.ok("retention", "plan"), keep=True) == [ids[0], ids[1], ids[3]]
    site.ok("release", ids[0])
    assert [line["protected"] for line in site.ok("snapshots")[:-1]] == [False, True, False, False]
    assert _ids(site.ok("retention", "plan"), keep=True) == [ids[1], ids[3]]
    ended = site.drtool("release", ids[0])
    assert (ended.code, ids[1] in ended.result["error"]["hint"]) == (2, True)
    assert site.drtool("protect", "2001", "--reason", "x").code == 10
    assert site.drtool("protect", ids[0]).code == 2
    assert site.drtool("protect", ids[0], "--reason", " ").code == 2
    assert site.drtool("protect", ids[0], "--reason", "x", "--until", "2001-01-01").code == 2


def test_tags_are_shown(site: Site) -> None:
    [one] = _take(site, 1)
    assert site.ok("snapshots")[0]["tags"] == ["day1"]
    assert site.ok("show", one.id)[-1]["tags"] == ["day1"]
    for tag in ("", "a b", "a,b"):
        assert site.drtool("backup", "--tag", tag).code == 2
    assert site.drtool("backup", *(word for n in range(21) for word in ("--tag", str(n)))).code == 2


def test_list(site: Site, tmp_path: Path) -> None:
    _follow(site, "standard")
    lines = {line["policy"]: line for line in site.ok("retention", "list")[:-1]}
    assert lines["standard"]["jobs"] == ["nightly"]
    assert lines["standard"]["rules"]["within"] == "2d"
    assert lines["minimal"]["jobs"] == []
    own = site.config.parent / "retention"
    own.mkdir()
    (own / "ours.yaml").write_text("last: 5\n")
    (own / "standard.yaml").write_text("last: 6\n")
    _follow(site, "ours")
    lines = {line["policy"]: line for line in site.ok("retention", "list")[:-1]}
    assert (lines["ours"]["jobs"], lines["standard"]["rules"], len(lines)) == (["nightly"], {"last": 6}, 5)
    _follow(site, "our")
    ended = site.drtool("retention", "list")
    assert (ended.code, "did you mean 'ours'?" in ended.result["error"]["message"]) == (2, True)
    _follow(site, {"last": 1, "tags": [["a", "b"]]})
    lines = {line["policy"]: line for line in site.ok("retention", "list")[:-1]}
    assert lines["nightly (in place)"]["rules"] == {"last": 1, "tags": [["a", "b"]]}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert "six-hourly" in drtool("retention", "list", cwd=elsewhere).out


def test_simulate_times(tmp_path: Path) -> None:
    times = tmp_path / "times.txt"
    times.write_text("2026-01-01T02:00:00+01:00 release\n2026-01-02T02:00:00+01:00\n2026-01-02T03:00:00+01:00\n")
    policy = tmp_path / "mine.yaml"
    policy.write_text("last: 1\ntags: [release]\n")
    ended = drtool("retention", "simulate", "./mine.yaml", "--times", str(times), "--json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    *lines, result = ended.lines
    assert [(line["time"][:13], line["keep"], line["reasons"]) for line in lines] == [
        ("2026-01-01T02", True, ["has tags release"]),
        ("2026-01-02T02", False, []),
        ("2026-01-02T03", True, ["last snapshot"]),
    ]
    assert (result["snapshots"], result["keep"]) == (3, 2)
    told = drtool("retention", "simulate", "./mine.yaml", "--times", str(times), cwd=tmp_path).out
    assert "2 of 3 snapshots stay" in told


@pytest.mark.parametrize("line", ["2026-08-01T2:00", "2026-08-01x", "2026-08-01T02:00Zrelease", "yesterday"])
def test_a_line_of_times_that_is_mistyped_is_no_tag(tmp_path: Path, line: str) -> None:
    (tmp_path / "times.txt").write_text(f"2026-08-01T02:00:00Z\n{line}\n")
    ended = drtool("retention", "simulate", "standard", "--times", "times.txt", "--json", cwd=tmp_path)
    assert (ended.code, "times.txt:2: " in ended.result["error"]["message"]) == (2, True)


def test_a_policys_name_means_the_same_to_simulate_as_to_a_job(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", NOWHERE, {"nightly": ("app",)})
    site.config.parent.joinpath("retention").mkdir(parents=True)
    site.config.write_text("repository: {url: ./repository}\n")
    site.config.parent.joinpath("retention", "ours.yaml").write_text("last: 5\n")
    arguments = ("retention", "simulate", "ours", "--every", "1d", "--for", "30d", "--json")
    assert drtool("--config", str(site.config), *arguments, cwd=tmp_path).lines[-1]["keep"] == 5
    assert drtool(*arguments, cwd=tmp_path).code == 2


def test_simulate_draws_a_timeline(tmp_path: Path) -> None:
    arguments = ("retention", "simulate", "standard", "--every", "6h", "--for", "2y", "--now", "2026-11-21T12:00:00Z")
    told = drtool(*arguments, cwd=tmp_path).out.splitlines()
    assert "2,921 snapshots" in told[1]
    assert [line.split()[:2] for line in told if "·" in line][:3] == [["1", "d"], ["7", "d"], ["1", "m"]]
    assert any(line.startswith("BACK TO") for line in told)
    *lines, result = drtool(*arguments, "--json", cwd=tmp_path).lines
    assert len(lines) == result["snapshots"] == 2921
    assert sum(line["keep"] for line in lines) == result["keep"] == result["course"][-1]["keep"]
    assert lines[-1]["time"].startswith("2026-11-21T")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["standrad", "--every", "1d", "--for", "1y"], "did you mean 'standard'?"),
        (["standard"], "--times FILE, or --every D with --for D"),
        (["standard", "--every", "1d"], "--times FILE, or --every D with --for D"),
        (["standard", "--every", "1d", "--for", "1w"], "--for 1w: must be a length of time"),
        (["standard", "--every", "1w", "--for", "1y"], "must be a duration"),
        (["standard", "--every", "1s", "--for", "1y"], "take a longer --every"),
        (["standard", "--every", "99999999999999999999d", "--for", "1y"], "longer than any calendar"),
        (["standard", "--every", "10d", "--for", "3000y"], "take a shorter --for"),
        (["standard", "--every", "1d", "--for", "1y", "--now", "0001-01-01"], "lies outside"),
        (["standard", "--every", "1d", "--for", "1y", "--now", "9999-12-31T23:59:59Z"], "none of the years"),
        (["standard", "--times", "none.txt"], "none.txt"),
        (["./nothing.yaml", "--every", "1d", "--for", "1y"], "cannot read the policy"),
    ],
)
def test_simulations_that_make_no_sense(tmp_path: Path, arguments: list[str], said: str) -> None:
    ended = drtool("retention", "simulate", *arguments, "--json", cwd=tmp_path)
    assert ended.code == 2
    assert said in ended.result["error"]["message"]
