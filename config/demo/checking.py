"""What must be true of the demonstration's replies. Pure: bytes in, claims and findings out."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage

import dkim

from config.demo import letters
from config.demo.telling import Check, text_of
from smtpd.mail import Arrival

UNPROVEN_CODE = 550


def parsed(raw: bytes) -> EmailMessage:
    """The mail as Python's own parser reads it: not the code that wrote it."""
    mail = message_from_bytes(raw, policy=policy.default)
    assert isinstance(mail, EmailMessage)  # noqa: S101 (the policy says so; this is for the type)
    return mail


def every_reply(sent: EmailMessage, arrival: Arrival, dkim_record: str) -> list[Check]:
    """What holds for any reply to `sent`."""
    reply = parsed(arrival.raw)
    sent_id = str(sent["Message-ID"])
    return [
        Check(
            claim=f"the reply goes to its author alone, {letters.AUTHOR}",
            holds=arrival.rcpt_to == (letters.AUTHOR,),
        ),
        Check(
            claim="it stands in the thread of the mail it answers",
            holds=reply["In-Reply-To"] == sent_id and sent_id in str(reply["References"]),
        ),
        Check(
            claim="it says that no person wrote it (Auto-Submitted)",
            holds=reply["Auto-Submitted"] == "auto-replied",
        ),
        Check(
            claim="its DKIM signature verifies with the key we would publish",
            holds=is_signed(arrival.raw, dkim_record),
        ),
        Check(
            claim="it has a text and an HTML part",
            holds=bool(text_of(reply) and text_of(reply, "html")),
        ),
    ]


def first_reply(arrival: Arrival) -> list[Check]:
    """What holds for the answer to the first mail."""
    return [
        Check(
            claim=f'the attached file was read: "{letters.SIGNED_ON}" stands nowhere else',
            holds=letters.SIGNED_ON in _new_text(arrival),
        )
    ]


def second_reply(arrival: Arrival) -> list[Check]:
    """What holds for the answer to the follow-up."""
    return [
        Check(
            claim="it knows the first mail of the thread: it names the file number "
            f"{letters.FILE_NUMBER}, which the follow-up does not",
            holds=letters.FILE_NUMBER in _new_text(arrival),
        )
    ]


def is_signed(raw: bytes, record: str) -> bool:
    """Whether the topmost DKIM signature verifies with the given key record."""
    try:
        return bool(dkim.verify(raw, dnsfunc=lambda _name, timeout=0: record.encode()))
    except dkim.DKIMException:
        return False


def _new_text(arrival: Arrival) -> str:
    """The reply's text without the lines it quotes."""
    lines = text_of(parsed(arrival.raw)).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(">"))
