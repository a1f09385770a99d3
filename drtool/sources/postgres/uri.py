"""Connection strings, and nothing secret in what people get to read."""

from __future__ import annotations

import re
from urllib.parse import unquote

_HOST = r"(?:[^:@/?#,\[\]]*|\[[^\[\]@/?#]*\])(?::[0-9]*)?"
_HOSTS = re.compile(rf"{_HOST}(?:,{_HOST})*")
#: Stands for what cannot be told from a password that holds ``/``, ``?`` or ``@`` as they are.
_UNCLEAR = "postgresql://…"


def shown(uri: str) -> str:
    """`uri` for people: hosts and database, no credentials, no options."""
    scheme, mark, rest = uri.partition("://")
    before, _, options = rest.partition("?")
    hosts, slash, path = before.partition("/")
    host = hosts.rpartition("@")[2]
    if not mark or "@" in path + options or _HOSTS.fullmatch(host) is None:
        return _UNCLEAR
    if not host:
        named = re.search(r"[?&]host=([^&]*)", uri)
        host = unquote(named[1]) if named is not None else "localhost"
    return f"{scheme}://{host}{slash}{path}"


def redacted(text: str, uri: str) -> str:
    """`text` without the passwords of `uri`, in whatever encoding, and in one line."""
    credentials = uri.partition("://")[2].rpartition("@")[0]
    password = credentials.partition(":")[2]
    secrets = [password, *re.findall(r"[?&](?:ssl)?password=([^&]*)", uri)]
    secrets += [given.strip("'") for given in re.findall(r"password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)", uri)]
    pieces = re.split("[@/?]", password)
    if len(pieces) > 1:  # they should have been encoded; libpq takes them for hosts and ports, and says so
        secrets += [piece for piece in pieces if len(piece) > 1] + [f"{piece}@" for piece in pieces]
    for secret in secrets:
        for form in filter(None, (secret, unquote(secret))):
            text = text.replace(form, "***")
    return " ".join(text.split())
