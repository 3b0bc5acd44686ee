"""`server.py explain` tells each mail's story from the database alone.

What it tells of retried and failed mail stands in test_neighbours_away.py.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.end_to_end.conftest import Street
from tests.end_to_end.writers import send, write


def test_an_answered_mail_tells_its_stages(street: Street) -> None:
    house = street.open()
    mail = write(1)
    [sent] = send(house.port, [mail])
    house.wait_for(answered=1)
    house.stop()
    house.log_file.write_text("")  # the database is enough
    told = house.explain(sent.ticket)
    assert (told["state"], told["because"]) == ("answered", "250 2.0.0 Ok")
    assert [line["event"] for line in told["story"]] == ["received", "written", "answered"]
    assert told["sender"] == mail.sender
    assert told["subject"] == "My question b"
    assert told["message_id"] == mail.message_id
    assert told["attempts"] == 1


def test_a_held_mail_names_the_rule_and_the_setting(street: Street) -> None:
    house = street.open(testing_answer_unproven="false")
    [unproven] = send(house.port, [write(1)])
    house.stop()
    house.change(testing_answer_unproven="true")
    house.start()
    long_ago = datetime.now(UTC) - timedelta(days=30)
    [old] = send(house.port, [write(2, written_at=long_ago)])
    house.stop()
    told = house.explain(unproven.ticket)
    # Over loopback the client's own address is lost, and nothing is refused for that.
    assert (told["state"], told["setting"]) == ("held", "TRUSTED_NETWORKS")
    assert "neither SPF nor DKIM" in told["because"]
    told = house.explain(old.ticket)
    assert (told["state"], told["setting"]) == ("held", "MAX_AGE_TO_ANSWER")
    code, said = house.command_line("explain", "nothing-like-it")
    assert code == 1
    assert said.startswith("There is no mail nothing-like-it in this database;")
