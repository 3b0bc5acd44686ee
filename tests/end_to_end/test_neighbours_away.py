"""A neighbour fails while mail comes: nothing that was taken is lost or answered twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from statistics import median

from config.demo.ai_core import Fault
from tests.end_to_end.conftest import Street
from tests.end_to_end.core import Core
from tests.end_to_end.house import House, until
from tests.end_to_end.sink_mail import replies, wait_for_replies
from tests.end_to_end.test_answers import wrong
from tests.end_to_end.writers import (
    Mail,
    Sent,
    send,
    send_until_taken,
    taken,
    write_many,
)
from tests.servers.postfix import PostfixRelay
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.servers.smtp_sink import SmtpSink

PUT_WITHIN_S = 0.1  # a put takes 50 ms at most; the rest is for a busy machine


def while_sending(
    house: House, mails: Sequence[Mail], disturb: Callable[[], None], *, after: int = 20
) -> list[Sent]:
    """Send all, and disturb once so many are kept; every attempt's outcome."""
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_until_taken, house.port, mails)
        until(lambda: sum(house.states().values()) >= after, what="the load", every_s=0.02)
        disturb()
        return sending.result()


def assert_each_answered_once(house: House, mails: Sequence[Mail], sink: SmtpSink) -> None:
    house.wait_for(answered=len(mails))
    assert wrong(mails, wait_for_replies(sink, len(mails))) == []
    assert house.states() == {"answered": len(mails)}


def due_again(house: House) -> int:
    """How many mails wait for another try."""
    query = "SELECT count(*) FROM email_message WHERE not_before IS NOT NULL AND worker IS NULL"
    return int(house.sql(query + " AND state IN ('waiting', 'written')")[0][0])


def try_again_now(house: House) -> None:
    """As if the backoff were over: the queue holds the due time, so the house starts anew."""
    assert house.running
    house.stop()
    house.forget_delays()
    house.start()


def test_an_emptied_redis_costs_only_time(
    street: Street, redis: RedisServer, sink: SmtpSink, core: Core
) -> None:
    core.behave(delay_s=0.1)  # so that a line forms
    house = street.open(redis_url=redis.url, max_emails_per_hour=1000)
    mails = write_many(100)
    emptied = threading.Event()

    def empty_it() -> None:
        assert redis.say("LLEN email:queue:pending") != ":0"
        assert redis.say("FLUSHALL") == "+OK"
        emptied.set()

    outcomes = while_sending(house, mails, empty_it)
    assert emptied.is_set()
    assert {sent.code for sent in outcomes} == {250}
    assert_each_answered_once(house, mails, sink)


def test_a_frozen_redis_delays_no_250_and_loses_nothing(
    street: Street, redis: RedisServer, sink: SmtpSink
) -> None:
    before = write_many(30)
    house = street.open(max_emails_per_hour=1000)
    baseline_s = median(sent.seconds for sent in send(house.port, before, connections=1))
    house.wait_for(answered=30)
    house.stop()
    sink.clear()

    house.change(redis_url=redis.url)
    house.start()
    send(house.port, write_many(1, first=500))
    house.wait_for(answered=31)
    sink.clear()
    redis.pause()
    frozen = write_many(60, first=100)
    outcomes = send(house.port, frozen, connections=1)
    redis.resume()
    assert {sent.code for sent in outcomes} == {250}
    late = [sent.seconds for sent in outcomes if sent.seconds > baseline_s + PUT_WITHIN_S]
    assert late == []
    house.wait_for(answered=91)
    assert wrong(frozen, wait_for_replies(sink, 60)) == []


def test_a_redis_that_comes_back_empty_is_filled_again(
    street: Street, redis: RedisServer, sink: SmtpSink, core: Core
) -> None:
    core.behave(delay_s=0.1)
    house = street.open(redis_url=redis.url, max_emails_per_hour=1000)
    mails = write_many(60)

    def power_cut() -> None:
        redis.kill()
        redis.start()

    outcomes = while_sending(house, mails, power_cut)
    assert {sent.code for sent in outcomes} == {250}
    assert_each_answered_once(house, mails, sink)


def test_a_restarted_postgresql_loses_nothing_and_is_451_meanwhile(
    street: Street,
    database_url: str,
    durable_postgres_server: PostgresServer,
    sink: SmtpSink,
    core: Core,
) -> None:
    core.behave(delay_s=0.05)
    house = street.open(database_url=database_url, max_emails_per_hour=1000)
    mails = write_many(80)
    while_away: list[Sent] = []

    def restart() -> None:
        durable_postgres_server.stop()
        while_away.extend(send(house.port, write_many(1, first=900)))
        durable_postgres_server.start()

    outcomes = while_sending(house, mails, restart)
    assert [sent.code for sent in while_away] == [451]
    assert {sent.code for sent in outcomes} <= {250, 451}
    assert len({sent.ticket for sent in taken(outcomes)}) == len(mails)
    # What was in work in that moment has been handed back, and waits for its next try.
    until(
        lambda: house.states()["answered"] + due_again(house) == len(mails),
        what="all answered or waiting for another try",
    )
    try_again_now(house)
    assert_each_answered_once(house, mails, sink)


