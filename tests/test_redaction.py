"""The last net on one text: what looks like an address or is a secret does not pass."""

from __future__ import annotations

import pytest

from config.redaction import Redaction, secret_values
from smtpd.events import address_hash
from tests.test_settings import GOOD, loaded


@pytest.mark.parametrize(
    "text",
    [
        "bob@x.example",
        "<bob@x.example>",
        "{'rcpt': 'bob@x.example'}",
        "b'bob@x.example'",
        "mailto:bob@x.example",
        "to=bob@x.example,orcpt=rfc822;bob@x.example",
        '"bob smith"@x.example',
        "bob@[192.0.2.1]",
        "bob@localhost",
        "bob%40x.example",
        "bounce+bob=x.example@list.example",
        "o'bob@x.example",
        "bob\u00e9@x.example",
        "a'%bob%40x.example@y.example",
        "postgresql://user:bob@host/db",
    ],
)
def test_what_looks_like_an_address_leaves_as_a_hash(text: str) -> None:
    redacted = Redaction(()).text(f"before {text} after")
    assert "bob" not in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")


def test_an_address_in_brackets_or_quotes_has_the_hash_of_the_address() -> None:
    redacted = Redaction(()).text("<bob@x.example> 'bob@x.example'")
    assert redacted == f"<{address_hash('bob@x.example')}> '{address_hash('bob@x.example')}'"


def test_a_text_without_address_stays_as_it_is() -> None:
    text = "at 100% of 5 @ once, l'été, @decorator, 3 > 2"
    assert Redaction(()).text(text) == text


def test_a_long_line_costs_one_pass() -> None:
    """Tried at each of its characters, this one would keep the test busy for minutes."""
    assert Redaction(()).text("x'" * 200_000 + " @").startswith("x'x'")


def test_every_secret_of_the_settings_is_known_and_the_passwords_in_urls_too() -> None:
    settings = loaded(
        AI_API_KEY="the-key",
        DATABASE_URL="postgresql://u:p%40ss@h/d",
        REDIS_URL="redis://:own@h",
        EMAIL_PASSWORD="mailbox",
    )
    wanted = {"the-key", "p%40ss", "p@ss", "own", "mailbox", GOOD["SECRET_KEY"]}
    assert wanted <= secret_values(settings)
    assert "" not in secret_values(settings)
