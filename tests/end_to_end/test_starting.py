"""Starting and ending: what cannot work is one sentence, and SIGTERM loses nothing."""

from __future__ import annotations

import socket

import pytest

from tests.end_to_end.conftest import Street
from tests.end_to_end.core import Core
from tests.end_to_end.house import until
from tests.end_to_end.sink_mail import wait_for_replies
from tests.end_to_end.test_answers import wrong
from tests.end_to_end.writers import send, write_many
from tests.servers.process import HOST, free_port
from tests.servers.smtp_sink import SmtpSink


def sentences(said: str) -> list[str]:
    """What it said that is no event of its log."""
    return [line for line in said.splitlines() if not line.startswith("{")]


def test_a_second_run_on_the_same_data_is_refused(street: Street) -> None:
    house = street.open()
    code, said = house.refuses(listen_port=free_port())
    assert code == 2
    [sentence] = sentences(said)
    assert sentence.startswith("EMAIL_DATA_DIR is in use by another run")
    assert house.running


def test_another_secret_key_is_refused_and_the_old_one_still_opens(street: Street) -> None:
    house = street.open()
    house.stop()
    code, said = house.refuses(secret_key="another secret key, long enough for anybody")
    assert code == 2
    [sentence] = sentences(said)
    assert sentence.startswith("SECRET_KEY is not the one")
    house.start()


def test_an_unreachable_database_is_one_sentence(street: Street) -> None:
    house = street.build(database_url=f"postgresql://me:hunter2@{HOST}:{free_port()}/mail")
    code, said = house.refuses()
    assert code == 2
    [sentence] = sentences(said)
    assert "DATABASE_URL" in sentence
    assert "hunter2" not in said


def test_a_relay_that_is_this_server_is_refused(street: Street) -> None:
    port = free_port()
    house = street.build(listen_port=port, relay_port=port)
    code, said = house.refuses()
    assert code == 2
    [sentence] = sentences(said)
    assert sentence.startswith("SMTP_HOST is this server")


def test_a_port_in_use_is_one_sentence(street: Street) -> None:
    house = street.build()
    with socket.create_server((HOST, house.port)):
        code, said = house.refuses()
    assert code == 2
    [sentence] = sentences(said)
    assert sentence.startswith("LISTEN_HOST and LISTEN_PORT cannot be bound")
    house.start()


@pytest.mark.parametrize("patient", [True, False], ids=["finished", "handed back"])
def test_sigterm_finishes_work_or_hands_it_back(
    patient: bool, street: Street, sink: SmtpSink, core: Core
) -> None:
    core.behave(delay_s=1.5)
    house = street.open(drain_timeout=5 if patient else 0, ai_timeout=30)
    mails = write_many(2)
    outcomes = send(house.port, mails)
    until(lambda: core.count == 2, what="both mails in work")
    house.stop()
    assert house.exit_code == 0
    assert [event["event"] for event in house.events()][-1] == "stopped"
    if patient:
        assert house.states() == {"answered": 2}
    else:
        rows = house.sql("SELECT state, worker, attempts, lost FROM email_message")
        assert rows == [("waiting", None, 0, 0)] * 2
        core.behave(delay_s=0)
        house.start()
        house.wait_for(answered=2)
    assert {sent.code for sent in outcomes} == {250}
    assert wrong(mails, wait_for_replies(sink, 2)) == []


def test_sigterm_in_the_middle_of_a_burst_loses_nothing_that_was_taken(
    street: Street, sink: SmtpSink, core: Core
) -> None:
    core.behave(delay_s=0.2)
    house = street.open(max_emails_per_hour=1000)
    mails = write_many(40)
    assert {sent.code for sent in send(house.port, mails)} == {250}
    house.stop()
    assert house.exit_code == 0
    assert house.states()["answered"] < 40  # else this test has stopped it too late
    house.start()
    house.wait_for(answered=40)
    assert wrong(mails, wait_for_replies(sink, 40)) == []
