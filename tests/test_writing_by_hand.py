"""Replies without HTML: a person's own, and the AI's to people who want none."""

from __future__ import annotations

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from handlers import writing
from handlers.letter import Letter
from handlers.signing import Signer
from handlers.writing import Frame, ReplyWriter
from smtpd.errors import Permanent
from smtpd.returnpath import ticket_of
from tests.keys import published
from tests.letters import a_letter, a_record, an_answer
from tests.test_writing import KEY, LETTERHEAD, NOW, TOKEN, read


def by_hand(text: str = "Cinq semaines.\n\nJeanne", letter: Letter | None = None) -> bytes:
    return writing.compose_by_hand(
        a_record(), letter or a_letter(), text, LETTERHEAD, now=NOW, token=TOKEN
    )


def test_a_person_s_reply_reads_like_a_person_s_mail() -> None:
    letter = a_letter(references=("<q0@client.example>",))
    assert by_hand(letter=letter).decode().split("\r\n")[:-1] == [
        "From: ai@us.example",
        "To: Camille Renard <camille@client.example>",
        "Subject: Re: Mes droits",
        "Date: Mon, 23 Nov 2026 10:00:00 +0000",
        f"Message-ID: <{TOKEN}@us.example>",
        "In-Reply-To: <q1@client.example>",
        "References: <q0@client.example> <q1@client.example>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: quoted-printable",
        "",
        "Cinq semaines.",
        "",
        "Jeanne",
        "",
        "23/11/2026 09:30 UTC, Camille Renard:",
        "> Bonjour,",
        ">",
        "> Combien de jours de cong=C3=A9 ai-je par an ?",
        ">",
        "> Merci, Camille",
    ]


def test_a_mail_that_could_not_be_read_is_answered_without_a_quote() -> None:
    assert by_hand("Oui.", a_letter(new_text="")).endswith(b"\r\n\r\nOui.\r\n")


def test_a_person_s_text_is_no_markdown_and_no_markup() -> None:
    text = "*x* <b> & {{ y }}"
    assert text in read(by_hand(text)).get_content()


def test_no_line_of_a_person_s_reply_is_too_long_or_eight_bit() -> None:
    raw = by_hand("é" * 5000 + " " + "x" * 5000)
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    assert b"\n" not in raw.replace(b"\r\n", b"")


def test_without_an_author_nobody_can_be_answered_by_hand() -> None:
    with pytest.raises(Permanent, match="no address"):
        writing.compose_by_hand(a_record(""), a_letter(), "x", LETTERHEAD, now=NOW, token=TOKEN)


def test_a_person_s_reply_is_signed_and_comes_back_to_its_ticket() -> None:
    key = rsa.generate_private_key(65537, 2048)
    signer = Signer("us.example", "default", key)
    writer = ReplyWriter(LETTERHEAD, signer=signer, mail_from="token", key=KEY)
    outgoing = writer.write_by_hand(a_record(), a_letter(), "Cinq semaines.")
    record = published(key).encode()
    assert dkim.DKIM(outgoing.raw).verify(dnsfunc=lambda name, timeout=5: record)
    assert ticket_of(outgoing.mail_from, KEY, "us.example") == "01hzyticket"
    assert outgoing.rcpt_to == "camille@client.example"
    assert read(outgoing.raw)["Message-ID"] == outgoing.message_id


@pytest.mark.parametrize(("wants", "kind"), [("", "multipart/alternative"), ("text", "text/plain")])
def test_who_wants_no_html_gets_none(wants: str, kind: str) -> None:
    raw = writing.compose(
        a_record(wants=wants),
        a_letter(),
        an_answer("Vous avez **cinq** semaines."),
        LETTERHEAD,
        Frame(writing.TEMPLATES / "fr"),
        now=NOW,
        token=TOKEN,
    )
    message = read(raw)
    assert message.get_content_type() == kind
    assert message["Auto-Submitted"] == "auto-replied"
    plain = message.get_body(("plain",))
    assert plain is not None
    assert "\nVous avez cinq semaines.\n" in plain.get_content().replace("\r\n", "\n")
