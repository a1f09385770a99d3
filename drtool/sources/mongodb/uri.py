"""Connection strings: one member instead of the whole set, and nothing secret in what people get to read."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote_plus, unquote, unquote_plus

from pymongo.uri_parser import parse_uri

#: Options that speak of a set or of how to find it, and so do not go with one pinned member.
_OF_THE_SET = {"directconnection", "loadbalanced", "srvmaxhosts", "srvservicename", "replicaset"}
_SHORT = 3
_SECRET = {"tlscertificatekeyfilepassword", "authmechanismproperties"}


def parts(uri: str) -> tuple[str, str, str, str, str]:
    """Scheme, user information (with ``@``), hosts, path (with ``/``) and query (without ``?``) of a connection
    string."""
    scheme, _, rest = uri.partition("://")
    found = re.match(r"([^/?]*)(/[^?]*)?(?:\?(.*))?$", rest, re.DOTALL)
    assert found is not None  # every string matches
    user, at, hosts = found[1].rpartition("@")
    return scheme, user + at, hosts, found[2] or "/", found[3] or ""


def options(uri: str) -> dict[str, str]:
    """The options in the connection string itself by lower-case name, as written there."""
    pairs = (pair.partition("=") for pair in re.split("[&;]", parts(uri)[4]) if pair)
    return {name.lower(): value for name, _, value in pairs}


def is_direct(uri: str) -> bool:
    """Does it ask for one server as it is, whatever set that belongs to?"""
    return options(uri).get("directconnection", "").lower() == "true"


def pinned(uri: str, address: str) -> str:
    """`uri` for the one member at `address` (``host:port``) instead: credentials, TLS and all other options stay."""
    scheme, user, _, path, query = parts(uri)
    kept = [pair for pair in re.split("[&;]", query) if pair and pair.partition("=")[0].lower() not in _OF_THE_SET]
    if scheme == "mongodb+srv":  # what the DNS records add, and the TLS that the scheme implies
        named = options(uri)
        resolved: dict[str, Any] = dict(parse_uri(uri, validate=True, warn=False)["options"])
        if "tls" not in named and "ssl" not in named:
            kept.append("tls=true")
        source = resolved.get("authsource")
        if source is not None and "authsource" not in named:
            kept.append(f"authSource={quote_plus(source)}")
    return f"mongodb://{user}{address}{path}?{'&'.join([*kept, 'directConnection=true'])}"


def shown(uri: str) -> str:
    """`uri` for people: hosts and path, no credentials, no options."""
    scheme, _, hosts, path, _ = parts(uri)
    return f"{scheme}://{hosts}{path if path != '/' else ''}"


def redacted(text: str, uri: str) -> str:
    """`text` without the passwords of `uri` (the user's, the key file's, a session token), in whatever encoding."""
    _, _, password = parts(uri)[1].removesuffix("@").partition(":")
    written = {password, *(value for name, value in options(uri).items() if name in _SECRET)}
    secrets = {each for value in written for each in (value, unquote_plus(value), unquote(value))} - {""}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) > _SHORT:
            text = text.replace(secret, "***")
        else:  # it is part of half of all words
            text = re.sub(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])", "***", text)
    return text
