"""Rates do not refuse: what is over the hour's answers waits, and so says its story."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.end_to_end.conftest import Street
from tests.end_to_end.core import Core
from tests.end_to_end.house import House, until
from tests.end_to_end.sink_mail import replies
from tests.end_to_end.writers import send, write, write_many
from tests.servers.smtp_sink import SmtpSink


def waiting_for_later(house: House) -> list[tuple[str, float]]:
    """Ids and due times of what has to wait, each more than a retry's first step."""
    return [
        (str(row[0]), float(row[1]))
        for row in house.sql(
            "SELECT id, not_before FROM email_message WHERE state = 'waiting' "
            "AND worker IS NULL AND not_before IS NOT NULL"
        )
    ]


def test_of_eight_mails_in_an_hour_of_five_three_wait(
    street: Street, sink: SmtpSink, core: Core
) -> None:
    house = street.open(max_emails_per_hour=5)
    outcomes = send(house.port, write_many(8))
    assert {sent.code for sent in outcomes} == {250}
    house.wait_for(answered=5)
    until(lambda: len(waiting_for_later(house)) == 3, what="three wait")
    # They come free with the hour's first answer, about an hour from now.
    due_in_s = [due - datetime.now(UTC).timestamp() for _, due in waiting_for_later(house)]
    assert all(3000 < seconds <= 3600 for seconds in due_in_s)
    assert house.states() == {"answered": 5, "waiting": 3}
    assert core.count == 5
    assert len(replies(sink)) == 5
    told = house.explain(waiting_for_later(house)[0][0])
    assert told["attempts"] == 0
    assert ("retry", "the hour's answers to all are used up") in [
        (line["event"], line["because"]) for line in told["story"]
    ]


def test_one_sender_waits_and_the_others_do_not(street: Street, sink: SmtpSink) -> None:
    house = street.open(answers_per_sender_per_hour=2)
    keen = [write(number, sender="keen@people.example") for number in range(1, 5)]
    send(house.port, [*keen, write(9)], connections=1)
    house.wait_for(answered=3)
    until(lambda: len(waiting_for_later(house)) == 2, what="two wait")
    answered = sorted(reply.rcpt_to[0] for reply in replies(sink))
    assert answered == ["keen@people.example", "keen@people.example", "writer9@people2.example"]


def test_an_old_mail_is_held_for_a_person(street: Street, sink: SmtpSink, core: Core) -> None:
    house = street.open()
    four_days_ago = datetime.now(UTC) - timedelta(days=4)
    old, fresh = write(1, written_at=four_days_ago), write(2)
    outcomes = send(house.port, [old, fresh], connections=1)
    assert [sent.code for sent in outcomes] == [250, 250]
    house.wait_for(answered=1, held=1)
    told = house.explain(outcomes[0].ticket)
    assert (told["state"], told["setting"]) == ("held", "MAX_AGE_TO_ANSWER")
    assert core.count == 1
    assert [reply.in_reply_to for reply in replies(sink)] == [fresh.message_id]
