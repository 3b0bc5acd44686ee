"""What reaches the person who runs the house, through a real relay, and what never comes back."""

from __future__ import annotations

import re
import smtplib

import pytest

from tests.conftest import installed
from tests.end_to_end.conftest import Street
from tests.end_to_end.house import ADDRESS, House, until
from tests.end_to_end.sink_mail import Reply, replies
from tests.servers.process import HOST
from tests.servers.smtp_sink import SmtpSink

OPERATOR = "me@else.example"
RATE = 12

Settings = dict[str, object]


@pytest.fixture
def told() -> Settings:
    """Settings of a house with an operator, whose digest comes late in the day."""
    return {"operator_address": OPERATOR, "operator_digest_hour": 23}


def complaint(number: int, *, sender: str = "ada@people.example", extra: str = "") -> bytes:
    lines = (
        f"From: Ada <{sender}>",
        "To: postmaster@us.example",
        f"Subject: Réclamation {number}",
        f"Message-ID: <complaint-{number}@people.example>",
        *([extra] if extra else []),
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        f"N° {number}: déjà vu  ",
        "From the beginning of a line",
        ".",
        "",
    )
    return "\r\n".join(lines).encode()


def hand_in(
    house: House,
    raw: bytes,
    *,
    to: str = "postmaster@us.example",
    sender: str = "ada@people.example",
) -> None:
    with smtplib.SMTP(HOST, house.port, timeout=30) as client:
        client.sendmail(sender, [to], raw, mail_options=["BODY=8BITMIME"])


def arrived(sink: SmtpSink, words: str, count: int = 1) -> list[Reply]:
    """The mails to the operator with these words in their subject, once so many are there."""

    def found() -> list[Reply]:
        mails = [one for one in replies(sink) if one.rcpt_to == (OPERATOR,)]
        return [one for one in mails if words in str(one.parsed["Subject"])]

    until(lambda: len(found()) >= count, what=f"{count} mails of {words}", every_s=0.3)
    return found()


def test_mail_to_postmaster_arrives_as_it_was_written(
    street: Street, sink: SmtpSink, by_postfix: Settings, told: Settings
) -> None:
    house = street.open(**by_postfix, **told)
    raw = complaint(1)
    hand_in(house, raw)
    [notice] = arrived(sink, "Mail to postmaster@")
    assert notice.mail_from == ""
    assert raw in notice.raw
    assert notice.is_signed(house.dkim_record())
    [attached] = notice.parsed.iter_attachments()
    assert attached.get_content_type() == "message/rfc822"
    assert attached.get_content()["Subject"] == "Réclamation 1"
    assert house.events()[-1]["event"] != "trouble"


def test_a_relay_without_8bitmime_is_given_a_file(street: Street, told: Settings) -> None:
    with installed(lambda: SmtpSink(options=("-8",))) as sink:
        house = street.open(relay_port=sink.port, **told)
        hand_in(house, complaint(1))
        [notice] = arrived(sink, "Mail to postmaster@")
        [attached] = notice.parsed.iter_attachments()
        assert attached.get_filename() == "message.eml"
        assert complaint(1) in attached.get_content()


def test_nothing_that_comes_back_of_a_notice_causes_another(
    street: Street, sink: SmtpSink, told: Settings
) -> None:
    house = street.open(**told)
    hand_in(house, complaint(1))
    [notice] = arrived(sink, "Mail to postmaster@")
    ident = notice.message_id
    away = f"In-Reply-To: {ident}\r\nAuto-Submitted: auto-replied"
    bounce = complaint(2, extra="Content-Type: message/rfc822") + notice.raw[:4000]
    bounce = re.sub(rb"(?<!\r)\n", b"\r\n", bounce)
    hand_in(house, complaint(3, sender=OPERATOR, extra=away), to=ADDRESS, sender="")
    hand_in(house, complaint(4, sender=OPERATOR, extra=away), to=ADDRESS, sender=OPERATOR)
    by_hand = f"References: {ident}"
    hand_in(house, complaint(5, sender="me@home.example", extra=by_hand), to=ADDRESS)
    hand_in(house, complaint(6, sender=OPERATOR), to="abuse@us.example", sender=OPERATOR)
    hand_in(house, bounce, sender="")
    hand_in(house, complaint(7), to="abuse@us.example")
    arrived(sink, "Mail to abuse@")  # what came before it has had its turn
    house.wait_for(kept=7)
    subjects = [str(one.parsed["Subject"]) for one in replies(sink)]
    assert subjects == ["[us.example] Mail to postmaster@", "[us.example] Mail to abuse@"]


def test_a_days_digest_arrives_once_whatever_happens_to_the_house(
    street: Street, sink: SmtpSink, told: Settings
) -> None:
    house = street.open(**told | {"operator_digest_hour": 0})
    arrived(sink, "0 received, 0 answered")
    house.kill()
    house.start()
    house.stop()
    house.start()
    hand_in(house, complaint(1))
    arrived(sink, "Mail to postmaster@")
    assert len(arrived(sink, " received, ")) == 1


def test_without_an_address_the_log_hears_the_same(street: Street, sink: SmtpSink) -> None:
    house = street.open(operator_digest_hour=0)
    hand_in(house, complaint(1))
    until(
        lambda: {"notice", "digest"} <= {one["event"] for one in house.events()},
        what="notice and digest in the log",
    )
    [notice] = [one for one in house.events() if one["event"] == "notice"]
    assert notice["kind"] == "filed"
    assert notice["ticket"] in house.mails()
    assert sink.mails() == []


def test_a_hundred_complaints_cause_no_flood_and_hide_no_fuse(
    street: Street, sink: SmtpSink, told: Settings
) -> None:
    house = street.open(**told)
    for number in range(100):
        hand_in(house, complaint(number), to="abuse@us.example")
    house.wait_for(kept=100)
    until(lambda: len(sink.mails()) >= RATE - RATE // 4, what="the mails of this hour")
    house.sql(
        "INSERT INTO notice (key, kind, at, text) VALUES ('fuse:x', 'fuse', 0, 'a fuse blew')"
    )
    arrived(sink, "fuse blew")
    assert house.sql("SELECT count(*) FROM notice WHERE sent_at IS NULL") == [(0,)]
    assert len(sink.mails()) <= RATE
