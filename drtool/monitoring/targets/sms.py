"""Text messages through a gateway's HTTP interface, such as Twilio's: fields of the operator's, one of them the text.

A message has 160 characters of GSM 03.38's alphabet (fewer with characters outside of it, so everything is written in
ASCII); a longer one is several messages, of 153 characters each.
"""

from __future__ import annotations

import json
import unicodedata
from urllib.parse import urlencode, urlsplit

from drtool.config.notify import SmsSettings
from drtool.errors import NotificationError
from drtool.monitoring.alerting.messages import Message
from drtool.monitoring.alerting.wording import headline
from drtool.monitoring.http import basic, is_private, request
from drtool.monitoring.targets.base import taken

PLACE = "{text}"
#: Of ASCII, what takes two characters of the alphabet, or is not in it.
_AWKWARD = str.maketrans({"[": "(", "]": ")", "{": "(", "}": ")", "\\": "/", "~": "-", "^": "-", "|": "/", "`": "'"})


class Sms:
    """A number."""

    shown = 1
    separate = False

    def __init__(self, settings: SmsSettings) -> None:
        self._settings = settings

    def deliver(self, message: Message) -> str:
        """Call the gateway."""
        settings, address = self._settings, self._settings.url.reveal()
        sent = text(message, settings.length)
        fields = {name: value.replace(PLACE, sent) for name, value in settings.fields.items()}
        fields |= {name: secret.reveal() for name, secret in settings.secrets.items()}
        headers = {name: secret.reveal() for name, secret in settings.headers.items()}
        if settings.user is not None and settings.password is not None:
            headers["Authorization"] = basic(settings.user, settings.password.reveal())
        if (settings.password or settings.secrets) and not is_private(address):
            raise NotificationError(f"{settings.url.key}: must begin with https://, for secrets go with it")
        body = b""
        if settings.method == "GET":
            address += ("&" if urlsplit(address).query else "?") + urlencode(fields)
        elif settings.encoding == "json":
            headers["Content-Type"] = "application/json"
            body = json.dumps(fields).encode()
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(fields).encode()
        taken(address, request(address, body, method=settings.method, headers=headers, ca_bundle=settings.ca_bundle))
        return ""


def text(message: Message, most: int) -> str:
    """The message in at most so many characters: the worst, where, and how many more."""
    others = len(message.notices) - 1 + message.more
    end = f" ({message.host}{f', +{others} more' if others else ''})"
    room = most - len(plain(end)) - len("drtool ")
    start = plain(headline(message.notices[0]))
    if len(start) > room:
        start = start[: max(0, room - 3)].rstrip() + "..."
    return f"drtool {start}{plain(end)}"[:most]


def plain(written: str) -> str:
    """`written` in ASCII characters that take one place each: accents dropped, what has no likeness a question mark."""
    named = written.replace("…", "...").replace("–", "-").replace("’", "'")
    letters = unicodedata.normalize("NFKD", named)
    kept = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return kept.encode("ascii", "replace").decode().translate(_AWKWARD)
