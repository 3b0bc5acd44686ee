"""Mail clients that other people wrote."""

from __future__ import annotations

import subprocess

from tests.end_to_end.conftest import Street
from tests.end_to_end.sink_mail import wait_for_replies
from tests.servers.process import find_program
from tests.servers.smtp_sink import SmtpSink


def test_a_person_with_swaks_is_answered_in_the_thread(street: Street, sink: SmtpSink) -> None:
    house = street.open()
    spoken = subprocess.run(
        [
            find_program("swaks"),
            *("--server", "127.0.0.1", "--port", str(house.port)),
            *("--from", "camille@example.com", "--to", "ai@us.example"),
            *("--header", "Subject: Mon préavis", "--header", "Message-Id: <swaks.1@example.com>"),
            *("--body", "Bonjour, quel est mon préavis ?"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "250 2.0.0 Message taken as" in spoken.stdout
    house.wait_for(answered=1)
    [reply] = wait_for_replies(sink, 1)
    assert reply.rcpt_to == ("camille@example.com",)
    assert reply.in_reply_to == "<swaks.1@example.com>"


def test_postfixs_own_generator_gets_every_mail_taken(street: Street) -> None:
    house = street.open(testing_answer_unproven="false")
    subprocess.run(
        [
            find_program("smtp-source"),
            *("-s", "10", "-m", "100", "-l", "4000", "-d"),
            *("-f", "camille@example.com", "-t", "ai@us.example"),
            f"127.0.0.1:{house.port}",
        ],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert sum(house.states().values()) == 100
