"""Connection strings, and nothing secret in what people get to read."""

from __future__ import annotations

import re
from urllib.parse import unquote


def shown(uri: str) -> str:
    """`uri` for people: hosts and database, no credentials, no options."""
    scheme, _, rest = uri.partition("://")
    hosts, slash, path = rest.partition("?")[0].partition("/")
    host = hosts.rpartition("@")[2]
    if not host:
        named = re.search(r"[?&]host=([^&]*)", uri)
        host = unquote(named[1]) if named is not None else "localhost"
    return f"{scheme}://{host}{slash}{path}"


def redacted(text: str, uri: str) -> str:
    """`text` without the passwords of `uri`, in whatever encoding, and in one line."""
    authority = uri.partition("://")[2].partition("?")[0].partition("/")[0]
    user = authority.rpartition("@")[0]
    secrets = [user.partition(":")[2], *re.findall(r"[?&](?:ssl)?password=([^&]*)", uri)]
    for secret in secrets:
        for form in filter(None, (secret, unquote(secret))):
            text = text.replace(form, "***")
    return " ".join(text.split())
