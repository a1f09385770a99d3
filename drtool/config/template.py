"""The commented ``drtool.yaml`` that ``drtool init`` writes."""

from __future__ import annotations

from pathlib import Path

import yaml

from drtool.config.environment import escape

_TEMPLATE = """\
# What drtool backs up, and where to. Check it with: drtool config check
# In any text, ${{NAME}} is an environment variable, ${{NAME:-default}} one with a default, and $$ a dollar sign.

repository:
  # s3://BUCKET/PREFIX, or a directory. Credentials come from the environment, or from a profile.
{repository}
  # The key of this host. It writes backups and cannot read the data in them.
  agent_key: {agent_key}
  # The key that reads the data back. Keep it away from this host, and name it only where you restore or verify.
{identity}

sources:
  app:
    type: mongodb
    # The same address in a file or from a command: {{file: /etc/drtool/mongodb-uri}}, {{command: "pass show mongodb"}}
    uri: "${{MONGODB_URI}}"
    # Without this, all databases.
    # databases: [shop, accounts]
    # Whole databases, collections, or patterns, such as shop.sessions or "*.cache_*".
    # This one leaves out the databases that drtool restore makes beside the originals.
    exclude: ["*_restored_*"]

jobs:
  # What belongs together is backed up together, by: drtool backup nightly
  nightly:
    sources: [app]
    # A backup reads what changed since the last one, and this share of the rest, to check itself; every so many all.
    # check: 2%
    # full_every: 30
    # Which snapshots drtool retention apply leaves: a policy (drtool retention list lists them), a file, or rules in
    # place, such as {{daily: 14, weekly: 8, monthly: 12}}. The schedule tells it how many to expect.
    retention: standard
    # When drtool schedule run takes a backup; drtool schedule install has it called.
    # schedule: "0 2 * * *"
    # timezone: Europe/Berlin
    # Whom to tell of each run, so that somebody notices when nothing comes; commands around each run.
    # ping: {{url: {{env: HEALTHCHECKS_URL}}}}
    # hooks: {{before: [[/usr/local/bin/on-mains-power]]}}

# What else is done by itself: verify, copy, retention apply and prune can be scheduled as well.
# schedules:
#   archive: {{task: pitr capture, schedule: "*/5 * * * *"}}

# Whom to tell what is wrong. Try it with: drtool notify test
# notify: [{{type: slack, url: {{env: SLACK_WEBHOOK}}}}, {{type: teams, url: {{env: TEAMS_URL}}, after: 30m}}]

# What must hold between records, of different sources too; drtool verify --level restored checks it.
# relations: [{{every: app.shop.orders.customer, exists_in: app.shop.customers._id}}]

# How much of this host drtool may use.
# limits:
#   memory: 300 MB
#   readers: 4

# Where lines about each run go beside standard error; journald: true is systemd's journal.
# log:
#   file: /var/log/drtool/drtool.log

# What each run leaves for Prometheus; drtool metrics --rules prints alert rules for it.
# metrics:
#   textfile: /var/lib/prometheus/node-exporter/drtool.prom
"""


def render_template(
    repository_url: str,
    agent_key_path: Path | str,
    *,
    identity_path: Path | str | None = None,
    region: str | None = None,
    endpoint_url: str | None = None,
    profile: str | None = None,
    ca_bundle: Path | str | None = None,
) -> str:
    """A configuration for this repository; it is complete once ``MONGODB_URI`` is set.

    Paths stay as given: relative ones belong to the directory that the file is put in.
    """
    settings = {
        "url": repository_url,
        "region": region,
        "endpoint_url": endpoint_url,
        "profile": profile,
        "ca_bundle": None if ca_bundle is None else str(ca_bundle),
    }
    lines = [f"  {_flow(name, value)}" for name, value in settings.items() if value is not None]
    identity = _file(identity_path) if identity_path is not None else "{file: /media/usb/identity.key}"
    comment = "" if identity_path is not None else "# "
    return _TEMPLATE.format(
        repository="\n".join(lines), agent_key=_file(agent_key_path), identity=f"  {comment}identity: {identity}"
    )


def _file(path: Path | str) -> str:
    return "{" + _flow("file", str(path)) + "}"


def _flow(key: str, value: str) -> str:
    """``key: value`` on one line, with quotes where YAML wants them."""
    dumped = yaml.safe_dump({key: escape(value)}, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return dumped.strip().removeprefix("{").removesuffix("}")
