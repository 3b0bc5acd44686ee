"""The +tag that names a conversation, on the way out and on the way in."""

from __future__ import annotations

from email import message_from_bytes, policy

import pytest

from handlers.threadtag import tagged, thread_of
from handlers.writing import Letterhead, ReplyWriter
from tests.letters import a_letter, a_record, an_answer


def test_what_is_tagged_is_read_again_whatever_its_case() -> None:
    assert thread_of(tagged("ai@us.example", "01hzyticket")) == "01hzyticket"
    assert thread_of("AI+C-01HZYTICKET@US.EXAMPLE") == "01hzyticket"


@pytest.mark.parametrize("address", ["ai@us.example", "ai+news@us.example", "c-1@us.example", ""])
def test_another_address_names_no_conversation(address: str) -> None:
    assert thread_of(address) == ""


@pytest.mark.parametrize(("wanted", "thread_id"), [(True, a_record().thread_id), (False, None)])
async def test_a_reply_asks_for_answers_at_the_tag_where_that_is_wanted(
    wanted: bool, thread_id: str | None
) -> None:
    letterhead = Letterhead(
        name="AI",
        address="ai@us.example",
        domain="us.example",
        person_address="postmaster@us.example",
        reply_tag=wanted,
    )
    writer = ReplyWriter(letterhead, signer=None, mail_from="null", key=b"k" * 32)
    outgoing = await writer.write(a_record(), a_letter(), an_answer())
    reply_to = message_from_bytes(outgoing.raw, policy=policy.default)["Reply-To"]
    assert (thread_of(reply_to) if reply_to else None) == thread_id