def test_a_relay_that_defers_gets_the_same_reply_later(
    street: Street,
    by_postfix: dict[str, object],
    postfix_relay: PostfixRelay,
    sink: SmtpSink,
    core: Core,
) -> None:
    house = street.open(**by_postfix)
    mails = write_many(3)
    with postfix_relay.deferring():
        outcomes = send(house.port, mails)
        until(lambda: due_again(house) == 3, what="three wait for the relay")
        assert replies(sink) == []
        told = house.explain(outcomes[0].ticket)
        assert told["state"] == "written"
        assert "450" in told["story"][-1]["because"]
    try_again_now(house)
    assert_each_answered_once(house, mails, sink)
    # The stored bytes were sent: the AI was not asked again.
    assert core.count == 3
    assert house.explain(outcomes[0].ticket)["attempts"] == 2


def test_a_refused_reply_is_parked_with_its_reason_and_nobody_hears_a_bounce(
    street: Street, by_postfix: dict[str, object], postfix_relay: PostfixRelay, sink: SmtpSink
) -> None:
    house = street.open(**by_postfix)
    with postfix_relay.refusing():
        [sent] = send(house.port, write_many(1))
        house.wait_for(failed=1)
    told = house.explain(sent.ticket)
    assert told["state"] == "failed"
    assert "550" in told["because"]
    assert [line["event"] for line in told["story"]] == ["received", "written", "failed"]
    assert replies(sink) == []
    assert postfix_relay.queued() == []


def test_a_relay_that_is_down_gets_the_reply_when_it_is_back(
    street: Street, by_postfix: dict[str, object], postfix_relay: PostfixRelay, sink: SmtpSink
) -> None:
    house = street.open(**by_postfix)
    mails = write_many(3)
    postfix_relay.stop()
    try:
        send(house.port, mails)
        until(lambda: due_again(house) == 3, what="three wait for the relay")
    finally:
        postfix_relay.start()
    try_again_now(house)
    assert_each_answered_once(house, mails, sink)


def test_a_relay_that_cannot_prove_itself_gets_nothing(
    street: Street, by_postfix: dict[str, object], postfix_relay: PostfixRelay, sink: SmtpSink
) -> None:
    # No STARTTLS is offered; then it is, by a certificate of an authority we do not know.
    house = street.open(**{**by_postfix, "relay_port": postfix_relay.plain_port})
    mails = write_many(1)
    [sent] = send(house.port, mails)
    until(lambda: due_again(house) == 1, what="it waits for a relay that offers TLS")
    house.change(smtp_port=postfix_relay.port, smtp_ca_file="")
    try_again_now(house)
    until(lambda: due_again(house) == 1, what="it waits for a relay to trust")
    assert len(house.explain(sent.ticket)["story"]) == 4  # received, written, and two tries
    assert replies(sink) == []
    house.change(smtp_ca_file=by_postfix["smtp_ca_file"])
    try_again_now(house)
    assert_each_answered_once(house, mails, sink)


def test_a_failing_ai_core_makes_mail_wait(street: Street, sink: SmtpSink, core: Core) -> None:
    house = street.open(ai_timeout=1)
    faults = (Fault.ERROR, Fault.BUSY, Fault.HTML_PAGE, Fault.DRIP)
    mails = write_many(len(faults))
    tickets: dict[Fault, str] = {}
    for number, fault in enumerate(faults, 1):
        core.behave(fault=fault, retry_after="3600")
        [sent] = send(house.port, [mails[number - 1]])
        tickets[fault] = sent.ticket
        until(lambda: due_again(house) == len(tickets), what=f"it waits after {fault}")
    assert replies(sink) == []
    busy = house.explain(tickets[Fault.BUSY])
    asked_at = datetime.fromisoformat(busy["story"][-1]["at"])
    # As long as Retry-After asks for, less the moments between the reply and this note.
    assert datetime.fromisoformat(busy["not_before"]) - asked_at > timedelta(seconds=3590)
    page = house.explain(tickets[Fault.HTML_PAGE])
    assert page["state"] == "waiting"
    assert "the AI gave no usable answer" in page["story"][-1]["because"]
    core.behave(fault=Fault.NOTHING)
    try_again_now(house)
    assert_each_answered_once(house, mails, sink)
    told = house.explain(tickets[Fault.HTML_PAGE])
    assert [line["event"] for line in told["story"]] == ["received", "retry", "written", "answered"]
    assert told["attempts"] == 2
