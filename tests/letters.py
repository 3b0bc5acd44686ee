"""One everyday mail at the stages of the back office, for tests to change one thing of."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from handlers.letter import Answer, Attachment, Claim, Letter, Record, Said
from smtpd.headers import scan
from smtpd.mail import Arrival

NOW = datetime(2026, 11, 23, 9, 30, 5, tzinfo=UTC)
QUESTION = "Bonjour,\n\nCombien de jours de congé ai-je par an ?\n\nMerci, Camille"


def a_letter(**changes: Any) -> Letter:
    letter = Letter(
        sender="camille@client.example",
        sender_name="Camille Renard",
        subject="Mes droits",
        message_id="<q1@client.example>",
        references=(),
        body_text=QUESTION,
        body_html="",
        new_text=QUESTION,
    )
    return replace(letter, **changes)


def an_attachment(**changes: Any) -> Attachment:
    attachment = Attachment(
        filename="contrat.pdf",
        content_type="application/pdf",
        size=20000,
        sha256="0" * 64,
        text="Article 1. Durée.",
        what_was_read="all",
        because="",
    )
    return replace(attachment, **changes)


def a_record(author: str = "camille@client.example", **changes: Any) -> Record:
    raw = f"From: {author}\r\nMessage-ID: <q1@client.example>\r\n\r\nBonjour\r\n".encode()
    arrival = Arrival(
        id="01hzyticket",
        peer=None,
        mail_from=author,
        rcpt_to=("ai@us.example",),
        raw=raw,
        headers=scan(raw),
        received_at=NOW,
    )
    record = Record(arrival=arrival, thread_id="thread-7", outgoing=None, fetched_at=NOW)
    return replace(record, **changes)


def a_claim(**changes: Any) -> Claim:
    claim = Claim(id="01hzyticket", number=1, person="0" * 64, attempts=1, received_at=NOW)
    return replace(claim, **changes)


def an_answer(text: str = "Vous avez **cinq semaines**.", **changes: Any) -> Answer:
    return replace(Answer(text=text, model="mistral-7b-instruct"), **changes)


def said(role: str, content: str, day: int) -> Said:
    return Said(role=role, content=content, date=datetime(2026, 11, day, 8, 0, tzinfo=UTC))
