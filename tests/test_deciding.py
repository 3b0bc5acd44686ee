"""What a person decides about a mail, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, update

from handlers.letter import UNDECIDED, Ending, Outgoing, State, Ticket
from handlers.store import deciding, looking, replying
from handlers.store.deciding import APPROVE, REJECT, RELEASE, RETRY, Decision, HandedBack
from handlers.store.explaining import ERASED
from handlers.store.looking import Whole
from handlers.store.models import MAIL, TAKEN_OVER
from handlers.store.store import SqlStore
from smtpd.errors import ClaimLost, Permanent
from tests.arrivals import HOLD, KEEP, mail
from tests.stores import ANSWERED, OUTGOING, claimed, erase, keep, put, row, step, write

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FAILED = Ending(what=State.FAILED, because="Temporary: the AI core is away")
HELD = Ending(what=State.HELD, because="unknown whether the relay took the reply")


async def decide(store: SqlStore, email_id: str, decision: Decision) -> None:
    work = partial(
        deciding.decide, email_id=email_id, decision=decision, master=store._master, now=NOW
    )
    await step(store, work)


async def reply(store: SqlStore, email_id: str, outgoing: Outgoing = OUTGOING) -> None:
    work = partial(
        replying.reply,
        email_id=email_id,
        text="I wrote this.",
        outgoing=outgoing,
        master=store._master,
        hasher=store._hasher,
        now=NOW,
    )
    await step(store, work)


async def hand_back(store: SqlStore, email_id: str) -> HandedBack:
    work = partial(deciding.hand_back, email_id=email_id, master=store._master, now=NOW)
    return await step(store, work)


async def look(store: SqlStore, email_id: str) -> Whole:
    return await step(store, partial(looking.look, email_id=email_id, master=store._master))


async def ended(store: SqlStore, ending: Ending, *, written: bool = False) -> str:
    """A mail that a worker ended so; its id."""
    claim = await claimed(store, await keep(store))
    if written:
        await write(store, claim)
    await store.close(claim, ending)
    return claim.id


async def story(store: SqlStore, email_id: str) -> list[tuple[str, str]]:
    explained = await store.explain(email_id)
    assert explained is not None
    return [(line.event, line.because) for line in explained.story]


async def in_state(store: SqlStore, state: State) -> str:
    """A mail in this state, in nobody's hands."""
    if state in (State.HELD, State.KEPT):
        return await put(store, HOLD if state is State.HELD else KEEP)
    if state in (State.WAITING, State.WRITTEN):
        ticket = await keep(store)
        if state is State.WRITTEN:
            claim = await claimed(store, ticket)
            await write(store, claim)
            await store.hand_back(
                claim, not_before=NOW, because="relay away", counts=True, certain=True
            )
        return ticket.id
    return await ended(store, Ending(what=state, because="so it ended"))


IN_NO_WORKERS_HANDS = [state for state in State if state is not State.SENDING]
DECISIONS = (APPROVE, RELEASE, RETRY, REJECT)


@pytest.mark.parametrize("state", IN_NO_WORKERS_HANDS)
@pytest.mark.parametrize("decision", DECISIONS, ids=lambda decision: decision.event)
async def test_a_decision_is_taken_in_its_states_alone(
    store: SqlStore, state: State, decision: Decision
) -> None:
    email_id = await in_state(store, state)
    before = await row(store, email_id)
    if state in decision.of:
        await decide(store, email_id, decision)
        assert (await story(store, email_id))[-1] == (decision.event, decision.because)
        assert (await look(store, email_id)).entry.because == decision.because
    else:
        with pytest.raises(Permanent, match=f"it is {state}; only .* can be {decision.event}"):
            await decide(store, email_id, decision)
        assert await row(store, email_id) == before


