"""Addresses of Redis servers: redis://, rediss:// (TLS) and unix://."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

SCHEMES = ("redis://", "rediss://", "unix://")
#: At the end of a sandbox's address: what is written there keeps its expiry out of time's reach (``expiry``).
NOTHING_EXPIRES = "#nothing-expires"
_SHORT = 4


def address(uri: str) -> tuple[str, bool]:
    """What the client takes of an address, and whether it is a sandbox's."""
    return uri.removesuffix(NOTHING_EXPIRES), uri.endswith(NOTHING_EXPIRES)


def shown(uri: str) -> str:
    """The address for people: no user, no password, no options."""
    scheme, _, rest = uri.partition("://")
    place = rest.partition("#")[0].partition("?")[0]
    if "@" in rest and "@" not in place:  # it may belong to a password that holds what ends an address
        return f"{scheme}://…"
    place = place.rpartition("@")[2]
    return f"{scheme}://{place}".rstrip("/")


def redacted(text: str, uri: str) -> str:
    """A text in which the address's password does not stand."""
    try:
        password = urlsplit(uri).password or ""
    except ValueError:
        return "(the address cannot be parsed)"
    query = urlsplit(uri).query
    found = re.search(r"(?:^|&)password=([^&]*)", query)
    raw = uri.partition("://")[2].rpartition("@")[0].partition(":")[2]  # with what should have been encoded
    secrets = [raw, *re.split("[/?#@]", raw), password, *([found[1]] if found else [])]
    for secret in {form for each in secrets for form in (each, unquote(each))} - {""}:
        pattern = re.escape(secret) if len(secret) > _SHORT else rf"(?<!\w){re.escape(secret)}(?!\w)"
        text = re.sub(pattern, "***", text)
    return text
