"""What a person decides beside the running house is done by it."""

from __future__ import annotations

from tests.end_to_end.conftest import Street
from tests.end_to_end.house import House
from tests.end_to_end.sink_mail import wait_for_replies
from tests.end_to_end.writers import send, write
from tests.servers.smtp_sink import SmtpSink


def does(house: House, *arguments: str) -> str:
    """What the command says, which has to succeed."""
    code, said = house.command_line(*arguments)
    assert code == 0, said
    return said


def test_held_mail_is_approved_rejected_and_answered_by_hand(
    street: Street, sink: SmtpSink
) -> None:
    house = street.open(testing_answer_unproven="false")
    approved, rejected, by_hand = (sent.ticket for sent in send(house.port, [
        write(1), write(2), write(3)
    ], connections=1))  # fmt: skip
    house.wait_for(held=3)
    for email_id in (approved, rejected, by_hand):
        assert email_id in does(house, "mail", "list")
    does(house, "mail", "approve", approved)
    does(house, "mail", "reply", by_hand, "--text", "A person says yes.")
    does(house, "mail", "reject", rejected)
    house.wait_for(answered=2, unanswered=1)
    assert "No mail needs a person." in does(house, "mail", "list")
    replies = {"A person says yes." in reply.text: reply for reply in wait_for_replies(sink, 2)}
    assert replies[False].auto_submitted == "auto-replied"
    own = replies[True]
    assert own.parsed["Auto-Submitted"] is None
    assert own.parsed["X-AI-Generated"] is None
    assert own.parsed.get_content_type() == "text/plain"
    assert own.is_signed(house.dkim_record())
    story = [line["event"] for line in house.explain(by_hand)["story"]]
    assert story == ["received", "replied", "answered"]
    assert "a person, since" in does(house, "mail", "show", by_hand)
    assert "again" in does(house, "mail", "hand-back", by_hand)


def test_who_wants_no_html_gets_none(street: Street, sink: SmtpSink) -> None:
    house = street.open()
    mail = write(1)
    does(house, "user", "set", mail.sender, "--format", "text", "--create")
    send(house.port, [mail])
    [reply] = wait_for_replies(sink, 1)
    assert reply.parsed.get_content_type() == "text/plain"
    house.wait_for(answered=1)
    assert "answers          1" in does(house, "user", "show", mail.sender)
