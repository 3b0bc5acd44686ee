"""Many people write at once; each is answered once, and with the answer to their own mail."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tests.end_to_end.conftest import Street
from tests.end_to_end.core import Core
from tests.end_to_end.sink_mail import Reply, by_question, replies, wait_for_replies
from tests.end_to_end.writers import Mail, send, taken, write_many
from tests.servers.opendkim import OpenDkim
from tests.servers.redis import RedisServer
from tests.servers.smtp_sink import SmtpSink

OPENDKIM_CHECKS = 5  # a process each; dkimpy looks at all of them


def wrong(mails: Sequence[Mail], found: Iterable[Reply]) -> list[str]:
    """What is not as it should be: each mail answered once, to its author, with its own answer."""
    marks = {mail.mark for mail in mails}
    answered = by_question(list(found))
    faults = [
        f"nobody asked for {asked}" for asked in answered.keys() - {m.message_id for m in mails}
    ]
    for mail in mails:
        got = answered.get(mail.message_id, [])
        if len(got) != 1:
            faults.append(f"{mail.message_id} was answered {len(got)} times")
        for reply in got:
            if reply.rcpt_to != (mail.sender,) or mail.sender not in reply.to:
                faults.append(f"the answer to {mail.sender} went to {reply.rcpt_to}, {reply.to}")
            in_it = marks & set(re.findall(r"\d{4}-\d\d-\d\d", reply.text))
            if in_it != {mail.mark}:
                faults.append(f"the answer to {mail.mark} speaks of {in_it}")
    return faults


def test_two_hundred_people_are_each_answered_once(
    street: Street,
    by_postfix: dict[str, object],
    database_url: str,
    redis: RedisServer,
    sink: SmtpSink,
    core: Core,
    opendkim: OpenDkim,
) -> None:
    # All caps at their defaults but the hour's, which would let 100 wait.
    house = street.open(
        **by_postfix, database_url=database_url, redis_url=redis.url, max_emails_per_hour=1000
    )
    mails = write_many(200)
    outcomes = send(house.port, mails)
    assert Counter(sent.code for sent in outcomes) == {250: 200}
    house.wait_for(answered=200)
    found = wait_for_replies(sink, 200)
    assert wrong(mails, found) == []
    assert core.count == 200
    assert len({reply.message_id for reply in found}) == 200
    assert {reply.auto_submitted for reply in found} == {"auto-replied"}
    record = house.dkim_record()
    assert [reply.message_id for reply in found if not reply.is_signed(record)] == []
    for reply in found[:OPENDKIM_CHECKS]:
        judged = opendkim.verify(reply.raw, {reply.signed_by: record})
        assert judged.passed, judged.said


def test_a_changed_reply_is_not_taken_for_ours(street: Street, sink: SmtpSink) -> None:
    house = street.open()
    send(house.port, write_many(1))
    [reply] = wait_for_replies(sink, 1)
    assert reply.is_signed(house.dkim_record())
    assert not Reply(
        mail_from=reply.mail_from,
        rcpt_to=reply.rcpt_to,
        raw=reply.raw.replace(b"Auto-Submitted: auto-replied", b"Auto-Submitted: no"),
        parsed=reply.parsed,
    ).is_signed(house.dkim_record())


def test_a_delivery_that_comes_again_gets_the_same_ticket_and_one_answer(
    street: Street, sink: SmtpSink
) -> None:
    house = street.open()
    [mail] = write_many(1)
    first, again = send(house.port, [mail, mail], connections=1)
    assert first.code == again.code == 250
    assert first.ticket == again.ticket
    house.wait_for(answered=1)
    [late] = send(house.port, [mail])
    assert late.ticket == first.ticket
    assert house.mails() == {first.ticket: "answered"}
    assert wrong([mail], replies(sink)) == []
    assert taken([late])