async def test_what_is_approved_is_in_line_again_and_says_so(store: SqlStore) -> None:
    email_id = await put(store, HOLD)
    queued = update(MAIL).where(MAIL.c.id == email_id)
    queued = queued.values(epoch="another", not_before=NOW + timedelta(days=9000), ended_at=NOW)
    await step(store, lambda connection: connection.execute(queued))
    before = await row(store, email_id)
    await decide(store, email_id, APPROVE)
    found = await row(store, email_id)
    assert found.claim > before.claim
    assert (found.state, found.approved, found.processed) == ("waiting", True, False)
    assert (found.epoch, found.not_before, found.ended_at) == (None, None, None)
    assert found.decided_at == NOW.timestamp()
    assert await store.waiting(10) == [email_id]


async def test_what_is_released_is_judged_by_the_rules(store: SqlStore) -> None:
    email_id = await put(store, HOLD)
    await decide(store, email_id, RELEASE)
    found = await row(store, email_id)
    assert (found.state, found.approved) == ("waiting", False)


async def test_what_was_approved_once_is_judged_by_the_rules_when_released(
    store: SqlStore,
) -> None:
    email_id = await put(store, HOLD)
    await decide(store, email_id, APPROVE)
    await store.close(await claimed(store, Ticket(id=email_id, owed=True)), HELD)
    await decide(store, email_id, RELEASE)
    assert not (await row(store, email_id)).approved


async def test_a_person_s_own_answer_needs_no_approval_when_released(store: SqlStore) -> None:
    """Its conversation is led by them: the rules would hold it again."""
    email_id = await put(store, HOLD)
    await reply(store, email_id)
    await store.close(await claimed(store, Ticket(id=email_id, owed=True)), HELD)
    await decide(store, email_id, RELEASE)
    assert (await row(store, email_id)).approved


async def test_a_written_reply_is_sent_again_and_not_thought_of_anew(store: SqlStore) -> None:
    email_id = await ended(store, HELD, written=True)
    await decide(store, email_id, APPROVE)
    assert (await row(store, email_id)).state == "written"
    claim = await store.claim(email_id)
    assert (await store.fetch(claim)).outgoing == OUTGOING  # type: ignore[arg-type]


async def test_a_retried_mail_starts_with_all_its_attempts(store: SqlStore) -> None:
    email_id = await ended(store, FAILED)
    worn = update(MAIL).where(MAIL.c.id == email_id).values(attempts=9, lost=3, uncertain=2)
    await step(store, lambda connection: connection.execute(worn))
    await decide(store, email_id, RETRY)
    found = await row(store, email_id)
    assert (found.state, found.attempts, found.lost, found.uncertain) == ("waiting", 0, 0, 0)
    claim = await claimed(store, await keep(store))
    assert claim.attempts == 1


async def test_a_rejected_mail_is_over(store: SqlStore) -> None:
    email_id = await put(store, HOLD)
    await decide(store, email_id, REJECT)
    found = await row(store, email_id)
    assert (found.state, found.processed) == ("unanswered", True)
    assert found.ended_at == NOW.timestamp()
    assert await store.claim(email_id) is None


async def test_a_mail_in_a_workers_hands_is_never_changed(store: SqlStore) -> None:
    claim = await claimed(store, await keep(store))
    # As no state of ours is: what counts is the worker.
    held = update(MAIL).where(MAIL.c.id == claim.id).values(state="held")
    await step(store, lambda connection: connection.execute(held))
    before = await row(store, claim.id)
    for decision in (APPROVE, RELEASE, REJECT):
        with pytest.raises(Permanent, match="a worker has it in hand"):
            await decide(store, claim.id, decision)
    with pytest.raises(Permanent, match="a worker has it in hand"):
        await reply(store, claim.id)
    assert await row(store, claim.id) == before


async def test_a_decision_voids_what_an_earlier_worker_knew(store: SqlStore) -> None:
    claim = await claimed(store, await keep(store))
    await store.close(claim, FAILED)
    await decide(store, claim.id, RETRY)
    with pytest.raises(ClaimLost):
        await store.close(claim, HELD)


