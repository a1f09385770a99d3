"""A cluster takes the manifests: they hold against the schemas that Kubernetes publishes."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from drtool.config.loading import load_config
from drtool.config.root import Config
from drtool.errors import ConfigError, UsageError
from drtool.scheduling.installing.kubernetes import Cluster, manifests, scalar
from drtool.scheduling.installing.rhythm import rhythm

_VERSIONS = ["1.25", "1.29", "1.32", "1.34"]


def _objects(config: Config, cluster: Cluster | None = None) -> dict[str, Any]:
    text = manifests(config, rhythm(300), cluster or Cluster()).text
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


@pytest.mark.parametrize("version", _VERSIONS)
def test_the_published_schemas_are_met(config: Config, version: str) -> None:
    objects = _objects(config)
    assert objects.keys() == {"ServiceAccount", "PersistentVolumeClaim", "ConfigMap", "CronJob"}
    for one in objects.values():
        kubernetes_validate.validate(one, version, strict=True)
    wrong = objects["CronJob"] | {"spec": {**objects["CronJob"]["spec"], "concurrency": "Forbid"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_everything_is_called_as_asked(config: Config) -> None:
    cluster = Cluster("acme", "backups", "acme-keys", "registry.example.org/drtool:1@sha256:abc")
    objects = _objects(config, cluster)
    assert {one["metadata"]["namespace"] for one in objects.values()} == {"backups"}
    spec = objects["CronJob"]["spec"]
    assert spec["schedule"] == "*/5 * * * *"
    assert spec["concurrencyPolicy"] == "Forbid"
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["image"] == "registry.example.org/drtool:1@sha256:abc"
    assert pod["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"] == "acme"
    claims = [volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"] if volume["name"] == "state"]
    assert claims == [objects["PersistentVolumeClaim"]["metadata"]["name"]]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    from_secret = {one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"] if "valueFrom" in one}
    assert from_secret == {"acme-keys"}


def test_what_the_configuration_needs_comes_from_the_secret(config: Config) -> None:
    made = manifests(config, rhythm(300), Cluster())
    assert made.asked == ("MONGODB_URI", "REDIS_URI", "agent.key")
    [spec] = [one["spec"] for one in yaml.safe_load_all(made.text) if one["kind"] == "CronJob"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    given = {one["name"]: one for one in pod["containers"][0]["env"]}
    assert given["MONGODB_URI"]["valueFrom"]["secretKeyRef"] == {"name": "drtool", "key": "MONGODB_URI"}
    assert given["AWS_SECRET_ACCESS_KEY"]["valueFrom"]["secretKeyRef"]["optional"] is True
    [projected] = [volume["projected"] for volume in pod["volumes"] if "projected" in volume]
    assert projected["sources"][1]["secret"]["items"] == [{"key": "agent.key", "path": "agent.key"}]
    assert made.warnings[0] == "not in the manifests: the files of repository.identity"
    assert "s3cret-word" not in made.text
    assert "k3y-of-the-bucket" not in made.text


def test_the_configuration_arrives_as_it_is(config: Config) -> None:
    assert _objects(config)["ConfigMap"]["data"] == {"drtool.yaml": config.path.read_text(encoding="utf-8")}


def test_an_identity_beside_the_configuration_stays_there(config: Config) -> None:
    _change(config, "/media/usb/identity.key", "identity.key")
    made = manifests(load_config(config.path), rhythm(300), Cluster())
    assert "identity.key" not in made.asked
    assert 'path: "identity.key"' not in made.text


def test_a_password_in_the_configuration_is_refused(config: Config) -> None:
    _change(config, "${MONGODB_URI}", "mongodb://backup:in-the-clear@127.0.0.1/")
    with pytest.raises(
        ConfigError, match=r"sources\.app\.uri: the secret stands in the configuration itself"
    ) as caught:
        manifests(load_config(config.path), rhythm(300), Cluster())
    assert "in-the-clear" not in caught.value.message


def test_an_address_without_a_password_is_none(config: Config) -> None:
    _change(config, "${MONGODB_URI}", "mongodb://127.0.0.1/")
    assert "REDIS_URI" in manifests(load_config(config.path), rhythm(300), Cluster()).asked


def test_a_directory_is_no_repository_for_a_pod(config: Config) -> None:
    _change(config, "s3://acme-backups/prod", "/srv/backups")
    with pytest.raises(UsageError, match="the repository is a directory"):
        manifests(load_config(config.path), rhythm(300), Cluster())


def test_files_of_this_host_are_not_in_a_pod(config: Config) -> None:
    _change(config, "  cache: {", "  code: {type: files, paths: [/srv]}\n  cache: {")
    warnings = manifests(load_config(config.path), rhythm(300), Cluster()).warnings
    assert "a pod has none of this host's files: give it a volume for code" in warnings


def test_what_a_pod_cannot_write_to_is_told(config: Config) -> None:
    warned = "a pod cannot write there: repository.state_dir (/etc/drtool/state), log.file (/var/log/drtool.log); "
    config.path.write_text(config.path.read_text(encoding="utf-8") + "log: {file: /var/log/drtool.log}\n", "utf-8")
    made = manifests(load_config(config.path), rhythm(300), Cluster())
    assert made.warnings[1].startswith(warned)
    _change(config, "  state_dir: state\n", "  state_dir: /var/lib/drtool/state/prod\n")
    _change(config, "/var/log/drtool.log", "/tmp/drtool.log")
    assert len(manifests(load_config(config.path), rhythm(300), Cluster()).warnings) == 1


@pytest.mark.parametrize("setting", ["name", "namespace", "secret"])
@pytest.mark.parametrize("value", ["", "Upper", "-x", "a b", "x" * 43, 'x"\n'])
def test_names_are_names(setting: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"--{setting}: .* is no name in a cluster"):
        Cluster(**{setting: value})


@given(st.text(st.sampled_from("ab #:-|>'\"%\n\t\\é\x85\u2028\U0001f600 ")))
def test_any_text_is_a_scalar_that_gives_it_back(text: str) -> None:
    lines = "\n".join("  " + line if line else line for line in f"a: {scalar(text)}\nb: 1".split("\n"))
    assert yaml.safe_load(f"outer:\n{lines}\n") == {"outer": {"a": text, "b": 1}}


def _change(config: Config, old: str, new: str) -> None:
    text = config.path.read_text(encoding="utf-8")
    assert old in text
    config.path.write_text(text.replace(old, new), encoding="utf-8")
