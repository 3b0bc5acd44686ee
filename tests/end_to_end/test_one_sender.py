"""One sender writes without end: the others do not notice, and it is paced, then held."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from config.courtesy_settings import CourtesySettings
from config.settings import WorkerSettings
from tests.end_to_end.conftest import CAMPAIGN, Street
from tests.end_to_end.house import House, until
from tests.end_to_end.sink_mail import replies
from tests.end_to_end.test_answers import wrong
from tests.end_to_end.writers import Sent, send, write, write_many
from tests.servers.smtp_sink import SmtpSink

MAILS = 10_000 if CAMPAIGN else 1_000
OTHERS = 60
DOMAIN = "provider.example"
KEEN = f"keen@{DOMAIN}"
WAITING_MAX = CourtesySettings().sender_waiting_max
AN_HOUR = WorkerSettings().answers_per_sender_per_hour


def states_of(house: House, outcomes: Iterable[Sent]) -> Counter[str]:
    mails = house.mails()
    return Counter(mails[sent.ticket] for sent in outcomes)


def paced(house: House) -> int:
    """How many mails wait for an hour with room in it."""
    query = "SELECT count(*) FROM email_message WHERE state = 'waiting' AND worker IS NULL"
    return int(house.sql(f"{query} AND not_before IS NOT NULL")[0][0])


def attempts_and_seconds(house: House, outcomes: Iterable[Sent]) -> list[tuple[int, float]]:
    """How often each was tried, and how long after its arrival it was answered."""
    rows = house.sql("SELECT id, attempts, ended_at - received_date FROM email_message")
    found = {row[0]: (row[1], row[2]) for row in rows}
    return [found[sent.ticket] for sent in outcomes]


@pytest.mark.campaign
def test_one_sender_of_very_much_is_paced_then_held_and_the_others_do_not_wait(
    street: Street, sink: SmtpSink
) -> None:
    house = street.open(max_emails_per_hour=1000)
    others = write_many(OTHERS, first=30_000)
    with ThreadPoolExecutor(1) as pool:
        began_at = time.monotonic()
        flood = pool.submit(send, house.port, [write(n, sender=KEEN) for n in range(MAILS)])
        until(lambda: house.states()["held"] > MAILS // 10, what="a flood", every_s=0.05)
        meanwhile = send(house.port, others, connections=2)
        assert not flood.done()
        outcomes = flood.result()
        took_s = time.monotonic() - began_at
    assert {sent.code for sent in (*outcomes, *meanwhile)} == {250}
    until(lambda: states_of(house, meanwhile)["answered"] == OTHERS, what="the others' answers")
    until(lambda: paced(house) == WAITING_MAX, what="the keen one's mails wait")
    assert states_of(house, outcomes) == {
        "answered": AN_HOUR,
        "waiting": WAITING_MAX,
        "held": MAILS - AN_HOUR - WAITING_MAX,
    }
    tried = attempts_and_seconds(house, meanwhile)
    print(  # noqa: T201 (figures for whoever asks with -s)
        f"{MAILS / took_s:.0f} mails a second taken of one sender; the others answered after "
        f"{max(seconds for _, seconds in tried):.2f} s at most"
    )
    assert {attempts for attempts, _ in tried} == {1}
    theirs = [reply for reply in replies(sink) if DOMAIN not in reply.to]
    assert wrong(others, theirs) == []
    assert (len(house.notices("crowd")), house.notices("fuse")) == (1, [])
    mails = house.mails()
    last_held = next(sent for sent in reversed(outcomes) if mails[sent.ticket] == "held")
    told = house.explain(last_held.ticket)
    assert (told["because"], told["setting"]) == (
        f"{WAITING_MAX} mails of its sender wait for their answers already",
        "SENDER_WAITING_MAX",
    )
    waits = next(sent for sent in outcomes if mails[sent.ticket] == "waiting")
    told = house.explain(waits.ticket)
    assert told["story"][-1]["because"] == "the hour's answers to this sender are used up"
