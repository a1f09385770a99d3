"""The whole way through buckets: two servers, http and https, lost answers, and what is not allowed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import boto3
import pytest

from tests.operations.site import Site, drtool, fill, hashes
from tests.servers import s3
from tests.servers.faults import Fault, Proxy, proxy
from tests.servers.tls import Certificate, make_certificate
from tests.sources.mongo import Client

pytestmark = pytest.mark.heavy

FOR_EVER = 1_000_000


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.SECRET_KEY)
    monkeypatch.setenv("AWS_DEFAULT_REGION", s3.REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """moto's port."""
    with s3.moto_server(tmp_path_factory.mktemp("moto")) as port:
        yield port


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """MiniStack's port."""
    with s3.ministack_server(tmp_path_factory.mktemp("ministack")) as port:
        yield port


@pytest.fixture
def bucket() -> str:
    """A name for a bucket."""
    return f"bucket-{secrets.token_hex(6)}"


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """A certificate."""
    return make_certificate(tmp_path)


def _site(tmp_path: Path, uri: str, database: str, bucket: str, endpoint: str, ca: str | None = None) -> Site:
    settings = {"endpoint_url": endpoint} | ({"ca_bundle": ca} if ca else {})
    return Site(tmp_path, uri, {"nightly": (database,)}, url=f"s3://{bucket}/some/prefix", repository=settings)


def _whole_way(site: Site, client: Client, database: str) -> None:
    first = site.backup()
    assert first["bytes"]["new"] > 0
    assert site.backup()["bytes"]["new"] == 0
    assert site.ok("verify", "latest", "--level", "restored")[0]["ok"]
    assert site.ok("restore", first["snapshot"])[-1]["records"] == first["records"]
    [made] = [name for name in client.list_database_names() if name.startswith(f"{database}_restored")]
    assert hashes(client, made) == hashes(client, database)


def test_from_init_to_restore(moto: int, tmp_path: Path, uri: str, client: Client, database: str, bucket: str) -> None:
    fill(client, database)
    s3.make_bucket(moto, bucket)
    endpoint = f"http://127.0.0.1:{moto}"
    homes = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    arguments = ("--repository", f"s3://{bucket}/prod/", "--endpoint-url", endpoint, "--identity-out", "identity.key")
    made = drtool("init", *arguments, "--json", cwd=tmp_path, env=homes)
    assert (made.code, made.result["url"]) == (0, f"s3://{bucket}/prod"), made.err
    config = tmp_path / "drtool.yaml"
    text = config.read_text().replace("    # databases: [shop, accounts]", f"    databases: [{database}]")
    config.write_text(text.replace("  # identity: {file: /media/usb/identity.key}", "  identity: {file: identity.key}"))
    for command in (("backup",), ("verify", "--level", "restored"), ("restore", "latest")):
        ended = drtool(*command, "--json", cwd=tmp_path, env={**homes, "MONGODB_URI": uri})
        assert ended.code == 0, ended.err
    assert s3.SECRET_KEY not in text
    again = drtool("init", "--identity-out", "other.key", "--json", cwd=tmp_path, env={**homes, "MONGODB_URI": uri})
    assert again.code == 20


def test_ministack(ministack: int, tmp_path: Path, uri: str, client: Client, database: str, bucket: str) -> None:
    fill(client, database)
    s3.make_bucket(ministack, bucket)
    _whole_way(_site(tmp_path, uri, database, bucket, f"http://127.0.0.1:{ministack}").set_up(), client, database)


def test_https(
    moto: int, certificate: Certificate, tmp_path: Path, uri: str, client: Client, database: str, bucket: str
) -> None:
    fill(client, database)
    s3.make_bucket(moto, bucket)
    with proxy(moto, certificate) as front:
        ca = str(certificate.certificate)
        site = _site(tmp_path, uri, database, bucket, front.url, ca).set_up()
        _whole_way(site, client, database)
        distrusting = site.elsewhere("distrusting", repository={"endpoint_url": front.url})
        ended = distrusting.drtool("snapshots")
        assert ended.code == 1
        assert "certificate" in ended.result["error"]["message"].lower()


@pytest.fixture
def front(moto: int) -> Iterator[Proxy]:
    """A proxy in front of moto, to be told what to do."""
    with ExitStack() as stack:
        yield stack.enter_context(proxy(moto))


