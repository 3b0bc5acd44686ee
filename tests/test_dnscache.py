"""The DNS cache and the inquiry: how long, how much, how often."""

from __future__ import annotations

import asyncio

import pytest

from smtpd.dnscache import ABSENT_MOST_S, FOUND_LEAST_S, FOUND_MOST_S, UNANSWERED_S, DnsCache
from smtpd.inquiry import Inquiry
from smtpd.questions import Answer, Kind, Question, Status
from tests.zones import Zone, zone

FOUND = Answer(Status.FOUND, (b"text",))


def question(name: str) -> Question:
    return Question(name, Kind.TXT)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("answer", "ttl_s", "holds_s"),
    [
        (FOUND, 60, 60),
        (FOUND, 0, FOUND_LEAST_S),
        (FOUND, 1e9, FOUND_MOST_S),
        (Answer(Status.NXDOMAIN), 60, 60),
        (Answer(Status.NXDOMAIN), 86400, ABSENT_MOST_S),
        (Answer(Status.NODATA), 0, FOUND_LEAST_S),
        (Answer(Status.SERVFAIL), 3600, UNANSWERED_S),
        (Answer(Status.TIMEOUT), 0, UNANSWERED_S),
    ],
)
def test_an_answer_holds_for_its_time_within_bounds(
    answer: Answer, ttl_s: float, holds_s: float
) -> None:
    clock = Clock()
    cache = DnsCache(10, clock=clock)
    cache.put(question("a.example"), answer, ttl_s)
    clock.now = holds_s - 0.01
    assert cache.get(question("a.example")) == answer
    clock.now = holds_s
    assert cache.get(question("a.example")) is None
    assert len(cache) == 0


def test_the_oldest_goes_first_when_there_are_too_many() -> None:
    cache = DnsCache(3)
    for number in range(5):
        cache.put(question(f"n{number}.example"), FOUND, 60)
    assert len(cache) == 3
    assert [cache.get(question(f"n{number}.example")) is None for number in range(5)] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_large_answers_take_the_room_of_many() -> None:
    cache = DnsCache(1000, most_bytes=50_000)
    for number in range(100):
        cache.put(question(f"n{number}.example"), Answer(Status.FOUND, (b"x" * 10_000,)), 60)
    assert len(cache) == 4


def test_an_answer_takes_the_place_of_the_one_before_it() -> None:
    cache = DnsCache(10)
    cache.put(question("a.example"), Answer(Status.SERVFAIL), 0)
    cache.put(question("a.example"), FOUND, 60)
    assert (cache.get(question("a.example")), len(cache)) == (FOUND, 1)


def test_an_answer_that_is_renewed_takes_its_room_once() -> None:
    cache = DnsCache(10, most_bytes=50_000)
    cache.put(question("other.example"), FOUND, 60)
    for _ in range(10):
        cache.put(question("a.example"), Answer(Status.FOUND, (b"x" * 10_000,)), 60)
    assert cache.get(question("other.example")) == FOUND


def test_a_cache_of_no_entries_remembers_nothing() -> None:
    cache = DnsCache(0)
    cache.put(question("a.example"), FOUND, 60)
    assert cache.get(question("a.example")) is None


# The inquiry


class Knowing(Zone):
    """A zone that remembers what it holds, or nothing."""

    def known(self, question: Question) -> Answer | None:
        return self.answer(question)


def inquiry(names: Zone, *, seconds: float = 10, most: int = 5) -> Inquiry:
    return Inquiry(names, until=asyncio.get_running_loop().time() + seconds, most=most)


async def test_a_mail_asks_so_many_questions_and_no_more() -> None:
    names = zone({"a.example": {"TXT": "text"}})
    asking = inquiry(names, most=2)
    answers = [await asking.lookup(question("a.example")) for _ in range(4)]
    assert [answer.status for answer in answers] == [
        Status.FOUND, Status.FOUND, Status.SERVFAIL, Status.SERVFAIL,
    ]  # fmt: skip
    assert sum(names.asked.values()) == 2


async def test_what_is_known_costs_no_question() -> None:
    asking = inquiry(Knowing({"a.example": {"TXT": "text"}}), most=0)
    assert (await asking.lookup(question("a.example"))).status is Status.FOUND


async def test_once_the_time_is_up_nobody_is_asked() -> None:
    names = zone({"a.example": {"TXT": "text"}})
    asking = inquiry(names, seconds=0)
    assert await asking.lookup(question("a.example")) == Answer(Status.TIMEOUT)
    assert not names.asked


async def test_when_the_time_is_up_there_is_no_answer() -> None:
    class Silent(Zone):
        async def lookup(self, question: Question) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError

    asking = inquiry(Silent({}), seconds=0.05)
    assert await asking.lookup(question("a.example")) == Answer(Status.TIMEOUT)
