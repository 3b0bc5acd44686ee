"""What the AI core is told of a conversation, and what is answered together.

The whole of every request is searched: a secret that stands in it anywhere is told.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from tests.end_to_end.carrier import Carrier, wait_for_silence
from tests.end_to_end.conftest import Street
from tests.end_to_end.core import Core
from tests.end_to_end.house import ADDRESS, House, until
from tests.end_to_end.post import Post, compose, taken

ADA, BOB, EVE = "Ada <ada@people.example>", "Bob <bob@people.example>", "Eve <eve@evil.example>"
OPERATOR = "boss@owner.example"
# One in each mail; no two of them have a part in common.
SECRETS = ("quittance", "marguerite", "bouvreuil", "calandre", "opaline")
ALIAS = "law@other.example"


@pytest.fixture
def remembering(core: Core) -> Core:
    """The AI core; it keeps what it is asked."""
    core.behave(keeps_requests=True)
    return core


def told(core: Core) -> list[str]:
    """Each request, whole, in the order in which they came."""
    return [json.dumps(seen.body, ensure_ascii=False) for seen in core.requests]


def known(request: str, secrets: Sequence[str] = SECRETS) -> list[str]:
    """The secrets that a request tells."""
    return [secret for secret in secrets if secret in request]


def converse(house: House, carrier: Carrier, *, cc_in_the_last: str) -> list[Post]:
    """Ada's five mails, an hour apart, each with a secret; our answers."""
    answers: list[Post] = []
    for number, secret in enumerate(SECRETS, 1):
        last = number == len(SECRETS)
        mail = compose(
            ADA,
            f"Hello, here is point {number} of my case: {secret}. What do you think of it?",
            subject="My case" if number == 1 else "",
            answers=answers[-1] if answers else None,
            fields={"Cc": cc_in_the_last} if last else {},
        )
        taken(house, mail)
        wait_for_silence(carrier, house)
        answers.append(carrier.carried[-1])
        assert len(carrier.carried) == number
        house.age(1)
    return answers


def test_nobody_hears_of_a_conversation_what_was_not_written_to_them(
    street: Street, carrier: Carrier, remembering: Core
) -> None:
    house = street.open(relay_port=carrier.port)
    answers = converse(house, carrier, cc_in_the_last=BOB)
    assert known(told(remembering)[-1]) == list(SECRETS)  # Ada's own, all of it

    stolen = compose(EVE, "And what was said before?", answers=answers[-2])
    from_cc = compose(BOB, "And what was said before? I say tamaris.", answers=answers[-1])
    again = compose(BOB, "Please tell me more about all of that.", answers=answers[-1])
    adas = compose(ADA, "And what did the others say of it, please?", answers=answers[-1])
    heard: list[tuple[list[str], bool]] = []
    tickets: list[str] = []
    for mail in (stolen, from_cc, again, adas):
        tickets += taken(house, mail)
        wait_for_silence(carrier, house)
        request = told(remembering)[-1]
        heard.append((known(request), "tamaris" in request))
        house.age(1)
    assert [house.mails()[one] for one in tickets] == ["answered"] * 4
    assert heard == [
        ([], False),
        (["opaline"], True),
        (["opaline"], True),
        (list(SECRETS), False),
    ]
    threads = [house.explain(one)["thread_id"] for one in (*tickets[:2], min(house.mails()))]
    assert threads[0] not in threads[1:]  # Eve's is her own; Bob was let in
    assert threads[1] == threads[2]
    assert threads[1] not in told(remembering)[-4]


def follows(first: Post, number: int) -> Post:
    """One more of Ada's mails, before anything was answered."""
    return compose(ADA, f"And a further point: {SECRETS[number]}.", answers=first)


def first_of_ada() -> Post:
    return compose(ADA, f"Hello, what do you say to this: {SECRETS[0]}?", subject="My case")