@pytest.fixture
def fronted(front: Proxy, moto: int, tmp_path: Path, uri: str, client: Client, database: str, bucket: str) -> Site:
    """A host whose bucket lies behind the proxy."""
    fill(client, database)
    s3.make_bucket(moto, bucket)
    return _site(tmp_path, uri, database, bucket, front.url).set_up()


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.LATE_ERROR])
def test_lost_answers_make_one_snapshot(fronted: Site, front: Proxy, fault: Fault) -> None:
    for prefix in ("/snapshots/", "/packs/", "/index/"):
        front.inject(fault, "PUT", prefix)
    taken = fronted.backup()
    assert front.count("PUT", "/snapshots/") == 2
    assert fronted.snapshots() == [taken["snapshot"]]
    assert fronted.ok("verify", "--level", "readable")[0]["ok"]
    assert fronted.backup()["bytes"]["new"] == 0


def test_answers_that_fail_on_the_way_back(fronted: Site, front: Proxy, client: Client, database: str) -> None:
    fronted.backup()
    for fault in (Fault.TRUNCATE, Fault.RESET, Fault.SLOW_DOWN, Fault.INTERNAL_ERROR):
        front.inject(fault, "GET", "/packs/")
    assert fronted.ok("verify", "--level", "readable")[0]["ok"]


def test_nothing_may_be_put(fronted: Site, front: Proxy, client: Client, database: str) -> None:
    fronted.backup()
    front.inject(Fault.DENIED, "PUT", times=FOR_EVER)
    ended = fronted.drtool("backup")
    assert (ended.code, ended.result["error"]["kind"]) == (1, "permission-denied")
    assert s3.SECRET_KEY not in ended.out + ended.err
    assert len(fronted.snapshots()) == 1
    restored = fronted.drtool("restore", "latest")
    assert (restored.code, restored.result["records"], "do not prune" in restored.err) == (0, 24, True)


def test_no_manifest_may_be_put(fronted: Site, front: Proxy) -> None:
    front.inject(Fault.DENIED, "PUT", "/snapshots/", times=FOR_EVER)
    ended = fronted.drtool("backup")
    assert (ended.code, ended.result["error"]["kind"]) == (1, "permission-denied")
    assert fronted.snapshots() == []
    front.reset()
    assert fronted.backup()["bytes"]["new"] == 0  # all of it had been stored


def test_nothing_may_be_read(fronted: Site, front: Proxy) -> None:
    front.inject(Fault.DENIED, "GET", times=FOR_EVER)
    for arguments in (("backup",), ("snapshots",), ("verify",), ("restore", "latest")):
        ended = fronted.drtool(*arguments)
        assert (ended.code, ended.result["error"]["kind"]) == (1, "permission-denied")


def test_packs_may_not_be_read(fronted: Site, front: Proxy) -> None:
    """That is no damage: nothing is said about the snapshot, and no evidence kept."""
    fronted.backup()
    front.inject(Fault.DENIED, "GET", "/packs/", times=FOR_EVER)
    ended = fronted.drtool("verify", "--level", "intact")
    assert (ended.code, ended.result["error"]["kind"]) == (1, "permission-denied")
    front.reset()
    assert not fronted.ok("snapshots")[0]["verification_failed"]


def test_no_bucket(moto: int, tmp_path: Path, uri: str, database: str, bucket: str) -> None:
    endpoint = f"http://127.0.0.1:{moto}"
    arguments = ("--repository", f"s3://{bucket}/x", "--endpoint-url", endpoint, "--identity-out", "identity.key")
    ended = drtool("init", *arguments, "--json", cwd=tmp_path)
    assert (ended.code, ended.result["error"]["kind"]) == (1, "bucket-missing")
    assert list(tmp_path.iterdir()) == []
    s3.make_bucket(moto, bucket)
    site = _site(tmp_path, uri, database, bucket, endpoint).set_up()
    _empty_and_remove(moto, bucket)
    for command in (("backup",), ("snapshots",)):
        ended = site.drtool(*command)
        assert (ended.code, ended.result["error"]["kind"]) == (1, "bucket-missing")


def _empty_and_remove(port: int, bucket: str) -> None:
    found = boto3.resource(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=s3.REGION,
        aws_access_key_id=s3.ACCESS_KEY,
        aws_secret_access_key=s3.SECRET_KEY,
    ).Bucket(bucket)
    found.objects.all().delete()
    found.delete()
