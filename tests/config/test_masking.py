"""The mask: no known secret leaves in a text, in whichever form programs write it."""

from __future__ import annotations

import base64
import json
import os
import shlex
import threading
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drtool.config.masking import MASK, MASKER, Masker, without_passwords
from drtool.config.secrets import Origin, Secret, learn

SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Z"]), min_size=8, max_size=40)
FORMS = (
    str,
    quote,
    quote_plus,
    repr,
    json.dumps,
    shlex.quote,
    lambda text: quote(text, safe=""),
    lambda text: json.dumps(text, ensure_ascii=False),
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
)


def masker(*secrets: str) -> Masker:
    made = Masker()
    for secret in secrets:
        made.add(secret)
    return made


@settings(max_examples=30)
@given(SECRETS, st.sampled_from(FORMS), st.text(max_size=20), st.text(max_size=20))
def test_a_secret_is_masked_in_every_form(secret: str, form: object, before: str, after: str) -> None:
    assert callable(form)
    assume("'" not in secret)  # which shells write in pieces
    text = form(secret)
    assume(secret not in before + after)
    masked = masker(secret).mask(f"{before} {text} {after}")
    assert secret not in masked
    assert text.strip("'\"") not in masked


@settings(max_examples=20)
@given(SECRETS, st.sampled_from(["mongodb", "postgresql", "redis", "https"]))
def test_of_an_address_the_password_is_secret_and_the_host_is_not(password: str, scheme: str) -> None:
    given_ = f"{scheme}://drtool:{quote(password, safe='')}@db.example.org:2701/shop"
    found = masker(given_)
    assert given_ not in found.mask(f"cannot open {given_}")
    for text in (password, quote(password, safe=""), base64.b64encode(f"drtool:{password}".encode()).decode()):
        assert text.rstrip("=") not in found.mask(f"refused: {text} (by db.example.org)")
    assert found.mask("db.example.org:2701 does not answer") == "db.example.org:2701 does not answer"


@pytest.mark.parametrize(
    ("secret", "said", "masked"),
    [
        ("mongodb://127.0.0.1:27017/?replicaSet=rs0", "127.0.0.1:27017 of rs0", "127.0.0.1:27017 of rs0"),
        ("redis://:p/s#word@h", "no host p/s#word, or s", "no host ***, or s"),
        ("postgresql://h/db?sslpassword=tr%20easure", "said 'tr easure', tr%20easure", "said '***', ***"),
        ("host=h password='two words' user=u", "two words of u", "*** of u"),
        ("https://hooks.example.org/services/T0/B0/abcdefghijklmnopqrst", "POST /services/T0/B0/x", None),
        (
            "https://hooks.example.org/services/T0/B0/abcdefghijklmnopqrst",
            "hooks.example.org: no abcdefghijklmnopqrst",
            "hooks.example.org: no ***",
        ),
        ("https://h.example.org/x?sig=0123456789abcdef0&api=2", "sig=0123456789abcdef0&api=2", "sig=***&api=2"),
        ("http://127.0.0.1:8000/nightly", "nightly: ok", "nightly: ok"),
        ("test", "a test of the latest test", "a *** of the latest ***"),
        ("postgres", "postgresql: no postgres, 'postgres'", "postgresql: no ***, '***'"),
        ("correcthorse", "x:correcthorsey", "x:***y"),
        ("ab", "about", "about"),
        ("  hunter22\n", "hunter22", MASK),
        (
            '{"drtool": "agent-key", "repository": "01234567", "catalog_keys": [{"id": "beef", "key": "facade99"}]}',
            "repository 01234567, key facade99 of beef",
            "repository 01234567, key *** of beef",
        ),
        ("# a comment\nKEY-1-abcdefghijklmnopq\n", "a comment: KEY-1-abcdefghijklmnopq", "a comment: ***"),
    ],
)
def test_what_is_secret_in_a_secret(secret: str, said: str, masked: str | None) -> None:
    assert masker(secret).mask(said) == (said if masked is None else masked)


def test_the_longest_is_masked_first() -> None:
    assert masker("hunter22", "hunter22-and-more").mask("hunter22-and-more") == MASK


def test_values_are_masked_at_any_depth() -> None:
    value = {"a": ["x hunter22", {"hunter22": 1}], "n": 7, "none": None}
    assert masker("hunter22").masked(value) == {"a": ["x ***", {"***": 1}], "n": 7, "none": None}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("restore --to mongodb://u:secret@h/db", "restore --to mongodb://u:***@h/db"),
        ("redis://:p@ss:w@h:1", "redis://:***@h:1"),
        ("https://example.org/a:b@c", "https://example.org/a:b@c"),
    ],
)
def test_an_address_is_shown_without_its_password(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


def test_secrets_are_known_once_the_configuration_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE_OF_IT", "in-the-environment")
    MASKER.start_over({"AWS_SECRET_ACCESS_KEY": "of-the-sdk-itself"})
    try:
        Secret.of("given-in-place")
        Secret(Origin.ENV, "PLACE_OF_IT")
        assert MASKER.mask("given-in-place in-the-environment of-the-sdk-itself") == "*** *** ***"
    finally:
        MASKER.start_over({})
    assert MASKER.mask("given-in-place") == "given-in-place"


def test_several_threads_add_while_others_mask() -> None:
    found = masker()
    names = [f"secret-number-{number}" for number in range(200)]
    parts = names[::2], names[1::2]
    threads = [threading.Thread(target=lambda part=part: list(map(found.add, part))) for part in parts]
    for thread in threads:
        thread.start()
    for name in names:
        found.add(name)
        assert found.mask(name) == MASK
    for thread in threads:
        thread.join()
    assert found.mask(" ".join(names)) == " ".join([MASK] * 200)


def test_secrets_in_files_are_learnt_and_those_in_pipes_are_left(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("lies-in-a-file\n")
    os.mkfifo(tmp_path / "pipe")
    files = {name: Secret(Origin.FILE, str(tmp_path / name)) for name in ("token", "pipe", "missing")}
    command = Secret(Origin.COMMAND, ("touch", str(tmp_path / "called")))
    try:
        learn([files, (command,)])
        assert MASKER.mask("lies-in-a-file") == MASK
        assert not (tmp_path / "called").exists()
    finally:
        MASKER.start_over({})