def test_mails_that_wait_together_are_answered_together(
    street: Street, carrier: Carrier, remembering: Core
) -> None:
    house = street.open(relay_port=carrier.port, worker_concurrency=1)
    first = first_of_ada()
    second, third = follows(first, 1), follows(first, 2)
    with remembering.thinking():  # of Bob's mail, while Ada's wait
        taken(house, compose(BOB, "Hello, how long is a notice period?", subject="A question"))
        until(lambda: remembering.count == 1, what="the AI core is asked")
        tickets = taken(house, first, second, third)
    wait_for_silence(carrier, house)
    assert remembering.count == 2
    assert known(told(remembering)[1]) == list(SECRETS[:3])
    [answer] = [post for post in carrier.carried if "ada@people.example" in post.rcpt_to]
    assert answer.parsed["In-Reply-To"] == third.message_id
    named = str(answer.parsed["References"]).split()
    assert named == [first.message_id, second.message_id, third.message_id]
    reasons = [house.explain(ticket)["because"] for ticket in tickets]
    [lead] = [one for one, because in zip(tickets, reasons, strict=True) if "250" in because]
    assert sorted(reasons)[1:] == [f"answered with {lead}"] * 2


def test_a_mail_that_comes_while_the_ai_thinks_is_answered_along(
    street: Street, carrier: Carrier, remembering: Core
) -> None:
    house = street.open(relay_port=carrier.port)
    first = first_of_ada()
    with remembering.thinking():
        taken(house, first)
        until(lambda: remembering.count == 1, what="the AI core is asked")
        second = follows(first, 1)
        taken(house, second)
    wait_for_silence(carrier, house)
    assert [known(request) for request in told(remembering)] == [["quittance"], list(SECRETS[:2])]
    [answer] = carrier.carried
    assert answer.parsed["In-Reply-To"] == second.message_id
    assert house.states() == {"answered": 2}


def test_a_mail_to_two_of_our_addresses_gets_one_answer(
    street: Street, carrier: Carrier, core: Core
) -> None:
    house = street.open(relay_port=carrier.port, email_aliases=ALIAS)
    both = {"To": f"{ADDRESS}, {ALIAS}"}
    at_once = compose(ADA, "Hello, how long is a notice period?", subject="A", fields=both)
    apart = compose(BOB, "Hello, how long is a notice period?", subject="B", fields=both)
    taken(house, at_once.addressed_to(ADDRESS, ALIAS))
    one, other = taken(house, apart.addressed_to(ADDRESS), apart.addressed_to(ALIAS))
    wait_for_silence(carrier, house)
    assert sorted(post.rcpt_to[0] for post in carrier.carried) == [
        "ada@people.example",
        "bob@people.example",
    ]
    assert core.count == 2
    told = house.explain(other)
    assert (told["state"], told["because"]) == ("unanswered", f"the same message as {one}")


def test_the_operators_own_mail_silences_the_ai_in_a_conversation(
    street: Street, carrier: Carrier, core: Core
) -> None:
    house = street.open(relay_port=carrier.port, operator_address=OPERATOR)
    taken(house, first_of_ada())
    wait_for_silence(carrier, house)
    [answer] = carrier.to("people.example")
    to_ada = {"To": "ada@people.example", "Cc": ADDRESS}
    boss = compose(OPERATOR, "Dear Ada, I take this over.", answers=answer, fields=to_ada)
    thanks = compose(ADA, "Thank you. One more thing: what about my holidays?", answers=answer)
    kept, held = taken(house, boss, thanks)
    wait_for_silence(carrier, house)
    assert (core.count, carrier.to("people.example")) == (1, [answer])
    told = house.explain(kept)
    assert (told["state"], told["because"]) == (
        "kept",
        "a person of the house answered in this conversation",
    )
    told = house.explain(held)
    assert (told["state"], told["setting"]) == ("held", "mail hand-back")
    [notice] = house.notices("taken")
    assert held in notice
