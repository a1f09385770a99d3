"""The second net under secrets: whatever leaves the process as text goes through one mask.

The first net is that no error text quotes a secret; this one is for what drivers, servers and the operator's own
commands print. A secret is known here from the moment that the configuration with it was read (in place, environment)
or that it was fetched (file, command).
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "***"

#: Shorter ones are left alone: to mask them would take letters out of words.
_SHORTEST = 3
#: Shorter ones count where they stand alone only: a password may well be ``test``.
_ANYWHERE = 8
#: So do shorter ones that are words, such as ``postgres``, which is a part of others.
_WORD = re.compile("[a-z]{,11}")
#: Longer ones have no other form than their own: nobody prints a key file as base64.
_LONGEST = 1000
#: The shortest part of a web address's path that is taken for a secret: the token of a chat's webhook.
_TOKEN = 16

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SETTING = re.compile(r"[\w-]*(?:pass|pwd|secret|token)[\w-]*\s*[=:]\s*('(?:[^'\\]|\\.)*'|[^\s&;,]+)", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=://)([^\s/?#@:]*):[^\s/]+@")
#: Fields of key files that are no secrets.
_PUBLIC = {"drtool", "format", "name", "repository", "lineage", "root", "id"}
#: What other libraries read from the environment by themselves.
_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD", "REDISCLI_AUTH")


class Masker:
    """Knows secrets, and takes them out of texts. For several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secret: str) -> None:
        """Know a secret: itself, and of an address, a key file or a connection string what is secret in it."""
        forms = {form for part in _parts(secret) for form in _forms(part) if len(form) >= _SHORTEST}
        with self._lock:
            if not forms <= self._forms:
                self._forms |= forms
                self._pattern = None

    def mask(self, text: str) -> str:
        """`text` with every secret that is known replaced by ``***``."""
        with self._lock:
            if not self._forms:
                return text
            if self._pattern is None:
                # The longest first: a short one may be a part of it.
                self._pattern = re.compile("|".join(map(_regular, sorted(self._forms, key=len, reverse=True))))
            pattern = self._pattern
        return pattern.sub(MASK, text)

    def masked(self, value: Any) -> Any:
        """A value of JSON's kinds with every text in it masked, also the names of fields."""
        match value:
            case str():
                return self.mask(value)
            case Mapping():
                return {self.mask(str(name)): self.masked(inner) for name, inner in value.items()}
            case list() | tuple():
                return [self.masked(inner) for inner in value]
        return value

    def start_over(self, environment: Mapping[str, str] = os.environ) -> None:
        """Forget all, and know what other libraries take from the environment: a run of the command line begins."""
        with self._lock:
            self._forms.clear()
            self._pattern = None
        for name in _VARIABLES:
            if environment.get(name):
                self.add(environment[name])


MASKER = Masker()
"""The one of this process."""


def mask(text: str) -> str:
    """`text` without the secrets that this process knows."""
    return MASKER.mask(text)


def without_passwords(text: str) -> str:
    """`text` with the passwords of all addresses in it masked, known or not."""
    return _PASSWORD.sub(rf"\1:{MASK}@", mask(text))


def _regular(form: str) -> str:
    pattern = re.escape(form)
    stands_alone = len(form) < _ANYWHERE or _WORD.fullmatch(form)
    return rf"(?<!\w){pattern}(?!\w)" if stands_alone else pattern


def _forms(part: str) -> Iterator[str]:
    """A secret the ways that programs write it: as it is, in an address, in JSON, in Python, as base64."""
    yield part
    if len(part) > _LONGEST:
        return
    yield from (quote(part, safe=""), quote(part), quote_plus(part))
    for escaped in (json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1], repr(part)[1:-1]):
        # And within another text of the kind: JSON in an error that is shown as Python shows it.
        yield from (escaped, escaped.replace("\\", "\\\\"), json.dumps(escaped)[1:-1])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(part.encode("utf-8", "surrogateescape")).decode().rstrip("=")


def _parts(secret: str) -> Iterator[str]:
    """What is secret in a secret."""
    text = secret.strip()
    if address := _URI.fullmatch(text):
        yield from _of_address(text, address[1].lower(), address[2])
    elif text.startswith("{"):
        yield text
        try:
            yield from _of_fields("", json.loads(text))
        except ValueError:
            return
    elif "\n" in text:
        yield text
        yield from (line for line in map(str.strip, text.splitlines()) if _is_key(line))
    else:
        yield text
        yield from _of_settings(text)


def _of_address(text: str, scheme: str, rest: str) -> Iterator[str]:
    is_web = scheme in ("http", "https")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    # A password that was not encoded may hold what ends an authority.
    credentials = (authority if "@" in authority or is_web else rest).rpartition("@")[0]
    password = credentials.partition(":")[2]
    if password:
        yield from (text, password, unquote(password), credentials, unquote(credentials))
        yield from re.split("[/?#@]", password)
    yield from _of_settings(rest.partition("?")[2])
    way = rest[len(authority) :].strip("/")
    if is_web and len(way) >= _TOKEN:
        yield from (text, way)
        yield from (part for part in re.split("[/?&=#]", way) if len(part) >= _TOKEN)


def _of_settings(text: str) -> Iterator[str]:
    for found in _SETTING.finditer(text):
        value = found[1].strip("'")
        yield from (value, unquote(value))


def _of_fields(name: str, value: Any) -> Iterator[str]:
    match value:
        case dict():
            for inner, content in value.items():
                yield from _of_fields(inner, content)
        case list():
            for content in value:
                yield from _of_fields(name, content)
        case str() if name not in _PUBLIC:
            yield value


def _is_key(line: str) -> bool:
    return len(line) >= _TOKEN and not line.startswith(("#", "-----"))