async def test_of_two_who_decide_at_once_one_is_told_that_it_is_decided(store: SqlStore) -> None:
    email_id = await put(store, HOLD)
    outcomes = await asyncio.gather(
        *(decide(store, email_id, decision) for decision in (APPROVE, REJECT)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes if outcome] == [Permanent]
    told = [event for event, _ in await story(store, email_id)][1:]
    assert told in (["approved"], ["rejected"])


async def test_what_nobody_can_read_can_only_be_rejected(store: SqlStore) -> None:
    email_id = await put(store, HOLD)
    await erase(store, "ada@example.org")
    for decision in (APPROVE, RELEASE):
        with pytest.raises(Permanent, match="erased"):
            await decide(store, email_id, decision)
    with pytest.raises(Permanent, match="erased"):
        await reply(store, email_id)
    await decide(store, email_id, REJECT)
    assert (await row(store, email_id)).state == "unanswered"
    assert (await look(store, email_id)).entry.sender == ERASED


async def test_of_a_mail_that_is_not_there_nothing_is_decided(store: SqlStore) -> None:
    for decision in DECISIONS:
        with pytest.raises(Permanent, match="no such mail"):
            await decide(store, "nothing", decision)
    for ask in (reply, take_over, hand_back, look):
        with pytest.raises(Permanent, match="no such mail"):
            await ask(store, "nothing")


# A person's own answer.


@pytest.mark.parametrize("state", IN_NO_WORKERS_HANDS)
async def test_a_person_answers_what_has_no_answer_yet(store: SqlStore, state: State) -> None:
    email_id = await in_state(store, state)
    before = await row(store, email_id)
    if state in (State.ANSWERED, State.WRITTEN):
        with pytest.raises(Permanent, match="take-over"):
            await reply(store, email_id)
        assert await row(store, email_id) == before
        return
    await reply(store, email_id)
    claim = await store.claim(email_id)
    record = await store.fetch(claim)  # type: ignore[arg-type]
    assert record.outgoing == OUTGOING
    found = await row(store, email_id)
    assert (found.state, found.by_person, found.approved) == ("written", True, True)
    whole = await look(store, email_id)
    assert (whole.answer, whole.by_person, whole.led_since) == ("I wrote this.", True, NOW)
    assert (await story(store, email_id))[-1][0] == "replied"


async def test_an_answer_to_a_persons_reply_finds_its_conversation(store: SqlStore) -> None:
    email_id = await put(store, HOLD)
    await reply(store, email_id)
    answer = await keep(store, mail(references=OUTGOING.message_id))
    assert (await row(store, answer.id)).thread_id == email_id


async def test_a_conversation_is_handed_back_once(store: SqlStore) -> None:
    email_id = await put(store, HOLD)
    await reply(store, email_id)
    other = await put(store, HOLD)
    joined = update(MAIL).where(MAIL.c.id == other).values(thread_id=email_id)
    await step(store, lambda connection: connection.execute(joined))
    assert await hand_back(store, other) == HandedBack(led=True, released=(), held=1)
    assert (await story(store, other))[-1][0] == "handed back"
    assert (await look(store, email_id)).led_since is None
    told = len(await story(store, other))
    assert await hand_back(store, other) == HandedBack(led=False, released=(), held=1)
    assert len(await story(store, other)) == told


async def take_over(store: SqlStore, email_id: str) -> bool:
    work = partial(deciding.take_over, email_id=email_id, master=store._master, now=NOW)
    return await step(store, work)


async def test_what_a_person_takes_over_is_theirs_and_goes_back_with_what_waited(
    store: SqlStore,
) -> None:
    first = await answered_mail(store)
    assert await take_over(store, first)
    assert not await take_over(store, first)
    assert [event for event, _ in await story(store, first)].count("taken over") == 1
    later = await keep(store, mail("And then?", references="<first@example.org>"))
    assert ((await row(store, later.id)).state, later.owed) == (State.HELD, False)
    assert await hand_back(store, first) == HandedBack(led=True, released=(later.id,), held=0)
    assert (await row(store, later.id)).state == State.WAITING


async def answered_mail(store: SqlStore) -> str:
    claim = await claimed(store, await keep(store, mail(message_id="<first@example.org>")))
    await write(store, claim)
    await store.sending(claim)
    await store.close(claim, ANSWERED)
    return claim.id


async def test_a_second_reply_in_a_conversation_leaves_it_with_the_person(store: SqlStore) -> None:
    first, second = await put(store, HOLD), await put(store, HOLD)
    joined = update(MAIL).where(MAIL.c.id == second).values(thread_id=first)
    await step(store, lambda connection: connection.execute(joined))
    await reply(store, first)
    await reply(store, second)
    led = select(TAKEN_OVER.c.thread_id)
    assert await step(store, lambda c: list(c.execute(led).scalars())) == [first]


# Nobody decides.


async def age(store: SqlStore, email_id: str, days: float) -> None:
    since = datetime.now(UTC) - timedelta(days=days)
    aged = update(MAIL).where(MAIL.c.id == email_id).values(ended_at=since)
    await step(store, lambda connection: connection.execute(aged))


async def test_held_mail_ends_when_nobody_decides(store: SqlStore) -> None:
    old, young = await put(store, HOLD), await put(store, HOLD)
    parked = await ended(store, FAILED)
    for email_id, days in ((old, 7.1), (young, 6.9), (parked, 100)):
        await age(store, email_id, days)
    await store.tidy()
    found = await row(store, old)
    assert (found.state, found.setting, found.processed) == ("unanswered", "HOLD_DAYS", True)
    assert (await story(store, old))[-1] == ("unanswered", "nobody decided")
    assert (await look(store, old)).entry.because == "nobody decided"
    assert (await row(store, young)).state == "held"
    assert (await row(store, parked)).state == "failed"


async def test_an_erased_person_does_not_keep_others_mail_from_ending(store: SqlStore) -> None:
    theirs = await put(store, HOLD)
    other = await put(store, HOLD, mail(sender="bob@example.org"))
    await erase(store, "ada@example.org")
    for email_id in (theirs, other):
        await age(store, email_id, 8)
    await store.tidy()
    for email_id in (theirs, other):
        assert (await row(store, email_id)).state == "unanswered"
    assert (await look(store, theirs)).entry.because == ERASED
    assert (await look(store, other)).entry.because == "nobody decided"


async def test_the_longest_held_end_first_and_no_more_than_asked_for(store: SqlStore) -> None:
    ids = [await put(store, HOLD) for _ in range(3)]
    for email_id, days in zip(ids, (8, 10, 9), strict=True):
        await age(store, email_id, days)
    found = partial(deciding.expired, before=datetime.now(UTC), limit=2)
    assert [one.id for one in await step(store, found)] == [ids[1], ids[2]]


# What there is.


async def test_what_needs_a_person_is_listed_oldest_first_and_all_else_newest_first(
    store: SqlStore,
) -> None:
    held = await put(store, HOLD)
    parked = await ended(store, FAILED)
    waiting = await in_state(store, State.WAITING)
    bobs = await put(store, HOLD, mail(sender="bob@example.org"))

    for email_id, days in ((held, 3), (parked, 2), (bobs, 1)):
        await age(store, email_id, days)

    async def ids(limit: int = 10, **asked: Any) -> list[str]:
        work = partial(looking.listed, master=store._master, limit=limit, **asked)
        return [one.id for one in await step(store, work)]

    assert await ids() == [bobs, waiting, parked, held]
    assert await ids(states=(State.HELD,), limit=1) == [bobs]
    assert await ids(states=UNDECIDED) == [held, parked, bobs]
    assert await ids(states=UNDECIDED, limit=2) == [held, parked]
    assert await ids(person=store._hasher.address("bob@example.org")) == [bobs]
    assert await ids(thread_id=waiting) == [waiting]
